# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import packet_filter
from ansible_collections.xensec.hardening.plugins.module_utils.reader import Unreadable

PORTS = [8002, 8003]


def nft(text, ipv6=True):
    chains, sets = packet_filter.parse_nft(text)
    return packet_filter.describe(chains, sets, PORTS, ipv6)


def iptables(four, six="*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"):
    chains = packet_filter.parse_iptables(four, "ip")
    chains.update(packet_filter.parse_iptables(six, "ip6"))
    return packet_filter.describe(chains, {}, PORTS)


def inet(*rules, **more):
    return (
        "table inet filter {\n%s\tchain input {\n\t\ttype filter hook input priority filter; policy %s;\n%s\t}\n}\n"
        % (
            more.get("before", ""),
            more.get("policy", "accept"),
            "".join("\t\t%s\n" % rule for rule in rules),
        )
    )


def save(*rules, **more):
    return "*filter\n:INPUT %s [0:0]\n:FORWARD ACCEPT [0:0]\n:OWN - [0:0]\n%s\nCOMMIT\n" % (
        more.get("policy", "ACCEPT"),
        "\n".join(rules),
    )


REFUSE = "\tchain refuse {\n\t\tmeta l4proto tcp reject with tcp reset\n\t\treject with icmpx admin-prohibited\n\t}\n"


# What becomes of a packet that no rule names.

NFT_DEFAULTS = [
    ("", "accept", "accept"),
    (inet(), "accept", "accept"),
    (inet(policy="drop"), "drop", "drop"),
    (inet("reject"), "reject", "reject"),
    (inet('counter packets 5 bytes 300 drop comment "all"'), "drop", "drop"),
    (inet('log prefix "no: " level info drop'), "drop", "drop"),
    # Conditions are no default, wherever the chain ends.
    (inet("tcp dport 22 drop"), "accept", "accept"),
    (inet("limit rate 10/minute drop"), "accept", "accept"),
    (inet("meta l4proto tcp reject with tcp reset"), "accept", "accept"),
    # What is accepted before it comes to that is accepted.
    (inet("accept", policy="drop"), "accept", "accept"),
    (inet("accept", "drop"), "accept", "accept"),
    (inet("meta nfproto ipv4 drop"), "drop", "accept"),
    (inet("meta nfproto ipv4 accept", policy="drop"), "accept", "drop"),
    # Through other chains and back.
    (inet("jump refuse", before=REFUSE), "reject", "reject"),
    (inet("tcp dport 22 jump refuse", before=REFUSE), "accept", "accept"),
    (inet("jump other", before="\tchain other {\n\t\ttcp dport 22 accept\n\t}\n", policy="drop"), "drop", "drop"),
    (inet("jump other", "drop", before="\tchain other {\n\t\treturn\n\t\taccept\n\t}\n"), "drop", "drop"),
    (inet("jump nowhere"), "accept", "accept"),
    (inet("jump loop", before="\tchain loop {\n\t\tjump loop\n\t}\n"), "accept", "accept"),
    ("table ip a {\n\tchain i {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n", "drop", "accept"),
    ("table ip6 a {\n\tchain i {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n", "accept", "drop"),
    (
        "table bridge a {\n\tchain i {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n",
        "accept",
        "accept",
    ),
    (
        "table inet a {\n\tchain f {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n",
        "accept",
        "accept",
    ),
]


@pytest.mark.parametrize("text, ipv4, ipv6", NFT_DEFAULTS)
def test_the_default_in_nftables(text, ipv4, ipv6):
    assert nft(text)["input"] == {"ipv4": ipv4, "ipv6": ipv6}


@pytest.mark.parametrize(
    "text, ipv4",
    [
        (save(), "accept"),
        (save(policy="DROP"), "drop"),
        (save("-A INPUT -j REJECT --reject-with icmp-port-unreachable"), "reject"),
        (save('-A INPUT -m comment --comment "the rest" -j DROP'), "drop"),
        (save("-A INPUT -p tcp -j DROP"), "accept"),
        (save("-A INPUT -j ACCEPT", policy="DROP"), "accept"),
        (save("-A INPUT -j OWN", "-A OWN -p tcp -j RETURN", "-A OWN -j DROP"), "drop"),
        (save("-A INPUT -g OWN", "-A OWN -j REJECT --reject-with icmp-admin-prohibited"), "reject"),
        (save("-A INPUT -j OWN", "-A OWN -j RETURN", policy="DROP"), "drop"),
        (save("-A INPUT -s 10.0.0.0/8 -j OWN", "-A OWN -j DROP"), "accept"),
    ],
)
def test_the_default_in_iptables(text, ipv4):
    assert iptables(text)["input"] == {"ipv4": ipv4, "ipv6": "accept"}


def test_an_accept_in_one_table_does_not_undo_a_drop_in_another():
    two = inet("accept") + inet(policy="drop").replace("filter {", "other {", 1)
    assert nft(two)["input"] == {"ipv4": "drop", "ipv6": "drop"}


def test_without_ipv6_there_is_nothing_to_guard():
    found = nft(inet(), ipv6=False)
    assert found["input"]["ipv6"] == "no IPv6"
    assert found["relocation_guarded"] == {"ipv4": False, "ipv6": True}


# Rules that do not do what they seem to.


@pytest.mark.parametrize(
    "rule, found",
    [
        ('iifname "vif*" drop', True),
        ('iifname "tap*" tcp dport 22 reject with tcp reset', True),
        ('iifname "vif*" accept', False),
        ('iifname "eth0" drop', False),
    ],
)
def test_a_rule_on_guests_that_has_no_effect(rule, found):
    assert bool(nft(inet(rule))["guests_ineffective"]) is found
    # With the family that sees guests beside it, it does no harm.
    bridge = (
        "table bridge x {\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n\t\t%s\n\t}\n}\n"
    )
    both = nft(inet(rule) + bridge % 'iifname "vif*" meta mark set meta mark or 0x40000000')
    assert both["guests_filtered"] is True
    assert both["guests_ineffective"] == []


def test_guests_in_iptables_are_told_by_their_port():
    assert iptables(save("-A INPUT -i vif+ -j DROP"))["guests_filtered"] is False
    assert iptables(save("-A INPUT -i vif+ -j DROP"))["guests_ineffective"]
    physdev = iptables(save("-A INPUT -m physdev --physdev-in vif+ -g OWN"))
    assert physdev["guests_filtered"] is True


@pytest.mark.parametrize(
    "rule, found",
    [
        ("tcp dport 8002 accept", True),
        ("tcp dport { 22, 8000-8010 } counter packets 0 bytes 0 accept", True),
        ("ip saddr 10.0.0.5 tcp dport 8002 accept", False),
        ("ip saddr @peers tcp dport 8002 accept", False),
        ('iifname "lo" tcp dport 8002 accept', False),
        ("tcp dport 8002 drop", False),
        ("tcp sport 8002 accept", False),
        ("tcp dport 22 accept", False),
    ],
)
def test_everybody_admitted_to_relocation(rule, found):
    assert bool(nft(inet(rule))["relocation_admitted_to_all"]) is found


def test_everybody_admitted_to_relocation_in_iptables():
    assert iptables(save("-A INPUT -p tcp -m tcp --dport 8002 -j ACCEPT"))["relocation_admitted_to_all"]
    assert iptables(save("-A INPUT -p tcp -m multiport --dports 8000:8010 -j ACCEPT"))["relocation_admitted_to_all"]
    assert not iptables(save("-A INPUT -s 10.0.0.5/32 -p tcp --dport 8002 -j ACCEPT"))["relocation_admitted_to_all"]
    # In a chain of another's, what returns is not admitted yet.
    assert not iptables(save("-A INPUT -j OWN", "-A OWN -p tcp --dport 8002 -j RETURN"))["relocation_admitted_to_all"]


@pytest.mark.parametrize(
    "text, ipv4, ipv6",
    [
        (inet("tcp dport { 8002, 8003 } reject with tcp reset"), True, True),
        (inet("tcp dport 8002-8003 drop"), True, True),
        (inet("tcp dport 8002 drop"), False, False),
        (inet("ip saddr 10.0.0.0/24 tcp dport { 8002, 8003 } drop"), False, False),
        (inet(policy="drop"), True, True),
    ],
)
def test_the_relocation_ports_are_guarded(text, ipv4, ipv6):
    assert nft(text)["relocation_guarded"] == {"ipv4": ipv4, "ipv6": ipv6}


def test_a_rule_for_ipv4_guards_no_ipv6():
    rule = "-A INPUT -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset"
    assert iptables(save(rule))["relocation_guarded"] == {"ipv4": True, "ipv6": False}


@pytest.mark.parametrize(
    "rule, found",
    [
        ("ip saddr 192.0.0.0/8 tcp dport 22 accept", ["192.0.0.0/8"]),
        ("ip saddr { 10.1.0.0/16, 172.16.0.0/12 } accept", ["172.16.0.0/12"]),
        ("ip6 saddr 2001::/16 accept", ["2001::/16"]),
        ("ip6 saddr fe80::/10 accept", []),
        ("ip saddr 0.0.0.0/0 accept", ["0.0.0.0/0"]),
        ("ip saddr 192.0.0.0/8 drop", []),
        ("ip saddr @admins accept", ["10.0.0.0/8"]),
        ("ip saddr 192.0.2.0/24 accept", []),
    ],
)
def test_networks_that_are_too_broad(rule, found):
    sets = "\tset admins {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.0/8,\n\t\t\t     192.0.2.1 }\n\t}\n"
    assert nft(inet(rule, before=sets))["broad_sources"] == ["inet filter input: " + network for network in found]


def test_the_example_of_the_wiki_page_as_iptables_takes_it():
    found = iptables(save("-A INPUT -s 192.0.0.0/8 -p tcp -m tcp --dport 8002 -j ACCEPT"))
    assert found["broad_sources"] == ["ip filter INPUT: 192.0.0.0/8"]


def test_rules_that_are_there_twice():
    rule = "-A INPUT -p tcp -m tcp --dport 8002 -j REJECT --reject-with tcp-reset"
    assert iptables(save(rule))["duplicates"] == []
    assert iptables(save(rule, "-A INPUT -i lo -j ACCEPT", rule))["duplicates"] == ["ip filter INPUT: " + rule[9:]]
    assert nft(inet("counter packets 1 bytes 2 drop", "counter packets 3 bytes 4 drop"))["duplicates"]


@pytest.mark.parametrize(
    "text, works",
    [
        (inet(policy="drop"), False),
        (inet("icmpv6 type { nd-router-solicit, nd-neighbor-solicit } accept", policy="drop"), True),
        (inet("meta l4proto ipv6-icmp accept", policy="drop"), True),
        (inet("icmp type echo-request accept", policy="drop"), False),
        (inet(), True),
    ],
)
def test_neighbour_discovery(text, works):
    assert nft(text)["neighbour_discovery"] is works


def test_guests_are_cut_off_by_a_forward_hook():
    text = "table inet a {\n\tchain f {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n"
    assert nft(text)["forward_dropped"] == ["inet a f"]
    assert nft(text.replace("drop", "accept"))["forward_dropped"] == []


def test_source_checks_on_every_interface():
    text = "table inet a {\n\tchain p {\n\t\ttype filter hook prerouting priority raw; policy accept;\n\t\t%s\n\t}\n}\n"
    assert nft(text % "fib saddr . iif oif missing drop")["source_checks_everywhere"]
    assert nft(text % "fib saddr . iif oif missing counter packets 0 bytes 0 drop")["source_checks_everywhere"]
    assert not nft(text % 'iifname "eth0" fib saddr . iif oif missing drop')["source_checks_everywhere"]


# Where it is read from.


class Reader(object):
    def __init__(self, **answers):
        self.answers = answers

    def get_bin_path(self, name, required=False, opt_dirs=None):
        return name if name.replace("-", "_") in self.answers else None

    def run_command(self, command):
        answer = self.answers[command[0].replace("-", "_")]
        return (1, "", "not permitted") if answer is None else (0, answer, "")

    def fail_json(self, msg):
        raise Unreadable(msg)


def test_what_iptables_has_put_into_nftables_is_read_once():
    drop = "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
    warning = "# Warning: table ip filter is managed by iptables-nft, do not touch!\n"
    found = packet_filter.read(Reader(nft=warning + drop, iptables_save=save(policy="DROP")), PORTS)
    assert [hook["by"] for hook in found["hooks"] if hook["hook"] == "input"] == ["iptables"]
    assert found["input"]["ipv4"] == "drop"


def test_where_nothing_can_tell_it_is_not_said_to_be_open_or_closed():
    with pytest.raises(Unreadable):
        packet_filter.read(Reader(), PORTS)
    with pytest.raises(Unreadable):
        packet_filter.read(Reader(nft=None, iptables_save=None), PORTS)
