# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reading stands in for the host only where it has all that is asked for, and is of this run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.xensec.hardening.plugins.plugin_utils.reading import DEFAULT, MOST_SECONDS, misfits, recall

ROOT = Path(__file__).resolve().parents[4]
NOW = 1_800_000_000.0
KNOWN: dict[str, Any] = {
    "changed": False,
    "read_at": NOW - 5,
    "platform": {"id": "debian"},
    "toolstack": {"detected": "xl"},
    "interfaces": {},
    "listeners": [],
    "control": {"address": "192.0.2.1", "port": 22},
    "firewall_managers": [],
    "relocation": {"installed": False},
    "root_keys": {"own": [], "admitted": []},
    "perimeter": {},
    "accounts": {"users": {"root": {}, "ops": {}}},
    "audit": {"xen": None},
    "unread": [{"fact": "audit.xen", "reason": "no answer"}],
}


def test_what_is_wanted_is_taken_and_no_more():
    found = recall(KNOWN, ["interfaces", "control"], [], NOW)
    assert found == {key: KNOWN[key] for key in ("changed", "read_at", "platform", "interfaces", "control")}


def test_roots_keys_come_with_relocation():
    found = recall(KNOWN, DEFAULT, [], NOW)
    assert found is not None and found["root_keys"] == KNOWN["root_keys"]
    assert recall({key: value for key, value in KNOWN.items() if key != "root_keys"}, DEFAULT, [], NOW) is None


def test_an_audit_is_taken_whole_with_what_could_not_be_read():
    assert recall(KNOWN, ["audit"], [], NOW) == KNOWN
    assert recall({key: value for key, value in KNOWN.items() if key != "audit"}, ["audit"], [], NOW) is None


def test_what_else_is_known_is_no_fact():
    known = {**KNOWN, "add_host": {"host_name": "xen1"}, "ansible_facts": {"a": 1}, "changed": True}
    assert recall(known, ["audit"], [], NOW) == KNOWN


@pytest.mark.parametrize("name", ["node", "gateway"])
def test_what_a_host_answers_fits(name):
    answer = json.loads((Path(__file__).parent / f"recorded/{name}.json").read_text())
    assert misfits(answer) == []
    assert misfits(dict.fromkeys(answer)) == []


INTERFACE = {
    **{"ipv4": [], "ipv6": [], "routes": [], "bridge": None, "rp_filter": 0},
    **dict.fromkeys(("up", "guests", "default_route"), False),
}


def test_an_interface_fits() -> None:
    assert misfits({"interfaces": {"eth0.5": INTERFACE}}) == []


FORGED = [
    ("platform", {"id": None, "like": {"debian": 1}, "name": ""}),
    ("toolstack", {"detected": {"xl": 1}, "evidence": [], "libvirt": False}),
    ("toolstack", {"detected": "xl", "evidence": [5], "libvirt": False}),
    ("interfaces", []),
    ("interfaces", {"x": {"ipv4": []}}),
    ("interfaces", "x"),
    ("interfaces", {"{{lookup('pipe','id')}}": INTERFACE}),
    ("interfaces", {'" accept': INTERFACE}),
    ("control", {"address": "192.0.2.1", "port": "22"}),
    ("firewall_managers", {"ufw": 1}),
    ("relocation", {"installed": True, "generations": {"x": {}}, "accepts": [], "pins": []}),
    ("relocation", {"installed": True, "generations": {"1": {}}, "accepts": [], "pins": []}),
    ("root_keys", {"own": 5, "admitted": []}),
    ("root_keys", {"own": [], "admitted": [{"key": "a"}]}),
    ("perimeter", {"spoofed": {"packets": True, "bytes": 1}}),
    ("accounts", {"users": {"root": []}}),
    ("listeners", [{"port": 22}]),
    ("unread", "x"),
]


@pytest.mark.parametrize(("fact", "said"), FORGED)
def test_what_no_host_answers_does_not_fit(fact, said):
    answer = json.loads((Path(__file__).parent / "recorded/node.json").read_text())
    assert misfits({**answer, fact: said}) == [fact]


@pytest.mark.parametrize("said", [("x", 24), ("192.0.2.1", 33), ("192.0.2.1", -1), ("192.0.2.1", True), ("1 }", 24)])
def test_an_address_that_is_none_does_not_fit(said):
    answer = json.loads((Path(__file__).parent / "recorded/node.json").read_text())
    name = next(iter(answer["interfaces"]))
    answer["interfaces"][name]["ipv4"] = [dict(zip(("address", "prefix"), said, strict=True))]
    assert misfits(answer) == ["interfaces"]


@pytest.mark.parametrize("lacking", ["interfaces", "control"])
def test_the_host_is_asked_for_what_is_not_known(lacking):
    assert recall({key: value for key, value in KNOWN.items() if key != lacking}, DEFAULT, [], NOW) is None
    assert recall({**KNOWN, lacking: None}, DEFAULT, [], NOW) is None


def test_an_account_that_nobody_looked_for_is_asked_for():
    assert recall(KNOWN, ["accounts"], ["ops", "root"], NOW) is not None
    assert recall(KNOWN, ["accounts"], ["ops", "of-a-directory"], NOW) is None


@pytest.mark.parametrize("age", [-1, MOST_SECONDS + 1])
def test_an_old_one_or_one_from_the_future_is_none(age):
    assert recall({**KNOWN, "read_at": NOW - age}, DEFAULT, [], NOW) is None


@pytest.mark.parametrize("nothing", [{}, {"skipped": True, "changed": False}, {"read_at": None}])
def test_nothing_known_is_asked_for(nothing):
    assert recall(nothing, [], [], NOW) is None


def test_the_default_is_the_modules():
    text = (ROOT / "plugins/modules/dom0_info.py").read_text()
    documented = yaml.safe_load(re.search(r'DOCUMENTATION = r"""(.*?)"""', text, re.S)[1])
    assert documented["options"]["gather_subset"]["default"] == list(DEFAULT)


# The roles' modules that change a host.
CHANGING = {
    f"xensec.hardening.{path.stem}"
    for path in ROOT.glob("plugins/modules/*.py")
    if path.stem not in ("dom0_info", "port_probe")
}
ROLES = ["dom0_firewall", "xend_relocation", "dom0_services", "dom0_users"]
FILES = [
    path
    for role in ROLES
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
    # No part of harden.
    if path.stem not in ("restore", "register")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_harden_looks_at_every_result_of_a_task_that_changes_a_host(path):
    """One that is forgotten would have the run plan on, and report, what is no longer so."""
    (play,) = [
        play
        for play in yaml.safe_load((ROOT / "playbooks/harden.yml").read_text())
        if "harden_results" in str(play.get("vars")) and play["hosts"] == "xen_nodes"
    ]
    looked_at = " ".join(play["vars"]["harden_results"])
    for task in yaml.safe_load(path.read_text()):
        if CHANGING & set(task):
            assert f"{{{{ {task.get('register')} | default({{}}) }}}}" in looked_at, task["name"]
        else:
            # Any other task of a role leaves the host alone.
            assert set(task) & {
                "xensec.hardening.dom0_info",
                "ansible.builtin.set_fact",
                "ansible.builtin.debug",
                "ansible.builtin.assert",
                "ansible.builtin.import_tasks",
                "ansible.builtin.include_tasks",
            }, task["name"]
