# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The perimeter of a cluster, from the role's variables to rules and kernel settings for its gateways."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.firewall import (
    Service,
    admits_port,
    check_service,
    distinct,
    ipset_name,
    nft_comment,
    nft_set,
    port_groups,
    split_families,
)
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import Address, Network, check_networks
from ansible_collections.xensec.hardening.plugins.plugin_utils.platforms import check_platform

CHAIN = "XENSEC_PERIMETER"
FAMILIES = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))
# What the packet filter counts, by the names the audit reads.
COUNTERS = (
    "spoofed_gateway",
    "spoofed_cluster",
    "spoofed_bogon",
    "spoofed_reverse_path",
    "spoofed_inside",
    "relocation_rejected",
    "forward_rejected",
)
# The migration ports of libvirt (qemu.conf and libxl.conf: migration_port_min, and 64 more).
LIBVIRT_PORTS = "49152-49216"
# Sources that nothing on the Internet has (RFC 6890 and its registries, RFC 5735, RFC 6666, RFC 9637, RFC 9602).
BOGONS = [
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        *("::/8", "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20"),
        *("5f00::/16", "fc00::/7", "fec0::/10", "ff00::/8"),
    )
]
# Routes broader than these are default routes in disguise, and say nothing about who is where.
BROADEST_ROUTE = {4: 7, 6: 15}


@dataclass
class Perimeter:
    """What was asked for, checked against what the gateway has."""

    outside: list[str]
    # Interfaces that a cluster network is on.
    cluster_interfaces: list[str]
    # Bridges: what is bridged, not routed, may pass by as well, and is none of our business.
    bridges: list[str]
    cluster: list[str]
    inside: list[str]
    bogons: list[str]
    relocation_ports: tuple[str, ...]
    strict: bool
    reject: bool
    services: list[tuple[Service, list[str]]]
    warnings: list[str] = field(default_factory=list)


# --- what the gateway has -----------------------------------------------------------------------------------


def connected(interface: Mapping[str, Any]) -> list[Network]:
    """The networks an interface has an address in."""
    return [
        ipaddress.ip_network(f"{item['address']}/{item['prefix']}", strict=False)
        for family in ("ipv4", "ipv6")
        for item in interface[family]
    ]


def reached(interface: Mapping[str, Any]) -> list[Network]:
    """The networks an interface has an address in, or a route to."""
    routes = [ipaddress.ip_network(text) for text in interface["routes"] or ()]
    routes = [route for route in routes if route.prefixlen > BROADEST_ROUTE[route.version]]
    return list(dict.fromkeys([*connected(interface), *routes]))


def within(inner: Network | Address, outers: Iterable[Network]) -> bool:
    network = ipaddress.ip_network(inner)
    return any(
        network.version == outer.version and network.subnet_of(outer)  # type: ignore[arg-type]
        for outer in outers
    )


def arrives_on(address: Address, interfaces: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The interfaces that the longest route to the address leads through: what it sends comes in there, too."""
    found: dict[int, list[str]] = {}
    for name, interface in interfaces.items():
        lengths = [network.prefixlen for network in reached(interface) if within(address, [network])]
        if lengths:
            found.setdefault(max(lengths), []).append(name)
    if found:
        return found[max(found)]
    return [name for name, interface in interfaces.items() if interface["default_route"]]


def without(networks: Iterable[Network], exceptions: Iterable[Network]) -> list[Network]:
    """The networks with the exceptions cut out."""
    left = list(networks)
    for exception in exceptions:
        cut: list[Network] = []
        for network in left:
            if network.version != exception.version or not network.overlaps(exception):
                cut.append(network)
            elif exception.prefixlen > network.prefixlen:
                cut.extend(network.address_exclude(exception))  # type: ignore[arg-type]
        left = cut
    return list(collapse(left))


def collapse(networks: Iterable[Network]) -> list[Network]:
    """The same addresses in as few networks as possible, in order, IPv4 first."""
    listed = list(networks)
    four = ipaddress.collapse_addresses(item for item in listed if isinstance(item, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(item for item in listed if isinstance(item, ipaddress.IPv6Network))
    return [*four, *six]


# --- checks -------------------------------------------------------------------------------------------------


def networks_of(settings: Mapping[str, Any], name: str, allow_broad: bool = True) -> list[Network]:
    try:
        return check_networks(list(settings[name]), allow_broad=allow_broad)
    except ValueError as error:
        raise ValueError(f"perimeter_firewall_{name}: {error}") from error


def check_outside(names: Sequence[str], interfaces: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
    """Return the outside interfaces; refuse those that are not what packets are seen on."""
    if not names:
        raise ValueError(
            "perimeter_firewall_outside_interfaces is empty: name the interfaces behind which whoever is not the cluster is"
        )
    for name in names:
        if name not in interfaces:
            raise ValueError(
                f"perimeter_firewall_outside_interfaces has {name!r}, which is not on {host}: "
                f"it has {', '.join(sorted(interfaces))}"
            )
        if interfaces[name]["bridge"]:
            bridge = interfaces[name]["bridge"]
            raise ValueError(
                f"perimeter_firewall_outside_interfaces has {name!r}, a port of the bridge {bridge}, "
                f"and packets are seen on the bridge: write {bridge}"
            )
    for name in sorted(set(interfaces) - set(names)):
        if interfaces[name]["default_route"] and not any(interfaces[item]["default_route"] for item in names):
            raise ValueError(
                f"the default route of {host} leads through {name}, which perimeter_firewall_outside_interfaces does not "
                f"have, so all that comes from there would be dropped: add {name} to it"
            )
    return list(dict.fromkeys(names))


def check_cluster(
    cluster: Sequence[Network], outside: Sequence[str], interfaces: Mapping[str, Mapping[str, Any]], variable: str
) -> None:
    """Refuse networks of the inside that the outside has a part in, and those that are not behind this gateway."""
    for network in cluster:
        for name in outside:
            for item in (*interfaces[name]["ipv4"], *interfaces[name]["ipv6"]):
                if within(ipaddress.ip_address(item["address"]), [network]):
                    raise ValueError(
                        f"{variable} has {network}, and the outside interface {name} has the address "
                        f"{item['address']} in it: take the network out, or the interface out of "
                        "perimeter_firewall_outside_interfaces"
                    )
        inside = [interface for name, interface in interfaces.items() if name not in outside]
        known = [other for interface in inside for other in reached(interface)]
        overlaps = any(network.version == other.version and network.overlaps(other) for other in known)
        if not overlaps and all(interface["routes"] is not None for interface in inside):
            raise ValueError(
                f"{variable} has {network}, which no inside interface of this gateway has an address in or a route to: "
                "see whether it is mistyped, or add the route first"
            )


def check_both_families(
    cluster: Sequence[Network], interfaces: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Refuse to guard one family of an interface and leave the other open."""
    for name in names:
        own = connected(interfaces[name])
        for version in (4, 6):
            there = [network for network in own if network.version == version]
            listed = [network for network in there if any(network.overlaps(item) for item in same(cluster, version))]
            if there and not listed:
                raise ValueError(
                    f"perimeter_firewall_cluster_networks has an IPv{10 - version} network of the interface {name} and none "
                    f"of its IPv{version} ones, so the nodes would be open over IPv{version}: add {there[0]}"
                )


def same(networks: Iterable[Network], version: int) -> list[Any]:
    return [network for network in networks if network.version == version]


def check_destinations(raw: Mapping[str, Any]) -> tuple[Service, list[str]]:
    """Return one service and the networks it is offered in; none for all that are behind the gateway."""
    item = dict(raw)
    destinations = item.pop("destinations", None)
    service = check_service(item)
    if destinations is not None and not destinations:
        raise ValueError(
            f"the service {service.name!r} has an empty list of destinations, so it would be nowhere: "
            "name some, or leave destinations out"
        )
    try:
        return service, [str(network) for network in check_networks(list(destinations or ()))]
    except ValueError as error:
        raise ValueError(f"the destinations of the service {service.name!r}: {error}") from error


def forwarded_services(raw: Sequence[Mapping[str, Any]], outside: Sequence[str]) -> list[tuple[Service, list[str]]]:
    found = [check_destinations(item) for item in raw]
    distinct(service for service, _destinations in found)
    for service, _destinations in found:
        for interface in service.interfaces:
            if interface not in outside:
                raise ValueError(
                    f"the service {service.name!r} names the interface {interface!r}, which is not among "
                    f"perimeter_firewall_outside_interfaces ({', '.join(outside)}): only what comes in there is rejected"
                )
    return found


def check_control(
    control: Mapping[str, Any] | None,
    plan: Perimeter,
    interfaces: Mapping[str, Mapping[str, Any]],
    node_ports: Sequence[int],
) -> list[str]:
    """Refuse rules that would stop the operator, on the way to the gateway or on through it to the nodes."""
    if not control:
        return [
            "the host cannot tell where Ansible's connection comes from, so it was not checked beforehand that it "
            "passes; the rollback guards against a mistake all the same"
        ]
    address = ipaddress.ip_address(control["address"])
    ways = arrives_on(address, interfaces)
    came = f"this run comes in from {address} through {' or '.join(ways) or 'an unknown interface'}"
    if not set(ways) & set(plan.outside):
        if ways and not within(address, map(ipaddress.ip_network, [*plan.cluster, *plan.inside])):
            raise ValueError(
                f"{came}, and what it sends on to the nodes would be dropped: "
                f"add {address} to perimeter_firewall_inside_networks"
            )
        return []
    if within(address, map(ipaddress.ip_network, plan.cluster)):
        raise ValueError(
            f"{came}, an outside interface, and is in perimeter_firewall_cluster_networks, so it would be dropped as "
            "spoofed: see which of the two is wrong"
        )
    if within(address, map(ipaddress.ip_network, plan.bogons)):
        raise ValueError(
            f"{came}, from space that the Internet does not use, so it would be dropped as spoofed: "
            f"add {address} to perimeter_firewall_outside_networks, or the network it is in"
        )
    for port in node_ports if plan.reject else ():
        if not any(admits_operator(service, port, address, ways) for service, _destinations in plan.services):
            raise ValueError(
                f"{came}, and no service admits it to port {port} of the nodes behind this gateway, which Ansible uses: "
                f"add {{name: ssh, ports: [{port}], sources: [{address}]}} to perimeter_firewall_services, "
                "or set perimeter_firewall_precheck to false if you reach them another way"
            )
    return []


def admits_operator(service: Service, port: int, address: Address, ways: Sequence[str]) -> bool:
    return (
        admits_port(service, port)
        and (not service.sources or within(address, map(ipaddress.ip_network, service.sources)))
        and (not service.interfaces or bool(set(ways) & set(service.interfaces)))
    )


# --- nftables -----------------------------------------------------------------------------------------------


def nft_sets(name: str, networks: Sequence[str]) -> str:
    return "".join(
        nft_set(f"{name}{version}", kind, elements)
        for (version, _family, kind), elements in zip(FAMILIES, split_families(networks), strict=True)
        if elements
    )


def nft_each(networks: Sequence[str], rule: str) -> list[str]:
    """The rule for each family that there are networks of; F and V stand for the family and its version."""
    return [
        rule.replace("{F}", family).replace("{V}", str(version))
        for (version, family, _kind), elements in zip(FAMILIES, split_families(networks), strict=True)
        if elements
    ]


def nft_service(index: int, service: Service, destinations: Sequence[str]) -> tuple[str, list[str]]:
    sets = nft_sets(f"service{index}_from", service.sources) + nft_sets(f"service{index}_to", destinations)
    rules = []
    for version, family, _kind in FAMILIES:
        match = ""
        for side, word, networks in (("from", "saddr", service.sources), ("to", "daddr", destinations)):
            if networks and not same(map(ipaddress.ip_network, networks), version):
                break
            match += f"{family} {word} @service{index}_{side}{version} " if networks else ""
        else:
            rules += [
                f"{interface}{match}{service.protocol} dport {{ {', '.join(service.ports)} }} accept "
                f'comment "{nft_comment(service.name)}"'
                for interface in ([f'iifname "{name}" ' for name in service.interfaces] or [""])
            ]
    return sets, list(dict.fromkeys(rules))


def nftables(plan: Perimeter) -> str:
    def drop(counter: str) -> str:
        return f"counter name {counter} drop"

    services = [nft_service(index, service, to) for index, (service, to) in enumerate(plan.services)]
    prerouting = [
        # Ahead of defragmentation: forged fragments go one by one, before they can be put together with genuine ones.
        "type filter hook prerouting priority -450; policy accept;",
        'iifname "lo" accept',
        *(f'iifname "{name}" goto outside' for name in plan.outside),
        *(f'iifname "{name}" accept' for name in plan.cluster_interfaces),
        # From elsewhere inside, guests' networks for one, the cluster's sources come only where the route back leads.
        *nft_each(plan.cluster, f"{{F}} saddr @cluster{{V}} fib saddr . iif oif missing {drop('spoofed_cluster')}"),
    ]
    outside = [
        # A host's own multicasts come back to it.
        f"meta pkttype host fib saddr type local {drop('spoofed_gateway')}",
        *nft_each(plan.cluster, f"{{F}} saddr @cluster{{V}} {drop('spoofed_cluster')}"),
        # Neighbour discovery; no router passes these on (RFC 4291 2.5.2, 2.5.6).
        "ip6 saddr { ::, fe80::/10 } accept",
        # The answers of a provider's DHCP server, which may be in private space.
        "udp sport 67 udp dport 68 fib daddr type { local, broadcast } accept",
        *nft_each(plan.bogons, f"{{F}} saddr @bogon{{V}} {drop('spoofed_bogon')}"),
        f"fib saddr {'. iif ' if plan.strict else ''}oif missing {drop('spoofed_reverse_path')}",
    ]
    inside = [
        f"fib saddr type local {drop('spoofed_gateway')}",
        *nft_each(plan.cluster, "{F} saddr @cluster{V} return"),
        *nft_each(plan.inside, "{F} saddr @inside{V} return"),
        drop("spoofed_inside"),
    ]
    relocation = [
        # What the nodes asked for themselves, from a port that happens to be one of these.
        "ct state established,related ct direction reply return",
        *nft_each(plan.cluster, "{F} saddr @cluster{V} return"),
        *nft_each(
            plan.cluster,
            f"{{F}} daddr @cluster{{V}} tcp dport {{ {', '.join(plan.relocation_ports)} }} "
            "counter name relocation_rejected reject with tcp reset",
        ),
    ]
    listed = [
        "ct state established,related accept",
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
        *(rule for _sets, rules in services for rule in rules),
        "counter name forward_rejected",
        "meta pkttype { broadcast, multicast } drop",
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx type admin-prohibited",
    ]
    forward = [
        "type filter hook forward priority -10; policy accept;",
        *(f'iifname "{name}" oifname "{name}" accept' for name in plan.bridges),
        "jump sources",
        "jump relocation",
        *(f'iifname "{name}" jump listed' for name in plan.outside if plan.reject),
    ]
    sources = [*(f'iifname "{name}" return' for name in plan.outside), *inside]
    chains = {"outside": outside, "sources": sources, "relocation": relocation}
    if plan.reject:
        chains["listed"] = listed
    chains |= {"prerouting": prerouting, "forward": forward}
    return (
        "table inet xensec_perimeter {\n"
        + "".join(f"  counter {name} {{ }}\n" for name in COUNTERS)
        + "".join(
            nft_sets(name, networks)
            for name, networks in (("cluster", plan.cluster), ("inside", plan.inside), ("bogon", plan.bogons))
        )
        + "".join(service_sets for service_sets, _rules in services)
        + "".join(
            f"  chain {name} {{\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"
            for name, rules in chains.items()
        )
        + "}\n"
    )


# --- iptables -----------------------------------------------------------------------------------------------


class Tables:
    """The rules of iptables or ip6tables, as they are written."""

    def __init__(self, version: int, sets: dict[str, list[str]]) -> None:
        self.version, self.sets = version, sets
        self.rules: list[str] = []

    def own(self, networks: Sequence[str]) -> list[str]:
        return split_families(networks)[0 if self.version == 4 else 1]

    def add(self, chain: str, rule: str, table: str = "") -> None:
        self.rules.append(f"{table}-A {CHAIN}{chain} {rule}")

    def raw(self, chain: str, rule: str) -> None:
        self.add(chain, rule, "-t raw ")

    def sources(self, networks: Sequence[str]) -> list[str]:
        """Matches for what comes from the networks: a set, where they are many."""
        elements = self.own(networks)
        if len(elements) < 2:
            return [f"-s {element} " for element in elements]
        name = ipset_name(elements, self.version)
        self.sets[name] = elements
        return [f"-m set --match-set {name} src "]


def counted(counter: str, verdict: str = "DROP") -> str:
    return f"-m comment --comment {counter} -j {verdict}"


def iptables(plan: Perimeter, version: int, sets: dict[str, list[str]]) -> list[str]:
    """Return the rules for one family; what is not stopped returns to where the chains were called from."""
    tables = Tables(version, sets)
    raw_rules(plan, tables)
    filter_rules(plan, tables)
    return tables.rules


def raw_rules(plan: Perimeter, tables: Tables) -> None:
    """What nftables does in its chain prerouting; the kernel itself drops some of it silently later on."""
    tables.raw("", "-i lo -j RETURN")
    for name in plan.outside:
        tables.raw("", f"-i {name} -g {CHAIN}_OUTSIDE")
    for name in plan.cluster_interfaces:
        tables.raw("", f"-i {name} -j RETURN")
    for source in tables.sources(plan.cluster):
        tables.raw("", f"{source}-m rpfilter --invert {counted('spoofed_cluster')}")
    local = "-m pkttype --pkt-type unicast -m addrtype --src-type LOCAL "
    tables.raw("_OUTSIDE", local + counted("spoofed_gateway"))
    for source in tables.sources(plan.cluster):
        tables.raw("_OUTSIDE", source + counted("spoofed_cluster"))
    if tables.version == 6:
        for address in ("::/128", "fe80::/10"):
            tables.raw("_OUTSIDE", f"-s {address} -j RETURN")
    else:
        for kind in ("LOCAL", "BROADCAST"):
            answer = f"-p udp -m udp --sport 67 --dport 68 -m addrtype --dst-type {kind} -j RETURN"
            tables.raw("_OUTSIDE", answer)
    for source in tables.sources(plan.bogons):
        tables.raw("_OUTSIDE", source + counted("spoofed_bogon"))
    loose = "" if plan.strict else "--loose "
    tables.raw("_OUTSIDE", f"-m rpfilter {loose}--invert {counted('spoofed_reverse_path')}")


def filter_rules(plan: Perimeter, tables: Tables) -> None:
    for name in plan.bridges:
        tables.add("", f"-i {name} -o {name} -j RETURN")
    tables.add("", f"-j {CHAIN}_SOURCES")
    tables.add("", f"-j {CHAIN}_RELOCATION")
    for name in plan.outside:
        tables.add("_SOURCES", f"-i {name} -j RETURN")
    tables.add("_SOURCES", "-m addrtype --src-type LOCAL " + counted("spoofed_gateway"))
    for source in (*tables.sources(plan.cluster), *tables.sources(plan.inside)):
        tables.add("_SOURCES", source + "-j RETURN")
    tables.add("_SOURCES", counted("spoofed_inside"))
    tables.add("_RELOCATION", "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j RETURN")
    for source in tables.sources(plan.cluster):
        tables.add("_RELOCATION", source + "-j RETURN")
    for network in tables.own(plan.cluster):
        for ports in port_groups(plan.relocation_ports):
            match = f"-d {network} -p tcp -m multiport --dports {ports} "
            tables.add("_RELOCATION", match + counted("relocation_rejected", "REJECT --reject-with tcp-reset"))
    if plan.reject:
        for name in plan.outside:
            tables.add("", f"-i {name} -j {CHAIN}_LISTED")
        listed_rules(plan, tables)


def listed_rules(plan: Perimeter, tables: Tables) -> None:
    """Under the policy reject: what passes from outside."""
    tables.add("_LISTED", "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
    kinds = (3, 11, 12) if tables.version == 4 else (1, 2, 3, 4)
    icmp = "-p icmp -m icmp --icmp-type" if tables.version == 4 else "-p ipv6-icmp -m icmp6 --icmpv6-type"
    for number in kinds:
        tables.add("_LISTED", f"{icmp} {number} -j RETURN")
    for service, destinations in plan.services:
        if (service.sources and not tables.own(service.sources)) or (destinations and not tables.own(destinations)):
            continue
        for interface in [f"-i {name} " for name in service.interfaces] or [""]:
            for source in tables.sources(service.sources) or [""]:
                for target in [f"-d {network} " for network in tables.own(destinations)] or [""]:
                    for ports in port_groups(service.ports):
                        ending = f"-p {service.protocol} -m multiport --dports {ports} -j RETURN"
                        tables.add("_LISTED", f"{interface}{source}{target}{ending}")
    prohibited = "icmp-admin-prohibited" if tables.version == 4 else "icmp6-adm-prohibited"
    tables.add("_LISTED", f"-g {CHAIN}_REJECT")
    for kind in ("broadcast", "multicast"):
        tables.add("_REJECT", f"-m pkttype --pkt-type {kind} " + counted("forward_rejected"))
    tables.add("_REJECT", "-p tcp " + counted("forward_rejected", "REJECT --reject-with tcp-reset"))
    tables.add("_REJECT", counted("forward_rejected", f"REJECT --reject-with {prohibited}"))


# --- kernel settings ----------------------------------------------------------------------------------------


# Why each of them is set, for whoever reads the file that they are in.
SYSCTL_REASONS = {
    "rp_filter": "the way back to a source leads where it came in (RFC 3704); of this and that for all the larger counts",
    "accept_source_route": "no packet chooses its own way past the rules (RFC 5095, RFC 7126)",
    "accept_redirects": "no neighbour bends the routes of a gateway (RFC 1812, section 5.2.7.2)",
}


def sysctls(plan: Perimeter, interfaces: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The settings that go with the rules, as sysctl_settings takes them.

    Of net.ipv4.conf.all.rp_filter and an interface's the larger counts, so C(all) goes to 0, and interfaces other than
    those of the outside keep, each as its own, what counted for them before. A second run reads the same from that.
    """

    def key(family: str, name: str, setting: str) -> str:
        # With slashes, a dot in an interface's name is no separator.
        return f"net/{family}/conf/{name}/{setting}"

    wanted = {key("ipv4", "all", "rp_filter"): "0"}
    for name, interface in interfaces.items():
        if name not in plan.outside and interface["rp_filter"] and interface["ipv4"] and not interface["bridge"]:
            wanted[key("ipv4", name, "rp_filter")] = str(interface["rp_filter"])
    for name in plan.outside:
        wanted[key("ipv4", name, "rp_filter")] = "1" if plan.strict else "2"
    for family in ("ipv4", "ipv6"):
        for name in ("all", *plan.outside):
            wanted[key(family, name, "accept_source_route")] = "0"
            wanted[key(family, name, "accept_redirects")] = "0"
    return [
        {"key": name, "value": value, "why": SYSCTL_REASONS[name.rpartition("/")[2]]}
        for name, value in sorted(wanted.items())
    ]


# --- the plan -----------------------------------------------------------------------------------------------


def inside_networks(
    listed: Sequence[Network],
    cluster: Sequence[Network],
    outside: Sequence[str],
    interfaces: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Network], list[str]]:
    """Return the networks behind the gateway besides the cluster's, and warnings of those nobody listed."""
    found, warnings = list(listed), []
    for name in sorted(set(interfaces) - set(outside)):
        if interfaces[name]["default_route"]:
            warnings.append(
                f"a default route leads through the inside interface {name}, too: what comes from there, with a source that "
                "is in no variable, is not let through"
            )
        if interfaces[name]["routes"] is None:
            warnings.append(
                f"{name} has too many routes to read: networks behind it that are in neither "
                "perimeter_firewall_cluster_networks nor perimeter_firewall_inside_networks are cut off"
            )
        for network in reached(interfaces[name]):
            if not within(network, [*cluster, *listed]):
                found.append(network)
                warnings.append(
                    f"{network} is behind the inside interface {name} and in no variable: it is let out all the same; "
                    "add it to perimeter_firewall_inside_networks to say that it is meant"
                )
    return collapse(found), warnings


def mode_warnings(settings: Mapping[str, Any], strict: bool, outside: Sequence[str]) -> list[str]:
    warnings = []
    if not strict:
        warnings.append(
            f"reverse path is loose on {', '.join(outside)}: a source is dropped only if there is no route to it at all, "
            "so one outside machine can pass for another; sources of the cluster, the gateway and bogon space are "
            "dropped as before"
        )
    elif len(outside) > 1:
        warnings.append(
            f"reverse path is strict on {', '.join(outside)}: what comes in by one of them, and is answered by another, "
            "is dropped; set perimeter_firewall_reverse_path to loose if routing is asymmetric"
        )
    if settings["forward_policy"] == "accept" and settings["services"]:
        warnings.append("perimeter_firewall_services has no effect while perimeter_firewall_forward_policy is accept")
    if settings["forward_policy"] == "reject" and len(settings["gateways"]) > 1:
        warnings.append(
            "there are several gateways: answers that come back by another one than the question left by are rejected "
            "there, unless they share their connection tracking (conntrackd)"
        )
    return warnings


def perimeter_firewall_plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Plan a gateway's packet filter; see the filter of the same name for what goes in and comes out."""
    check_platform("perimeter_firewall", settings, facts)
    for manager in facts["firewall_managers"]:
        raise ValueError(
            f"{manager} is in charge of the packet filter of {host}: take it out of service first "
            f"(systemctl disable --now {manager}), or leave the role perimeter_firewall out"
        )
    interfaces = facts["interfaces"]
    outside = check_outside(list(settings["outside_interfaces"]), interfaces, host)
    cluster = networks_of(settings, "cluster_networks", allow_broad=False)
    if not cluster:
        raise ValueError("perimeter_firewall_cluster_networks is empty: list the networks the nodes are in")
    listed = networks_of(settings, "inside_networks")
    for network in listed:
        if within(network, cluster):
            raise ValueError(
                f"perimeter_firewall_inside_networks has {network}, which is in perimeter_firewall_cluster_networks: "
                "take it out of one of them"
            )
    check_cluster(cluster, outside, interfaces, "perimeter_firewall_cluster_networks")
    check_cluster(listed, outside, interfaces, "perimeter_firewall_inside_networks")
    inside, warnings = inside_networks(listed, cluster, outside, interfaces)
    cluster_interfaces = [
        name
        for name in sorted(set(interfaces) - set(outside))
        if any(own.overlaps(item) for own in connected(interfaces[name]) for item in same(cluster, own.version))
    ]
    check_both_families(cluster, interfaces, cluster_interfaces)
    strict = settings["reverse_path"] == "strict" or (settings["reverse_path"] == "auto" and len(outside) == 1)
    ports = [*settings["relocation_ports"], *([LIBVIRT_PORTS] if settings["libvirt"] else [])]
    own_space = [network for name in outside for network in reached(interfaces[name])]
    exceptions = [*networks_of(settings, "outside_networks"), *own_space]
    plan = Perimeter(
        outside=outside,
        cluster_interfaces=cluster_interfaces,
        bridges=sorted({item["bridge"] for item in interfaces.values() if item["bridge"]}),
        cluster=[str(network) for network in cluster],
        inside=[str(network) for network in inside],
        bogons=[str(network) for network in without(BOGONS, exceptions)],
        relocation_ports=check_service({"name": "perimeter_firewall_relocation_ports", "ports": ports}).ports,
        strict=strict,
        reject=settings["forward_policy"] == "reject",
        services=forwarded_services(settings["services"], outside),
        warnings=[*warnings, *mode_warnings(settings, strict, outside)],
    )
    if settings["precheck"]:
        plan.warnings += check_control(facts.get("control"), plan, interfaces, list(settings["node_ports"]))
    sets: dict[str, list[str]] = {}
    return {
        "nftables": nftables(plan),
        "iptables": iptables(plan, 4, sets),
        "ip6tables": iptables(plan, 6, sets),
        "sets": sets,
        "sysctls": sysctls(plan, interfaces),
        "warnings": plan.warnings,
    }
