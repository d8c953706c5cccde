# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things go on the map of who reaches whose relocation port: machines in columns, networks in rows.

A path goes over the network that the address it leads to is in: to the right above the addresses, to the left below them.
Of many machines only groups are drawn, with the number of their paths into each network.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import is_planned

# The worst first: one line is drawn for all the ports between two machines in a network.
KINDS = ("unplanned_open", "unplanned_refused", "open", "refused")
MOST_MACHINES = 8
MOST_NETWORKS = 12
GUTTER, WIDTH, HEAD, CHARACTER = 172, 1120, 62, 6.3
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def kind_of(answer: Mapping[str, Any]) -> str:
    """What a path is to its reader: open or refused, and whether that is as planned."""
    reached = "open" if answer["state"] == "open" else "refused"
    return reached if is_planned(answer) else f"unplanned_{reached}"


def each_path(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """Each path: where from, to which port, of what kind, and how it was answered."""
    for port in report["ports"]:
        for answer in port["answers"]:
            kind = kind_of(answer)
            for source in answer["sources"]:
                yield source, port, kind, answer["state"]


def segments(hosts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The networks. Those that share an interface, as one of IPv4 and one of IPv6 do, are one."""
    merged: list[dict[str, Any]] = []
    interfaces: dict[tuple[str, str], set[str]] = {}
    for host in hosts:
        for item in host["networks"]:
            interfaces.setdefault((host["name"], item["interface"]), set()).add(item["network"])
    for together in interfaces.values():
        joined = [segment for segment in merged if segment["networks"] & together]
        networks = together.union(*(segment["networks"] for segment in joined))
        merged = [segment for segment in merged if segment not in joined] + [{"networks": networks}]

    def order(network: str) -> tuple[int, Any]:
        parsed = ipaddress.ip_network(network)
        return parsed.version, parsed

    for segment in merged:
        segment["networks"] = sorted(segment["networks"], key=order)
    return sorted(merged, key=lambda segment: order(segment["networks"][0]))


class Networks:
    """Which network an address is in."""

    def __init__(self, found: Sequence[Mapping[str, Any]]) -> None:
        self.parsed = [
            (ipaddress.ip_network(network), index) for index, item in enumerate(found) for network in item["networks"]
        ]
        self.known: dict[str, int | None] = {}

    def index(self, address: str) -> int | None:
        if address not in self.known:
            try:
                parsed: Address = ipaddress.ip_address(address)
            except ValueError:
                return None
            self.known[address] = next((index for network, index in self.parsed if parsed in network), None)
        return self.known[address]


def draw_map(report: Mapping[str, Any]) -> dict[str, Any]:
    """Everything on the map with its place."""
    machines = [host for host in report["hosts"] if {"node", "probe"} & set(host["roles"]) or host["tried"]]
    found = segments(machines)
    where = Networks(found)
    if len(machines) > MOST_MACHINES or len(found) > MOST_NETWORKS:
        return draw_groups(report, machines, found, where)
    return draw_machines(report, machines, found, where)


def machine_paths(report: Mapping[str, Any], where: Networks) -> dict[tuple[int, str, str], dict[str, list[str]]]:
    """The paths by network, source and node, and by their kind, each in words."""
    found: dict[tuple[int, str, str], dict[str, list[str]]] = {}
    for source, port, kind, state in each_path(report):
        index = where.index(port["address"])
        if index is not None:
            kinds = found.setdefault((index, source, port["node"]), {})
            kinds.setdefault(kind, []).append(f"{port['address']} port {port['port']}: {state}")
    return found


def draw_machines(
    report: Mapping[str, Any],
    machines: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    where: Networks,
) -> dict[str, Any]:
    step = (WIDTH - GUTTER) / max(len(machines), 1)
    columns = {host["name"]: GUTTER + step * (index + 0.5) for index, host in enumerate(machines)}
    order = {host["name"]: index for index, host in enumerate(machines)}
    grouped = machine_paths(report, where)
    top: float = HEAD + 26
    bands = []
    for index, segment in enumerate(found):
        paths = {(source, node): kinds for (band, source, node), kinds in grouped.items() if band == index}
        chips = [
            chip
            for host in machines
            if (chip := draw_chip(host, index, where, step, any(source == host["name"] for source, _node in paths)))
        ]
        lines = max((len(chip["lines"]) for chip in chips), default=1)
        chip_height = 12 + 15 * lines
        right = max((order[node] - order[source] for source, node in paths), default=0)
        left = max((order[source] - order[node] for source, node in paths), default=0)
        above, below = arc_height(right) + 20 if right > 0 else 24, arc_height(left) + 20 if left > 0 else 24
        chip_top = top + above
        for chip in chips:
            chip.update(x=columns[chip["host"]], y=chip_top, height=chip_height)
        bands.append(
            {
                "networks": segment["networks"],
                "y": top,
                "height": above + chip_height + below,
                "middle": chip_top + chip_height / 2,
                "chips": chips,
                "arcs": [
                    draw_arc(
                        (source, node), kinds, (columns[source], columns[node]), order[node] - order[source],
                        len(machines), (chip_top, chip_top + chip_height),
                    )
                    for (source, node), kinds in sorted(
                        paths.items(), key=lambda item: -min(KINDS.index(kind) for kind in item[1])
                    )
                ],
            }
        )  # fmt: skip
        top += above + chip_height + below + 14
    return {
        "groups": False,
        "width": WIDTH,
        "height": top,
        "gutter": GUTTER,
        "machines": [
            {
                "x": columns[host["name"]],
                "name": shorten(host["name"], step - 24, 7.4),
                "title": host["name"],
                "role": "node" if "node" in host["roles"] else "only tries to get in",
                "detail": host["toolstack"] or "",
                "lost": host["state"] != "reached",
                "half": min(step / 2 - 8, 84),
            }
            for host in machines
        ],
        "head": HEAD,
        "bands": bands,
    }


def arc_height(distance: int) -> float:
    return 26 + 17 * (abs(distance) - 1)


def shorten(text: str, room: float, character: float = CHARACTER) -> str:
    """The text as far as there is room, without its middle."""
    most = max(int(room / character), 5)
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"


def draw_chip(host: Mapping[str, Any], index: int, where: Networks, step: float, tries: bool) -> dict[str, Any] | None:
    """A machine's addresses in a network, or a mark where it only sends into it from elsewhere."""
    named = [item["address"] for item in host["networks"]] or host["tried_from"]
    addresses = sorted((item for item in named if where.index(item) == index), key=lambda item: (":" in item, item))
    if not addresses and not tries:
        return None
    home = bool(host["relocation"] and host["relocation"]["address"] in addresses)
    lines = [shorten(address, step - 22) for address in addresses[:3]] or ["from elsewhere"]
    return {
        "host": host["name"],
        "lines": lines,
        "title": ", ".join(addresses) or f"no address here; tried from {', '.join(host['tried_from']) or 'none'}",
        "home": home,
        "away": not addresses,
        "half": max(len(line) for line in lines) * CHARACTER / 2 + 9,
    }


def draw_arc(
    ends: tuple[str, str],
    kinds: Mapping[str, Sequence[str]],
    columns: tuple[float, float],
    distance: int,
    machines: int,
    edges: tuple[float, float],
) -> dict[str, Any]:
    """A line for all the paths between two machines in a network, as the worst of them."""
    kind = next(kind for kind in KINDS if kind in kinds)
    # Long ones start nearer to the middle, so that none crosses another.
    offset = 7 + 6 * (machines - abs(distance))
    sign, edge = (1, edges[0]) if distance > 0 else (-1, edges[1])
    start, end = columns[0] + sign * offset, columns[1] - sign * offset
    height = arc_height(distance)
    control = edge - sign * height * 4 / 3
    gap = edge - sign * 3
    ports = sorted({entry.split(" port ")[1].split(":")[0] for entry in kinds[kind]})
    listed = [f"{word}: {entry}" for word in KINDS if word in kinds for entry in kinds[word]]
    return {
        "kind": kind,
        "d": f"M{start:.1f} {edge:.1f}C{start:.1f} {control:.1f} {end:.1f} {control:.1f} {end:.1f} {gap:.1f}",
        "x": (start + end) / 2,
        "y": edge - sign * height,
        "label": ", ".join(ports) if kind != "refused" else "",
        "title": f"{ends[0]} to {ends[1]}\n" + "\n".join(line.replace("_", " ") for line in listed),
    }


def draw_groups(
    report: Mapping[str, Any],
    machines: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    where: Networks,
) -> dict[str, Any]:
    """The numbers of paths from all nodes, and from all others, into each network."""
    group_of = {host["name"]: "nodes" if "node" in host["roles"] else "others" for host in machines}
    counted: dict[tuple[int | None, str], Counter[str]] = {}
    for source, port, kind, _state in each_path(report):
        counted.setdefault((where.index(port["address"]), group_of[source]), Counter())[kind] += 1

    def badness(index: int) -> tuple[int, int]:
        both = counted.get((index, "nodes"), Counter()) + counted.get((index, "others"), Counter())
        return -both["unplanned_open"] - both["unplanned_refused"], index

    indexes = sorted(range(len(found)), key=badness)
    shown, rest = indexes[:MOST_NETWORKS], indexes[MOST_NETWORKS:]
    rows: list[tuple[list[str], list[int | None]]] = [(found[index]["networks"], [index]) for index in sorted(shown)]
    if rest:
        rows.append(([f"{len(rest)} more networks"], [*rest]))
    sizes = Counter(group_of.values())
    names = [name for name in ("nodes", "others") if sizes[name]]
    step = (WIDTH - GUTTER) / max(len(names), 1)
    columns = [
        {"name": count_of(name, sizes[name]),
         "x": GUTTER + step * (position + 0.5), "half": min(step / 2 - 10, 140)}
        for position, name in enumerate(names)
    ]  # fmt: skip
    members: Counter[int | None] = Counter()
    for host in machines:
        members.update({where.index(item["address"]) for item in host["networks"]})
    bands = []
    for position, (networks, covered) in enumerate(rows):
        y = HEAD + 26 + position * 108
        cells = []
        for column, name in zip(columns, names, strict=True):
            numbers: Counter[str] = Counter()
            for index in covered:
                numbers.update(counted.get((index, name), Counter()))
            cells.append(draw_cell(numbers, float(column["x"]), y, min(step - 50, 430)))  # type: ignore[arg-type]
        bands.append(
            {
                "networks": networks[:4],
                "members": sum(members[index] for index in covered),
                "y": y,
                "height": 94,
                "cells": cells,
            }
        )
    return {
        "groups": True,
        "width": WIDTH,
        "height": HEAD + 26 + len(rows) * 108,
        "gutter": GUTTER,
        "head": HEAD,
        "columns": columns,
        "bands": bands,
    }


def count_of(group: str, size: int) -> str:
    if group == "nodes":
        return f"{size} node{'' if size == 1 else 's'}"
    return f"{size} machine{'' if size == 1 else 's'} that only {'tries' if size == 1 else 'try'} to get in"


def draw_cell(numbers: Mapping[str, int], x: float, y: float, width: float) -> dict[str, Any]:
    """A bar of the kinds of paths, each as wide as its share, but wide enough to be seen."""
    total = sum(numbers.values())
    kinds = [kind for kind in KINDS if numbers.get(kind)]
    left = x - width / 2
    room = width - 6 * len(kinds)
    parts = []
    for kind in kinds:
        share = 6 + room * numbers[kind] / total
        parts.append({"kind": kind, "x": left, "width": share, "number": numbers[kind]})
        left += share
    return {"total": total, "parts": parts, "x": x, "y": y, "left": x - width / 2, "width": width}
