# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.dom0_firewall_plan import FilterModule
from ansible_collections.xensec.hardening.plugins.filter.firewall_registration import FilterModule as Registration
from ansible_collections.xensec.hardening.plugins.plugin_utils import firewall
from hypothesis import given
from hypothesis import strategies as st
from netns import iptables_complaint, nft_complaint

dom0_firewall_plan = FilterModule().filters()["dom0_firewall_plan"]
firewall_registration = Registration().filters()["firewall_registration"]

SETTINGS: dict[str, Any] = {
    "management_sources": ["192.0.2.0/24", "2001:db8:1::/64"],
    "services": [],
    "guest_services": [],
    "allow_broad_sources": False,
    "ssh_port": 22,
    "precheck": True,
    "untried_platforms": False,
}
FACTS: dict[str, Any] = {
    "platform": {"id": "debian", "like": []},
    "interfaces": {"eth0": {}, "eth1": {}, "xenbr0": {}},
    "control": {"address": "192.0.2.1", "port": 22},
    "firewall_managers": [],
}
AGENT = {"name": "agent", "ports": [9100], "sources": ["198.51.100.0/24", "2001:db8:2::1"]}


def plan(facts: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    given_settings = {**copy.deepcopy(SETTINGS), **settings}
    result: dict[str, Any] = dom0_firewall_plan(given_settings, "node1", {**FACTS, **(facts or {})})
    return result


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    # Networks.
    ({"management_sources": []}, ["dom0_firewall_management_sources is empty", "list the networks"]),
    ({"management_sources": "192.0.2.0/24"}, ["'192.0.2.0/24' is str, not a list", "['192.0.2.0/24']"]),
    ({"management_sources": ["192.0.2.1/24"]}, ["192.0.2.1/24", "host bits", "192.0.2.1/32", "192.0.2.0/24"]),
    ({"management_sources": ["192.0.2.300"]}, ["'192.0.2.300' is neither an address nor a network"]),
    ({"management_sources": ["192.0.2.0/24", "192.0.2.7"]}, ["'192.0.2.7' lies within '192.0.2.0/24'"]),
    ({"management_sources": ["10.0.0.0/8"]}, ["16,777,216", "dom0_firewall_allow_broad_sources: true"]),
    ({"management_sources": ["2001::/16"]}, ["broader than /32", "dom0_firewall_allow_broad_sources: true"]),
    ({"management_sources": ["0.0.0.0/0"]}, ["admits everybody"]),
    ({"management_sources": ["127.0.0.1", "192.0.2.0/24"]}, ["loopback"]),
    ({"management_sources": ["::ffff:192.0.2.0/120"]}, ["IPv4 in IPv6 notation", "192.0.2.0/24"]),
    ({"services": [{**AGENT, "sources": ["10.0.0.0/8"]}]}, ["sources of the service 'agent'", "broad_sources: true"]),
    ({"services": [{**AGENT, "sources": []}]}, ["'agent' has an empty list of sources", "leave sources out"]),
    # Ports.
    ({"services": [{**AGENT, "ports": [0]}]}, ["'agent' has the port 0", "1 to 65535"]),
    ({"services": [{**AGENT, "ports": [70000]}]}, ["the port 70000", "1 to 65535"]),
    ({"services": [{**AGENT, "ports": ["http"]}]}, ["the port 'http'"]),
    ({"services": [{**AGENT, "ports": [True]}]}, ["the port True"]),
    ({"services": [{**AGENT, "ports": ["80-"]}]}, ["the port '80-'"]),
    ({"services": [{**AGENT, "ports": ["90-80"]}]}, ["which is empty", "80-90"]),
    ({"services": [{**AGENT, "ports": []}]}, ["'agent' has no ports"]),
    ({"services": [{"name": "agent"}]}, ["'agent' has no ports"]),
    # The rest of a service.
    ({"services": [{"ports": [1]}]}, ["has no name"]),
    ({"services": [{**AGENT, "port": 9100}]}, ["'port'", "takes name, ports, protocol, sources and interfaces"]),
    ({"services": [{**AGENT, "protocol": "sctp"}]}, ["'sctp'", "tcp or udp"]),
    ({"services": [AGENT, {**AGENT, "ports": [9101]}]}, ["two services are named 'agent'"]),
    ({"services": [{**AGENT, "name": "ssh"}]}, ["two services are named 'ssh'"]),
    ({"services": [{**AGENT, "interfaces": ["eth7"]}]}, ["'eth7'", "eth0, eth1, xenbr0", "eth7*"]),
    ({"services": [{**AGENT, "interfaces": ['eth0" accept #']}]}, ["no interface can be called"]),
    ({"services": [{**AGENT, "interfaces": ["*"]}]}, ["no interface can be called"]),
    ({"guest_services": [{**AGENT, "ports": [0]}]}, ["the port 0"]),
    # Who is in.
    ({"management_sources": ["203.0.113.0/24"]}, ["comes in from 192.0.2.1", "add 192.0.2.1 to it"]),
    ({"allow_broad_sources": "no"}, ["dom0_firewall_allow_broad_sources='no' is not a boolean"]),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED)
def test_refused_with_the_value_and_the_remedy(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        plan(**settings)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("manager", ["firewalld", "ufw"])
def test_two_masters_are_refused(manager: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"{manager} is in charge.*systemctl disable --now {manager}"):
        plan({"firewall_managers": [manager]})


def test_broad_networks_where_they_are_meant() -> None:
    assert "10.0.0.0/8" in plan(management_sources=["10.0.0.0/8", "192.0.2.1"], allow_broad_sources=True)["nftables"]


@pytest.mark.parametrize(
    ("control", "settings"),
    [
        ({"address": "192.0.2.77", "port": 22}, {}),
        ({"address": "2001:db8:1::77", "port": 22}, {}),
        ({"address": "203.0.113.5", "port": 22}, {"services": [{"name": "bastion", "ports": ["20-30"]}]}),
        (
            {"address": "203.0.113.5", "port": 2222},
            {"services": [{"name": "bastion", "ports": [2222], "sources": ["203.0.113.5"]}]},
        ),
    ],
)
def test_whoever_is_admitted_may_go_on(control: dict[str, Any], settings: dict[str, Any]) -> None:
    made = plan({"control": control}, **settings)
    assert made["warnings"] == []
    # The port this run comes in by is admitted, whatever the one of sshd is said to be.
    assert re.search(rf"tcp dport {{ .*\b{control['port']}\b.* }} accept", made["nftables"])


@pytest.mark.parametrize(
    "service",
    [
        {"name": "other", "ports": [2222], "sources": ["203.0.113.6"]},
        {"name": "other", "ports": [2223]},
        {"name": "other", "protocol": "udp", "ports": [2222]},
        {"name": "other", "ports": [2222], "interfaces": ["eth1"]},
    ],
)
def test_a_service_that_need_not_admit_this_run_does_not_count(service: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"comes in from 203\.0\.113\.5"):
        plan({"control": {"address": "203.0.113.5", "port": 2222}}, services=[service])


def test_without_the_check_nothing_is_refused_for_it() -> None:
    assert plan({"control": {"address": "203.0.113.5", "port": 22}}, precheck=False)["warnings"] == []


def test_a_host_that_cannot_tell_is_warned_of() -> None:
    assert "was not checked beforehand" in plan({"control": None})["warnings"][0]


@pytest.mark.parametrize(
    ("interface", "warned"), [("vif3.0", True), ("tap3.0", True), ("vif*", False), ("eth1", False)]
)
def test_interfaces_that_guests_may_bring(interface: str, warned: bool) -> None:
    made = plan(services=[{**AGENT, "interfaces": [interface]}])
    assert bool(made["warnings"]) == warned
    assert f'iifname "{interface}" ' in made["nftables"]
    assert any(f"-i {interface.replace('*', '+')} " in rule for rule in made["iptables"])


def test_the_same_service_twice_counts_once() -> None:
    assert plan(services=[AGENT, {**AGENT, "ports": ["9100"]}]) == plan(services=[AGENT])


def test_a_service_with_sources_of_one_family_is_closed_to_the_other() -> None:
    made = plan(services=[{**AGENT, "sources": ["198.51.100.7"]}])
    assert any("198.51.100.7" in rule for rule in made["iptables"])
    assert not any("--dports 9100" in rule for rule in made["ip6tables"])
    assert not re.search(r"ip6 saddr [^\n]*9100", made["nftables"])


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 40)), min_size=1, max_size=40))
def test_ports_are_admitted_all_and_no_others(pairs: list[tuple[int, int]]) -> None:
    wanted: set[int] = set()
    ports: list[str | int] = []
    for first, more in pairs:
        last = min(first + more, 65535)
        wanted |= set(range(first, last + 1))
        ports.append(first if first == last else f"{first}-{last}")
    service = firewall.check_service({"name": "any", "ports": ports})
    admitted = [port for text in service.ports for port in expand(text, "-")]
    assert sorted(admitted) == sorted(wanted)
    groups = firewall.port_groups(service.ports)
    assert sorted(port for group in groups for text in group.split(",") for port in expand(text, ":")) == sorted(wanted)
    # multiport takes up to 15 ports, and counts a range twice (libxt_multiport.c).
    assert all(len(re.split("[,:]", group)) <= 15 for group in groups)


def expand(text: str, dash: str) -> range:
    first, _dash, last = text.partition(dash)
    return range(int(first), int(last or first) + 1)


# The packet filters' own opinion.

TRIED: list[dict[str, Any]] = [
    {},
    {"services": [AGENT], "guest_services": [{"name": "dns", "protocol": "udp", "ports": [53]}]},
    {"services": [{"name": 'odd "name"; {x} \u00e9', "ports": ["1-5", 3, "5-9"], "interfaces": ["eth0", "vif*"]}]},
    {"services": [{"name": "many", "ports": list(range(1, 200, 3)), "sources": ["198.51.100.7"]}]},
    {"management_sources": [f"192.0.{high}.{low}" for high in range(2, 6) for low in range(0, 250)]},
]


@pytest.mark.parametrize("settings", TRIED)
def test_nft_takes_the_rules(settings: dict[str, Any]) -> None:
    ruleset = plan(**settings)["nftables"]
    assert nft_complaint(ruleset) == ""
    assert "Error: " in nft_complaint(ruleset.replace("jump refuse", "jmp refuse"))


@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
@pytest.mark.parametrize("settings", TRIED)
def test_iptables_takes_the_rules(settings: dict[str, Any], tool: str) -> None:
    made = plan(**settings)
    assert iptables_complaint("dom0", tool, made) == ""
    assert iptables_complaint("dom0", tool, {**made, tool: [*made[tool], "-A XENSEC_DOM0 --doors 22 -j RETURN"]}) != ""


def test_what_a_role_registers_is_taken_by_all_of_them() -> None:
    rules = firewall_registration([AGENT, {"name": "all", "ports": [80, 443], "interfaces": ["eth1"]}])
    made = plan()
    ruleset = (
        made["nftables"] + "table inet xensec_dom0 {\n chain registered {\n" + "\n".join(rules["nftables"]) + "\n}\n}"
    )
    assert nft_complaint(ruleset) == ""
    for tool in ("iptables", "ip6tables"):
        at = made[tool].index("# registered")
        assert (
            iptables_complaint("dom0", tool, {**made, tool: made[tool][:at] + rules[tool] + made[tool][at + 1 :]}) == ""
        )


def test_nothing_is_registered_that_makes_no_sense() -> None:
    with pytest.raises(AnsibleFilterError, match="the port 0"):
        firewall_registration([{**AGENT, "ports": [0]}])
    assert firewall_registration([]) == {"nftables": [], "iptables": [], "ip6tables": []}
