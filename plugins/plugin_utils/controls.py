# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls on a host's facts: which are sound, and what each says of a host.

A control passes only where its expression was evaluated on facts that were all read and gave what is expected. Whatever
else happens is a failure or an error.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

SEVERITIES = ("critical", "high", "medium", "low")
REQUIRED = ("id", "title", "why", "source", "severity", "expression", "expected", "remedy")
OPTIONAL = ("applies", "evidence")
IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
NARROWING = ("subexpression", "projection", "filter_projection", "value_projection", "index_expression", "pipe")


class NotRead(ValueError):
    """An expression rests on a fact that is not there."""


def compile_expression(text: str) -> Any:
    try:
        import jmespath
        from jmespath.exceptions import JMESPathError
    except ImportError:
        raise ValueError(
            "the Python library jmespath is needed on the controller to evaluate controls: install it there, "
            "as in python3 -m pip install jmespath junitparser (the second is for the report for CI)"
        ) from None
    try:
        return jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(" ".join(str(error).split())) from None


def plain(value: Any) -> Any:
    """Return the value as JSON has it: jmespath goes by the exact types, and templates have types of their own."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime.date):
        return value.isoformat()[:10]
    return str(value)


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same as JSON has them: true is not 1."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


# --- the catalogue --------------------------------------------------------------------------------------------


def catalogue(site: object) -> list[dict[str, Any]]:
    """Return the controls of the collection and of the site as one list.

    :raises ValueError: one of them is not sound; the message has the value and the remedy.
    """
    if isinstance(site, str) or not isinstance(site, Sequence):
        raise ValueError(f"dom0_audit_controls is {site!r}: write a list of controls")
    return put_together(builtin(), site, "dom0_audit_controls")


@functools.cache
def builtin() -> list[dict[str, Any]]:
    """Return the controls of the collection, which are those of this module's file controls.yml."""
    return put_together([], yaml_load(Path(__file__).with_suffix(".yml").read_text()), "the catalogue")


def put_together(known: Sequence[dict[str, Any]], controls: Sequence[object], where: str) -> list[dict[str, Any]]:
    """Return the known controls and those, which are checked."""
    found = {control["id"]: control for control in known}
    for raw in controls:
        control = check_control(raw, where)
        if control["id"] in found:
            raise ValueError(
                f"{where} has the control {control['id']!r}, and there is one of that id already: give it another "
                "id; to put one of the collection out of force, waive it in dom0_audit_waivers"
            )
        found[control["id"]] = control
    return list(found.values())


def check_control(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} has {raw!r}, which is not a control: write a dictionary with {', '.join(REQUIRED)}")
    control: dict[str, Any] = plain(raw)
    name = control.get("id")
    if not isinstance(name, str) or not IDENTIFIER.fullmatch(name):
        raise ValueError(
            f"{where} has a control with the id {name!r}: write lower-case letters, digits and '-', as in site-ntp"
        )
    missing = [key for key in REQUIRED if key not in control]
    if missing:
        raise ValueError(f"the control {name!r} in {where} has no {missing[0]}: a control takes {', '.join(REQUIRED)}")
    for key in sorted(set(control) - {*REQUIRED, *OPTIONAL}):
        close = difflib.get_close_matches(key, [*REQUIRED, *OPTIONAL], 1)
        raise ValueError(
            f"the control {name!r} in {where} has {key!r}, which no control has"
            + (f": did you mean {close[0]}?" if close else ": take it out")
        )
    check_texts(control, name, where)
    if control["severity"] not in SEVERITIES:
        raise ValueError(
            f"the control {name!r} in {where} has the severity {control['severity']!r}: "
            f"write one of {', '.join(SEVERITIES)}"
        )
    for key in ("expression", *OPTIONAL):
        if key in control:
            try:
                compile_expression(control[key])
            except ValueError as error:
                raise ValueError(f"the {key} of the control {name!r} in {where} is no JMESPath: {error}") from error
    return control


def check_texts(control: Mapping[str, Any], name: str, where: str) -> None:
    for key in ("title", "why", "expression", "remedy", *OPTIONAL):
        if key in control and (not isinstance(control[key], str) or not control[key].strip()):
            raise ValueError(f"the control {name!r} in {where} has {key} {control[key]!r}: write a text")
    source = control["source"]
    if not isinstance(source, list) or not source or not all(isinstance(item, str) and item for item in source):
        raise ValueError(
            f"the control {name!r} in {where} has source {source!r}: write a list of where it comes from, "
            "as in [the site's policy 4.2]"
        )
    if control["expected"] is None:
        raise ValueError(
            f"the control {name!r} in {where} expects null, which is also what a fact gives that is not there: "
            "write an expression that gives true or a list"
        )


# --- waivers --------------------------------------------------------------------------------------------------


def check_date(value: object, where: str) -> str:
    text = str(plain(value))
    try:
        if not DATE.fullmatch(text):
            raise ValueError
        datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{where} {value!r}: write a day as in '2030-01-31'") from None
    return text


def check_waivers(raw: object, known: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return reason and expiry by control."""
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise ValueError(
            f"dom0_audit_waivers is {raw!r}: write a list of waivers, each with control, reason and expires"
        )
    found: dict[str, dict[str, str]] = {}
    for item in raw:
        if not isinstance(item, Mapping) or set(item) - {"control", "reason", "expires"}:
            raise ValueError(f"dom0_audit_waivers has {plain(item)!r}: a waiver takes control, reason and expires")
        control, reason = plain(item.get("control")), plain(item.get("reason"))
        if control not in known:
            close = difflib.get_close_matches(str(control), known, 1)
            raise ValueError(
                f"dom0_audit_waivers names the control {control!r}, which there is not"
                + (f": did you mean {close[0]}?" if close else ": see docs/audit.md for those there are")
            )
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"the waiver of {control!r} has no reason: say in its reason why it may fail on this host")
        if item.get("expires") is None:
            raise ValueError(
                f"the waiver of {control!r} does not expire: give it the last day it counts, as in expires: '2030-01-31'"
            )
        if control in found:
            raise ValueError(f"dom0_audit_waivers waives {control!r} twice: take one out")
        expires = check_date(item["expires"], f"the waiver of {control!r} expires")
        found[str(control)] = {"reason": reason.strip(), "expires": expires}
    return found


# --- facts ----------------------------------------------------------------------------------------------------


def add_site(facts: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts, with the plan and what only the site, or the other hosts, can tell of this one.

    :arg site: C(kind), node or gateway; C(plan), of the relocation service, if there is one; C(allowed_accounts);
        C(peer_keys), the public keys that root of other nodes has.
    """
    found: dict[str, Any] = plain(facts)
    told = plain(site)
    plan = told.get("plan") or {}
    found["plan"] = {key: value for key, value in plan.items() if key in PLAN}
    allowed, keys = told.get("allowed_accounts") or [], set(told.get("peer_keys") or [])
    derived: dict[str, Any] = {"kind": told.get("kind", "node"), "planned": bool(plan), "logins": None}
    for name, derive in (
        ("logins", lambda: logins(found["accounts"]["users"], allowed)),
        ("peer_root_logins", lambda: peer_root_logins(found["root_keys"]["admitted"], keys)),
        ("relocation_sockets", lambda: relocation_sockets(found["listeners"], plan["guarded_ports"])),
        ("relocation_interface", lambda: found["interfaces"][plan["interface"]]),
    ):
        # Of facts that are not there, or are no such facts, nothing is derived; a control on it is an error then.
        with contextlib.suppress(KeyError, TypeError, AttributeError):
            derived[name] = derive()
    found["site"] = derived
    return found


def logins(users: Mapping[str, Any], allowed: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"account": name, "key": user["key"], "password": user["password"], "allowed": name in allowed}
        for name, user in sorted(users.items())
        if (user["key"] or user["password"]) and not user["expired"]
    ]


def peer_root_logins(admitted: Sequence[Mapping[str, Any]], keys: set[str]) -> list[dict[str, Any]]:
    return [{key: entry[key] for key in ("path", "line", "comment")} for entry in admitted if entry["key"] in keys]


def relocation_sockets(listeners: Sequence[Mapping[str, Any]], ports: Sequence[int]) -> list[str]:
    return sorted(item["socket"] for item in listeners if item["port"] in ports)


PLAN = ("scenario", "toolstack", "enabled", "interface", "address", "ports", "guarded_ports", "listeners", "sources")


def chain(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an expression that is nothing but names with dots between them."""
    if node["type"] == "field":
        return (node["value"],)
    parts = [chain(child) for child in node["children"]] if node["type"] == "subexpression" else [()]
    return tuple(name for part in parts for name in part) if all(parts) else ()


def paths(node: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the paths from the facts' root that a parsed expression begins with, such as (audit, xend)."""
    names = chain(node)
    if names:
        return [names]
    children = node.get("children", [])
    # What comes after the first child of these is evaluated on what that has found.
    return [path for child in (children[:1] if node["type"] in NARROWING else children) for path in paths(child)]


def require_read(expression: Any, facts: Mapping[str, Any], unread: Mapping[str, str]) -> None:
    """Refuse an expression that rests on a fact that is null or not there.

    :raises NotRead: it does.
    """
    for path in paths(expression.parsed):
        value: Any = facts
        for depth, name in enumerate(path, 1):
            where = ".".join(path[:depth])
            value = value.get(name) if isinstance(value, dict) else None
            if value is None:
                raise NotRead(f"{where} was not read: {unread.get(where, 'it is not among the facts of this host')}")


# --- evaluation -----------------------------------------------------------------------------------------------


def search(text: str, facts: Mapping[str, Any]) -> Any:
    return compile_expression(text).search(facts)


def evaluate_one(control: Mapping[str, Any], facts: Mapping[str, Any], unread: Mapping[str, str]) -> tuple[str, Any]:
    """Return status, without waivers, and evidence."""
    from jmespath.exceptions import JMESPathError

    try:
        if "applies" in control:
            condition = compile_expression(control["applies"])
            # Facts that are not there mean that it does not apply; those that could not be read might have.
            for path in paths(condition.parsed):
                for where in (".".join(path[:depth]) for depth in range(1, len(path) + 1)):
                    if where in unread:
                        raise NotRead(f"{where} was not read: {unread[where]}")
            if not condition.search(facts):
                return "not_applicable", None
        expression = compile_expression(control["expression"])
        require_read(expression, facts, unread)
        value = expression.search(facts)
        if value is None:
            raise NotRead("the expression gave nothing where something was expected")
    except (JMESPathError, NotRead, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return "error", " ".join(str(error).split())
    status = "pass" if same(value, control["expected"]) else "fail"
    if "evidence" in control:
        try:
            shown = search(control["evidence"], facts)
            value = value if shown is None else shown
        except (JMESPathError, TypeError, ValueError) as error:
            value = {"found": value, "evidence": " ".join(str(error).split())}
    return status, value


def evaluate(
    facts: Mapping[str, Any],
    controls: Sequence[Mapping[str, Any]],
    waivers: object,
    today: object,
    site: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return what each control says of a host with these facts.

    :raises ValueError: a waiver, or today, does not make sense.
    """
    day = check_date(today, "today is")
    given = check_waivers(waivers, [control["id"] for control in controls])
    known = add_site(facts if isinstance(facts, Mapping) else {}, site or {})
    listed = known.get("unread") if isinstance(known.get("unread"), list) else []
    unread = {str(item["fact"]): str(item["reason"]) for item in listed or [] if isinstance(item, dict)}
    results = []
    for control in controls:
        status, evidence = evaluate_one(plain(control), known, unread)
        waiver = given.get(control["id"]) if status == "fail" else None
        if waiver and day <= waiver["expires"]:
            status = "waived"
        results.append(
            {
                "id": control["id"],
                "status": status,
                "evidence": evidence,
                "expected": plain(control["expected"]),
                "waiver": dict(waiver) if waiver else None,
            }
        )
    return results


# --- the table ------------------------------------------------------------------------------------------------

STATUSES = ("pass", "fail", "error", "waived", "not_applicable")


def summarize(
    results: Sequence[Mapping[str, Any]], controls: Sequence[Mapping[str, Any]], fail_severity: str
) -> dict[str, Any]:
    """Return the counts by status, a few lines for the terminal, and the ids that are grave enough to fail for.

    :arg fail_severity: the least severity that is, or C(never).
    """
    if fail_severity not in (*SEVERITIES, "never"):
        raise ValueError(
            f"dom0_audit_fail_severity is {fail_severity!r}: write one of {', '.join(SEVERITIES)}, or never"
        )
    known = {control["id"]: control for control in controls}
    grave = () if fail_severity == "never" else SEVERITIES[: SEVERITIES.index(fail_severity) + 1]
    counts = {status: sum(result["status"] == status for result in results) for status in STATUSES}
    bad = [result for result in results if result["status"] in ("fail", "error")]
    bad.sort(key=lambda result: SEVERITIES.index(known[result["id"]]["severity"]))
    lines = [", ".join(f"{counts[status]} {status.replace('_', ' ')}" for status in STATUSES)]
    for result in bad:
        control = known[result["id"]]
        evidence = json.dumps(plain(result["evidence"]), sort_keys=True, ensure_ascii=False)
        if len(evidence) > 300:
            evidence = evidence[:300] + " ..."
        lines.append(f"{result['status'].upper()} {control['severity']} {control['id']}: {control['title']}")
        lines.append(f"    found {evidence}")
        lines.append(f"    remedy: {control['remedy']}")
    return {
        "counts": counts,
        "lines": lines,
        "grave": [result["id"] for result in bad if known[result["id"]]["severity"] in grave],
    }
