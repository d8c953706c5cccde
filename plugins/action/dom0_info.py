# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is asked only for what is not known of it."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.preload import preload
from ansible_collections.xensec.hardening.plugins.plugin_utils.reading import DEFAULT, misfits, recall
from ansible_collections.xensec.hardening.plugins.plugin_utils.results import ResultsAction

# Ansible imports this before it forks the process for the first of a run's tasks.
preload()


class ActionModule(ResultsAction):
    """Returns what is known, or runs the module."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        known = arguments.pop("known", None)
        wanted, names = arguments.get("gather_subset", DEFAULT), arguments.get("account_names", [])
        # What is no list the module makes one of, or refuses.
        if isinstance(known, dict) and not isinstance(wanted, str) and not isinstance(names, str):
            found = recall(known, wanted, names, time.time())
            if found is not None:
                return found
        # The time is the controller's: hosts' clocks differ.
        started = time.time()
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        if result.get("failed"):
            return result
        # Others plan on it: what they cannot use has to end the run of this host alone.
        wrong = misfits(result)
        if wrong:
            facts = ", ".join(wrong)
            return {
                "failed": True,
                "msg": f"what answers here as {facts} is not made as this module makes it: look at what runs on this host",
            }
        return {**result, "read_at": started}
