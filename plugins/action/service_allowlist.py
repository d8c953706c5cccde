# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan warns of is said before services are stopped."""

from __future__ import annotations

from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.planned import say
from ansible_collections.xensec.hardening.plugins.plugin_utils.results import ResultsAction


class ActionModule(ResultsAction):
    """Says the warnings, and runs the module."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = say(dict(self._task.args), task_vars)
        return self._execute_module(module_args=arguments, task_vars=task_vars)
