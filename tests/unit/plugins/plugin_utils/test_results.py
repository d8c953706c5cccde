# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host that somebody has taken over answers stays a result."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.xensec.hardening.plugins.plugin_utils.results import ModuleAction

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
FORGED = {
    "changed": False,
    "results": [],
    "ansible_facts": {"dom0_audit_enforce": False, "discovered_interpreter_python": "/bin/sh -c evil #"},
    "ansible_stats": {"data": {}},
    "add_host": {"host_name": "xen2", "host_vars": {"ansible_connection": "local"}},
    "add_group": "xen_nodes",
}


def answered(monkeypatch: pytest.MonkeyPatch, discovered: str | None, delegate_to: str | None = None) -> dict[str, Any]:
    monkeypatch.setattr(ActionBase, "run", lambda *arguments: {})
    monkeypatch.setattr(ActionBase, "_execute_module", lambda *arguments, **more: dict(FORGED))
    action = ModuleAction.__new__(ModuleAction)
    action._task = SimpleNamespace(args={}, delegate_to=delegate_to)
    action._discovered_interpreter_key = discovered and "discovered_interpreter_python"
    action._discovered_interpreter = discovered
    found: dict[str, Any] = action.run()
    return found


def test_nothing_that_ansible_acts_upon_gets_through(monkeypatch):
    assert answered(monkeypatch, None) == {"changed": False, "results": []}


def test_the_interpreter_that_ansible_found_does(monkeypatch):
    facts = {"discovered_interpreter_python": "/usr/bin/python3"}
    assert answered(monkeypatch, "/usr/bin/python3") == {"changed": False, "results": [], "ansible_facts": facts}
    # Another host's is none of this one's.
    assert answered(monkeypatch, "/usr/bin/python3", "xen2") == {"changed": False, "results": []}


def test_every_module_has_such_an_action():
    """Without one Ansible takes all that a module answers."""
    for module in (PLUGINS / "modules").glob("*.py"):
        text = (PLUGINS / "action" / module.name).read_text()
        kept = ("(ModuleAction)", "(ResultsAction)", "(ConfirmingAction)")
        # It asks no host.
        assert module.stem == "report_files" or any(f"class ActionModule{base}:" in text for base in kept), module.stem
