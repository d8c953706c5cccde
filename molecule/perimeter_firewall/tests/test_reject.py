# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy reject, through each gateway in turn."""

import subprocess

import pytest
from forged import FAMILIES, GATEWAYS, NODE
from labtest import ADDRESSES, converge
from perimeter import OPEN, REFUSED, connect, counters, grown, listing


@pytest.fixture(scope="module")
def rejecting(machines):
    """The gateways under the policy reject, and as they were afterwards."""
    operators = [ADDRESSES["outsider"]["outside"]["ipv4"].rsplit(".", 1)[0] + ".1"]
    variables = {
        "perimeter_firewall_forward_policy": "reject",
        "perimeter_firewall_services": [
            {"name": "ssh", "ports": [22], "sources": operators},
            {"name": "web", "ports": [8443], "destinations": [NODE["ipv4"], NODE["ipv6"]]},
        ],
    }
    try:
        yield subprocess.run(
            converge(variables=variables, limit="xen_gateways"), capture_output=True, text=True, check=True
        )
    finally:
        subprocess.run(converge(variables={}, limit="xen_gateways"), capture_output=True, text=True, check=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_policy_reject_only_services_pass(machines, rejecting, gateway, family):
    node2, outsider = ADDRESSES["node2"]["clusterb"][family], ADDRESSES["outsider"]["outside"][family]
    before = counters(machines[gateway])
    targets = [(NODE[family], 8443), (NODE[family], 9100), (node2, 8443), (NODE[family], 22)]
    assert connect(machines["outsider"], targets) == [OPEN, REFUSED, REFUSED, REFUSED]
    assert grown(before, counters(machines[gateway])) == {"forward_rejected": 3}
    assert connect(machines["node1"], [(outsider, 8443), (node2, 8002)]) == [OPEN] * 2
    assert connect(machines["guest1"], [(outsider, 9100), (NODE[family], 9100)]) == [OPEN] * 2


def test_the_operators_way_to_the_nodes_is_looked_at_beforehand(machines):
    """He comes through the outside interface, and would not get on to the nodes any more."""
    before = {name: listing(machines[name]) for name in GATEWAYS}
    done = subprocess.run(
        converge(variables={"perimeter_firewall_forward_policy": "reject"}, limit="xen_gateways"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no service admits it to port 22" in done.stdout + done.stderr
    assert {name: listing(machines[name]) for name in GATEWAYS} == before
