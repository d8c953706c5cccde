# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit knows of a cluster, as one document: the hosts, the controls, the paths, and what has changed since.

Its form is in roles/dom0_audit/files/report.schema.json. The page and the report for CI are made of nothing else.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import looked_up
from ansible_collections.xensec.hardening.plugins.plugin_utils.reachability import paths, tries

SCHEMA_VERSION = 1
SEVERITIES = ("critical", "high", "medium", "low")
STATUSES = ("fail", "error", "waived", "pass", "not_applicable")
# What is shown of a control; the rest is for the evaluation.
CONTROL_KEYS = ("id", "title", "why", "severity", "remedy")
# Half a pair of UTF-16: Ansible makes them of bytes that are no UTF-8, and no file takes them.
SURROGATES = re.compile("[\ud800-\udfff]")
# Controls and their like, and what turns the direction of text: a host could use them to have a line read otherwise.
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]")


def plain(value: Any) -> Any:
    """The value as JSON has it, without Ansible's own types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    return plain(str(value))


def visible(text: str) -> str:
    """The text with what cannot be seen, and XML does not admit, written out."""
    return INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", SURROGATES.sub("\ufffd", text))


def audit_report(
    hostvars: Mapping[str, Mapping[str, Any]],
    *,
    hosts: Sequence[str],
    nodes: Sequence[str],
    gateways: Sequence[str],
    probes: Sequence[str],
    catalogue: Sequence[Mapping[str, Any]],
    previous: str | Mapping[str, Any] | None,
    generated: str,
    version: str = "",
) -> dict[str, Any]:
    """Put together the report; see the filter of the same name for what goes in and comes out."""
    hostvars = looked_up(hostvars)
    groups = {"node": set(nodes), "gateway": set(gateways), "probe": set(probes)}
    names = list(dict.fromkeys([*nodes, *gateways, *probes, *hosts]))
    heard = tries(hostvars, names, nodes)
    # A site may ask more of one host than of others; the catalogue is that of the host that happened to write the report.
    own = {name: {item["id"]: item for item in hostvars[name].get("dom0_audit_controls") or []} for name in names}
    of_site = {identifier: item for items in own.values() for identifier, item in items.items()}
    known = {item.get("id") for item in catalogue}
    controls = read_catalogue([*catalogue, *(item for key, item in of_site.items() if key not in known)])
    described = [
        describe_host(
            name,
            [role for role, members in groups.items() if name in members],
            name in hosts,
            name in heard,
            hostvars[name],
            {key: key not in of_site or key in own[name] for key in controls},
        )
        for name in names
    ]
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "collection": {"name": "xensec.hardening", "version": str(version) or collection_version()},
        "generated": str(generated),
        "hosts": described,
        "controls": list(controls.values()),
    }
    tried = paths(hostvars, heard)
    origins: dict[str, set[str]] = {host["name"]: set() for host in described}
    for path in tried:
        origins[path["source"]] |= {path["source_address"]} - {None}
    for host in described:
        host["tried_from"] = plain(sorted(origins[host["name"]]))
    report["ports"] = plain(by_port(tried))
    report["unplanned"] = [plain(path) for path in tried if not path.pop("as_planned")]
    report["summary"] = summarise(report)
    report["drift"], report["drift_problem"] = compare(read_previous(previous), report)
    return report


def collection_version() -> str:
    """Of this very collection: installed it has a manifest, as a checkout only what that is made from."""
    root = Path(__file__).resolve().parents[2]
    if (root / "MANIFEST.json").exists():
        manifest = json.loads((root / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(manifest["collection_info"]["version"])
    return str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])


def read_catalogue(catalogue: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The controls by id, the gravest first, as far as a report has them."""
    controls: dict[str, dict[str, Any]] = {}
    for control in catalogue:
        missing = [key for key in CONTROL_KEYS if not isinstance(control.get(key), str)]
        if missing:
            raise ValueError(f"the control {control.get('id')!r} has no text as {', '.join(missing)}")
        if control["severity"] not in SEVERITIES:
            raise ValueError(
                f"the control {control['id']!r} has the severity {control['severity']!r}: "
                f"make it one of {', '.join(SEVERITIES)}"
            )
        if control["id"] in controls:
            raise ValueError(f"two controls have the id {control['id']!r}: give each its own")
        controls[str(control["id"])] = plain(
            {**{key: control[key] for key in CONTROL_KEYS}, "source": control.get("source") or []}
        )
    return dict(sorted(controls.items(), key=lambda item: SEVERITIES.index(item[1]["severity"])))


def describe_host(
    name: str, roles: list[str], asked: bool, probed: bool, variables: Mapping[str, Any], controls: Mapping[str, bool]
) -> dict[str, Any]:
    """What is known of one host. What was asked and gave no answer is unreachable, whatever is known besides."""
    evaluated = variables.get("dom0_audit_results")
    # A probe only tries the others; nothing is evaluated on it.
    answered = evaluated is not None or (probed and not {"node", "gateway"} & set(roles))
    info = variables.get("xend_relocation_info") or {}
    plan = variables.get("xend_relocation_plan") or {}
    return {
        "name": str(name),
        "roles": roles,
        "state": "reached" if answered else "unreachable" if asked else "not_asked",
        "tried": probed,
        "toolstack": plain((info.get("toolstack") or {}).get("detected")),
        "networks": networks_of(info.get("interfaces") or {}),
        "relocation": (
            {key: plain(plan[key]) for key in ("scenario", "address", "ports", "sources")} if plan else None
        ),
        "results": [] if evaluated is None else read_results(str(name), evaluated, controls),
    }


def networks_of(interfaces: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "interface": str(interface),
            "address": str(item["address"]),
            "network": str(ipaddress.ip_interface(f"{item['address']}/{item['prefix']}").network),
        }
        for interface, facts in sorted(interfaces.items())
        for item in [*facts["ipv4"], *facts["ipv6"]]
    ]


def read_results(
    name: str, evaluated: Sequence[Mapping[str, Any]], controls: Mapping[str, bool]
) -> list[dict[str, Any]]:
    """A host's results in the order of the controls, each of which the host is to have a result of, or not.

    One that should have a result and has none is an error, never left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for result in evaluated:
        if result["id"] not in controls:
            raise ValueError(
                f"{name} has a result of the control {result['id']!r}, which is not in the catalogue: "
                "name it in dom0_audit_controls"
            )
        if result["status"] not in STATUSES:
            raise ValueError(f"{name} has the status {result['status']!r} of the control {result['id']!r}")
        found[str(result["id"])] = {
            "id": str(result["id"]),
            "status": str(result["status"]),
            "evidence": plain(result.get("evidence")),
            "expected": plain(result.get("expected")),
            "waiver": plain(result.get("waiver") or None),
        }
    lost = {"status": "error", "evidence": "the evaluation gave no result", "expected": None, "waiver": None}
    return [
        found.get(control) or {"id": control, **lost}
        for control, expected in controls.items()
        if expected or control in found
    ]


def by_port(tried: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The paths by where they lead, and what came of them: of two hundred nodes there are a quarter of a million."""
    ports: dict[tuple[str, str, int], dict[tuple[str, str], list[str]]] = {}
    for path in tried:
        answers = ports.setdefault((path["node"], path["address"], path["port"]), {})
        answers.setdefault((path["state"], path["expected"]), []).append(path["source"])
    return [
        {
            "node": node,
            "address": address,
            "port": port,
            "answers": [
                {"state": state, "expected": expected, "sources": sources}
                for (state, expected), sources in sorted(answers.items())
            ],
        }
        for (node, address, port), answers in ports.items()
    ]


def is_planned(answer: Mapping[str, Any]) -> bool:
    return bool((answer["state"] == "open") == (answer["expected"] == "open"))


def summarise(report: Mapping[str, Any]) -> dict[str, Any]:
    severity_of = {control["id"]: control["severity"] for control in report["controls"]}
    by_severity: dict[str, Counter[str]] = {severity: Counter() for severity in SEVERITIES}
    for host in report["hosts"]:
        for result in host["results"]:
            by_severity[severity_of[result["id"]]][result["status"]] += 1
    found = [name for name, counted in by_severity.items() if counted["fail"] or counted["error"]]
    states = Counter(host["state"] for host in report["hosts"])
    tried: Counter[tuple[bool, bool]] = Counter()
    for port in report["ports"]:
        for answer in port["answers"]:
            tried[answer["state"] == "open", is_planned(answer)] += len(answer["sources"])
    return {
        "hosts": {state: states[state] for state in ("reached", "unreachable", "not_asked")},
        "status": {status: sum(counted[status] for counted in by_severity.values()) for status in STATUSES},
        "severity": {
            severity: {status: counted[status] for status in STATUSES} for severity, counted in by_severity.items()
        },
        "worst": found[0] if found else None,
        "paths": {
            "tried": sum(tried.values()),
            "open": tried[True, True] + tried[True, False],
            "refused": tried[False, True] + tried[False, False],
            "unplanned_open": tried[True, False],
            "unplanned_refused": tried[False, False],
        },
    }


def read_previous(previous: str | Mapping[str, Any] | None) -> Mapping[str, Any] | str | None:
    """The previous report, null where there was none, or in words why it cannot be compared with."""
    if not previous:
        return None
    if isinstance(previous, str):
        try:
            previous = json.loads(previous)
        except ValueError as error:
            return f"The previous report cannot be read: {error}."
    if not isinstance(previous, Mapping) or previous.get("schema_version") != SCHEMA_VERSION:
        version = previous.get("schema_version") if isinstance(previous, Mapping) else None
        return f"The previous report has the schema version {version!r}, this one {SCHEMA_VERSION}."
    return previous


def compare(
    previous: Mapping[str, Any] | str | None, report: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str | None]:
    """What has changed since the previous report, or why that cannot be said."""
    if previous is None or isinstance(previous, str):
        return None, previous
    try:
        return drift(previous, report), None
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        return None, "The previous report is not as its schema has it."


def drift(previous: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    def by(key: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        return {str(row[key]): row for row in rows}

    def came_and_went(key: str, rows: str) -> dict[str, list[str]]:
        before, after = by(key, previous[rows]), by(key, report[rows])
        return {"new": [item for item in after if item not in before], "gone": [i for i in before if i not in after]}

    hosts_before = by("name", previous["hosts"])
    states, results = [], []
    for host in report["hosts"]:
        before = hosts_before.get(host["name"])
        if before is None:
            continue
        if before["state"] != host["state"]:
            states.append({"host": host["name"], "before": str(before["state"]), "after": host["state"]})
        statuses = {str(result["id"]): str(result["status"]) for result in before["results"]}
        results += [
            {"host": host["name"], "id": item["id"], "before": statuses[item["id"]], "after": item["status"]}
            for item in host["results"]
            if item["id"] in statuses and statuses[item["id"]] != item["status"]
        ]

    ports = []
    ports_before = {key_of(port): opened_and_closed(port) for port in previous["ports"]}
    for port in report["ports"]:
        (opened, closed), (was_open, was_closed) = opened_and_closed(port), ports_before.get(key_of(port), ([], []))
        turned = {
            "opened": [source for source in opened if source in set(was_closed)],
            "closed": [source for source in closed if source in set(was_open)],
        }
        if turned["opened"] or turned["closed"]:
            ports.append({**{key: port[key] for key in ("node", "address", "port")}, **turned})
    return {
        "previous": str(previous["generated"]),
        "hosts": {**came_and_went("name", "hosts"), "states": states},
        "controls": came_and_went("id", "controls"),
        "results": results,
        "ports": ports,
    }


def key_of(port: Mapping[str, Any]) -> tuple[str, str, int]:
    return str(port["node"]), str(port["address"]), int(port["port"])


def opened_and_closed(port: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The sources that got through to a port, and those that did not."""
    opened: list[str] = []
    closed: list[str] = []
    for answer in port["answers"]:
        (opened if answer["state"] == "open" else closed).extend(map(str, answer["sources"]))
    return opened, closed
