# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode: nothing on the gateways is other than it was, and forged packets get through."""

import pytest
from forged import GATEWAYS, captured, classes, fire, forget


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_there_are_no_rules_and_no_files(machines, gateway):
    machine = machines[gateway]
    assert "xensec" not in machine.check_output("nft list ruleset")
    assert "XENSEC" not in machine.check_output("iptables-save; ip6tables-save")
    for folder in ("/etc/xensec", "/var/lib/xensec", "/run/xensec", "/etc/sysctl.d/99-xensec-perimeter.conf"):
        assert not machine.file(folder).exists
    assert machine.run("ls /etc/systemd/system/xensec-*").rc != 0


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_without_the_role_forged_packets_arrive(machines, gateway):
    """Otherwise, that none arrives later on would prove nothing. A busy machine may lose one of several."""
    forget(machines)
    volley = classes(gateway)
    fire(machines, gateway, volley)
    arrived = captured(machines)
    assert {forged.name for forged in volley if not arrived.get(forged.mark) and forged.passes} == set()
