# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import changes

# Another process: holds the lock, says so, and goes on until it is told to end.
HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
import conftest
from ansible_collections.xensec.hardening.plugins.module_utils import changes
changes.LOCK = sys.argv[2]
with changes.exclusive("login_policy"):
    print("held")
    sys.stdout.flush()
    sys.stdin.readline()
"""
TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def holder():
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, TESTS, changes.LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_process_stops_and_names_the_first(holder):
    with pytest.raises(changes.Busy) as caught, changes.exclusive("other", patience=0.5):
        pytest.fail("both have it")
    said = str(caught.value)
    assert "process %d, login_policy, since %s" % (holder.pid, time.strftime("%Y-")) in said


def test_a_second_process_goes_on_when_the_first_has_ended(holder):
    started = time.time()
    pid = os.fork()
    if not pid:
        time.sleep(0.6)
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        os._exit(0)
    with changes.exclusive("other", patience=20):
        assert time.time() - started > 0.5
    os.waitpid(pid, 0)


def test_a_process_that_was_killed_holds_nothing(holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with changes.exclusive("other", patience=5):
        pass


def test_nothing_is_left_behind():
    folder = os.path.dirname(changes.LOCK)
    with changes.exclusive("one"):
        assert os.path.exists(changes.LOCK)
    assert not os.path.exists(folder)


class Module(object):
    check_mode, _name = False, "ansible_collections.xensec.hardening.plugins.modules.some_module"

    def __init__(self):
        self.warnings, self.result = [], None

    def warn(self, text):
        self.warnings.append(text)

    def exit_json(self, **result):
        self.result = result

    def fail_json(self, msg):
        raise RuntimeError(msg)


def test_what_goes_wrong_is_said_in_words():
    def work():
        raise OSError(28, "No space left on device")

    with pytest.raises(RuntimeError, match="some_module: .*No space left on device.* run this again"):
        changes.carry_out(Module(), work)


def test_the_message_says_who_and_what_to_do(holder, monkeypatch):
    monkeypatch.setattr(changes, "PATIENCE", 0.3)
    with pytest.raises(RuntimeError, match="nothing was changed: process %d, login_policy" % holder.pid):
        changes.carry_out(Module(), lambda: pytest.fail("both have it"))


def test_looking_takes_no_lock(holder):
    looking = Module()
    looking.check_mode = True
    changes.carry_out(looking, lambda: {"changed": True})
    assert looking.result == {"changed": True}


def test_warnings_go_the_way_that_ansible_wants():
    module = Module()
    changes.carry_out(module, lambda: {"changed": False, "warnings": ["look"]})
    assert module.result == {"changed": False} and module.warnings == ["look"]
