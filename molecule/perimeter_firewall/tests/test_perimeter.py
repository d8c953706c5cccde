# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the perimeter stops, counts and lets pass, through each gateway in turn, and changes that would be fatal."""

import json
import re
import shlex
import subprocess
import time

import pytest
from forged import COUNT, FAMILIES, GATEWAYS, NODE, captured, classes, fire, forget
from labtest import ADDRESSES, INVENTORY, ansible, converge
from perimeter import OPEN, REFUSED, connect, counters, grown, listing

IPTABLES = {
    name
    for name, variables in INVENTORY["children"]["xen_gateways"]["hosts"].items()
    if variables.get("perimeter_firewall_backend") == "iptables"
}


# --- what is stopped ----------------------------------------------------------------------------------------


def expected_counts(gateway, volley, frames):
    """Every packet of the volley, by what has to count it.

    nftables counts a forged fragment by itself; iptables, and whoever has to know the port, what they are parts of.
    """
    found = {}
    for forged in filter(lambda forged: forged.counter, volley):
        whole = gateway in IPTABLES or forged.counter == "relocation_rejected" or forged.sender != "outsider"
        found[forged.counter] = found.get(forged.counter, 0) + (COUNT if whole else frames[forged.name])
    return found


def test_no_forged_packet_arrives_and_all_are_counted(machines, gateway):
    volley = classes(gateway)
    forget(machines)
    before = counters(machines[gateway])
    frames = fire(machines, gateway, volley)
    after, arrived = counters(machines[gateway]), captured(machines)
    assert {forged.name: arrived[forged.mark] for forged in volley if forged.mark in arrived} == {}
    assert grown(before, after) == expected_counts(gateway, volley, frames)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forged_packet_of_a_connection_that_exists_does_not_pass(machines, gateway, family):
    """Its source is looked at before anything admits what is established."""
    source, sport = ADDRESSES["node2"]["clusterb"][family], 51515
    hold = (
        "import socket,sys,time; s=socket.create_connection((sys.argv[1], 22), source_address=('', int(sys.argv[2])));"
        "time.sleep(300)"
    )
    machines["node2"].check_output(
        f"systemd-run --quiet --collect --unit=hold python3 -c {shlex.quote(hold)} {NODE[family]} {sport}; sleep 2"
    )
    try:
        assert f":{sport}" in machines["node1"].check_output("ss -Htn state established 'sport = :22'")
        forget(machines)
        before = counters(machines[gateway])
        packet = {"mark": "<9-0001>", "kind": "tcp-ack", "source": source, "target": NODE[family], "port": 22}
        packets = json.dumps([{**packet, "sport": sport, "count": COUNT}])
        mac = machines[gateway].check_output("cat /sys/class/net/outside0/address")
        machines["outsider"].check_output(
            f"echo {shlex.quote(packets)} | python3 /usr/local/sbin/forge outside0 {mac}; sleep 1"
        )
        assert captured(machines) == {}
        assert grown(before, counters(machines[gateway])) == {"spoofed_cluster": COUNT}
    finally:
        machines["node2"].check_output("systemctl stop hold")


# --- what passes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_as_it_says_passes(machines, gateway, family):
    node2, guest1 = ADDRESSES["node2"]["clusterb"][family], ADDRESSES["guest1"]["guests"][family]
    outsider = ADDRESSES["outsider"]["outside"][family]
    before = counters(machines[gateway])
    assert connect(machines["outsider"], [(NODE[family], 8443), (node2, 22), (guest1, 8443)]) == [OPEN] * 3
    assert connect(machines["guest1"], [(NODE[family], 8443), (outsider, 8443), (outsider, 8002)]) == [OPEN] * 3
    assert connect(machines["node1"], [(outsider, 8443), (guest1, 8443)]) == [OPEN] * 2
    # Relocation, from one subnet of the cluster to the other.
    assert connect(machines["node1"], [(node2, 8002), (node2, 8003)]) == [OPEN] * 2
    assert connect(machines["node2"], [(NODE[family], 8002)]) == [OPEN]
    assert grown(before, counters(machines[gateway])) == {}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("source", ["outsider", "guest1"])
def test_relocation_gets_a_reject_from_outside_of_the_cluster(machines, gateway, source, family):
    before = counters(machines[gateway])
    assert connect(machines[source], [(NODE[family], 8002), (NODE[family], 8003)]) == [REFUSED] * 2
    assert grown(before, counters(machines[gateway])) == {"relocation_rejected": 2}


def test_the_audit_reads_the_same(machines, gateway):
    command = ansible(
        *("ansible", gateway, "--one-line", "-m", "xensec.hardening.dom0_info", "-a", "gather_subset=perimeter")
    )
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Colours may follow the JSON.
    read = json.JSONDecoder().raw_decode(shown[shown.index("{") :])[0]["perimeter"]
    assert {name: value["packets"] for name, value in read.items()} == counters(machines[gateway])
    assert read["spoofed_cluster"]["bytes"] > 0


def test_the_gateway_still_gets_everywhere(machines, gateway):
    targets = [(NODE["ipv4"], 8443), (NODE["ipv6"], 8443), (ADDRESSES["outsider"]["outside"]["ipv4"], 8443)]
    assert connect(machines[gateway], targets) == [OPEN] * 3


# --- what is on the gateways --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_rules_of_others_are_as_they_were(machines, name):
    assert machines[name].check_output("/usr/local/sbin/foreign show") == machines[name].check_output(
        "cat /run/foreign.loaded"
    )


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_kernel_checks_the_way_back_as_the_rules_do(machines, name):
    """The larger of the two settings counts, so it is that which has to be 1."""
    values = machines[name].check_output("cd /proc/sys/net/ipv4/conf; cat all/rp_filter outside0/rp_filter").split()
    assert max(values) == "1"
    for family in ("ipv4", "ipv6"):
        for setting in ("accept_redirects", "accept_source_route"):
            folder = f"/proc/sys/net/{family}/conf"
            shown = machines[name].check_output(f"cat {folder}/all/{setting} {folder}/outside0/{setting}")
            assert shown.split() == ["0", "0"]


@pytest.mark.parametrize("name", GATEWAYS)
def test_what_was_found_is_on_record(machines, name):
    for record in ("firewall_perimeter", "sysctl_perimeter"):
        assert machines[name].file(f"/var/lib/xensec/{record}.json").mode == 0o600
    found = json.loads(machines[name].file("/var/lib/xensec/sysctl_perimeter.json").content_string)
    assert found["state"]["net/ipv4/conf/outside0/rp_filter"] != "1"


# --- changes that would lock the operator out ---------------------------------------------------------------


@pytest.fixture
def fatal(machines):
    """A network of the cluster a bit too wide: an address beside the operator's, who is outside, is really inside."""
    networks = INVENTORY["vars"]["lab_networks"]
    beside = networks["outside"]["ipv4"].split("/")[0]
    cluster = [networks[name][family] for name in ("clustera", "clusterb") for family in FAMILIES]
    try:
        for name in GATEWAYS:
            machines[name].check_output(f"ip route add {beside}/32 via {NODE['ipv4']}")
        yield {"perimeter_firewall_cluster_networks": [*cluster, f"{beside}/31"]}
    finally:
        for name in GATEWAYS:
            machines[name].check_output(f"ip route del {beside}/32")


def test_a_slip_that_would_be_fatal_is_refused_beforehand(machines, fatal):
    before = {name: listing(machines[name]) for name in GATEWAYS}
    done = subprocess.run(converge(variables=fatal, limit="xen_gateways"), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "so it would be dropped as spoofed: see which of the two is wrong" in done.stdout + done.stderr
    assert {name: listing(machines[name]) for name in GATEWAYS} == before


def test_a_fatal_change_is_taken_back_by_the_host(machines, fatal):
    before = {name: listing(machines[name]) for name in GATEWAYS}
    variables = {**fatal, "perimeter_firewall_precheck": False, "perimeter_firewall_confirm_timeout": 20}
    started = time.monotonic()
    done = subprocess.run(
        converge(variables=variables, limit="xen_gateways"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode != 0
    undone = re.findall(r"fatal: \[(\w+)\].*the host has taken the rules back by itself", done.stdout + done.stderr)
    assert sorted(undone) == GATEWAYS
    assert time.monotonic() - started > 20
    assert {name: listing(machines[name]) for name in GATEWAYS} == before
