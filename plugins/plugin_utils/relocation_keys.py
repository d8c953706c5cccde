# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relocation over ssh: whether a node serves it, which keys its peers have, and who else root lets in."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import looked_up
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import parse_address

if TYPE_CHECKING:
    from ansible_collections.xensec.hardening.plugins.plugin_utils.relocation_settings import Settings

# Where a run has registered what a node's keys are, the latest first.
REGISTERED = ("xend_relocation_settled", "xend_relocation_retired", "xend_relocation_served", "xend_relocation_keys")
# What plans look at of their peers: in the inventory, and in what a peer has said.
OF_INVENTORY = ("ansible_host", "xend_relocation_address", "xend_relocation_interface")
READ = ("interfaces", "relocation", "root_keys")


def nodes_read(hostvars: Mapping[str, Mapping[str, Any]], hosts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What plans look at of those of the hosts that have been read."""
    found = {}
    for host in hosts:
        variables = hostvars[host]
        info = variables.get("xend_relocation_info") or {}
        if "interfaces" in info:
            found[host] = {name: variables[name] for name in OF_INVENTORY if name in variables}
            found[host]["xend_relocation_info"] = {name: info[name] for name in READ if name in info}
    return found


def service(settings: Settings, plan: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What M(xensec.hardening.xl_relocation) is to make of the node; state none: it has nothing to do there."""
    if plan["toolstack"] == "xl":
        state = "present" if plan["enabled"] else "absent"
    elif plan["tunnel"]:
        state = "present"
    else:
        state = "absent" if (facts.get("relocation") or {}).get("installed") else "none"
    return {
        "state": state,
        "purpose": "forward" if plan["tunnel"] else "migrate",
        "port": settings.port,
        "forward_to": plan["tunnel"] or f"127.0.0.1:{settings.port}",
        "generation": settings.key_generation,
        "outgoing": "allowed" if plan["enabled"] or plan["toolstack"] == "xend" else "refused",
    }


def login_addresses(
    settings: Settings,
    name: str,
    plan: Mapping[str, Any],
    facts: Mapping[str, Any],
    hostvars: Mapping[str, Mapping[str, Any]],
    read: Mapping[str, Any],
) -> list[str]:
    """Every address that root of a peer could come from, over the ordinary ssh; none where that is allowed."""
    if plan["toolstack"] != "xl" or settings.allow_root_keys:
        return []
    found = set(plan["peers"].values())
    for peer in settings.peers:
        if peer == name:
            continue
        if peer not in hostvars:
            found.add(str(parse_address(peer)))
            continue
        info = hostvars[peer].get("xend_relocation_info") or read.get(peer) or {}
        found |= addresses(info.get("interfaces") or {})
    return sorted(
        # An address that several nodes have, as on bridges for containers, is none to come from.
        address
        for address in found - addresses(facts["interfaces"])
        if not ipaddress.ip_address(address).is_link_local
    )


def addresses(interfaces: Mapping[str, Any]) -> set[str]:
    return {str(item["address"]) for facts in interfaces.values() for item in facts["ipv4"] + facts["ipv6"]}


def latest(name: str, hostvars: Mapping[str, Mapping[str, Any]], read: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this run knows of a node's keys; empty where it knows nothing."""
    if name not in hostvars:
        return {}
    variables = hostvars[name]
    for variable in REGISTERED:
        registered: Mapping[str, Any] = variables.get(variable) or {}
        if "generations" in registered:
            return registered
    for info in (variables.get("xend_relocation_info"), read.get(name)):
        if info and "relocation" in info:
            found: Mapping[str, Any] = info["relocation"]
            return found
    return {}


def public(node: Mapping[str, Any], kind: str) -> list[str]:
    """A node's public keys of a kind, client or host, those of the oldest generation first."""
    generations = node.get("generations") or {}
    return [str(generations[number][kind]) for number in sorted(generations, key=int)]


def names(peer: str, address: str, hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every name that the inventory gives a peer."""
    found = [peer, peer.partition(".")[0] if not peer.replace(".", "").isdigit() else peer]
    if peer in hostvars:
        found.append(str(hostvars[peer].get("ansible_host") or peer))
    return [*dict.fromkeys([*found, address])]


def by_address(peers: Mapping[str, str]) -> dict[str, list[str]]:
    """The peers by the relocation address that they say they have."""
    found: dict[str, list[str]] = {}
    for peer, address in peers.items():
        found.setdefault(address, []).append(peer)
    return found


def exchange(
    hostvars: Mapping[str, Mapping[str, Any]],
    host: str,
    plan: Mapping[str, Any],
    read: Mapping[str, Any],
    found: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Put each peer beside its keys, and tell whether this node's old keys can go.

    They can once every peer lets the new one in, and knows the node by the new one.

    :arg found: what nodes_read() returned when this run planned. Whether keys can go it cannot tell, as it does not say
        what the peers have been given since.
    """
    newest = str(plan["ssh"]["generation"])
    # Any other has got keys since, or let go of some.
    settled = {
        name: node
        for name, node in (found or {}).items()
        if name != host and [*(latest(name, {name: node}, {}).get("generations") or {})] == [newest]
    }
    hostvars = looked_up(hostvars, settled)
    own = latest(host, hostvars, read)
    nodes = {peer: latest(peer, hostvars, read) for peer in plan["peers"]}
    called = {peer: names(peer, address, hostvars) for peer, address in plan["peers"].items()}
    tally = Counter(name for found in called.values() for name in found)
    keys = (own.get("generations") or {}).get(newest)
    known = [
        keys is not None and keys["client"] in node.get("accepts", []) and keys["host"] in node.get("pins", [])
        for node in nodes.values()
    ]
    held = {peer: (tuple(public(node, "client")), tuple(public(node, "host"))) for peer, node in nodes.items()}
    # Known by the same address, one could pass for the other.
    claims = {
        address: {held[peer] for peer in named if any(held[peer])}
        for address, named in by_address(plan["peers"]).items()
    }
    peers = [
        {
            "name": peer,
            # A short name that two nodes share is neither's.
            "names": [name for name in called[peer] if tally[name] == 1],
            "address": address,
            "keys": [*held[peer][0]] if len(claims[address]) < 2 else [],
            "host_keys": [*held[peer][1]] if len(claims[address]) < 2 else [],
        }
        for peer, address in plan["peers"].items()
    ]
    current = {key for peer in peers for key in [*peer["keys"], *peer["host_keys"]]}
    stale = bool({*own.get("accepts", []), *own.get("pins", [])} - current)
    return {
        "peers": peers,
        "retire": len(own.get("generations") or {}) > 1 and all(known),
        "stale": stale,
        # Whether there is, or will be, something to let go of: keys that another retires become stale here.
        "rotating": stale or any(len(node.get("generations") or {}) > 1 for node in [own, *nodes.values()]),
    }


def check_root_keys(
    settings: Settings,
    name: str,
    facts: Mapping[str, Any],
    hostvars: Mapping[str, Mapping[str, Any]],
    read: Mapping[str, Any],
) -> list[str]:
    """Find the keys by which a peer gets in as root past the relocation service; refuse or warn about them."""
    owners: dict[str, str] = {}
    unread = []
    for peer in settings.peers:
        if peer == name or peer not in hostvars:
            continue
        info = hostvars[peer].get("xend_relocation_info") or read.get(peer) or {}
        if "root_keys" not in info:
            unread.append(peer)
            continue
        owners.update({key: peer for key in info["root_keys"]["own"]})
    found = [
        f"line {entry['line']} of {entry['path']}"
        + (f" ({entry['comment']})" if entry["comment"] else "")
        + f" lets {owners[entry['key']]} in"
        for entry in facts["root_keys"]["admitted"]
        if entry["key"] in owners
    ]
    warnings = []
    if found:
        text = f"whoever is root on a peer is root on {name} by the ordinary ssh: {'; '.join(found)}"
        if settings.scenario == "untrusted_subnet" and not settings.allow_root_keys:
            raise ValueError(
                f"{text}. That way guests can be moved here all the same: take the keys out, or set "
                "xend_relocation_allow_root_keys to true"
            )
        warnings.append(f"{text}. Relocation does not need that any more: take the keys out")
    if unread:
        warnings.append(
            f"whether {', '.join(unread)} can log in as root on {name} was not looked at, because they could not be read"
        )
    return warnings
