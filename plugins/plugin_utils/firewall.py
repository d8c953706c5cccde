# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dom0's default-reject policy, from the role's variables to rules for nftables and for iptables."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import check_networks, require_flag
from ansible_collections.xensec.hardening.plugins.plugin_utils.platforms import check_platform

# Interfaces of guests, by the names that Xen's scripts give them; they come and go, so they need not be there.
GUEST_INTERFACES = ("vif", "tap")
# The bit that marks a packet on its way from a guest's interface, through the bridge, to Dom0. Conntrack in the bridge
# family would track what guests say among themselves, too; a mark leaves the decision to the host's own conntrack.
GUEST_MARK = 0x40000000
# Neighbour discovery (RFC 4861) and multicast listener discovery (RFC 2710, 3810): RFC 4890 4.4.1 has neither dropped.
NEIGHBOUR_TYPES = ("133", "134", "135", "136")
LISTENER_TYPES = ("130", "131", "132", "143")
LOG_LIMIT = "10/minute"
CHAIN = "XENSEC_DOM0"
# Where firewall_ruleset puts what other roles have registered; in nftables it is the chain of that name.
REGISTERED = "# registered"


@dataclass(frozen=True)
class Service:
    """What is admitted: ports of one protocol, from these networks and interfaces, or from all where none is named."""

    name: str
    protocol: str
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    interfaces: tuple[str, ...]


def check_port(value: object, name: str) -> str:
    """Return a port, or a range as FIRST-LAST, as text."""
    first, dash, last = str(value).partition("-")
    numbers = [first, last] if dash else [first]
    if isinstance(value, bool) or not all(number.isdecimal() and 1 <= int(number) <= 65535 for number in numbers):
        raise ValueError(
            f"the service {name!r} has the port {value!r}: write a number from 1 to 65535, or a range such as 5900-5999"
        )
    if dash and int(first) > int(last):
        raise ValueError(f"the service {name!r} has the port range {value!r}, which is empty: write {last}-{first}")
    return "-".join(str(int(number)) for number in numbers)


def merge_ports(ports: Sequence[str]) -> tuple[str, ...]:
    """Return the ports in their order, those that overlap as one: nft takes no set in which two do."""
    merged: list[list[int]] = []
    for first, last in sorted((int(first), int(last or first)) for first, _dash, last in map(split_range, ports)):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return tuple(str(first) if first == last else f"{first}-{last}" for first, last in merged)


def split_range(port: str) -> tuple[str, str, str]:
    return port.partition("-")


def check_interface(value: object, name: str) -> str:
    """Return the name of an interface; one that ends in * stands for all that begin so."""
    interface = str(value)
    # What the kernel takes as a name (net/core/dev.c, dev_valid_name), less what would end it in a ruleset.
    if not re.fullmatch(r"[^\s/:\"'\\*]{1,15}\*?", interface):
        raise ValueError(
            f"the service {name!r} names the interface {value!r}, which no interface can be called: "
            "write a name such as eth1, or one that ends in * for all that begin so"
        )
    return interface


def check_sources(values: object, allow_broad: bool = False) -> tuple[str, ...]:
    """Return the networks that something is admitted from, checked."""
    try:
        return tuple(str(network) for network in check_networks(values, allow_broad=allow_broad))
    except ValueError as error:
        # Here the option has another name, and there is none to admit everybody.
        remedy, broad, _rest = str(error).partition(", or set allow_broad=true")
        remedy = remedy.partition(", or set allow_any=true")[0]
        raise ValueError(remedy + (", or set dom0_firewall_allow_broad_sources: true" if broad else "")) from None


def check_service(raw: Mapping[str, Any], allow_broad: bool = False) -> Service:
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"the service {dict(raw)!r} has no name: give it one")
    unknown = set(raw) - {"name", "ports", "protocol", "sources", "interfaces"}
    if unknown:
        raise ValueError(
            f"the service {name!r} has {sorted(unknown)[0]!r}: it takes name, ports, protocol, sources and interfaces"
        )
    ports = raw.get("ports")
    if isinstance(ports, int | str):
        ports = [ports]
    if not ports:
        raise ValueError(f"the service {name!r} has no ports: list at least one, as in ports: [443]")
    protocol = str(raw.get("protocol", "tcp"))
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"the service {name!r} has the protocol {protocol!r}: write tcp or udp, a service for each")
    sources = raw.get("sources")
    if sources is not None and not sources:
        raise ValueError(
            f"the service {name!r} has an empty list of sources, which would admit nobody: "
            "name some, or leave sources out to admit everybody"
        )
    try:
        networks = check_sources(sources, allow_broad) if sources is not None else ()
    except ValueError as error:
        raise ValueError(f"the sources of the service {name!r}: {error}") from error
    return Service(
        name=name,
        protocol=protocol,
        ports=merge_ports([check_port(port, name) for port in ports]),
        sources=networks,
        interfaces=tuple(check_interface(interface, name) for interface in raw.get("interfaces") or ()),
    )


def check_services(raw: Sequence[Mapping[str, Any]], allow_broad: bool = False) -> list[Service]:
    """Return the services; the same one given twice counts once."""
    return distinct(check_service(item, allow_broad) for item in raw)


def distinct(services: Iterable[Service]) -> list[Service]:
    found: dict[str, Service] = {}
    for service in services:
        if found.setdefault(service.name, service) != service:
            raise ValueError(
                f"two services are named {service.name!r} and differ: give one of them another name, or make them one"
            )
    return list(found.values())


def interface_warnings(services: Sequence[Service], interfaces: Sequence[str]) -> list[str]:
    """Warn of interfaces that are not there now, and refuse those that look mistyped."""
    warnings = []
    for service in services:
        for interface in service.interfaces:
            if interface.endswith("*") or interface in interfaces:
                continue
            if not interface.startswith(GUEST_INTERFACES):
                raise ValueError(
                    f"the service {service.name!r} names the interface {interface!r}, which is not on this host: "
                    f"it has {', '.join(sorted(interfaces))}; write {interface}* where it may appear later"
                )
            warnings.append(
                f"the service {service.name!r} names the interface {interface!r}, which is not there now: "
                "it is admitted once a guest brings it up"
            )
    return warnings


def check_control(control: Mapping[str, Any] | None, sources: Sequence[str], services: Sequence[Service]) -> list[str]:
    """Refuse a policy that would not admit the connection it comes in by.

    :arg control: address and port of that connection as the host sees it, the address of the last jump host if there
        is one; None where the host could not tell.
    """
    if not control:
        return [
            "the host cannot tell where Ansible's connection comes from, so it was not checked beforehand that "
            "dom0_firewall_management_sources admits it; the rollback guards against a mistake all the same"
        ]
    address = ipaddress.ip_address(control["address"])
    # Of a service that is admitted on some interfaces only, it is not known whether this connection is on one of them.
    ways = [service for service in services if admits_port(service, control["port"]) and not service.interfaces]
    admitted = [*sources, *(source for service in ways for source in service.sources)]
    everybody = any(not service.sources for service in ways)
    if not everybody and not any(address in ipaddress.ip_network(source) for source in admitted):
        raise ValueError(
            f"this run comes in from {address}, which dom0_firewall_management_sources does not admit: "
            f"add {address} to it (it has {', '.join(sources) or 'nothing'})"
        )
    return []


def admits_port(service: Service, port: int) -> bool:
    bounds = [split_range(item)[::2] for item in service.ports]
    return service.protocol == "tcp" and any(int(first) <= port <= int(last or first) for first, last in bounds)


# --- nftables -----------------------------------------------------------------------------------------------


def split_families(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the IPv4 and the IPv6 ones of networks that were checked."""
    return [source for source in sources if ":" not in source], [source for source in sources if ":" in source]


def nft_set(name: str, kind: str, elements: Sequence[str]) -> str:
    listed = ",\n      ".join(elements)
    return f"  set {name} {{\n    type {kind}; flags interval\n    elements = {{\n      {listed}\n    }}\n  }}\n"


def nft_service(index: int, service: Service, prefix: str) -> tuple[str, list[str]]:
    """Return the sets and the rules of one service."""
    match = f"{service.protocol} dport {{ {', '.join(service.ports)} }}"
    # A name that ends in * matches by its beginning, and cannot be in a set on old versions.
    where = [f'iifname "{interface}" ' for interface in service.interfaces] or [""]
    comment = f'comment "{nft_comment(service.name)}"'
    if not service.sources:
        return "", [f"{interface}{match} accept {comment}" for interface in where]
    sets, rules = "", []
    four, six = split_families(service.sources)
    for family, kind, elements in (("ip", "ipv4_addr", four), ("ip6", "ipv6_addr", six)):
        if elements:
            name = f"{prefix}{index}_{'4' if family == 'ip' else '6'}"
            sets += nft_set(name, kind, elements)
            rules += [f"{interface}{family} saddr @{name} {match} accept {comment}" for interface in where]
    return sets, rules


def nft_comment(name: str) -> str:
    """A service's name as a comment, which nft takes up to 128 bytes of, without quotes."""
    return "".join(character for character in name if character.isalnum() or character in " ._-")[:64]


def nft_services(services: Sequence[Service], prefix: str) -> tuple[str, list[str]]:
    pairs = [nft_service(index, service, prefix) for index, service in enumerate(services)]
    return "".join(sets for sets, _rules in pairs), [rule for _sets, rules in pairs for rule in rules]


def nftables(services: Sequence[Service], guest_services: Sequence[Service]) -> str:
    sets, rules = nft_services(services, "service")
    guest_sets, guest_rules = nft_services(guest_services, "guest")
    bridge = "\n".join(f'    iifname "{name}*" meta mark set meta mark or {GUEST_MARK:#x}' for name in GUEST_INTERFACES)
    routed = [f'iifname "{name}*" jump guests' for name in GUEST_INTERFACES]
    chain = [
        "ct state established,related accept",
        'iifname "lo" accept',
        # Only lo has a right to send from an address of this host's own.
        "fib saddr type local counter drop",
        "ct state invalid drop",
        f"icmpv6 type {{ {', '.join(NEIGHBOUR_TYPES)} }} ip6 hoplimit 255 accept",
        f"ip6 saddr fe80::/10 icmpv6 type {{ {', '.join(LISTENER_TYPES)} }} accept",
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
        # Answers to DHCPv6 come from an address that was not asked.
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        f"meta mark and {GUEST_MARK:#x} != 0 jump guests",
        *routed,
        *rules,
        "jump registered",
        "jump refuse",
    ]
    refuse = [
        "meta pkttype { broadcast, multicast } drop",
        f'limit rate {LOG_LIMIT} log prefix "xensec_dom0 reject: " level info',
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx type admin-prohibited",
    ]

    def block(name: str, lines: Sequence[str], head: str = "") -> str:
        body = "".join(f"    {line}\n" for line in ([head] if head else []) + list(lines))
        return f"  chain {name} {{\n{body}  }}\n"

    return (
        f"table inet xensec_dom0 {{\n{sets}{guest_sets}"
        + block("registered", [])
        + block("refuse", refuse)
        + block("guests", [*guest_rules, "jump refuse"])
        + block("input", chain, "type filter hook input priority 0; policy accept;")
        + "}\ntable bridge xensec_dom0 {\n  chain input {\n"
        + "    type filter hook input priority 0; policy accept;\n"
        + f"{bridge}\n  }}\n}}\n"
    )


# --- iptables -----------------------------------------------------------------------------------------------


def port_groups(ports: Sequence[str]) -> list[str]:
    """Ports as multiport takes them: at most 15 numbers, a range counting twice."""
    groups: list[list[str]] = [[]]
    room = 15
    for port in ports:
        weight = 2 if "-" in port else 1
        if weight > room:
            groups.append([])
            room = 15
        groups[-1].append(port.replace("-", ":"))
        room -= weight
    return [",".join(group) for group in groups]


def ipset_name(networks: Sequence[str], family: int) -> str:
    """Name a set by its content: so it never changes, and old rules go on with the old one until they are gone."""
    return f"xensec_{hashlib.sha256(' '.join(networks).encode()).hexdigest()[:12]}_{family}"


def iptables_service(chain: str, service: Service, family: int, sets: dict[str, list[str]] | None) -> list[str]:
    """Return the rules that let one service return to where the chain was called from.

    :arg sets: takes the sources as a set of its own, so that the cost does not grow with their number; None for a rule
        for each.
    """
    sources = split_families(service.sources)[0 if family == 4 else 1]
    if service.sources and not sources:
        return []
    if sets is not None and len(sources) > 1:
        name = ipset_name(sources, family)
        sets[name] = sources
        froms = [f"-m set --match-set {name} src "]
    else:
        froms = [f"-s {source} " for source in sources] or [""]
    return [
        f"-A {chain} {interface}{source}-p {service.protocol} -m multiport --dports {ports} -j RETURN"
        for interface in ([f"-i {name.replace('*', '+')} " for name in service.interfaces] or [""])
        for source in froms
        for ports in port_groups(service.ports)
    ]


def iptables_refuse(chain: str, family: int) -> list[str]:
    prohibited = "icmp-admin-prohibited" if family == 4 else "icmp6-adm-prohibited"
    rules = [
        "-m pkttype --pkt-type broadcast -j DROP",
        "-m pkttype --pkt-type multicast -j DROP",
        f'-m limit --limit {LOG_LIMIT} -j LOG --log-prefix "xensec_dom0 reject: " --log-level 6',
        "-p tcp -j REJECT --reject-with tcp-reset",
        f"-j REJECT --reject-with {prohibited}",
    ]
    return [f"-A {chain} {rule}" for rule in rules]


def iptables(
    services: Sequence[Service], guest_services: Sequence[Service], family: int, sets: dict[str, list[str]]
) -> list[str]:
    """Return the rules of the chains for iptables or ip6tables; what is admitted returns to where they are called from.

    A bridge's ports are told apart by physdev, which sees them while bridge filtering is on, as it always was on old
    kernels, and as starting a guest turns it on today.
    """
    if family == 4:
        icmp = [f"-p icmp -m icmp --icmp-type {kind} -j RETURN" for kind in (3, 11, 12)]
    else:
        icmp = [
            *(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -m hl --hl-eq 255 -j RETURN" for kind in NEIGHBOUR_TYPES),
            *(f"-s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in LISTENER_TYPES),
            *(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in (1, 2, 3, 4)),
            "-s fe80::/10 -p udp -m udp --sport 547 --dport 546 -j RETURN",
        ]
    rules = [
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
        "-i lo -j RETURN",
        "-m addrtype --src-type LOCAL -j DROP",
        "-m conntrack --ctstate INVALID -j DROP",
        *icmp,
        *(f"-m physdev --physdev-in {name}+ -g {CHAIN}_GUESTS" for name in GUEST_INTERFACES),
        *(f"-i {name}+ -g {CHAIN}_GUESTS" for name in GUEST_INTERFACES),
    ]
    return [
        *(f"-A {CHAIN} {rule}" for rule in rules),
        *(rule for service in services for rule in iptables_service(CHAIN, service, family, sets)),
        REGISTERED,
        *iptables_refuse(CHAIN, family),
        *(rule for service in guest_services for rule in iptables_service(f"{CHAIN}_GUESTS", service, family, sets)),
        *iptables_refuse(f"{CHAIN}_GUESTS", family),
    ]


# --- the plan -----------------------------------------------------------------------------------------------


def registration(raw: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the rules by which another role's services are admitted, for firewall_ruleset to put in their place."""
    services = check_services(raw)
    nft_rules = []
    for service in services:
        four, six = split_families(service.sources)
        froms = [
            f"{family} saddr {{ {', '.join(listed)} }} " for family, listed in (("ip", four), ("ip6", six)) if listed
        ]
        nft_rules += [
            f"{interface}{source}{service.protocol} dport {{ {', '.join(service.ports)} }} accept "
            f'comment "{nft_comment(service.name)}"'
            for interface in ([f'iifname "{name}" ' for name in service.interfaces] or [""])
            for source in (froms or [""])
        ]
    return {
        "nftables": nft_rules,
        "iptables": [rule for service in services for rule in iptables_service(CHAIN, service, 4, None)],
        "ip6tables": [rule for service in services for rule in iptables_service(CHAIN, service, 6, None)],
    }


def dom0_firewall_plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Plan Dom0's packet filter; see the filter of the same name for what goes in and comes out."""
    check_platform("dom0_firewall", settings, facts)
    for manager in facts["firewall_managers"]:
        raise ValueError(
            f"{manager} is in charge of the packet filter of {host}: take it out of service first "
            f"(systemctl disable --now {manager}), or leave the role dom0_firewall out"
        )
    if not settings["management_sources"]:
        raise ValueError(
            "dom0_firewall_management_sources is empty, so nobody could log in any more: "
            "list the networks your operators, and Ansible, come from"
        )
    broad = require_flag("dom0_firewall_allow_broad_sources", settings["allow_broad_sources"])
    try:
        management = check_sources(settings["management_sources"], broad)
    except ValueError as error:
        raise ValueError(f"dom0_firewall_management_sources: {error}") from error
    control = facts.get("control")
    ports = sorted({int(settings["ssh_port"]), *([int(control["port"])] if control else [])})
    ssh = {"name": "ssh", "ports": ports, "sources": management}
    services = check_services([ssh, *settings["services"]], broad)
    guest_services = check_services(settings["guest_services"], broad)
    warnings = interface_warnings([*services, *guest_services], list(facts["interfaces"]))
    if settings["precheck"]:
        warnings += check_control(control, management, services)
    sets: dict[str, list[str]] = {}
    return {
        "nftables": nftables(services, guest_services),
        "iptables": iptables(services, guest_services, 4, sets),
        "ip6tables": iptables(services, guest_services, 6, sets),
        "sets": sets,
        "warnings": warnings,
    }
