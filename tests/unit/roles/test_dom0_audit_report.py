# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports that the role dom0_audit writes, by ansible-playbook, of hosts that only have variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/unit/plugins/plugin_utils"))

import audit_sample  # noqa: E402

PLAYBOOK = """
- hosts: xen_nodes:xen_gateways:xen_probes
  gather_facts: false
  tasks:
    - name: Write the reports
      ansible.builtin.include_role:
        name: xensec.hardening.dom0_audit
        tasks_from: report
        public: true
"""
SCHEMA = json.loads((ROOT / "roles/dom0_audit/files/report.schema.json").read_text())
Run = tuple[subprocess.CompletedProcess[str], Path]


def inventory(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    groups = {"xen_nodes": "node", "xen_gateways": "gateway", "xen_probes": "outsider"}
    return {
        "all": {
            "vars": {
                # So that reaching out to a host would fail, and not be taken for the controller.
                "ansible_connection": "ssh",
                "ansible_host": "192.0.2.0",
                "ansible_become": True,
            }
        },
        **{
            group: {"hosts": {name: variables for name, variables in hosts.items() if name.startswith(start)}}
            for group, start in groups.items()
        },
    }


def play(folder: Path, hosts: dict[str, dict[str, Any]], *options: str, **environment: str) -> Run:
    (folder / "play.yml").write_text(PLAYBOOK)
    (folder / "inventory.json").write_text(json.dumps(inventory(hosts)))
    (folder / "catalogue.json").write_text(json.dumps({"dom0_audit_catalogue": audit_sample.catalogue()}))
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventory.json", "-e", "@catalogue.json", "play.yml", *options],
        cwd=folder,
        # The shell that starts it says where it is.
        env={
            **os.environ,
            "PWD": str(folder),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done, folder / "xensec-report"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(scope="module", autouse=True)
def collection() -> None:
    """Ansible has to find the checkout as the collection."""
    folder = ROOT / ".cache/collections/ansible_collections/xensec"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "hardening").exists():
        (folder / "hardening").symlink_to("../../../..")


def test_the_reports_are_written_and_the_former_one_is_compared_with(tmp_path: Path) -> None:
    hosts = audit_sample.cluster(2, 20)
    done, folder = play(tmp_path, hosts, "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"The report is {folder}/report.html" in done.stdout
    # Nothing of a host was changed, and no diff shows what the files hold.
    assert "changed=0" in done.stdout and "changed=1" not in done.stdout
    assert "+<!doctype" not in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.xml"]
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    checked = json.loads((folder / "report.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(checked)
    assert checked["drift"] is None
    assert {host["name"]: host["state"] for host in checked["hosts"]} == dict.fromkeys(hosts, "reached")
    assert checked["collection"]["version"] == "0.1.0"

    audit_sample.lose(hosts, "node2")
    folder.chmod(0o750)
    done, folder = play(tmp_path, hosts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "report-previous.json").read_text()) == checked
    report = json.loads((folder / "report.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["drift"]["hosts"]["states"] == [{"host": "node2", "before": "reached", "after": "unreachable"}]
    assert mode(folder) == 0o750
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert "Since " in (folder / "report.html").read_text()
    assert {suite.name for suite in junitparser.JUnitXml.fromfile(str(folder / "report.xml"))} == set(hosts)


def test_a_former_report_that_cannot_be_read_does_not_stop_the_audit(tmp_path: Path) -> None:
    (tmp_path / "xensec-report").mkdir()
    (tmp_path / "xensec-report/report.json").write_text('{"schema_version": 1, ')
    done, folder = play(tmp_path, audit_sample.cluster(1), "-e", '{"dom0_audit_report_formats": []}')
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"The report is {folder}/report.json" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["report-previous.json", "report.json"]
    assert "cannot be read" in json.loads((folder / "report.json").read_text())["drift_problem"]


def test_nothing_is_written_without_a_folder(tmp_path: Path) -> None:
    done, folder = play(tmp_path, audit_sample.cluster(1), "-e", "dom0_audit_report_dir=")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The report is" not in done.stdout
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done, _folder = play(tmp_path, audit_sample.cluster(1), "-e", "dom0_audit_report_dir=taken")
    assert done.returncode != 0
    assert f"the report is not written: [Errno 17] File exists: '{tmp_path}/taken'" in done.stdout
    assert "Set dom0_audit_report_dir to a folder that you may write" in done.stdout
    assert (tmp_path / "taken").read_text() == "a file"
