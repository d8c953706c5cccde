# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a transaction: prove over a new connection that the operator still gets in."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.xensec.hardening.plugins.plugin_utils.planned import say
from ansible_collections.xensec.hardening.plugins.plugin_utils.results import ResultsAction

display = Display()

# Connections that the packet filter, or the login, of the host can cut; any other proves nothing about them.
PROVING = ("ssh", "paramiko", "paramiko_ssh", "libssh")


class ConfirmingAction(ResultsAction):
    """Runs the module once where nothing differs, else to load, and over a new connection to confirm.

    The new connection becomes root as the old one did, so what it takes for that is proven with it.
    """

    module = ""
    # What is changed, as in "with the new rules"; and what a connection that passes it by does not pass.
    changed_things = ""
    barrier = ""

    def remedy(self, loaded: dict[str, Any]) -> str:
        """What to do about a connection that did not come through, from what the module returned when it loaded."""
        return ""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = say({key: value for key, value in self._task.args.items() if key != "step"}, task_vars)
        result: dict[str, Any] = self._execute_module(self.module, {**arguments, "step": "load"}, task_vars=task_vars)
        if not result.get("pending"):
            return result
        if self._connection.transport.split(".")[-1] not in PROVING:
            result.setdefault("warnings", []).append(
                f"the connection {self._connection.transport} does not pass {self.barrier}, so it proves nothing: "
                "whether you still get in over ssh is for you to try"
            )
        display.display(f"{task_vars['inventory_hostname']}: loaded, trying a new connection" if task_vars else "")
        confirmed = self.confirm(arguments, task_vars, float(result["confirm_timeout"]))
        if confirmed.get("failed") or confirmed.get("unreachable"):
            return self.explain(confirmed, result, arguments, task_vars)
        confirmed["diff"] = result.get("diff", [])
        confirmed["warnings"] = [*result.get("warnings", []), *confirmed.get("warnings", [])]
        return {**{key: value for key, value in result.items() if key != "pending"}, **confirmed}

    def fresh(self, step: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run a step of the module over a connection that did not exist before."""
        # The temporary directory belongs to the old connection's shell; a new one is made on the way.
        self._connection._shell.tmpdir = None
        try:
            # Also where the operator has connections shared: one that exists proves nothing.
            self._connection.reset()
            result: dict[str, Any] = self._execute_module(self.module, {**arguments, "step": step}, task_vars=task_vars)
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

    def half_done(self, confirmed: dict[str, Any]) -> str:
        return (
            f"a new connection came through, so the new {self.changed_things} are kept, but what is to come after that "
            f"failed: {str(confirmed.get('msg', '')).strip()}. Mend that and run this again"
        )

    def explain(
        self,
        confirmed: dict[str, Any],
        loaded: dict[str, Any],
        arguments: dict[str, Any],
        task_vars: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Wait until the old state is back, and say so, or that it is not."""
        # Where a connection came through, but did not become root, the host's timer may have all of its time left.
        deadline = time.monotonic() + 30 + (0 if confirmed.get("unreachable") else float(loaded["confirm_timeout"]))
        after = self.fresh("status", arguments, task_vars)
        while not after.get("undone") and after.get("pending", True) and time.monotonic() < deadline:
            time.sleep(2)
            after = self.fresh("status", arguments, task_vars)
        if not after.get("pending", True) and not after.get("undone"):
            # The proof was given, and then something else went wrong.
            return {**confirmed, "changed": True, "undone": False, "msg": self.half_done(confirmed)}
        if after.get("undone"):
            state = f"the host has taken the {self.changed_things} back by itself, and is reachable as before"
        elif after.get("unreachable"):
            state = (
                f"and the host does not answer; its own timer takes the {self.changed_things} back, "
                "try again in a minute"
            )
        else:
            state = (
                f"and whether the host took the {self.changed_things} back is not known: look at it before you go on"
            )
        return {
            "failed": True,
            "changed": False,
            "undone": bool(after.get("undone")),
            "msg": (
                f"with the new {self.changed_things} no new connection came about within "
                f"{loaded['confirm_timeout']} seconds ({str(confirmed.get('msg', '')).strip()}): "
                f"{state}{self.remedy(loaded)}"
            ),
        }
