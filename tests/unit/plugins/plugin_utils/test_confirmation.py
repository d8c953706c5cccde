# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a transaction, with a host that answers as it is told to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.xensec.hardening.plugins.plugin_utils import confirmation, planned

PENDING = {"changed": True, "pending": True, "confirm_timeout": 20, "diff": ["d"], "accounts": {"a": 1}}


class Action(confirmation.ConfirmingAction):
    module = "m"
    changed_things = "files"
    barrier = "sshd"

    def __init__(self, answers: list[Any], transport: str = "ssh") -> None:
        self.answers, self.steps, self.resets = answers, [], 0
        self._task = SimpleNamespace(args={"x": 1, "step": "all"}, async_val=0, check_mode=False)
        self._connection = SimpleNamespace(
            transport=transport, reset=self.reset, _shell=SimpleNamespace(tmpdir="old"), _remote_is_local=False
        )

    def reset(self) -> None:
        self.resets += 1

    def remedy(self, loaded: dict[str, Any]) -> str:
        return "; do this"

    def _execute_module(self, name: str, arguments: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
        self.steps.append(arguments["step"])
        self.sent = arguments
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(confirmation.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(confirmation.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(ActionBase, "run", lambda *arguments: {})
    return now


def run(*answers: Any, **more: Any) -> tuple[dict[str, Any], Action]:
    action = Action(list(answers), **more)
    return action.run(task_vars={"inventory_hostname": "node1"}), action


def test_what_the_plan_warns_of_is_said_before_anything_is_changed(monkeypatch):
    said: list[str] = []
    action = Action([RuntimeError("changed")])
    action._task.args["warnings"] = ["nobody knows \x1b]0;"]
    monkeypatch.setattr(planned.display, "warning", said.append)
    with pytest.raises(RuntimeError, match="changed"):
        action.run(task_vars={"inventory_hostname": "node1"})
    assert said == ["node1: nobody knows \\u001b]0;"]
    assert "warnings" not in action.sent


def test_nothing_to_confirm_takes_one_call():
    result, action = run({"changed": False})
    assert (result, action.steps, action.resets) == ({"changed": False}, ["load"], 0)


def test_a_new_connection_confirms():
    result, action = run(PENDING, {"changed": True, "warnings": ["w"]})
    assert action.steps == ["load", "confirm"] and action.resets == 1
    assert result == {"changed": True, "confirm_timeout": 20, "diff": ["d"], "accounts": {"a": 1}, "warnings": ["w"]}


def test_a_connection_that_fails_is_tried_again():
    result, action = run(PENDING, AnsibleConnectionFailure("no"), AnsibleConnectionFailure("no"), {"changed": True})
    assert result["changed"] and action.resets == 3


def test_a_host_that_took_it_back_is_said_to_have():
    lost = [AnsibleConnectionFailure("no")] * 22
    result, _action = run(PENDING, *lost, {"changed": False, "undone": True})
    assert result["failed"] and result["undone"] and not result["changed"]
    assert "the host has taken the files back by itself, and is reachable as before; do this" in result["msg"]


def test_a_login_that_does_not_become_root_waits_for_the_hosts_own_timer(clock):
    """The connection comes through at once; only when the host's time is up does it become root again."""
    answers = [PENDING, {"failed": True, "msg": "sudo: a password is required"}, {"failed": True, "msg": "sudo"}]
    result, _action = run(*answers, *[{"failed": True, "msg": "sudo"}] * 10, {"changed": False, "undone": True})
    assert result["undone"] and clock[0] > 20
    assert "a password is required" in result["msg"]


def test_a_host_that_stays_away_is_not_said_to_be_back():
    result, _action = run(PENDING, AnsibleConnectionFailure("no"))
    assert result["failed"] and not result["undone"]
    assert "the host does not answer" in result["msg"]


def test_what_fails_after_the_proof_is_said_at_once(clock):
    """Nothing is armed any more, so there is nothing to wait for."""
    status = {"changed": False, "undone": False, "pending": False}
    result, _action = run(PENDING, {"failed": True, "msg": "No space left on device"}, status)
    assert result["failed"] and result["changed"] and not result["undone"] and clock[0] == 0
    assert "a new connection came through, so the new files are kept" in result["msg"]
    assert "No space left on device" in result["msg"] and "do this" not in result["msg"]


def test_while_the_host_may_take_it_back_it_is_waited_for(clock):
    status = {"changed": False, "undone": False, "pending": True}
    answers = [
        PENDING,
        {"failed": True, "msg": "no"},
        status,
        status,
        {"changed": False, "undone": True, "pending": False},
    ]
    result, _action = run(*answers)
    assert result["undone"] and clock[0] == 4


def test_a_connection_past_sshd_proves_nothing_and_says_so():
    result, _action = run(PENDING, {"changed": True}, transport="local")
    assert "does not pass sshd, so it proves nothing" in result["warnings"][0]
