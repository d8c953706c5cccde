# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit's report as one page of HTML that needs nothing else: what it shows is put in order here, and drawn by
audit_page.html.j2, in the colours of audit_page.css. The script, audit_page.js, only filters."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_map import KINDS, draw_map, each_path
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import SEVERITIES, STATUSES, visible
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

# Columns with names that stand upright from here on.
DENSE = 13
MATRIX = 24
# Of longer evidence the page has the beginning, of more paths the first; report.json has all of it.
MOST_EVIDENCE = 4000
MOST_PATHS = 200
SOON = 30
WORDS = {
    "pass": "pass",
    "fail": "fail",
    "error": "could not be evaluated",
    "waived": "waived",
    "not_applicable": "not applicable",
    "unreachable": "not reached",
    "not_asked": "not asked",
    "reached": "reached",
    "unplanned_open": "open, not as planned",
    "unplanned_refused": "refused, not as planned",
    "open": "open as planned",
    "refused": "refused as planned",
}
# Told apart without colours as well.
SYMBOLS = {
    "pass": "✓",
    "fail": "✕",
    "error": "!",
    "waived": "~",
    "not_applicable": "·",
    "unreachable": "?",
    "not_asked": "-",
    "unplanned_open": "✕",
    "unplanned_refused": "!",
    "open": "→",
    "refused": "⊣",
}


def audit_page(report: Mapping[str, Any]) -> str:
    """The page."""
    template, fixed = drawing()
    return template.render(
        words=WORDS,
        symbols=SYMBOLS,
        severities=SEVERITIES,
        statuses=STATUSES,
        kinds=KINDS,
        **fixed,
        **view(report),
    )


@cache
def drawing() -> tuple[Template, dict[str, str]]:
    """The template, and what is the same on every page: style, script, and the policy that admits only these."""
    folder = Path(__file__).parent
    style = (folder / "audit_page.css").read_text(encoding="utf-8")
    script = (folder / "audit_page.js").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f") if value > 9999 else str(value)
    environment.filters["px"] = lambda value: f"{value:.1f}".removesuffix(".0")
    policy = (
        f"default-src 'none'; style-src '{fingerprint(style)}'; script-src '{fingerprint(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.from_string((folder / "audit_page.html.j2").read_text(encoding="utf-8"))
    # Our own files; nothing that a host said is among them.
    return template, {"style": Markup(style), "script": Markup(script), "policy": policy}


def fingerprint(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def view(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows, in the order it shows it."""
    controls = {control["id"]: control for control in report["controls"]}
    anchors = {identifier: f"c{number}" for number, identifier in enumerate(controls, 1)}
    columns = [host for host in report["hosts"] if host["results"] or {"node", "gateway"} & set(host["roles"])]
    rows = grid(report, columns, anchors)
    findings = [found for row in rows if (found := finding(row, columns))]
    return {
        "report": report,
        "generated": when(report["generated"]),
        "columns": columns,
        "dense": len(columns) >= DENSE,
        "groups": [
            {"severity": severity, "rows": [row for row in rows if row["control"]["severity"] == severity]}
            for severity in SEVERITIES
        ],
        "findings": findings,
        "holding": [row for row in rows if not row["counts"]["fail"] + row["counts"]["error"]],
        "verdict": verdict(report, findings),
        "bars": {severity: shares(report["summary"]["severity"][severity]) for severity in SEVERITIES},
        "waivers": waivers(report, controls, anchors),
        "lost": [host for host in report["hosts"] if host["state"] != "reached"],
        "silent": [
            host for host in report["hosts"]
            if host["state"] == "reached" and not host["tried"] and {"node", "probe"} & set(host["roles"])
        ],
        "map": draw_map(report),
        "matrix": matrix(report),
        "unplanned": report["unplanned"][:MOST_PATHS],
        "drift": drift(report, controls, anchors),
    }  # fmt: skip


def when(stamp: str) -> str:
    try:
        moment = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return stamp
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def grid(
    report: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], anchors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each control, with a cell for each host."""
    by_host = [{result["id"]: result for result in host["results"]} for host in columns]
    rows = []
    for control in report["controls"]:
        results = [found.get(control["id"]) for found in by_host]
        cells = [
            result["status"] if result else host["state"] if host["state"] != "reached" else "not_asked"
            for result, host in zip(results, columns, strict=True)
        ]
        counts = Counter(cells)
        rows.append(
            {
                "control": control,
                "anchor": anchors[control["id"]],
                "cells": cells,
                "results": results,
                "counts": {status: counts[status] for status in STATUSES},
                "evaluated": sum(counts[status] for status in STATUSES),
            }
        )
    return rows


def finding(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a control found, where: hosts with the same evidence together, so that two hundred are read as one."""
    cases: dict[tuple[str, str, str], list[str]] = {}
    for result, host in zip(row["results"], columns, strict=True):
        if result and result["status"] in ("fail", "error"):
            key = result["status"], shown(result["evidence"]), shown(result["expected"])
            cases.setdefault(key, []).append(host["name"])
    if not cases:
        return None
    return {
        **row,
        "cases": [
            {"status": status, "evidence": evidence, "expected": expected, "hosts": hosts}
            for (status, evidence, expected), hosts in sorted(
                cases.items(), key=lambda item: (STATUSES.index(item[0][0]), -len(item[1]))
            )
        ],
        "hosts": sum(map(len, cases.values())),
        "open": row["control"]["severity"] in ("critical", "high"),
    }


def shown(value: Any) -> str:
    """A value as it is read most easily: a list line by line, what is short in one line."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and value and all(isinstance(item, (str, int)) for item in value):
        text = "\n".join(item if isinstance(item, str) and item.strip() else json.dumps(item) for item in value)
    else:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        if len(text) > 90:
            text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2)
            if isinstance(value, list):
                text = "\n".join(json.dumps(item, ensure_ascii=False, sort_keys=True) for item in value)
    text = text if text.strip() else json.dumps(value)
    return text if len(text) <= MOST_EVIDENCE else f"{text[:MOST_EVIDENCE]}\n… all of it is in report.json"


def verdict(report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The page in one line: never good while something is not known."""
    summary = report["summary"]
    unknown = summary["hosts"]["unreachable"] + summary["hosts"]["not_asked"]
    unplanned = summary["paths"]["unplanned_open"] + summary["paths"]["unplanned_refused"]
    urgent = summary["severity"]["critical"]["fail"] + summary["severity"]["high"]["fail"]
    if findings:
        number = len(findings)
        headline = f"{number} of {len(report['controls'])} controls {'does' if number == 1 else 'do'} not hold"
    elif unplanned:
        headline = f"{count(unplanned, 'relocation path is', 'relocation paths are')} not as planned"
    elif unknown:
        headline = f"No finding, but of {count(unknown, 'host')} nothing is known"
    elif not summary["status"]["pass"]:
        headline = "Nothing was evaluated"
    else:
        headline = "Every control holds"
    bad = urgent or summary["paths"]["unplanned_open"]
    good = not findings and not unplanned and not unknown and summary["status"]["pass"]
    return {"headline": headline, "level": "bad" if bad else "good" if good else "fair"}


def count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def shares(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The shares of a whole, in hundredths."""
    total = sum(counts.values()) or 1
    left, parts = 0.0, []
    for status in STATUSES:
        if counts[status]:
            width = 100 * counts[status] / total
            parts.append({"status": status, "x": left, "width": width, "number": counts[status]})
            left += width
    return parts


def waivers(report: Mapping[str, Any], controls: Mapping[str, Any], anchors: Mapping[str, str]) -> list[dict[str, Any]]:
    """What was waived, the same reason for several hosts once, the first to run out first."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for host in report["hosts"]:
        for result in host["results"]:
            if result["status"] == "waived":
                waiver = result["waiver"] or {"reason": "no reason given", "expires": ""}
                grouped.setdefault((waiver["expires"], result["id"], waiver["reason"]), []).append(host["name"])
    return [
        {
            "control": controls[identifier],
            "anchor": anchors[identifier],
            "expires": expires,
            "soon": runs_out(report["generated"], expires),
            "reason": reason,
            "hosts": hosts,
        }
        for (expires, identifier, reason), hosts in sorted(grouped.items())
    ]


def runs_out(generated: str, expires: str) -> bool:
    try:
        return (date.fromisoformat(expires) - date.fromisoformat(generated[:10])).days <= SOON
    except ValueError:
        return True


def matrix(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who reached whom, as a table, as long as one can be read."""
    sources = [host["name"] for host in report["hosts"] if host["tried"]]
    nodes = [host["name"] for host in report["hosts"] if "node" in host["roles"]]
    if not sources or len(sources) > MATRIX or len(nodes) > MATRIX:
        return None
    cells: dict[tuple[str, str], Counter[str]] = {}
    for source, port, kind, _state in each_path(report):
        cells.setdefault((source, port["node"]), Counter())[kind] += 1
    return {
        "nodes": nodes,
        "rows": [
            {
                "source": source,
                "cells": [
                    None if source == node else [
                        {"kind": kind, "number": number}
                        for kind in KINDS if (number := cells.get((source, node), Counter())[kind])
                    ]
                    for node in nodes
                ],
            }
            for source in sources
        ],
    }  # fmt: skip


def drift(report: Mapping[str, Any], controls: Mapping[str, Any], anchors: Mapping[str, str]) -> dict[str, Any] | None:
    """What has changed, the worse first: hosts with the same change together."""
    changed = report["drift"]
    if changed is None:
        return None
    grouped: dict[tuple[int, str, str, str], list[str]] = {}
    for item in changed["results"]:
        grouped.setdefault((turn(item), item["id"], item["before"], item["after"]), []).append(item["host"])
    rows = [
        {
            "turn": ("worse", "other", "better")[direction],
            "control": controls[identifier],
            "anchor": anchors[identifier],
            "before": before,
            "after": after,
            "hosts": hosts,
        }
        for (direction, identifier, before, after), hosts in sorted(
            grouped.items(), key=lambda item: (item[0][0], list(controls).index(item[0][1]))
        )
    ]
    turns = Counter(("worse", "other", "better")[turn(item)] for item in changed["results"])
    paths = [
        {"turn": turned, "source": source, **{key: port[key] for key in ("node", "address", "port")}}
        for turned in ("opened", "closed")
        for port in changed["ports"]
        for source in port[turned]
    ]
    opened = sum(path["turn"] == "opened" for path in paths)
    return {
        "previous": when(changed["previous"]),
        "hosts": changed["hosts"],
        "controls": changed["controls"],
        "rows": rows,
        "turns": {name: turns[name] for name in ("worse", "better", "other")},
        "paths": paths[:MOST_PATHS],
        "opened": opened,
        "closed": len(paths) - opened,
        "empty": not (rows or paths or any(changed["hosts"].values()) or any(changed["controls"].values())),
    }


def turn(change: Mapping[str, str]) -> int:
    """0 where a control holds no more, 2 where it holds now, 1 for anything else."""
    if change["after"] in ("fail", "error"):
        return 0 if change["before"] not in ("fail", "error") else 1
    return 2 if change["before"] in ("fail", "error") and change["after"] == "pass" else 1
