# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run asks of a node: few enough module calls and tasks to be run on every change."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from labtest import LAB, NODES, ansible

COUNTS = LAB / "run_counts.jsonl"


def runs(playbook: str) -> list[dict[str, Any]]:
    """What the runs of a playbook asked of each host, those in check mode left out."""
    found = [json.loads(line) for line in COUNTS.read_text().splitlines()]
    return [run["hosts"] for run in found if run["playbook"] == playbook and not run["check"]]


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    return runs("converge.yml")[0]


@pytest.fixture(scope="module")
def again() -> dict[str, Any]:
    return runs("converge.yml")[1]


@pytest.fixture(scope="module")
def audit() -> dict[str, Any]:
    variables = json.dumps({"dom0_audit_report_dir": str(LAB / "report")})
    done = subprocess.run(
        ansible("ansible-playbook", "--extra-vars", variables, "xensec.hardening.audit"),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return runs("audit.yml")[-1]


def calls(host: dict[str, Any]) -> int:
    return sum(host["calls"].values())


@pytest.mark.parametrize("node", NODES)
def test_a_run_that_changes_nothing_makes_ten_calls(again, node):
    assert again[node]["tasks"].get("changed", 0) == 0
    assert calls(again[node]) <= 10, again[node]["calls"]
    # What is known already is not asked for again.
    assert again[node]["calls"]["dom0_info"] == 1


@pytest.mark.parametrize("node", NODES)
def test_relocation_takes_three_of_them(again, node):
    found = again[node]["calls"]
    # One of the two rulesets is Dom0's.
    assert found["firewall_ruleset"] == 2
    assert 1 + found.get("xend_config", 0) + found.get("xl_relocation", 0) <= 3


@pytest.mark.parametrize("node", NODES)
def test_the_first_run_reads_again_what_it_changed_and_makes_25_calls(first, node):
    assert first[node]["tasks"]["changed"] > 0
    assert calls(first[node]) <= 25, first[node]["calls"]
    # At the start, ahead of the roles that come after a change, and at the end.
    assert first[node]["calls"]["dom0_info"] >= 4


@pytest.mark.parametrize("node", NODES)
def test_an_audit_makes_three_calls(audit, node):
    assert 2 <= calls(audit[node]) <= 3, audit[node]["calls"]


@pytest.mark.parametrize("node", NODES)
def test_a_node_has_few_tasks(again, node):
    # Those that are run for all nodes at once are counted apart, and skipped ones are tasks.
    assert 20 < sum(again[node]["tasks"].values()) <= 40, again[node]["tasks"]


def test_what_is_run_once_for_all_nodes_is_little(again):
    assert sum(sum(again[node].get("once", {}).values()) for node in NODES) <= 12
