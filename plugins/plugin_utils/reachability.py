# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can reach whose relocation port: what to try from each machine, and what the answers mean."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.controls import plain
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import looked_up

# What M(xensec.hardening.port_probe) finds.
STATES = ("open", "rejected", "filtered", "unreachable")


def relocation_targets(
    hostvars: Mapping[str, Mapping[str, Any]], nodes: Sequence[str], source: str = ""
) -> list[dict[str, Any]]:
    """Every relocation port on every address of every node but the source itself, as port_probe takes them."""
    hostvars = looked_up(hostvars)
    targets = []
    for node in nodes:
        variables = hostvars[node]
        if node == source or "xend_relocation_plan" not in variables:
            continue
        for _name, interface in sorted(variables["xend_relocation_info"]["interfaces"].items()):
            for item in interface["ipv4"] + interface["ipv6"]:
                for port in variables["xend_relocation_plan"]["guarded_ports"]:
                    targets.append({"name": node, "address": item["address"], "port": port})
    return targets


# A machine tries a thousand ports from the same few addresses.
address_of = lru_cache(maxsize=1024)(ipaddress.ip_address)


def is_admitted(plan: Mapping[str, Any], source: str, address: str, port: int) -> bool:
    """Whether the node's plan lets this source address connect to this address and port of it."""
    if not source or address != plan["address"] or port not in plan["ports"]:
        return False
    single, networks = admitted_sources(tuple(plan["sources"]))
    parsed = address_of(source)
    return parsed in single or any(parsed in network for network in networks)


@lru_cache(maxsize=1024)
def admitted_sources(sources: tuple[str, ...]) -> tuple[frozenset[Any], tuple[Any, ...]]:
    """The sources as single addresses and networks: each of two hundred peers is looked up for each path to a node."""
    networks = [ipaddress.ip_network(item) for item in sources]
    single = frozenset(item.network_address for item in networks if item.prefixlen == item.max_prefixlen)
    return single, tuple(item for item in networks if item.prefixlen < item.max_prefixlen)


# The node that was tried, an address and a port of it; what came of that, and the address that it was tried from.
Path = tuple[str, str, int]
Answer = tuple[str, str | None]


def answers(variables: Mapping[str, Any], asked: Mapping[Path, Path]) -> dict[Path, Answer] | None:
    """What a machine found where it tried the ports, as port_probe returned it in either form.

    None where it did not try them, or its answers are not those to what it was asked.
    """
    probe = variables.get("dom0_audit_probe") or {}
    found: dict[Path, Answer] = {}
    try:
        results = json.loads(probe["results_json"]) if "results_json" in probe else probe["results"]
        for result in results:
            path = asked[result["name"], result["address"], result["port"]]
            state, source = result["state"], result["source"]
            if state not in STATES or not (source is None or isinstance(source, str)):
                return None
            found[path] = str(state), source and str(address_of(source))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return found if len(found) == len(asked) else None


def tries(
    hostvars: Mapping[str, Mapping[str, Any]], sources: Sequence[str], nodes: Sequence[str]
) -> dict[str, dict[Path, Answer]]:
    """What each machine that tried the nodes' ports found; one that did not, or says otherwise, is not in it."""
    targets = [(item["name"], str(item["address"]), int(item["port"])) for item in relocation_targets(hostvars, nodes)]
    found = {
        source: answers(hostvars[source], {path: path for path in targets if path[0] != source}) for source in sources
    }
    return {source: results for source, results in found.items() if results is not None}


def paths(
    hostvars: Mapping[str, Mapping[str, Any]], tried: Mapping[str, Mapping[Path, Answer]]
) -> list[dict[str, Any]]:
    """Each path that was tried, what came of it, and what the plan of the node has it be."""
    found = []
    # Of two hundred nodes there are a quarter of a million paths, and a template's evaluation behind each look at a fact.
    plans: dict[str, dict[str, Any]] = {}
    for source, results in tried.items():
        for (node, address, port), (state, own) in results.items():
            if node not in plans:
                plan = hostvars[node]["xend_relocation_plan"]
                plans[node] = {key: plain(plan[key]) for key in ("address", "ports", "sources", "peers")}
            # A peer without a route has no address that it tried from, and should have got through all the same.
            admitted = is_admitted(plans[node], own or plans[node]["peers"].get(source, ""), address, port)
            found.append(
                {
                    "source": source,
                    "source_address": own,
                    "node": node,
                    "address": address,
                    "port": port,
                    "state": state,
                    "expected": "open" if admitted else "refused",
                    "as_planned": admitted == (state == "open"),
                }
            )
    return found


def reachability(
    hostvars: Mapping[str, Mapping[str, Any]],
    sources: Sequence[str],
    nodes: Sequence[str],
    targets: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compare what each machine reached with what the nodes' plans admit."""
    hostvars = looked_up(hostvars)
    cells: dict[tuple[str, str], Counter[str]] = {}
    surprises: list[str] = []
    tally: Counter[str] = Counter()
    tried = tries(hostvars, sources, nodes if targets is None else targets)
    for path in paths(hostvars, tried):
        cells.setdefault((path["source"], path["node"]), Counter())[path["state"]] += 1
        tally["tried"] += 1
        tally["open" if path["state"] == "open" else "closed"] += 1
        if not path["as_planned"]:
            scenario = hostvars[path["node"]]["xend_relocation_plan"]["scenario"]
            surprises.append(
                f"{path['source']} ({path['source_address'] or 'no address'}) to {path['node']} {path['address']} "
                f"port {path['port']}: {path['state']}, should be {path['expected']} under {scenario}"
            )
    silent = [host for host in sources if host not in tried]
    unread = [node for node in nodes if "xend_relocation_plan" not in hostvars[node]]
    return {
        "tried": tally["tried"],
        "open": tally["open"],
        "refused": tally["closed"],
        "surprises": surprises,
        "unreached": sorted({*silent, *unread}),
        "lines": draw(cells, sources, nodes),
        "summary": summary(tally, len(sources) - len(silent), surprises, sorted({*silent, *unread})),
    }


def draw(cells: Mapping[tuple[str, str], Counter[str]], sources: Sequence[str], nodes: Sequence[str]) -> list[str]:
    """The matrix as lines of text: a row for each source, a column for each node."""

    def cell(source: str, node: str) -> str:
        if source == node:
            return "-"
        counted = cells.get((source, node), Counter())
        return ", ".join(f"{number} {state}" for state, number in sorted(counted.items())) or "not tried"

    rows = [
        ["from \\ to", *nodes],
        *([source, *(cell(source, node) for node in nodes)] for source in sources),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(nodes) + 1)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def summary(tally: Mapping[str, int], sources: int, surprises: Sequence[str], unreached: Sequence[str]) -> str:
    text = (
        f"{tally.get('tried', 0)} relocation paths tried from {sources} machines: {tally.get('open', 0)} open, "
        f"{tally.get('closed', 0)} refused, {len(surprises)} not as planned"
    )
    return text + (f"; not reached: {', '.join(unreached)}" if unreached else "")
