# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host answers is a result and nothing else, whoever answers there by now."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

# What Ansible does with these in any result: the facts override the inventory's variables, a host that is added can have
# the controller for its connection.
ACTED_UPON = ("add_host", "add_group", "ansible_facts", "ansible_stats")


class ResultsAction(ActionBase):  # type: ignore[misc]
    """Takes from what a module answers no more than what it found."""

    def _execute_module(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super()._execute_module(*arguments, **more)
        found = {key: value for key, value in answer.items() if key not in ACTED_UPON}
        # Ansible has found this one out by itself. Of a host that a task was delegated to, it would be another's.
        if self._discovered_interpreter_key and not self._task.delegate_to:
            found["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return found


class ModuleAction(ResultsAction):
    """Runs the module."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        return self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
