# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can reach whose relocation port: what to try from each machine, and what the answers mean."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def relocation_targets(
    hostvars: Mapping[str, Mapping[str, Any]], nodes: Sequence[str], source: str
) -> list[dict[str, Any]]:
    """Every relocation port on every address of every node but the source itself, as port_probe takes them."""
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


def is_admitted(plan: Mapping[str, Any], source: str, address: str, port: int) -> bool:
    """Whether the node's plan lets this source address connect to this address and port of it."""
    if not source or address != plan["address"] or port not in plan["ports"]:
        return False
    return any(ipaddress.ip_address(source) in ipaddress.ip_network(item) for item in plan["sources"])


def reachability(
    hostvars: Mapping[str, Mapping[str, Any]], sources: Sequence[str], nodes: Sequence[str]
) -> dict[str, Any]:
    """Compare what each machine reached with what the nodes' plans admit."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    surprises: list[str] = []
    tally: Counter[str] = Counter()
    for source in sources:
        probe = hostvars[source].get("dom0_audit_probe") or {}
        for result in probe.get("results", []):
            node = result["name"]
            plan = hostvars[node]["xend_relocation_plan"]
            # A peer without a route has no address that it tried from, and should have got through all the same.
            address = result["source"] or plan["peers"].get(source, "")
            admitted = is_admitted(plan, address, result["address"], result["port"])
            cells.setdefault((source, node), Counter())[result["state"]] += 1
            tally["tried"] += 1
            tally["open" if result["state"] == "open" else "closed"] += 1
            if admitted != (result["state"] == "open"):
                path = (
                    f"{source} ({result['source'] or 'no address'}) to {node} {result['address']} port {result['port']}"
                )
                wanted = "should be open" if admitted else "should be refused"
                surprises.append(f"{path}: {result['state']}, {wanted} under {plan['scenario']}")
    silent = [host for host in sources if "results" not in (hostvars[host].get("dom0_audit_probe") or {})]
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
