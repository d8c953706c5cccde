# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node listens for relocation where, and who may connect: the scenarios of "Securing Xen" as a plan.

The plan is the same for both tool stacks; only what listens is not: relocation_xend.py and relocation_keys.py.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils import relocation_keys, relocation_xend
from ansible_collections.xensec.hardening.plugins.plugin_utils.firewall import registration
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import parse_address
from ansible_collections.xensec.hardening.plugins.plugin_utils.platforms import check_platform
from ansible_collections.xensec.hardening.plugins.plugin_utils.relocation_settings import Settings

CHAIN = "XENSEC_RELOCATION"


def find_address(name: str, settings: Settings, interfaces: Mapping[str, Any]) -> tuple[str, str]:
    """Return (interface, IPv4 address) that relocation uses on the host called name.

    By O(address) if that is given, else the interface's one address, else the one address inside the networks,
    else the one of the interface with the default route.
    """
    if settings.interface and settings.interface not in interfaces:
        raise ValueError(
            f"{name} has no interface {settings.interface!r}: set xend_relocation_interface to one of "
            f"{', '.join(sorted(interfaces))}"
        )
    candidates = [
        (interface, item["address"])
        for interface, facts in sorted(interfaces.items())
        for item in facts["ipv4"]
        if settings.interface in ("", interface)
    ]
    if settings.address:
        chosen = [pair for pair in candidates if pair[1] == settings.address]
        if not chosen:
            raise ValueError(
                f"{name} has no address {settings.address}"
                + (f" on {settings.interface}" if settings.interface else "")
                + f": set xend_relocation_address to one of {', '.join(pair[1] for pair in candidates) or 'its own'}"
            )
        return chosen[0]
    if settings.networks:
        chosen = [pair for pair in candidates if contains(settings.networks, pair[1])]
        wanted = f"in {', '.join(settings.networks)}"
    elif settings.interface:
        chosen, wanted = candidates, f"on {settings.interface}"
    else:
        chosen = [pair for pair in candidates if interfaces[pair[0]]["default_route"]]
        wanted = "on the interface with the default route"
    if len(chosen) != 1:
        found = (
            f"{len(chosen)} IPv4 addresses ({', '.join(pair[1] for pair in chosen)})" if chosen else "no IPv4 address"
        )
        raise ValueError(
            f"{name} has {found} {wanted}: say which it is with xend_relocation_interface or xend_relocation_address"
        )
    interface, address = chosen[0]
    # What a node says of itself comes to be in the rules of others.
    try:
        return interface, str(ipaddress.IPv4Address(address))
    except ValueError:
        raise ValueError(
            f"{name} says that its address on {interface} is {address!r}, which is none: see what answers there"
        ) from None


def contains(networks: tuple[str, ...], address: str) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks)


def check_management_interface(name: str, interface: str, interfaces: Mapping[str, Any]) -> list[str]:
    """Refuse an interface that does not isolate; return warnings about one that may not."""
    if interface not in interfaces:
        what = f"and {name} has no interface {interface!r}" if interface else "which is not set"
        raise ValueError(
            "the scenario isolated_management needs xend_relocation_interface, the management network's interface, "
            f"{what}: set it to one of {', '.join(sorted(interfaces))}"
        )
    facts = interfaces[interface]
    if facts["bridge"]:
        raise ValueError(
            f"{interface} on {name} is a port of the bridge {facts['bridge']}: "
            "give management a network card, or a VLAN, that no bridge has"
        )
    if facts["guests"]:
        raise ValueError(
            f"{interface} on {name} is a bridge with guests on it, so management is not isolated from them: "
            "give management a network card, or a VLAN, of its own"
        )
    if not facts["up"]:
        raise ValueError(f"{interface} on {name} is down: bring it up first, xend could not listen on it")
    if facts["default_route"]:
        return [
            f"{interface} on {name} carries the default route too: whoever reaches {name} from elsewhere comes in "
            "on the network that is meant to be isolated"
        ]
    return []


def resolve_peers(
    name: str,
    own: str,
    settings: Settings,
    hostvars: Mapping[str, Mapping[str, Any]],
    read: Mapping[str, Any],
) -> dict[str, str]:
    """Return the peers' names with their relocation addresses, this host left out."""
    peers = {}
    for peer in settings.peers:
        if peer == name:
            continue
        address = peer_address(peer, settings, hostvars, read)
        if address == own:
            continue
        peers[peer] = address
    return peers


def peer_address(
    peer: str, settings: Settings, hostvars: Mapping[str, Mapping[str, Any]], read: Mapping[str, Any]
) -> str:
    if peer not in hostvars:
        try:
            return str(ipaddress.IPv4Address(peer))
        except ValueError:
            raise ValueError(
                f"xend_relocation_peers names {peer!r}, which is neither a host of the inventory nor an IPv4 address"
            ) from None
    variables = hostvars[peer]
    explicit = str(variables.get("xend_relocation_address") or "")
    if explicit:
        try:
            return str(parse_address(explicit))
        except ValueError as error:
            raise ValueError(f"xend_relocation_address of the peer {peer!r}: {error}") from None
    info = variables.get("xend_relocation_info") or read.get(peer) or {}
    if "interfaces" not in info:
        raise ValueError(
            f"the relocation address of the peer {peer!r} is not known, because {peer} could not be read: "
            "make it reachable, or set xend_relocation_address for it in the inventory"
        )
    interface = str(variables.get("xend_relocation_interface") or settings.interface)
    theirs = replace(settings, address="", interface=interface)
    return find_address(peer, theirs, info["interfaces"])[1]


def check_peers(peers: Mapping[str, str], networks: tuple[str, ...]) -> None:
    for peer, address in peers.items():
        if not contains(networks, address):
            raise ValueError(
                f"the peer {peer} has the relocation address {address}, outside of {', '.join(networks)}: "
                "correct its address, or name its network in xend_relocation_networks"
            )


def shared_addresses(peers: Mapping[str, str]) -> list[str]:
    """Warnings about peers of which one may pass for the other."""
    return [
        f"{' and '.join(named)} have the same relocation address {address}: unless they are one machine, no guest moves "
        "to or from there over ssh until one of them is corrected"
        for address, named in relocation_keys.by_address(peers).items()
        if len(named) > 1
    ]


def choose_toolstack(name: str, wanted: str, found: Mapping[str, Any]) -> str:
    toolstack = str(found["detected"]) if wanted == "auto" else wanted
    if toolstack in ("xend", "xl"):
        return toolstack
    if wanted != "auto":
        raise ValueError(f"xend_relocation_toolstack is {wanted!r}: set it to auto, xend or xl")
    raise ValueError(
        f"the tool stack of {name} cannot be told ({', '.join(found['evidence'])}): "
        "set xend_relocation_toolstack to xend or xl"
    )


def decided(wanted: str, found: Mapping[str, Any]) -> str:
    if wanted != "auto":
        return f"relocation of {wanted}, as xend_relocation_toolstack says"
    return f"relocation of {found['detected']}, because {', '.join(found['evidence'])}"


def relocation_plan(
    raw: Mapping[str, Any],
    name: str,
    facts: Mapping[str, Any],
    hostvars: Mapping[str, Mapping[str, Any]],
    read: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Plan the relocation service of one node; see the filter of the same name for what goes in and comes out."""
    check_platform("xend_relocation", raw, facts)
    settings = Settings.check(raw)
    toolstack = choose_toolstack(name, settings.toolstack, facts["toolstack"])
    plan: dict[str, Any] = {
        "scenario": settings.scenario,
        "toolstack": toolstack,
        "decided": decided(settings.toolstack, facts["toolstack"]),
        "enabled": settings.scenario != "untrusted_subnet",
        "interface": "",
        "address": "",
        "ports": [],
        "guarded_ports": settings.guarded_ports,
        "peers": {},
        "sources": [],
        "warnings": [],
    }
    if plan["enabled"]:
        if settings.scenario == "isolated_management":
            plan["warnings"] += check_management_interface(name, settings.interface, facts["interfaces"])
        plan["interface"], plan["address"] = find_address(name, settings, facts["interfaces"])
        own = facts["interfaces"][plan["interface"]]
        plan["peers"] = resolve_peers(name, plan["address"], settings, hostvars, read or {})
        plan["warnings"] += shared_addresses(plan["peers"])
        connected = tuple(
            str(ipaddress.ip_interface(f"{item['address']}/{item['prefix']}").network)
            for item in own["ipv4"]
            if item["address"] == plan["address"]
        )
        if settings.networks and not contains(settings.networks, plan["address"]):
            raise ValueError(
                f"{name} has the relocation address {plan['address']}, outside of {', '.join(settings.networks)}: "
                "correct xend_relocation_address, or name its network in xend_relocation_networks"
            )
        # A tunnel may lead anywhere.
        if settings.networks or settings.scenario != "secure_tunnel":
            check_peers(plan["peers"], settings.networks or connected)
        by_network = settings.scenario == "firewalled_subnet" and settings.networks
        if not plan["peers"] and not by_network:
            raise ValueError(
                f"{name} has no peer to relocate to: name the other nodes in xend_relocation_peers "
                "(the default is the group xen_nodes), or choose the scenario untrusted_subnet"
            )
        plan["sources"] = list(settings.networks) if by_network else sorted(set(plan["peers"].values()))
        # Over ssh all of it is encrypted.
        plan["ports"] = [settings.port] + ([settings.ssl_port] if settings.ssl and toolstack == "xend" else [])
    sockets = [f"{plan['address']}:{port}" for port in plan["ports"]]
    plan["tunnel"] = (
        f"127.0.0.1:{settings.port}" if toolstack == "xend" and settings.scenario == "secure_tunnel" else ""
    )
    plan["listeners"] = sorted(sockets + ([plan["tunnel"]] if plan["tunnel"] else []))
    plan["options"] = relocation_xend.options(settings, plan) if toolstack == "xend" else {}
    plan["ssh"] = relocation_keys.service(settings, plan, facts)
    plan["ssh"]["refuse_root_from"] = relocation_keys.login_addresses(settings, name, plan, facts, hostvars, read or {})
    plan["guard"] = guard(plan)
    if toolstack == "xl":
        plan["warnings"] += relocation_keys.check_root_keys(settings, name, facts, hostvars, read or {})
    return plan


def guard(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The node's own packet filter for the relocation ports, in the words of both back ends.

    xend's list of allowed hosts matches host names that a peer's DNS gives, too, and its sockets accept before they
    ask; what is not admitted here does not get that far. IPv6 is rejected as a whole: relocation takes place on IPv4.
    """
    ports = ", ".join(str(port) for port in plan["guarded_ports"])
    admitted = ", ".join(str(port) for port in plan["ports"])
    # A packet for the management address may come in on any interface, the front one included.
    interface = plan["interface"] if plan["scenario"] == "isolated_management" else ""
    nft_rules, iptables = [], []
    if plan["enabled"]:
        where = f'iifname "{interface}" ' if interface else ""
        nft_rules.append(f"{where}ip daddr {plan['address']} ip saddr @peers tcp dport {{ {admitted} }} accept")
        where = f"-i {interface} " if interface else ""
        iptables = [
            f"-A {CHAIN} {where}-s {source} -d {plan['address']} -p tcp "
            f"-m multiport --dports {admitted.replace(' ', '')} -j RETURN"
            for source in plan["sources"]
        ]
    if plan["tunnel"]:
        # Where the forward of ssh comes out.
        nft_rules.append(f'iifname "lo" ip daddr 127.0.0.1 tcp dport {{ {admitted} }} accept')
        iptables.append(f"-A {CHAIN} -i lo -d 127.0.0.1 -p tcp -m multiport --dports {admitted} -j RETURN")
    nft_rules.append(f"tcp dport {{ {ports} }} reject with tcp reset")
    reject = f"-A {CHAIN} -p tcp -m multiport --dports {ports.replace(' ', '')} -j REJECT --reject-with tcp-reset"
    peers = f"""\
  set peers {{
    type ipv4_addr; flags interval
    elements = {{ {", ".join(plan["sources"])} }}
  }}
"""
    rules = "\n".join(f"    {rule}" for rule in nft_rules)
    nftables = f"""\
table inet xensec_relocation {{
{peers if plan["sources"] else ""}  chain input {{
    type filter hook input priority -5; policy accept;
{rules}
  }}
}}
"""
    service = {"name": "relocation", "ports": plan["ports"], "sources": plan["sources"]}
    return {
        "nftables": nftables,
        "iptables": [*iptables, reject],
        "ip6tables": [reject],
        "registers": registration([service] if plan["enabled"] else []),
    }
