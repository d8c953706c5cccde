# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what a run asks of each host: module calls, commands sent, tasks. One line of JSON per run, appended."""

from __future__ import annotations

DOCUMENTATION = """
name: run_counts
type: aggregate
short_description: Count module calls, remote commands and tasks per host
description:
  - A module call is counted where it is sent, so that an action plugin's own ones are among them, and each item of a loop.
  - What runs on the controller is counted for localhost. Tasks that are run once for all hosts are counted apart.
options:
  path:
    description: The file to append to.
    type: path
    required: true
    env:
      - name: RUN_COUNTS_PATH
"""

import fcntl
import json
import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase


def host_of(action: Any, task_vars: dict[str, Any] | None) -> str:
    if action._connection.transport.split(".")[-1] == "local":
        return "localhost"
    return str(action._task.delegate_to or (task_vars or {}).get("inventory_hostname"))


def watch(log: Path) -> None:
    """Have every worker, a fork of this process, write down what it sends."""
    execute_module, execute_command = ActionBase._execute_module, ActionBase._low_level_execute_command

    def note(*what: str) -> None:
        with log.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write(json.dumps(what) + "\n")

    def counting_module(self: Any, module_name: Any = None, *rest: Any, **named: Any) -> Any:
        task_vars = named.get("task_vars") or (rest[2] if len(rest) > 2 else None)
        self.counted_host = host_of(self, task_vars)
        note("calls", self.counted_host, str(module_name or self._task.action).rsplit(".", maxsplit=1)[-1])
        return execute_module(self, module_name, *rest, **named)

    def counting_command(self: Any, *rest: Any, **named: Any) -> Any:
        note("commands", getattr(self, "counted_host", "unknown"), "command")
        return execute_command(self, *rest, **named)

    ActionBase._execute_module, ActionBase._low_level_execute_command = counting_module, counting_command


class CallbackModule(CallbackBase):
    """Counts, and writes at the end of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "run_counts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        descriptor, name = tempfile.mkstemp(prefix="run-counts-")
        os.close(descriptor)
        self.log, self.playbook = Path(name), ""
        self.tasks: dict[str, Counter[str]] = defaultdict(Counter)
        self.once: dict[str, Counter[str]] = defaultdict(Counter)
        watch(self.log)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = os.path.basename(playbook._file_name)

    def count(self, result: Any, outcome: str) -> None:
        counted = self.once if result._task.run_once else self.tasks
        counted[result._host.get_name()][outcome] += 1

    def v2_runner_on_ok(self, result: Any) -> None:
        self.count(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.count(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self.count(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.count(result, "unreachable")

    def v2_playbook_on_include(self, included_file: Any) -> None:
        counted = self.once if included_file._task.run_once else self.tasks
        for host in included_file._hosts:
            counted[host.get_name()]["included"] += 1

    def v2_playbook_on_stats(self, stats: Any) -> None:
        sent: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for line in self.log.read_text().splitlines():
            kind, host, name = json.loads(line)
            sent[host][kind][name] += 1
        self.log.unlink()
        run = {
            "playbook": self.playbook,
            "check": bool(context.CLIARGS.get("check")),
            "hosts": {
                host: {
                    "calls": dict(sent[host]["calls"]),
                    "commands": sent[host]["commands"].total(),
                    "tasks": dict(self.tasks[host]),
                    "once": dict(self.once[host]),
                }
                for host in sorted({*sent, *self.tasks})
            },
        }
        path = Path(self.get_option("path"))
        # A lab that this run has taken away takes its counts with it.
        if path.parent.is_dir():
            with path.open("a") as stream:
                stream.write(json.dumps(run) + "\n")
