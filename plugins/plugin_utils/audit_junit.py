# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit's report as CI servers read it: a suite for each host, a test for each control."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import visible

junit: Any
try:
    import junitparser as junit
except ImportError:
    junit = None

STATES = {
    "unreachable": "The host could not be reached or read: nothing is known of it.",
    "not_asked": "The host is not part of this run: nothing is known of it.",
}


def audit_junit(report: Mapping[str, Any]) -> str:
    """The report as JUnit XML."""
    if junit is None:
        raise ValueError(
            "the report for CI needs junitparser in the Python of ansible-core: install it (pip install junitparser), "
            "or leave junit out of dom0_audit_report_formats"
        )
    document = junit.JUnitXml(name="xensec.hardening audit")
    for host in report["hosts"]:
        suite = junit.TestSuite(visible(host["name"]))
        suite.timestamp = visible(report["generated"])
        suite.add_testcases(cases(host, report))
        document.add_testsuite(suite)
    document.update_statistics()
    return str(document.tostring().decode("utf-8"))


def cases(host: Mapping[str, Any], report: Mapping[str, Any]) -> list[Any]:
    if host["state"] != "reached":
        said = STATES[host["state"]]
        kind = junit.Error if host["state"] == "unreachable" else junit.Skipped
        return [case(host["name"], "reached", kind(said, host["state"]))]
    controls = {control["id"]: control for control in report["controls"]}
    tests = [case(host["name"], "reached", None)]
    for result in host["results"]:
        control = controls[result["id"]]
        name = f"{control['id']}: {control['title']} ({control['severity']})"
        tests.append(case(host["name"], name, outcome(result, control)))
    if "node" in host["roles"]:
        tests.append(case(host["name"], "relocation ports are reached as planned", outcome_of_paths(host, report)))
    return tests


def case(host: str, name: str, outcome: Any) -> Any:
    test = junit.TestCase(visible(name), classname=visible(host))
    if outcome is not None:
        test.result = [outcome]
    return test


def outcome(result: Mapping[str, Any], control: Mapping[str, Any]) -> Any:
    """What junit makes of a result, null for one that passed."""
    evidence = json.dumps(result["evidence"], ensure_ascii=False, sort_keys=True)
    if result["status"] == "pass":
        return None
    if result["status"] == "not_applicable":
        return junit.Skipped("not applicable", "not_applicable")
    if result["status"] == "waived":
        waiver = result["waiver"] or {}
        said = f"waived until {waiver.get('expires')}: {waiver.get('reason')}"
        return junit.Skipped(visible(said), "waived")
    if result["status"] == "error":
        found = junit.Error(visible(f"could not be evaluated: {evidence}"), control["severity"])
    else:
        found = junit.Failure(visible(f"found {evidence}"), control["severity"])
    expected = json.dumps(result["expected"], ensure_ascii=False, sort_keys=True)
    found.text = visible(
        f"Found: {evidence}\nExpected: {expected}\nWhy: {control['why']}\nRemedy: {control['remedy']}\n"
    )
    return found


def outcome_of_paths(host: Mapping[str, Any], report: Mapping[str, Any]) -> Any:
    if not any(port["node"] == host["name"] for port in report["ports"]):
        return junit.Skipped("nobody tried", "not_tried")
    unplanned = [path for path in report["unplanned"] if path["node"] == host["name"]]
    if not unplanned:
        return None
    found = junit.Failure(f"{len(unplanned)} not as planned", "reachability")
    found.text = visible(
        "\n".join(
            f"{path['source']} ({path['source_address'] or 'no address'}) to {path['address']} port {path['port']}: "
            f"{path['state']}, should be {path['expected']}"
            for path in unplanned
        )
    )
    return found
