# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.relocation_nodes import relocation_nodes
from ansible_collections.xensec.hardening.plugins.filter.relocation_plan import FilterModule
from hypothesis import given
from hypothesis import strategies as st
from netns import iptables_complaint, nft_complaint

relocation_plan = FilterModule().filters()["relocation_plan"]

NODES = {"node1": 11, "node2": 12, "node3": 13}
SETTINGS: dict[str, Any] = {
    "scenario": "firewalled_subnet",
    "toolstack": "auto",
    "interface": "",
    "address": "",
    "networks": [],
    "peers": list(NODES),
    "port": 8002,
    "ssl_port": 8003,
    "ssl": False,
    "keep_listeners": [],
    "key_generation": 1,
    "allow_root_keys": False,
    "control_port": 22,
    "untried_platforms": False,
}
ISOLATED: dict[str, Any] = {"scenario": "isolated_management", "interface": "management0"}
UNTRUSTED: dict[str, Any] = {"scenario": "untrusted_subnet"}
TUNNEL: dict[str, Any] = {"scenario": "secure_tunnel"}
SUBNET: dict[str, Any] = {"networks": ["192.0.2.0/24"]}

Plan = dict[str, Any]


def interface(*addresses: str, **more: Any) -> dict[str, Any]:
    pairs = [address.split("/") for address in addresses]
    items = [{"address": address, "prefix": int(prefix)} for address, prefix in pairs]
    facts = {
        "ipv4": [item for item in items if ":" not in str(item["address"])],
        "ipv6": [item for item in items if ":" in str(item["address"])],
        "up": True,
        "bridge": None,
        "guests": False,
        "default_route": False,
    }
    return {**facts, **more}


def node_facts(number: int) -> dict[str, Any]:
    """A node of the lab: a management network, and a front one with the default route."""
    return {
        "platform": {"id": "debian", "like": []},
        "toolstack": {"detected": "xend", "evidence": ["/usr/sbin/xend is there"]},
        "interfaces": {
            "management0": interface(f"198.51.100.{number}/24", f"2001:db8:1::{number}/64"),
            "front0": interface(f"192.0.2.{number}/24", f"2001:db8:2::{number}/64", default_route=True),
        },
        "relocation": {"installed": False, "generations": {}, "accepts": [], "pins": []},
        "root_keys": {"own": [], "admitted": []},
    }


class Cluster:
    """What relocation_plan gets to see, to be changed before it is asked."""

    def __init__(self) -> None:
        self.hostvars: dict[str, dict[str, Any]] = {
            name: {"xend_relocation_info": node_facts(number)} for name, number in NODES.items()
        }
        self.hostvars["outsider"] = {}
        self.read: list[dict[str, Any]] = []

    def facts(self, host: str = "node1") -> dict[str, Any]:
        found: dict[str, Any] = self.hostvars[host]["xend_relocation_info"]
        return found

    def interfaces(self, host: str = "node1") -> dict[str, Any]:
        found: dict[str, Any] = self.facts(host)["interfaces"]
        return found

    def plan(self, host: str = "node1", facts: dict[str, Any] | None = None, **settings: Any) -> Plan:
        before = copy.deepcopy(self.hostvars)
        given = {**SETTINGS, **settings}, host, facts or self.facts(host)
        found: Plan = relocation_plan(*given, self.hostvars, self.read)
        assert self.hostvars == before
        # What has been looked up before says the same, and is all that is looked at.
        nodes = relocation_nodes(self.hostvars, list(self.hostvars))
        unread = {name: {} if name in nodes["hosts"] else variables for name, variables in self.hostvars.items()}
        assert relocation_plan(*given, unread, self.read, nodes) == found
        return found


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.mark.parametrize("toolstack", ["xend", "xl"])
@pytest.mark.parametrize("said", ["0.0.0.0/0", "192.0.2.12 } } table inet mine {", "192.0.2.12\n", "::1", ""])
def test_an_address_that_a_peer_makes_up_gets_into_nobodys_rules(cluster: Cluster, toolstack: str, said: str) -> None:
    cluster.interfaces("node2")["front0"]["ipv4"] = [{"address": said, "prefix": 24}]
    with pytest.raises(AnsibleFilterError, match="node2 says that its address on front0 is"):
        cluster.plan(**TUNNEL, toolstack=toolstack)


def test_peers_with_one_address_are_warned_of(cluster: Cluster) -> None:
    cluster.interfaces("node3")["front0"]["ipv4"] = cluster.interfaces("node2")["front0"]["ipv4"]
    (warning,) = cluster.plan(**SUBNET)["warnings"]
    assert warning.startswith("node2 and node3 have the same relocation address 192.0.2.12: ")


# The scenarios, whole.

CHAIN = "-A XENSEC_RELOCATION "
REJECT = CHAIN + "-p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset"
REJECT_NFT = "tcp dport { 8002, 8003 } reject with tcp reset"
OTHERS_OFF = {"xend-http-server": False, "xend-tcp-xmlrpc-server": False, "xen-api-server": [["unix"]]}
PLANS = [
    (
        "node1",
        ISOLATED,
        {
            "enabled": True,
            "interface": "management0",
            "address": "198.51.100.11",
            "ports": [8002],
            "peers": {"node2": "198.51.100.12", "node3": "198.51.100.13"},
            "sources": ["198.51.100.12", "198.51.100.13"],
            "listeners": ["198.51.100.11:8002"],
        },
        r"^198\.51\.100\.12$ ^198\.51\.100\.13$",
        'iifname "management0" ip daddr 198.51.100.11 ip saddr @peers tcp dport { 8002 } accept',
        [
            "-i management0 -s 198.51.100.12 -d 198.51.100.11 -p tcp -m multiport --dports 8002 -j RETURN",
            "-i management0 -s 198.51.100.13 -d 198.51.100.11 -p tcp -m multiport --dports 8002 -j RETURN",
        ],
    ),
    (
        "node2",
        SUBNET,
        {
            "enabled": True,
            "interface": "front0",
            "address": "192.0.2.12",
            "ports": [8002],
            "peers": {"node1": "192.0.2.11", "node3": "192.0.2.13"},
            "sources": ["192.0.2.0/24"],
            "listeners": ["192.0.2.12:8002"],
        },
        # Every number that an octet can be, and no other.
        r"^192\.0\.2\.([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$",
        "ip daddr 192.0.2.12 ip saddr @peers tcp dport { 8002 } accept",
        ["-s 192.0.2.0/24 -d 192.0.2.12 -p tcp -m multiport --dports 8002 -j RETURN"],
    ),
    (
        "node3",
        {"scenario": "firewalled_subnet"},
        {
            "enabled": True,
            "interface": "front0",
            "address": "192.0.2.13",
            "ports": [8002],
            "peers": {"node1": "192.0.2.11", "node2": "192.0.2.12"},
            "sources": ["192.0.2.11", "192.0.2.12"],
            "listeners": ["192.0.2.13:8002"],
        },
        r"^192\.0\.2\.11$ ^192\.0\.2\.12$",
        "ip daddr 192.0.2.13 ip saddr @peers tcp dport { 8002 } accept",
        [
            "-s 192.0.2.11 -d 192.0.2.13 -p tcp -m multiport --dports 8002 -j RETURN",
            "-s 192.0.2.12 -d 192.0.2.13 -p tcp -m multiport --dports 8002 -j RETURN",
        ],
    ),
    (
        "node1",
        UNTRUSTED,
        {
            "enabled": False,
            "interface": "",
            "address": "",
            "ports": [],
            "peers": {},
            "sources": [],
            "listeners": [],
        },
        r"^127\.0\.0\.1$",
        None,
        [],
    ),
]


@pytest.mark.parametrize(("host", "settings", "expected", "allowed", "accept", "admitting"), PLANS)
def test_plan(
    cluster: Cluster,
    host: str,
    settings: dict[str, Any],
    expected: Plan,
    allowed: str,
    accept: str | None,
    admitting: list[str],
) -> None:
    plan = cluster.plan(host, **settings)
    options, guard = plan.pop("options"), plan.pop("guard")
    scenario = {**SETTINGS, **settings}["scenario"]
    assert plan == {
        **expected,
        "scenario": scenario,
        "toolstack": "xend",
        "decided": "relocation of xend, because /usr/sbin/xend is there",
        "guarded_ports": [8002, 8003],
        "tunnel": "",
        "ssh": {
            "state": "none",
            "purpose": "migrate",
            "port": 8002,
            "forward_to": "127.0.0.1:8002",
            "generation": 1,
            "outgoing": "allowed",
            "refuse_root_from": [],
        },
        "warnings": [],
    }
    patterns = options.pop("xend-relocation-hosts-allow")
    assert options == {
        **OTHERS_OFF,
        "xend-relocation-server": expected["enabled"],
        "xend-relocation-ssl-server": False,
        "xend-relocation-port": 8002,
        "xend-relocation-ssl-port": 8003,
        "xend-relocation-address": expected["address"] or "127.0.0.1",
    }
    # xend tries each piece at the start of the address.
    for number in range(256):
        for address in (f"192.0.2.{number}", f"198.51.100.{number}", f"127.0.0.{number}"):
            wanted = any(re.match(pattern, address) for pattern in allowed.split(" "))
            assert any(re.match(pattern, address) for pattern in patterns.split(" ")) == wanted
    assert guard["iptables"] == [*(CHAIN + rule for rule in admitting), REJECT]
    assert guard["ip6tables"] == [REJECT]
    # What Dom0's own ruleset admits for it: the same sources, and nobody over IPv6.
    registered = guard["registers"]
    assert registered["ip6tables"] == []
    assert len(registered["iptables"]) == len(admitting)
    for rules, only in ((registered["nftables"], "ip saddr"), (registered["iptables"], "-s ")):
        assert bool(rules) == expected["enabled"]
        assert all(only in rule and "8002" in rule and "8003" not in rule for rule in rules)
        assert all(any(source in rule for rule in rules) for source in expected["sources"])
    rules = [line.strip() for line in guard["nftables"].splitlines() if "dport" in line]
    assert rules == ([accept] if accept else []) + [REJECT_NFT]
    elements = re.findall(r"elements = \{ (.*) \}", guard["nftables"])
    assert elements == ([", ".join(expected["sources"])] if expected["sources"] else [])


# Refusals: each names the value and the remedy.


def bad(**change: Any) -> Callable[[Cluster], None]:
    """A change to node1's management interface."""

    def apply(cluster: Cluster) -> None:
        cluster.interfaces()["management0"].update(change)

    return apply


def peer_has(name: str, **variables: Any) -> Callable[[Cluster], None]:
    def apply(cluster: Cluster) -> None:
        cluster.hostvars[name].update(variables)

    return apply


def toolstack(detected: str) -> Callable[[Cluster], None]:
    def apply(cluster: Cluster) -> None:
        cluster.facts()["toolstack"] = {"detected": detected, "evidence": ["the evidence"]}

    return apply


def no_change(cluster: Cluster) -> None:
    pass


def second_address(cluster: Cluster) -> None:
    cluster.interfaces()["front0"]["ipv4"].append({"address": "192.0.2.99", "prefix": 24})


def second_way_in(cluster: Cluster) -> None:
    cluster.interfaces()["back0"] = interface("192.0.2.99/24")


def no_default_route(cluster: Cluster) -> None:
    cluster.interfaces()["front0"]["default_route"] = False


def unread(cluster: Cluster) -> None:
    del cluster.hostvars["node3"]["xend_relocation_info"]


def unreachable(cluster: Cluster) -> None:
    unread(cluster)
    cluster.read = [{"xend_relocation_peer": "node3", "unreachable": True, "msg": "no route"}]


REFUSED = [
    # What the role's variables say.
    (no_change, {"scenario": "isolated"}, ["'isolated'", "isolated_management", "untrusted_subnet"]),
    (no_change, {**TUNNEL, "ssl": True}, ["xend_relocation_ssl", "secure_tunnel", "set it to false"]),
    (no_change, {**TUNNEL, "peers": ["node1"]}, ["node1 has no peer", "untrusted_subnet"]),
    (no_change, {**TUNNEL, "networks": ["192.0.2.0/24"], "peers": ["203.0.113.5"]}, ["203.0.113.5, outside of"]),
    (no_change, {"key_generation": 0}, ["xend_relocation_key_generation is 0", "from 1"]),
    (no_change, {"allow_root_keys": "yes"}, ["xend_relocation_allow_root_keys", "without quotes"]),
    (no_change, {"keep_listeners": ["http", "vnc"]}, ["keep_listeners", "'vnc'", "http, xmlrpc, xen-api"]),
    (no_change, {"keep_listeners": "http"}, ["xend_relocation_keep_listeners", "'http'", "['http']"]),
    (no_change, {"ssl": "false"}, ["xend_relocation_ssl", "'false'", "without quotes"]),
    (no_change, {"port": 0}, ["xend_relocation_port is 0", "1 to 65535"]),
    (no_change, {"port": 70000}, ["xend_relocation_port is 70000", "1 to 65535"]),
    (no_change, {"ssl_port": 65536}, ["xend_relocation_ssl_port is 65536", "1 to 65535"]),
    (no_change, {"ssl_port": -1}, ["xend_relocation_ssl_port is -1", "1 to 65535"]),
    (no_change, {"port": 9002, "ssl_port": 9002}, ["both 9002", "two ports"]),
    (no_change, {"port": 22}, ["xend_relocation_port is 22", "lock you out", "choose another"]),
    (no_change, {"port": 22, "control_port": None}, ["xend_relocation_port is 22", "lock you out"]),
    (no_change, {"ssl_port": 2222, "control_port": "2222"}, ["ssl_port is 2222", "choose another"]),
    # xend's own ports are guarded whichever are set.
    (no_change, {"port": 9002, "ssl_port": 9003, "control_port": 8002}, ["port 8002", "move sshd"]),
    (no_change, {**UNTRUSTED, "port": 9002, "control_port": 8003}, ["port 8003", "move sshd"]),
    (no_change, {"networks": "192.0.2.0/24"}, ["xend_relocation_networks", "['192.0.2.0/24']"]),
    (no_change, {"networks": ["192.0.2.1/24"]}, ["xend_relocation_networks", "192.0.2.1/24", "192.0.2.0/24"]),
    (no_change, {**UNTRUSTED, "networks": ["192.168.1.1/8"]}, ["'192.168.1.1/8'", "192.168.1.1/32"]),
    (no_change, {"networks": ["10.0.0.0/8"]}, ["'10.0.0.0/8' is broader than /16", "List the networks"]),
    (no_change, {"networks": ["0.0.0.0/0"]}, ["'0.0.0.0/0' admits everybody", "list the networks"]),
    (no_change, {"networks": ["2001:db8::/64"]}, ["'2001:db8::/64' is IPv6", "take it out"]),
    (no_change, {"networks": ["192.0.2.0/24", "192.0.2.8/30"]}, ["'192.0.2.8/30' lies within", "take out"]),
    # The management interface.
    (no_change, {**ISOLATED, "interface": ""}, ["not set", "xend_relocation_interface", "front0, management0"]),
    (no_change, {**ISOLATED, "interface": "eth9"}, ["node1", "'eth9'", "front0, management0"]),
    (bad(ipv4=[]), ISOLATED, ["node1 has no IPv4 address on management0", "xend_relocation_interface"]),
    (bad(up=False), ISOLATED, ["management0 on node1 is down", "bring it up"]),
    (bad(bridge="xenbr0"), ISOLATED, ["management0 on node1", "bridge xenbr0", "network card, or a VLAN"]),
    # The port of a bridge has no address as a rule, and that must not be what is said about it.
    (bad(bridge="xenbr0", ipv4=[]), ISOLATED, ["management0 on node1", "bridge xenbr0", "or a VLAN"]),
    (bad(guests=True), ISOLATED, ["management0 on node1", "guests on it", "network card, or a VLAN"]),
    # The node's address.
    (no_change, {"interface": "eth9"}, ["node1 has no interface 'eth9'", "front0, management0"]),
    (second_address, {"interface": "front0"}, ["2 IPv4 addresses (192.0.2.11, 192.0.2.99)", "on front0"]),
    (second_way_in, SUBNET, ["(192.0.2.99, 192.0.2.11)", "in 192.0.2.0/24", "xend_relocation_address"]),
    (second_address, {}, ["(192.0.2.11, 192.0.2.99)", "default route", "xend_relocation_address"]),
    (no_default_route, {}, ["no IPv4 address", "default route", "xend_relocation_interface"]),
    (no_change, {"networks": ["203.0.113.0/24"]}, ["node1 has no IPv4 address in 203.0.113.0/24"]),
    (no_change, {"address": "192.0.2.99"}, ["node1 has no address 192.0.2.99", "198.51.100.11"]),
    (
        no_change,
        {"address": "192.0.2.11", "interface": "management0"},
        ["192.0.2.11 on management0", "one of 198.51.100.11"],
    ),
    (no_change, {**SUBNET, "address": "198.51.100.11"}, ["node1", "198.51.100.11, outside of 192.0.2.0/24"]),
    # The peers.
    (no_change, {"peers": []}, ["node1 has no peer", "xend_relocation_peers", "untrusted_subnet"]),
    (no_change, {"peers": ["node1"]}, ["node1 has no peer", "xend_relocation_peers", "untrusted_subnet"]),
    (no_change, {**ISOLATED, "networks": ["198.51.100.0/24"], "peers": []}, ["node1 has no peer"]),
    (no_change, {"peers": "node2"}, ["xend_relocation_peers", "'node2'", "['node2']"]),
    (no_change, {"peers": ["node9"]}, ["'node9'", "neither a host of the inventory nor an IPv4 address"]),
    (no_change, {"peers": ["192.0.2.012"]}, ["'192.0.2.012'", "neither"]),
    (no_change, {"peers": ["192.0.2.0/24"]}, ["'192.0.2.0/24'", "neither"]),
    (no_change, {"peers": ["2001:db8:2::12"]}, ["'2001:db8:2::12'", "nor an IPv4 address"]),
    (no_change, {"peers": ["203.0.113.5"]}, ["203.0.113.5, outside of 192.0.2.0/24", "xend_relocation_networks"]),
    (no_change, {**SUBNET, "peers": ["203.0.113.5"]}, ["203.0.113.5, outside of 192.0.2.0/24", "correct"]),
    (no_change, {"peers": ["outsider"]}, ["'outsider' is not known", "could not be read", "in the inventory"]),
    (unread, {}, ["'node3' is not known", "could not be read", "xend_relocation_address"]),
    (unreachable, {}, ["'node3' is not known", "could not be read", "make it reachable"]),
    (
        peer_has("node2", xend_relocation_address="203.0.113.5"),
        {},
        ["peer node2", "203.0.113.5, outside of 192.0.2.0/24", "correct its address"],
    ),
    (peer_has("node2", xend_relocation_address="2001:db8:2::12"), {}, ["node2", "2001:db8:2::12", "outside of"]),
    (peer_has("node2", xend_relocation_address="node2.example"), {}, ["'node2'", "'node2.example'", "write it"]),
    (peer_has("node2", xend_relocation_address="192.0.2.12/24"), {}, ["'node2'", "write 192.0.2.12"]),
    (peer_has("node2", xend_relocation_interface="eth9"), {}, ["node2 has no interface 'eth9'", "front0"]),
    # The tool stack.
    (toolstack("none"), {}, ["node1 cannot be told (the evidence)", "set xend_relocation_toolstack to xend or xl"]),
    (toolstack("both"), UNTRUSTED, ["node1 cannot be told (the evidence)", "to xend or xl"]),
    (no_change, {"toolstack": "xm"}, ["'xm'", "auto, xend or xl"]),
]


@pytest.mark.parametrize(("change", "settings", "words"), REFUSED)
def test_refused_with_the_value_and_the_remedy(
    cluster: Cluster, change: Callable[[Cluster], None], settings: dict[str, Any], words: list[str]
) -> None:
    change(cluster)
    with pytest.raises(AnsibleFilterError) as caught:
        cluster.plan(**settings)
    for word in words:
        assert word in str(caught.value)
    # The role has no such options.
    assert not re.search(r"\ballow_", str(caught.value))


def test_a_node_without_relocation_needs_no_peer_and_no_address(cluster: Cluster) -> None:
    unread(cluster)
    plan = cluster.plan(
        facts={**cluster.facts(), "interfaces": {}}, scenario="untrusted_subnet", peers=["node9", "node3"]
    )
    assert not plan["enabled"]


# Choices.


def test_the_default_route_on_the_management_interface_is_warned_about(cluster: Cluster) -> None:
    assert cluster.plan(**ISOLATED)["warnings"] == []
    bad(default_route=True)(cluster)
    (warning,) = cluster.plan(**ISOLATED)["warnings"]
    assert "management0 on node1 carries the default route" in warning
    # Elsewhere it is as it should be.
    assert cluster.plan(interface="management0")["warnings"] == []


def test_the_node_itself_is_no_peer_by_name_or_address(cluster: Cluster) -> None:
    plan = cluster.plan(peers=["node1", "192.0.2.11", "192.0.2.12", "node3"])
    assert plan["peers"] == {"192.0.2.12": "192.0.2.12", "node3": "192.0.2.13"}
    assert plan["sources"] == ["192.0.2.12", "192.0.2.13"]


def test_a_peer_named_twice_is_one_source(cluster: Cluster) -> None:
    plan = cluster.plan(peers=["node2", "192.0.2.12"])
    assert plan["sources"] == ["192.0.2.12"]
    assert plan["guard"]["iptables"][1:] == [REJECT]


def test_a_subnet_needs_no_peers(cluster: Cluster) -> None:
    plan = cluster.plan(**SUBNET, peers=[])
    assert (plan["peers"], plan["sources"]) == ({}, ["192.0.2.0/24"])


def test_networks_restrict_an_isolated_network_but_do_not_widen_it(cluster: Cluster) -> None:
    plan = cluster.plan(**ISOLATED, networks=["198.51.100.0/24"])
    assert plan["sources"] == ["198.51.100.12", "198.51.100.13"]


def test_several_networks_are_all_admitted(cluster: Cluster) -> None:
    plan = cluster.plan(networks=["203.0.113.0/25", "192.0.2.0/24"])
    assert plan["address"] == "192.0.2.11"
    assert plan["sources"] == ["203.0.113.0/25", "192.0.2.0/24"]
    assert "elements = { 203.0.113.0/25, 192.0.2.0/24 }" in plan["guard"]["nftables"]
    assert len(plan["guard"]["iptables"]) == 3


def test_an_address_of_each_host_decides(cluster: Cluster) -> None:
    second_address(cluster)
    peer_has("node2", xend_relocation_address="192.0.2.112")(cluster)
    del cluster.hostvars["node2"]["xend_relocation_info"]
    plan = cluster.plan(address="192.0.2.99")
    assert plan["listeners"] == ["192.0.2.99:8002"]
    assert plan["options"]["xend-relocation-address"] == "192.0.2.99"
    # node1's own address says nothing about node3's.
    assert plan["peers"] == {"node2": "192.0.2.112", "node3": "192.0.2.13"}


def test_an_interface_of_each_host_decides(cluster: Cluster) -> None:
    cluster.interfaces("node2")["eth1"] = cluster.interfaces("node2").pop("management0")
    peer_has("node2", xend_relocation_interface="eth1")(cluster)
    plan = cluster.plan(**ISOLATED)
    assert plan["peers"] == {"node2": "198.51.100.12", "node3": "198.51.100.13"}


def test_peers_read_by_this_run_are_known(cluster: Cluster) -> None:
    facts = cluster.hostvars["node3"].pop("xend_relocation_info")
    cluster.read = [{"xend_relocation_peer": "node3", "interfaces": facts["interfaces"]}]
    assert cluster.plan()["peers"] == {"node2": "192.0.2.12", "node3": "192.0.2.13"}


@pytest.mark.parametrize("keep", [[], ["http"], ["xmlrpc", "xen-api"], ["http", "xmlrpc", "xen-api"]])
def test_listeners_kept_are_left_alone(cluster: Cluster, keep: list[str]) -> None:
    names = {"http": "xend-http-server", "xmlrpc": "xend-tcp-xmlrpc-server", "xen-api": "xen-api-server"}
    options = cluster.plan(keep_listeners=keep)["options"]
    assert {name for name in names if names[name] not in options} == set(keep)


def test_ssl_is_a_second_port_to_listen_on(cluster: Cluster) -> None:
    plan = cluster.plan(ssl=True, port=9002, ssl_port=10003)
    assert plan["ports"] == [9002, 10003]
    assert plan["listeners"] == ["192.0.2.11:10003", "192.0.2.11:9002"]
    # xend's own two stay guarded, should its options get lost.
    assert plan["guarded_ports"] == [8002, 8003, 9002, 10003]
    assert plan["options"]["xend-relocation-ssl-server"] is True
    assert plan["options"]["xend-relocation-port"] == 9002
    assert plan["options"]["xend-relocation-ssl-port"] == 10003
    assert "@peers tcp dport { 9002, 10003 } accept" in plan["guard"]["nftables"]
    assert "tcp dport { 8002, 8003, 9002, 10003 } reject" in plan["guard"]["nftables"]
    assert "--dports 9002,10003 -j RETURN" in plan["guard"]["iptables"][0]
    assert "--dports 8002,8003,9002,10003 -j REJECT" in plan["guard"]["ip6tables"][0]


def test_ssl_stays_off_with_relocation(cluster: Cluster) -> None:
    plan = cluster.plan(**UNTRUSTED, ssl=True)
    assert plan["ports"] == []
    assert plan["options"]["xend-relocation-ssl-server"] is False


def test_a_tool_stack_that_is_set_needs_no_detection(cluster: Cluster) -> None:
    toolstack("both")(cluster)
    plan = cluster.plan(toolstack="xend")
    assert (plan["toolstack"], plan["decided"]) == ("xend", "relocation of xend, as xend_relocation_toolstack says")


@given(st.lists(st.integers(0, 255), min_size=1, max_size=8, unique=True), st.integers(0, 255))
def test_whoever_may_connect_is_the_same_to_xend_and_to_the_packet_filter(peers: list[int], stranger: int) -> None:
    cluster = Cluster()
    addresses = [f"192.0.2.{number}" for number in peers if number != NODES["node1"]]
    if not addresses:
        return
    plan = cluster.plan(peers=addresses)
    address = ipaddress.ip_address(f"192.0.2.{stranger}")
    by_filter = any(address in ipaddress.ip_network(source) for source in plan["sources"])
    by_xend = any(re.match(p, str(address)) for p in plan["options"]["xend-relocation-hosts-allow"].split(" "))
    assert by_filter == by_xend == (str(address) in addresses)


# xl: the same plan, and another thing that listens.


@pytest.mark.parametrize("settings", [ISOLATED, SUBNET, {"scenario": "firewalled_subnet"}, UNTRUSTED])
def test_the_tool_stack_changes_nothing_but_what_listens(cluster: Cluster, settings: dict[str, Any]) -> None:
    by_xend = cluster.plan(**settings)
    toolstack("xl")(cluster)
    by_xl = cluster.plan(**settings)
    for name in ("toolstack", "decided", "options", "ssh"):
        assert by_xend.pop(name) != by_xl.pop(name)
    assert by_xend == by_xl


@pytest.mark.parametrize(
    ("settings", "state", "outgoing"),
    [(ISOLATED, "present", "allowed"), (TUNNEL, "present", "allowed"), (UNTRUSTED, "absent", "refused")],
)
def test_xl_relocates_over_ssh(cluster: Cluster, settings: dict[str, Any], state: str, outgoing: str) -> None:
    plan = cluster.plan(**settings, toolstack="xl", port=9002, ssl=settings != TUNNEL, key_generation=3)
    assert plan["options"] == {}
    assert plan["ssh"] == {
        "state": state,
        "purpose": "migrate",
        "port": 9002,
        "forward_to": "127.0.0.1:9002",
        "generation": 3,
        "outgoing": outgoing,
        "refuse_root_from": sorted(
            str(item["address"])
            for host in ("node2", "node3")
            for facts in cluster.interfaces(host).values()
            for item in facts["ipv4"] + facts["ipv6"]
        ),
    }
    # It is encrypted anyway.
    assert plan["ports"] == ([9002] if state == "present" else [])
    assert plan["guarded_ports"] == [8002, 8003, 9002]


def test_a_tunnel_of_xend_ends_at_localhost_and_admits_the_peers_alone(cluster: Cluster) -> None:
    plan = cluster.plan(**TUNNEL, port=9002)
    assert plan["listeners"] == ["127.0.0.1:9002", "192.0.2.11:9002"]
    assert plan["options"]["xend-relocation-server"] is True
    assert plan["options"]["xend-relocation-address"] == "127.0.0.1"
    assert re.match(plan["options"]["xend-relocation-hosts-allow"], "127.0.0.1")
    assert not re.match(plan["options"]["xend-relocation-hosts-allow"], "192.0.2.12")
    assert (plan["ssh"]["purpose"], plan["ssh"]["forward_to"]) == ("forward", "127.0.0.1:9002")
    rules = [line.strip() for line in plan["guard"]["nftables"].splitlines() if "dport" in line]
    assert rules[1] == 'iifname "lo" ip daddr 127.0.0.1 tcp dport { 9002 } accept'
    assert CHAIN + "-i lo -d 127.0.0.1 -p tcp -m multiport --dports 9002 -j RETURN" in plan["guard"]["iptables"]


def test_a_tunnel_admits_peers_wherever_they_are_and_never_a_network(cluster: Cluster) -> None:
    peer_has("node2", xend_relocation_address="203.0.113.5")(cluster)
    assert cluster.plan(**TUNNEL)["sources"] == ["192.0.2.13", "203.0.113.5"]
    assert cluster.plan(**TUNNEL, **SUBNET, peers=["node3"])["sources"] == ["192.0.2.13"]


def test_what_a_tunnel_left_behind_is_taken_away(cluster: Cluster) -> None:
    cluster.facts()["relocation"]["installed"] = True
    assert cluster.plan()["ssh"]["state"] == "absent"


def lets_in(cluster: Cluster, owner: str) -> None:
    cluster.facts(owner)["root_keys"]["own"] = ["ssh-rsa AAAAB3"]
    entry = {"key": "ssh-rsa AAAAB3", "path": "/root/.ssh/authorized_keys", "line": 3, "comment": "root@old"}
    cluster.facts()["root_keys"]["admitted"] = [{**entry, "key": "ssh-rsa AAAAB4", "line": 2}, entry]


def test_a_peer_that_logs_in_as_root_is_refused_where_relocation_is_off(cluster: Cluster) -> None:
    lets_in(cluster, "node2")
    with pytest.raises(AnsibleFilterError) as caught:
        cluster.plan(**UNTRUSTED, toolstack="xl")
    for word in ("root on node1", "line 3 of /root/.ssh/authorized_keys (root@old)", "lets node2 in", "take the keys"):
        assert word in str(caught.value)
    assert "line 2" not in str(caught.value)
    allowed = cluster.plan(**UNTRUSTED, toolstack="xl", allow_root_keys=True)
    elsewhere = cluster.plan(**ISOLATED, toolstack="xl")
    for plan in (allowed, elsewhere):
        assert "lets node2 in" in plan["warnings"][0]
    # xend does not move guests that way.
    assert cluster.plan(**UNTRUSTED)["warnings"] == []


def test_a_key_of_the_node_itself_is_no_peers(cluster: Cluster) -> None:
    lets_in(cluster, "node1")
    assert cluster.plan(**UNTRUSTED, toolstack="xl")["warnings"] == []


def test_a_peer_that_was_not_read_is_said(cluster: Cluster) -> None:
    unread(cluster)
    (warning,) = cluster.plan(**UNTRUSTED, toolstack="xl")["warnings"]
    assert "whether node3 can log in as root on node1 was not looked at" in warning


def test_root_of_a_peer_is_refused_from_every_address_it_has_unless_that_is_allowed(cluster: Cluster) -> None:
    bridge = {"address": "172.17.0.1", "prefix": 16}
    for host in NODES:
        cluster.interfaces(host)["front0"]["ipv6"] += [{"address": "fe80::1", "prefix": 64}]
        # The same everywhere, so nobody's to come from.
        cluster.interfaces(host)["front0"]["ipv4"] += [bridge]
    settings = {"toolstack": "xl", "peers": ["node1", "node2", "192.0.2.77"], "interface": "management0"}
    for scenario in (TUNNEL, UNTRUSTED):
        refused = cluster.plan(**{**settings, **scenario})["ssh"]["refuse_root_from"]
        assert refused == ["192.0.2.12", "192.0.2.77", "198.51.100.12", "2001:db8:1::12", "2001:db8:2::12"]
    assert cluster.plan(**settings, **UNTRUSTED, allow_root_keys=True)["ssh"]["refuse_root_from"] == []
    assert cluster.plan(**UNTRUSTED, toolstack="xend")["ssh"]["refuse_root_from"] == []


# The packet filter's own opinion.

TRIED = [
    *(plan[:2] for plan in PLANS),
    ("node1", {"ssl": True, "port": 9002}),
    ("node1", {"networks": ["192.0.2.0/25", "192.0.2.128/25", "203.0.113.7"]}),
    ("node1", {"peers": ["192.0.2.12"]}),
    ("node1", TUNNEL),
]


@pytest.mark.parametrize(("host", "settings"), TRIED)
def test_nft_takes_the_guard(cluster: Cluster, host: str, settings: dict[str, Any]) -> None:
    guard = cluster.plan(host, **settings)["guard"]["nftables"]
    assert nft_complaint(guard) == ""
    assert "syntax error" in nft_complaint(guard.replace("accept", "acept") + "}")


@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
@pytest.mark.parametrize(("host", "settings"), TRIED)
def test_iptables_takes_the_guard(cluster: Cluster, host: str, settings: dict[str, Any], tool: str) -> None:
    guard = cluster.plan(host, **settings)["guard"]
    assert iptables_complaint("relocation", tool, guard) == ""
    broken = {**guard, tool: [rule.replace("--dports", "--doors") for rule in guard[tool]]}
    assert iptables_complaint("relocation", tool, broken) != ""
