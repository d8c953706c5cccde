# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's packet filter does with what no rule names, and the mistakes in it that can be told from its rules.

Rulesets are read as nft and iptables-save list them, whoever wrote them.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

SBIN = ["/sbin", "/usr/sbin"]
IPV6 = "/proc/net/if_inet6"
# Which families of packets a table of nftables sees.
SEES = {"inet": ("ipv4", "ipv6"), "ip": ("ipv4",), "ip6": ("ipv6",)}
# A network of these many bits or fewer is broader than one site's.
BROADEST = {4: 15, 6: 31}
GUESTS = re.compile(r"(?:iifname|-i|--physdev-in) \"?(?:vif|tap)[*+\d]")
BRIDGE_GUESTS = re.compile(r"iifname \"?(?:vif|tap)[*\d]")
PHYSDEV = re.compile(r"--physdev-in (?:vif|tap)[+\d]")
NEIGHBOURS = re.compile(
    r"nd-neighbor-solicit|neighbou?r-solicitation|icmpv6-type 135\b|icmpv6 type [^;]*\b135\b|"
    r"-p (?:ipv6-icmp|icmpv6|58) -j ACCEPT|l4proto (?:ipv6-icmp|icmpv6|58) accept|icmpv6 accept"
)
LOOPBACK = re.compile(r"(?:iifname|iif|-i) \"?lo\b|127\.0\.0\.1|::1\b")


class Chain(object):
    """A chain as listed: rules in order; hook and policy for one that the kernel calls."""

    def __init__(self, by, family, table, name, hook="", policy="accept"):
        self.by, self.family, self.table, self.name = by, family, table, name
        self.hook, self.policy = hook, policy
        self.rules = []

    @property
    def sees(self):
        return SEES.get(self.family, ())

    def shown(self):
        return "%s %s %s" % (self.family, self.table, self.name)


def plain_nft(rule):
    """Return a rule without what decides nothing: counters, comments, logging."""
    rule = re.sub(r'\s*comment "[^"]*"', "", rule)
    rule = re.sub(r"\bcounter(?: name \"?[\w-]+\"?)?(?: packets \d+ bytes \d+)? ?", "", rule)
    if not rule.startswith("limit "):
        rule = re.sub(r"\blog(?: (?:prefix \"[^\"]*\"|level \w+|group \d+|flags \w+))* ?", "", rule)
    return rule.strip()


def parse_nft(text):
    """Return (chains, sets) of C(nft list ruleset): Chain by (family, table, name), and elements by the same."""
    chains, sets, stack = {}, {}, []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        table = re.match(r"table (\S+) (\S+) \{$", line)
        inner = re.match(r"(chain|set|map) (\S+) \{$", line)
        if table and not stack:
            stack.append(("table", table.groups()))
        elif inner and len(stack) == 1:
            key = stack[0][1] + (inner.group(2),)
            stack.append((inner.group(1), key))
            if inner.group(1) == "chain":
                chains[key] = Chain("nftables", key[0], key[1], key[2])
            else:
                sets[key] = ""
        elif line == "}":
            del stack[-1:]
        elif line.endswith("{"):
            stack.append(("other", None))
        elif stack and stack[-1][0] == "chain":
            chain = chains[stack[-1][1]]
            base = re.match(r"type \S+ hook (\S+) .*?priority [^;]+;(?: policy (\w+);)?", line)
            if base:
                chain.hook, chain.policy = base.group(1), base.group(2) or "accept"
            else:
                chain.rules.append(re.sub(r" packets \d+ bytes \d+", "", line))
        elif stack and stack[-1][0] in ("set", "map"):
            sets[stack[-1][1]] += " " + line
    elements = {}
    for key, body in sets.items():
        found = re.search(r"elements = \{(.*)\}", body)
        elements[key] = [item.split()[0] for item in found.group(1).split(",") if item.strip()] if found else []
    return chains, elements


def parse_iptables(text, family):
    """Return {(family, table, name): Chain} of C(iptables-save) or C(ip6tables-save)."""
    chains, table = {}, ""
    for line in text.splitlines():
        head = re.match(r":(\S+) (\S+)", line)
        rule = re.match(r"-A (\S+) ?(.*)", line)
        if line.startswith("*"):
            table = line[1:].strip()
        elif head:
            chain = Chain("iptables", family, table, head.group(1))
            if head.group(2) != "-":
                chain.hook, chain.policy = head.group(1).lower(), head.group(2).lower()
            chains[(family, table, chain.name)] = chain
        elif rule and (family, table, rule.group(1)) in chains:
            chains[(family, table, rule.group(1))].rules.append(rule.group(2))
    return chains


def unconditional(chain, rule, family):
    """Return (verdict, chain it leads to) of a rule that every packet of the family meets; (None, None) of others."""
    if chain.by == "nftables":
        rule = re.sub(r"^meta nfproto %s " % family, "", plain_nft(rule))
        match = re.match(r"(drop|accept|return|reject)(?: with .*)?$|(?:jump|goto) (\S+)$", rule)
        return (match.group(1), match.group(2)) if match else (None, None)
    rule = re.sub(r'-m comment --comment (?:"[^"]*"|\S+) ?', "", rule)
    match = re.match(r"-[jg] (\S+)(?: --reject-with \S+)?$", rule)
    if not match:
        return None, None
    known = {"DROP": "drop", "ACCEPT": "accept", "RETURN": "return", "REJECT": "reject"}
    if match.group(1) in known:
        return known[match.group(1)], None
    return None, match.group(1)


def outcome(chains, chain, family, seen=()):
    """Return what a chain does with a packet that no rule of its names: a verdict, or None where it comes back."""
    for rule in chain.rules:
        verdict, target = unconditional(chain, rule, family)
        if target:
            following = chains.get((chain.family, chain.table, target))
            if following and following not in seen:
                verdict = outcome(chains, following, family, seen + (chain,))
        if verdict == "return":
            return None
        if verdict:
            return verdict
    return chain.policy if chain.hook else None


def reachable(chains, hook):
    """Return the chains that a packet at this hook may pass through."""
    todo = [chain for chain in chains.values() if chain.hook == hook and chain.family in SEES]
    found = []
    while todo:
        chain = todo.pop()
        if chain in found:
            continue
        found.append(chain)
        for rule in chain.rules:
            for target in re.findall(r"(?:\bjump|\bgoto|-j|-g) (\S+)", rule):
                following = chains.get((chain.family, chain.table, target))
                if following:
                    todo.append(following)
    return sorted(found, key=lambda chain: (chain.family, chain.table, chain.name))


def admits(chain, rule):
    # Chains of our own end in a refusal, and return what they admit.
    own = chain.name.startswith("XENSEC")
    return bool(re.search(r"\baccept\b|-j ACCEPT\b", rule)) or own and bool(re.search(r"-j RETURN\b", rule))


def refuses(rule):
    return bool(re.search(r"\b(?:drop|reject)\b|-j (?:DROP|REJECT)\b", rule))


def names_port(rule, port):
    """Whether a rule is about this TCP port, among others."""
    found = re.search(r"(?:tcp dport|th dport) (\{[^}]*\}|\S+)|(?:--dports?) (\S+)", rule)
    for part in re.split(r"[\s{},]+", found.group(1) or found.group(2)) if found else []:
        first, dash, last = part.replace(":", "-").partition("-")
        if first.isdigit() and int(first) <= port <= int(last if dash and last.isdigit() else first):
            return True
    return False


def source_of(rule):
    """Return the networks, or the set of nftables, that a rule takes packets from, as text; the empty string for all."""
    found = re.search(r"saddr (?!\. )(?:!= )?(\{[^}]*\}|\S+)|(?<!\S)-s (\S+)|--match-set (\S+) src", rule)
    return (found.group(1) or found.group(2) or found.group(3)) if found else ""


def broad(networks):
    found = []
    for network in networks:
        address, dummy, prefix = network.partition("/")
        own = address.lower().startswith(("fe80:", "ff", "127.")) or address == "::1"
        if prefix.isdigit() and int(prefix) <= BROADEST[6 if ":" in address else 4] and not own:
            found.append(network)
    return found


def sources(chain, rule, sets):
    text = source_of(rule)
    if text.startswith("@"):
        return sets.get((chain.family, chain.table, text[1:]), [])
    return [part for part in re.split(r"[\s{},]+", text) if part]


def duplicates(chains):
    """Return rules that are twice in one chain, as text."""
    found = []
    for key in sorted(chains):
        rules = chains[key].rules
        found += ["%s: %s" % (chains[key].shown(), rule) for rule in sorted(set(rules)) if rules.count(rule) > 1]
    return found


def describe(chains, sets, ports, ipv6=True):
    """Return the facts of a packet filter.

    :arg ports: the TCP ports of relocation.
    :arg ipv6: whether the host has IPv6 at all.
    """
    hooks = [
        {
            "by": chain.by,
            "family": chain.family,
            "table": chain.table,
            "chain": chain.name,
            "hook": chain.hook,
            "policy": chain.policy,
            "default": dict((family, outcome(chains, chain, family) or chain.policy) for family in chain.sees),
        }
        for dummy, chain in sorted(chains.items())
        if chain.hook
    ]

    def default(hook, family):
        if family == "ipv6" and not ipv6:
            return "no IPv6"
        # A packet is gone as soon as one of them drops it.
        verdicts = [item["default"].get(family, "accept") for item in hooks if item["hook"] == hook]
        return ([verdict for verdict in verdicts if verdict != "accept"] or ["accept"])[0]

    inputs = reachable(chains, "input")
    rules = [(chain, rule) for chain in inputs for rule in chain.rules]
    filtered = any(
        chain.family == "bridge" and chain.hook in ("input", "prerouting") and BRIDGE_GUESTS.search(rule)
        for chain in chains.values()
        for rule in chain.rules
    ) or any(PHYSDEV.search(rule) for dummy, rule in rules)

    def guarded(family):
        if default("input", family) != "accept":
            return True
        mine = [rule for chain, rule in rules if family in chain.sees and refuses(rule) and not source_of(rule)]
        return all(any(names_port(rule, port) for rule in mine) for port in ports)

    return {
        "hooks": hooks,
        "input": {"ipv4": default("input", "ipv4"), "ipv6": default("input", "ipv6")},
        "tables": sorted(set("%s %s" % (chain.family, chain.table) for chain in chains.values())),
        "neighbour_discovery": default("input", "ipv6") in ("accept", "no IPv6")
        or any("ipv6" in chain.sees and NEIGHBOURS.search(rule) is not None for chain, rule in rules),
        "relocation_guarded": {"ipv4": guarded("ipv4"), "ipv6": guarded("ipv6") if ipv6 else True},
        "relocation_admitted_to_all": sorted(
            set(
                "%s: %s" % (chain.shown(), rule)
                for chain, rule in rules
                if admits(chain, rule)
                and any(names_port(rule, port) for port in ports)
                and not source_of(rule)
                and not LOOPBACK.search(rule)
            )
        ),
        "broad_sources": sorted(
            set(
                "%s: %s" % (chain.shown(), network)
                for chain, rule in rules
                if admits(chain, rule)
                for network in broad(sources(chain, rule, sets))
            )
        ),
        "duplicates": duplicates(chains),
        "guests_filtered": filtered,
        # In these families the interface seen is the bridge, so that such a rule stops nothing that comes over one.
        "guests_ineffective": [
            "%s: %s" % (chain.shown(), rule)
            for chain, rule in rules
            if not filtered and GUESTS.search(rule) and refuses(rule) and "--physdev" not in rule
        ],
        "forward_dropped": [
            "%s %s %s" % (item["family"], item["table"], item["chain"])
            for item in hooks
            if item["hook"] == "forward" and any(value != "accept" for value in item["default"].values())
        ],
        "source_checks_everywhere": [
            "%s: %s" % (chain.shown(), rule)
            for chain in reachable(chains, "prerouting")
            for rule in chain.rules
            if re.search(r"fib saddr \. iif oif (?:missing|eq 0|0) .*drop", rule) and "iifname" not in rule
        ],
    }


def read(reader, ports):
    """Return the facts of this host's packet filter.

    :arg reader: a Reader, for running commands.
    """
    chains, sets, asked = {}, {}, False
    nft = reader.get_bin_path("nft", opt_dirs=SBIN)
    if nft:
        code, output, dummy = reader.run_command([nft, "list", "ruleset"])
        if code == 0:
            asked = True
            found, sets = parse_nft(output)
            # What iptables has put there is read through it, in its own words.
            managed = re.findall(r"# Warning: table (\S+) (\S+) is managed by iptables-nft", output)
            chains.update((key, chain) for key, chain in found.items() if key[:2] not in managed)
    for tool, family in (("iptables", "ip"), ("ip6tables", "ip6")):
        for variant in ("-save", "-legacy-save"):
            program = reader.get_bin_path(tool + variant, opt_dirs=SBIN)
            if not program or variant == "-legacy-save" and not os.path.exists("/proc/net/%s_tables_names" % family):
                continue
            code, output, dummy = reader.run_command([program])
            if code == 0:
                asked = True
                for key, chain in parse_iptables(output, family).items():
                    # The same table in both variants: what the kernel calls has rules.
                    if key not in chains or not chains[key].rules:
                        chains[key] = chain
    if not asked:
        reader.fail_json(msg="neither nft nor iptables-save can tell what the packet filter holds")
    return describe(chains, sets, ports, os.path.exists(IPV6))
