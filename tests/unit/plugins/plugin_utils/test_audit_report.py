# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import audit_sample as sample
import jsonschema
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.audit_report import FilterModule
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import collection_version, plain, visible
from hypothesis import given
from hypothesis import strategies as st

audit_report = FilterModule().filters()["audit_report"]
SCHEMA = json.loads((Path(__file__).parents[4] / "roles/dom0_audit/files/report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def made(machines: dict[str, dict[str, Any]], **changed: Any) -> dict[str, Any]:
    """A report that is as its schema has it, and comes through JSON unchanged."""
    report = sample.report(machines, **changed)
    VALIDATOR.validate(report)
    assert json.loads(json.dumps(report)) == report
    return report


def host(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in report["hosts"] if item["name"] == name]
    assert isinstance(found, dict)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_cluster_in_which_everything_holds() -> None:
    report = made(sample.cluster(3))
    assert report["summary"]["hosts"] == {"reached": 5, "unreachable": 0, "not_asked": 0}
    assert report["summary"]["worst"] is None
    assert report["summary"]["status"]["fail"] == report["summary"]["status"]["error"] == 0
    assert report["summary"]["paths"] == {
        "tried": 54,
        "open": 6,
        "refused": 48,
        "unplanned_open": 0,
        "unplanned_refused": 0,
    }
    assert report["unplanned"] == []
    assert (report["drift"], report["drift_problem"]) == (None, None)
    assert [control["severity"] for control in report["controls"]] == sorted(
        (control["severity"] for control in sample.catalogue()), key=["critical", "high", "medium", "low"].index
    )
    assert host(report, "node1")["relocation"] == {
        "scenario": "isolated_management",
        "address": "198.51.100.1",
        "ports": [8002],
        "sources": ["198.51.100.2", "198.51.100.3"],
    }
    assert host(report, "outsider")["tried_from"] == ["192.0.2.250", "2001:db8::fa"]


@pytest.mark.parametrize(
    ("results", "probe", "asked", "state"),
    [
        (True, True, True, "reached"),
        (True, False, True, "reached"),
        (True, True, False, "reached"),
        # It answered the probes' module, but what it is like is not known.
        (False, True, True, "unreachable"),
        (False, False, True, "unreachable"),
        (False, False, False, "not_asked"),
    ],
)
def test_the_state_of_a_node(results: bool, probe: bool, asked: bool, state: str) -> None:
    hosts = sample.cluster(2)
    if not results:
        del hosts["node2"]["dom0_audit_results"]
    if not probe:
        hosts["node2"]["dom0_audit_probe"] = {"unreachable": True}
    report = made(hosts, hosts=[name for name in hosts if asked or name != "node2"])
    assert (host(report, "node2")["state"], host(report, "node2")["tried"]) == (state, probe)
    assert (host(report, "node2")["results"] == []) == (not results)
    assert sum(report["summary"]["hosts"].values()) == 4


@pytest.mark.parametrize("port", ["x", float("inf"), [1], None])
def test_a_previous_report_that_somebody_wrote_ends_no_later_one(port: Any) -> None:
    hosts = sample.cluster(2)
    before = made(hosts)
    before["ports"][0]["port"] = port
    report = made(hosts, previous=before)
    assert (report["drift"], report["drift_problem"]) == (None, "The previous report is not as its schema has it.")


def test_a_probe_that_tried_was_reached_and_one_that_did_not_was_not() -> None:
    hosts = sample.cluster(2)
    assert host(made(hosts), "outsider")["state"] == "reached"
    hosts["outsider"] = {}
    assert host(made(hosts), "outsider")["state"] == "unreachable"


def test_a_node_that_nobody_could_read_is_there_all_the_same() -> None:
    hosts = sample.cluster(3)
    sample.lose(hosts, "node2")
    report = made(hosts)
    assert host(report, "node2") == {
        "name": "node2",
        "roles": ["node"],
        "state": "unreachable",
        "tried": False,
        "tried_from": [],
        "toolstack": None,
        "networks": [],
        "relocation": None,
        "results": [],
    }


def test_a_control_without_a_result_is_an_error() -> None:
    hosts = sample.cluster(1)
    lost = hosts["node1"]["dom0_audit_results"].pop(3)["id"]
    report = made(hosts)
    (result,) = [item for item in host(report, "node1")["results"] if item["id"] == lost]
    assert result == {
        "id": lost,
        "status": "error",
        "evidence": "the evaluation gave no result",
        "expected": None,
        "waiver": None,
    }
    assert report["summary"]["status"]["error"] == 1
    assert report["summary"]["worst"] == "critical"


def test_a_control_that_a_site_asks_of_one_host_is_not_missed_on_the_others() -> None:
    hosts = sample.cluster(3)
    own = {**sample.catalogue()[0], "id": "ours", "severity": "low"}
    for name in ("node2", "node3"):
        hosts[name]["dom0_audit_controls"] = [own]
    passed = {**hosts["node2"]["dom0_audit_results"][0], "id": "ours"}
    hosts["node2"]["dom0_audit_results"] = [*hosts["node2"]["dom0_audit_results"], passed]
    # Whether or not the host that writes the report is one of them.
    for catalogue in (sample.catalogue(), [*sample.catalogue(), own]):
        report = made(hosts, catalogue=catalogue)
        assert [control["id"] for control in report["controls"]].count("ours") == 1
        statuses = {
            item["name"]: result["status"]
            for item in report["hosts"]
            for result in item["results"]
            if result["id"] == "ours"
        }
        assert statuses == {"node2": "pass", "node3": "error"}


@pytest.mark.parametrize("status", ["fail", "error"])
@pytest.mark.parametrize("severity", ["critical", "high", "medium", "low"])
def test_the_worst_is_the_gravest_that_does_not_hold(severity: str, status: str) -> None:
    hosts = sample.cluster(2)
    graver = ["critical", "high", "medium", "low"].index(severity)
    for result, control in zip(hosts["node2"]["dom0_audit_results"], sample.catalogue(), strict=True):
        if ["critical", "high", "medium", "low"].index(control["severity"]) >= graver:
            result["status"] = status
        elif control["severity"] == "critical":
            result.update(status="waived", waiver={"reason": "known", "expires": "2027-01-01"})
    assert made(hosts)["summary"]["worst"] == severity


def test_the_paths_are_kept_by_port_and_those_not_as_planned_by_themselves() -> None:
    hosts = sample.cluster(3)
    sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    sample.answer(hosts, "node1", "198.51.100.2", 8002, "filtered")
    report = made(hosts)
    assert report["summary"]["paths"] == {
        "tried": 54,
        "open": 6,
        "refused": 48,
        "unplanned_open": 1,
        "unplanned_refused": 1,
    }
    assert report["unplanned"] == [
        {
            "source": "node1",
            "source_address": "198.51.100.1",
            "node": "node2",
            "address": "198.51.100.2",
            "port": 8002,
            "state": "filtered",
            "expected": "open",
        },
        {
            "source": "outsider",
            "source_address": "192.0.2.250",
            "node": "node1",
            "address": "192.0.2.1",
            "port": 8002,
            "state": "open",
            "expected": "refused",
        },
    ]
    (port,) = [item for item in report["ports"] if (item["address"], item["port"]) == ("192.0.2.1", 8002)]
    assert port["answers"] == [
        {"state": "open", "expected": "refused", "sources": ["outsider"]},
        {"state": "rejected", "expected": "refused", "sources": ["node2", "node3"]},
    ]


def test_what_has_changed() -> None:
    before_hosts = sample.cluster(3)
    before = made(before_hosts)
    hosts = copy.deepcopy(before_hosts)
    hosts["node1"]["dom0_audit_results"][0].update(status="fail", evidence=["x"])
    hosts["gateway"].pop("dom0_audit_results")
    sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    sample.answer(hosts, "node1", "198.51.100.2", 8002, "filtered")
    # Refused in another way is refused as before.
    sample.answer(hosts, "node2", "192.0.2.1", 8002, "filtered")
    report = made(hosts, previous=json.dumps(before), generated="2026-11-21T09:00:00Z")
    assert report["drift"] == {
        "previous": "2026-11-20T09:00:00Z",
        "hosts": {
            "new": [],
            "gone": [],
            "states": [{"host": "gateway", "before": "reached", "after": "unreachable"}],
        },
        "controls": {"new": [], "gone": []},
        "results": [
            {"host": "node1", "id": "relocation-hosts-allow-everybody", "before": "pass", "after": "fail"},
        ],
        "ports": [
            {"node": "node2", "address": "198.51.100.2", "port": 8002, "opened": [], "closed": ["node1"]},
            {"node": "node1", "address": "192.0.2.1", "port": 8002, "opened": ["outsider"], "closed": []},
        ],
    }


def test_hosts_and_controls_that_came_and_went() -> None:
    before = made(sample.cluster(3))
    report = made(sample.cluster(4), previous=before)
    assert report["drift"]["hosts"] == {"new": ["node4"], "gone": [], "states": []}
    # What a new node is like is no change of it.
    assert (report["drift"]["results"], report["drift"]["ports"]) == ([], [])
    report = made(sample.cluster(3), previous=report)
    assert report["drift"]["hosts"] == {"new": [], "gone": ["node4"], "states": []}
    hosts = sample.cluster(3)
    control = {**sample.catalogue()[0], "id": "ours", "severity": "low"}
    report = made(hosts, previous=before, catalogue=[*sample.catalogue(), control])
    assert report["drift"]["controls"] == {"new": ["ours"], "gone": []}
    report = made(hosts, previous=report)
    assert report["drift"]["controls"] == {"new": [], "gone": ["ours"]}


def test_without_a_change_there_is_none() -> None:
    before = made(sample.cluster(3, 20))
    assert made(sample.cluster(3, 20), previous=before)["drift"] == {
        "previous": "2026-11-20T09:00:00Z",
        "hosts": {"new": [], "gone": [], "states": []},
        "controls": {"new": [], "gone": []},
        "results": [],
        "ports": [],
    }


@pytest.mark.parametrize(
    ("previous", "words"),
    [
        ("{", "cannot be read: "),
        ("[]", "the schema version None"),
        ('{"schema_version": 7}', "the schema version 7, this one 1."),
        ({"schema_version": 1}, "not as its schema has it"),
        ({"schema_version": 1, "hosts": 3}, "not as its schema has it"),
        ({**sample.report(sample.cluster(1)), "ports": [{"node": "node1"}]}, "not as its schema has it"),
        ({**sample.report(sample.cluster(1)), "hosts": [{"name": "node1"}]}, "not as its schema has it"),
    ],
)
def test_a_previous_report_that_is_none(previous: Any, words: str) -> None:
    report = made(sample.cluster(1), previous=previous)
    assert report["drift"] is None
    assert words in report["drift_problem"]


CONTROL = sample.catalogue()[0]


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [
        ([{**CONTROL, "severity": "grave"}], "has the severity 'grave': make it one of critical, high, medium, low"),
        ([CONTROL, CONTROL], "two controls have the id 'relocation-hosts-allow-everybody'"),
        ([{**CONTROL, "remedy": None, "why": 3}], "has no text as why, remedy"),
        ([CONTROL], "a result of the control 'relocation-port-open', which is not in the catalogue"),
    ],
)
def test_a_catalogue_that_makes_no_sense(catalogue: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^audit_report: ") as raised:
        audit_report(
            sample.cluster(1),
            hosts=["node1"],
            nodes=["node1"],
            gateways=[],
            probes=[],
            catalogue=catalogue,
            previous=None,
            generated="2026-11-20T09:00:00Z",
        )
    assert words in str(raised.value)


def test_a_status_that_nobody_knows_is_an_error() -> None:
    hosts = sample.cluster(1)
    hosts["node1"]["dom0_audit_results"][0]["status"] = "passed"
    with pytest.raises(ValueError, match="node1 has the status 'passed'"):
        sample.report(hosts)


def test_the_version_is_that_of_the_collection() -> None:
    assert made(sample.cluster(1), version="")["collection"]["version"] == collection_version() == "0.1.0"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_evidence_is_kept_and_can_be_written(value: Any) -> None:
    kept = plain(value)
    text = json.dumps(kept, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8")) == kept


@given(st.text(st.characters(codec=None)))
def test_visible_hides_nothing(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(ord(character) < 32 and character not in "\t\n" for character in shown)
    assert not {"\u202e", "\u200b", "\ufeff", "\x7f", "\r", "\x00"} & set(shown)
    if text.isascii() and text.isprintable():
        assert shown == text
