# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import ipaddress
import re
import shutil
import subprocess

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.perimeter_firewall_plan import FilterModule
from ansible_collections.xensec.hardening.plugins.plugin_utils import perimeter
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = {
    "outside_interfaces": ["eth0"],
    "outside_networks": [],
    "cluster_networks": ["10.1.0.0/24", "2001:db8:1::/64"],
    "inside_networks": [],
    "relocation_ports": [8002, 8003, 8002],
    "libvirt": False,
    "reverse_path": "auto",
    "forward_policy": "accept",
    "services": [],
    "precheck": True,
    "untried_platforms": False,
    "gateways": ["gateway1"],
    "node_ports": [22],
}


def interface(*addresses, **more):
    networks = [ipaddress.ip_interface(address) for address in addresses]
    found = {
        f"ipv{version}": [
            {"address": str(item.ip), "prefix": item.network.prefixlen} for item in networks if item.version == version
        ]
        for version in (4, 6)
    }
    routes = [str(item.network) for item in networks]
    return {**found, "bridge": None, "default_route": False, "routes": routes, "rp_filter": 0, **more}


FACTS = {
    "platform": {"id": "debian", "like": []},
    "interfaces": {
        "eth0": interface("198.51.100.2/24", "2001:db8:f::2/64", default_route=True, rp_filter=2),
        "eth1": interface("10.1.0.1/24", "2001:db8:1::1/64", rp_filter=2),
    },
    "control": {"address": "198.51.100.9", "port": 22},
    "firewall_managers": [],
}
WEB = {"name": "web", "ports": [443]}


def plan(facts=None, **changed):
    return FilterModule().filters()["perimeter_firewall_plan"]({**SETTINGS, **changed}, "gateway1", facts or FACTS)


def facts(control=None, **interfaces):
    return {
        **FACTS,
        "control": control or FACTS["control"],
        "interfaces": {**copy.deepcopy(FACTS["interfaces"]), **interfaces},
    }


def chain(text, name):
    return [line.strip() for line in re.search(rf"chain {name} {{\n(.*?)\n  }}", text, re.S)[1].splitlines()]


def elements(text, name):
    found = re.search(rf"set {name} {{.*?elements = {{(.*?)}}", text, re.S)[1]
    return [ipaddress.ip_network(item.strip()) for item in found.split(",")]


def test_a_plain_gateway_has_nothing_to_warn_of():
    assert plan()["warnings"] == []


def test_sources_are_looked_at_before_anything_is_put_together_or_tracked():
    rules = chain(plan()["nftables"], "prerouting")
    assert rules[:3] == [
        "type filter hook prerouting priority -450; policy accept;",
        'iifname "lo" accept',
        'iifname "eth0" goto outside',
    ]
    assert rules[-1] == "ip6 saddr @cluster6 fib saddr . iif oif missing counter name spoofed_cluster drop"


def test_what_comes_from_outside_is_tried_in_this_order():
    counted = [re.search(r"counter name (\w+)", rule) for rule in chain(plan()["nftables"], "outside")]
    assert [found[1] for found in counted if found] == [
        *("spoofed_gateway", "spoofed_cluster", "spoofed_cluster"),
        *("spoofed_bogon", "spoofed_bogon", "spoofed_reverse_path"),
    ]


def test_the_outsides_own_network_is_no_bogon():
    bogons = elements(plan()["nftables"], "bogon4")
    assert not any(network.overlaps(ipaddress.ip_network("198.51.100.0/24")) for network in bogons)
    assert ipaddress.ip_network("203.0.113.0/24") in bogons
    six = elements(plan()["nftables"], "bogon6")
    assert not any(network.overlaps(ipaddress.ip_network("2001:db8:f::/64")) for network in six)
    assert any(network.overlaps(ipaddress.ip_network("2001:db8:e::/64")) for network in six)


@pytest.mark.parametrize(
    "changed",
    [
        {"outside_networks": ["10.64.0.0/10"]},
        {"facts": facts(eth0=interface("198.51.100.2/24", routes=["10.64.0.0/10"], default_route=True))},
    ],
)
def test_private_networks_outside_are_no_bogons(changed):
    bogons = elements(plan(**changed)["nftables"], "bogon4")
    assert not any(network.overlaps(ipaddress.ip_network("10.64.0.0/10")) for network in bogons)
    assert any(network.overlaps(ipaddress.ip_network("10.63.0.0/16")) for network in bogons)


def test_halves_of_a_default_route_do_not_make_everything_the_outsides_own():
    halves = facts(eth0=interface("198.51.100.2/24", routes=["0.0.0.0/1", "128.0.0.0/1"]))
    assert ipaddress.ip_network("10.0.0.0/8") in elements(plan(halves)["nftables"], "bogon4")


@settings(deadline=None)
@given(st.lists(st.ip_addresses(v=4).flatmap(lambda ip: st.integers(8, 32).map(lambda bits: (ip, bits))), max_size=5))
def test_cutting_out_leaves_exactly_the_rest(cuts):
    exceptions = [ipaddress.ip_network(f"{ip}/{bits}", strict=False) for ip, bits in cuts]
    left = perimeter.without(perimeter.BOGONS, exceptions)
    assert not any(a.version == b.version and a.overlaps(b) for a in left for b in exceptions)
    for bogon in perimeter.BOGONS:
        for address in (bogon[0], bogon[-1]):
            excepted = perimeter.within(address, exceptions)
            assert perimeter.within(address, left) is not excepted


def test_both_backends_guard_the_same_ports():
    result = plan(relocation_ports=["8002", 8003, 9002], libvirt=True)
    assert "tcp dport { 8002, 8003, 9002, 49152-49216 }" in result["nftables"]
    for family, network in (("iptables", "10.1.0.0/24"), ("ip6tables", "2001:db8:1::/64")):
        assert [rule for rule in result[family] if "relocation_rejected" in rule] == [
            f"-A XENSEC_PERIMETER_RELOCATION -d {network} -p tcp -m multiport --dports 8002,8003,9002,49152:49216 "
            "-m comment --comment relocation_rejected -j REJECT --reject-with tcp-reset"
        ]


def test_iptables_looks_at_sources_in_the_table_raw():
    result = plan()
    counted = [
        re.search(r"--comment (spoofed_\w+)", rule)[1]
        for rule in result["iptables"]
        if rule.startswith("-t raw -A XENSEC_PERIMETER_OUTSIDE") and "--comment" in rule
    ]
    assert counted == ["spoofed_gateway", "spoofed_cluster", "spoofed_bogon", "spoofed_reverse_path"]
    assert "-t raw -A XENSEC_PERIMETER -i eth0 -g XENSEC_PERIMETER_OUTSIDE" in result["ip6tables"]
    assert set(result["sets"]) == set(
        re.findall(r"match-set (\S+)", " ".join(result["iptables"] + result["ip6tables"]))
    )


def test_every_counter_is_declared():
    text = plan(forward_policy="reject", services=[{**WEB, "ports": [22]}])["nftables"]
    assert set(re.findall(r"counter name (\w+)", text)) == set(re.findall(r"counter (\w+) {", text))


@pytest.mark.parametrize("policy", ["accept", "reject"])
def test_the_kernel_takes_the_rules(policy):
    if not shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        pytest.skip("nft is not installed")
    services = [
        {"name": "ssh", "ports": [22]},
        {"name": "dns", "ports": [53], "protocol": "udp", "sources": ["192.0.2.0/24", "2001:db8:9::/48"]},
        {"name": "web", "ports": [80, "443-444"], "destinations": ["10.1.0.5"], "interfaces": ["eth0"]},
    ]
    text = plan(forward_policy=policy, services=services)["nftables"]
    done = subprocess.run(
        ["unshare", "-n", "/usr/sbin/nft", "-f", "-"], input=text, capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("no network namespace can be made here (it takes root)")
    assert done.stderr == ""


# --- reverse path and kernel settings -----------------------------------------------------------------------


def two_uplinks():
    return facts(eth2=interface("203.0.113.2/24", default_route=True, rp_filter=1))


def sysctls(result):
    assert all(item["why"] for item in result["sysctls"])
    return {item["key"]: item["value"] for item in result["sysctls"]}


@pytest.mark.parametrize(
    "mode, uplinks, strict",
    [("auto", 1, True), ("auto", 2, False), ("strict", 2, True), ("loose", 1, False), ("loose", 2, False)],
)
def test_reverse_path(mode, uplinks, strict):
    changed = {"outside_interfaces": ["eth0", "eth2"][:uplinks], "reverse_path": mode}
    result = plan(two_uplinks() if uplinks == 2 else FACTS, **changed)
    assert ("\n    fib saddr . iif oif missing" in result["nftables"]) is strict
    assert any("rpfilter --loose" in rule for rule in result["iptables"]) is not strict
    assert sysctls(result)["net/ipv4/conf/eth0/rp_filter"] == ("1" if strict else "2")
    assert any("loose" in warning for warning in result["warnings"]) is (uplinks == 2 or not strict)


def test_the_larger_setting_counts_so_all_goes_to_zero_and_the_inside_keeps_its_own():
    settings = sysctls(plan())
    assert settings["net/ipv4/conf/all/rp_filter"] == "0"
    assert settings["net/ipv4/conf/eth0/rp_filter"] == "1"
    assert settings["net/ipv4/conf/eth1/rp_filter"] == "2"


def test_an_interface_with_a_dot_keeps_it():
    settings = sysctls(plan(facts(**{"eth1.5": interface("10.2.0.1/24", rp_filter=1)})))
    assert settings["net/ipv4/conf/eth1.5/rp_filter"] == "1"


# --- what is inside -----------------------------------------------------------------------------------------


def test_networks_behind_the_gateway_that_nobody_listed_are_not_cut_off():
    result = plan(facts(eth2=interface("10.9.0.1/24", routes=["10.9.0.0/24", "10.10.0.0/16"])))
    assert elements(result["nftables"], "inside4") == [
        ipaddress.ip_network("10.9.0.0/24"),
        ipaddress.ip_network("10.10.0.0/16"),
    ]
    assert len(result["warnings"]) == 2 and "perimeter_firewall_inside_networks" in result["warnings"][0]


def test_a_second_default_route_inside_is_warned_of():
    there = facts(eth2=interface("10.9.0.1/24", default_route=True))
    assert "a default route leads through the inside interface eth2" in plan(there)["warnings"][0]


def test_listed_networks_are_not_warned_of():
    there = facts(eth2=interface("10.9.0.1/24"))
    assert plan(there, inside_networks=["10.9.0.0/24"])["warnings"] == []


def test_what_is_bridged_is_left_alone():
    bridged = facts(
        xenbr0=interface("10.9.0.1/24"), **{"vif1.0": interface(bridge="xenbr0"), "eth3": interface(bridge="xenbr0")}
    )
    result = plan(bridged, inside_networks=["10.9.0.0/24"])
    assert 'iifname "xenbr0" oifname "xenbr0" accept' in chain(result["nftables"], "forward")[1]
    assert "-A XENSEC_PERIMETER -i xenbr0 -o xenbr0 -j RETURN" in result["iptables"]


def test_too_many_routes_are_said_to_be_unknown():
    assert "too many routes" in plan(facts(eth2=interface("10.9.0.1/24", routes=None)))["warnings"][0]


# --- the policy reject --------------------------------------------------------------------------------------


def test_services_without_the_policy_reject_have_no_effect_and_that_is_said():
    result = plan(services=[WEB])
    assert "no effect" in result["warnings"][0]
    assert "443" not in result["nftables"]


def test_a_service_is_admitted_in_the_families_it_has_networks_of():
    service = {**WEB, "sources": ["192.0.2.0/24", "2001:db8:5::/48"], "destinations": ["10.1.0.7"]}
    result = plan(forward_policy="reject", services=[{"name": "ssh", "ports": [22]}, service])
    rules = [rule for rule in chain(result["nftables"], "listed") if "443" in rule]
    assert rules == ['ip saddr @service1_from4 ip daddr @service1_to4 tcp dport { 443 } accept comment "web"']
    assert [rule for rule in result["iptables"] if "443" in rule] == [
        "-A XENSEC_PERIMETER_LISTED -s 192.0.2.0/24 -d 10.1.0.7/32 -p tcp -m multiport --dports 443 -j RETURN"
    ]
    assert not [rule for rule in result["ip6tables"] if "443" in rule]


def test_several_gateways_under_the_policy_reject_are_warned_of():
    services = [{"name": "ssh", "ports": [22]}]
    warnings = plan(forward_policy="reject", services=services, gateways=["gateway1", "gateway2"])["warnings"]
    assert "conntrackd" in warnings[0]


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"outside_interfaces": []}, ["perimeter_firewall_outside_interfaces is empty"]),
        ({"outside_interfaces": ["eth7"]}, ["'eth7'", "it has eth0, eth1"]),
        ({"outside_interfaces": ["eth1"]}, ["default route", "add eth0"]),
        ({"cluster_networks": []}, ["perimeter_firewall_cluster_networks is empty"]),
        ({"cluster_networks": ["10.1.0.1/24"]}, ["perimeter_firewall_cluster_networks", "host bits"]),
        ({"cluster_networks": ["10.1.0.0/24", "198.51.100.0/24"]}, ["198.51.100.0/24", "eth0 has the address"]),
        ({"cluster_networks": ["10.1.0.0/24"]}, ["open over IPv6", "add 2001:db8:1::/64"]),
        ({"cluster_networks": [*SETTINGS["cluster_networks"], "10.7.0.0/24"]}, ["10.7.0.0/24", "mistyped"]),
        ({"inside_networks": ["10.1.0.128/25"]}, ["perimeter_firewall_inside_networks", "10.1.0.128/25"]),
        ({"inside_networks": ["198.51.0.0/16"]}, ["perimeter_firewall_inside_networks", "198.51.100.2"]),
        ({"outside_networks": ["10.0.0.0"]}, []),
        ({"relocation_ports": [0]}, ["perimeter_firewall_relocation_ports", "0"]),
        ({"services": [{**WEB, "destinations": []}]}, ["'web'", "destinations"]),
        ({"services": [{**WEB, "destinations": ["10.1.0.9/24"]}]}, ["destinations of the service 'web'", "host bits"]),
        ({"services": [{**WEB, "interfaces": ["eth1"]}]}, ["'web'", "'eth1'"]),
        ({"services": [WEB, {**WEB, "ports": [80]}]}, ["'web'", "differ"]),
        ({"forward_policy": "reject"}, ["198.51.100.9", "port 22", "perimeter_firewall_services"]),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(settings, words):
    if not words:
        assert plan(**settings)["nftables"]
        return
    with pytest.raises(AnsibleFilterError) as caught:
        plan(**settings)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("manager", ["firewalld", "ufw"])
def test_a_host_with_a_manager_is_refused(manager):
    with pytest.raises(AnsibleFilterError, match=manager):
        plan({**FACTS, "firewall_managers": [manager]})


def test_a_port_of_a_bridge_is_refused_in_favour_of_the_bridge():
    bridged = facts(eth0=interface(bridge="br0"), br0=interface("198.51.100.2/24", default_route=True))
    with pytest.raises(AnsibleFilterError, match="write br0"):
        plan(bridged)


# --- the operator's own way ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address, words",
    [
        ("10.20.30.40", ["10.20.30.40 through eth0", "perimeter_firewall_outside_networks"]),
        ("192.168.7.1", ["perimeter_firewall_outside_networks"]),
        ("198.51.100.77", []),
        ("192.88.99.1", []),
        ("10.1.0.9", []),
        ("2001:db8:f::9", []),
    ],
)
def test_a_connection_that_would_be_dropped_is_refused_beforehand(address, words):
    there = facts(control={"address": address, "port": 22})
    if not words:
        assert plan(there)["warnings"] == []
        return
    with pytest.raises(AnsibleFilterError) as caught:
        plan(there)
    for word in words:
        assert word in str(caught.value)
    assert plan(there, precheck=False)["nftables"]


def test_an_operator_outside_whose_address_is_among_the_clusters_is_refused():
    with pytest.raises(AnsibleFilterError, match="see which of the two is wrong"):
        plan(
            facts(eth1=interface("10.1.0.1/24", "2001:db8:1::1/64", routes=["198.51.100.8/32"])),
            cluster_networks=[*SETTINGS["cluster_networks"], "198.51.100.8/31"],
        )


@pytest.mark.parametrize(
    "service, admitted",
    [
        ({"ports": [22]}, True),
        ({"ports": ["20-30"], "sources": ["198.51.100.0/24"]}, True),
        ({"ports": [22], "sources": ["192.0.2.0/24"]}, False),
        ({"ports": [22], "protocol": "udp"}, False),
        ({"ports": [2222]}, False),
    ],
)
def test_under_reject_the_operator_has_to_get_on_to_the_nodes(service, admitted):
    services = [{"name": "ssh", **service}]
    if admitted:
        assert plan(forward_policy="reject", services=services)["warnings"] == []
    else:
        with pytest.raises(AnsibleFilterError, match="nodes behind this gateway"):
            plan(forward_policy="reject", services=services)


def test_a_host_that_cannot_tell_where_the_connection_comes_from_is_warned_of():
    assert "cannot tell" in plan({**FACTS, "control": None})["warnings"][0]
