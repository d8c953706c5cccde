# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a ruleset's transaction: prove over a new connection that the operator still gets in."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

NAME = "xensec.hardening.firewall_ruleset"
# Connections that the packet filter of the host can cut; any other proves nothing about them.
PROVING = ("ssh", "paramiko", "paramiko_ssh", "libssh")


class ActionModule(ActionBase):
    """Runs the module once where nothing differs, else to load, and over a new connection to confirm."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {key: value for key, value in self._task.args.items() if key != "step"}
        result: dict[str, Any] = self._execute_module(NAME, {**arguments, "step": "load"}, task_vars=task_vars)
        if not result.get("pending"):
            return result
        if self._connection.transport.split(".")[-1] not in PROVING:
            result.setdefault("warnings", []).append(
                f"the connection {self._connection.transport} does not pass the packet filter, so it proves nothing: "
                "whether you still get in over ssh is for you to try"
            )
        display.display(f"{task_vars['inventory_hostname']}: loaded, trying a new connection" if task_vars else "")
        confirmed = self.confirm(arguments, task_vars, float(result["confirm_timeout"]))
        if confirmed.get("failed") or confirmed.get("unreachable"):
            return self.explain(confirmed, result, arguments, task_vars)
        confirmed["diff"] = result.get("diff", [])
        confirmed["warnings"] = [*result.get("warnings", []), *confirmed.get("warnings", [])]
        return confirmed

    def fresh(self, step: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run a step of the module over a connection that did not exist before."""
        # The temporary directory belongs to the old connection's shell; a new one is made on the way.
        self._connection._shell.tmpdir = None
        try:
            self._connection.reset()
            result: dict[str, Any] = self._execute_module(NAME, {**arguments, "step": step}, task_vars=task_vars)
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"failed": True, "unreachable": True, "msg": str(error)}
        return result

    def confirm(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        """Try until one connection comes through or the host is about to take the change back."""
        deadline = time.monotonic() + timeout
        while True:
            result = self.fresh("confirm", arguments, task_vars)
            if not result.get("unreachable") or time.monotonic() >= deadline:
                return result
            time.sleep(1)

    def explain(
        self,
        confirmed: dict[str, Any],
        loaded: dict[str, Any],
        arguments: dict[str, Any],
        task_vars: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Wait until the old rules are back, and say so, or that they are not."""
        deadline = time.monotonic() + 30
        after = self.fresh("status", arguments, task_vars)
        while (after.get("unreachable") or not after.get("undone")) and time.monotonic() < deadline:
            time.sleep(2)
            after = self.fresh("status", arguments, task_vars)
        if after.get("undone"):
            state = "the host has taken the rules back by itself, and is reachable as before"
        elif after.get("unreachable"):
            state = "and the host does not answer; its own timer takes the rules back, try again in a minute"
        else:
            state = "and whether the host took the rules back is not known: look at it before you go on"
        client = (loaded.get("control") or {}).get("address")
        remedy = f"; admit {client}, which is where this connection comes from" if client else ""
        return {
            "failed": True,
            "changed": False,
            "undone": bool(after.get("undone")),
            "msg": (
                f"with the new rules no new connection came about within {loaded['confirm_timeout']} seconds "
                f"({str(confirmed.get('msg', '')).strip()}): {state}{remedy}"
            ),
        }
