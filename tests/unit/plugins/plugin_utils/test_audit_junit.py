# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import audit_sample as sample
import junitparser
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.audit_junit import FilterModule
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_junit as utils
from hypothesis import given, settings
from hypothesis import strategies as st

audit_junit = FilterModule().filters()["audit_junit"]


def suites(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The suites by name, each with its cases by the words before the first colon."""
    document = junitparser.JUnitXml.fromstring(audit_junit(report).encode())
    return {suite.name: {case.name.split(":")[0]: case for case in suite} for suite in document}


def test_a_suite_for_each_host_and_a_case_for_each_control() -> None:
    report = sample.report(sample.cluster(2))
    found = suites(report)
    assert list(found) == ["node1", "node2", "gateway", "outsider"]
    assert set(found["node1"]) == {
        "reached",
        "relocation ports are reached as planned",
        *(control["id"] for control in sample.catalogue()),
    }
    assert set(found["outsider"]) == {"reached"}
    document = junitparser.JUnitXml.fromstring(audit_junit(report).encode())
    assert (document.failures, document.errors) == (0, 0)
    assert document.tests == sum(map(len, found.values()))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("pass", None, ""),
        ("fail", junitparser.Failure, 'found ["x"]'),
        ("error", junitparser.Error, 'could not be evaluated: ["x"]'),
        ("not_applicable", junitparser.Skipped, "not applicable"),
        ("waived", junitparser.Skipped, "waived until 2027-01-01: known"),
    ],
)
def test_what_a_result_is_to_ci(status: str, kind: Any, words: str) -> None:
    hosts = sample.cluster(1)
    waiver = {"reason": "known", "expires": "2027-01-01"} if status == "waived" else None
    hosts["node1"]["dom0_audit_results"][0].update(status=status, evidence=["x"], expected=["y"], waiver=waiver)
    results = suites(sample.report(hosts))["node1"]["relocation-hosts-allow-everybody"].result
    if kind is None:
        assert results == []
        return
    (result,) = results
    assert isinstance(result, kind)
    assert result.message == words
    if status in ("fail", "error"):
        assert 'Expected: ["y"]\n' in result.text
        assert "Remedy: Run the role xend_relocation" in result.text
        assert result.type == "critical"


@pytest.mark.parametrize(("asked", "kind"), [(True, junitparser.Error), (False, junitparser.Skipped)])
def test_a_host_that_nothing_is_known_of_is_no_success(asked: bool, kind: Any) -> None:
    hosts = sample.cluster(2)
    sample.lose(hosts, "node2")
    found = suites(sample.report(hosts, hosts=[name for name in hosts if asked or name != "node2"]))
    (result,) = found["node2"]["reached"].result
    assert isinstance(result, kind)
    assert list(found["node2"]) == ["reached"]


def test_a_path_that_is_not_as_planned_is_a_failure_of_the_node_it_leads_to() -> None:
    hosts = sample.cluster(2)
    sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    found = suites(sample.report(hosts))
    (result,) = found["node1"]["relocation ports are reached as planned"].result
    assert result.text == "outsider (192.0.2.250) to 192.0.2.1 port 8002: open, should be refused"
    assert found["node2"]["relocation ports are reached as planned"].result == []


def test_a_node_whose_ports_nobody_tried_is_not_said_to_be_as_planned() -> None:
    hosts = sample.cluster(1)
    del hosts["outsider"]
    (result,) = suites(sample.report(hosts))["node1"]["relocation ports are reached as planned"].result
    assert isinstance(result, junitparser.Skipped)


PLAIN_TAGS = [element.tag for element in ElementTree.fromstring(audit_junit(sample.report(sample.cluster(1)))).iter()]


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
@settings(deadline=None, max_examples=40)
def test_whatever_a_host_says_is_text(evidence: str, reason: str) -> None:
    hosts = sample.cluster(1)
    results = hosts["node1"]["dom0_audit_results"]
    results[0].update(status="fail", evidence=evidence)
    results[1].update(status="waived", waiver={"reason": reason, "expires": "2027-01-01"})
    document = ElementTree.fromstring(audit_junit(sample.report(hosts)).encode("utf-8"))
    tags = [element.tag for element in document.iter()]
    assert sorted(tags) == sorted([*PLAIN_TAGS, "failure", "skipped"])


def test_without_the_library_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "junit", None)
    with pytest.raises(
        AnsibleFilterError, match=r"pip install junitparser.*leave junit out of dom0_audit_report_formats"
    ):
        audit_junit(sample.report(sample.cluster(1)))
