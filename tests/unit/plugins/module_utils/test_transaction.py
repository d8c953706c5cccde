# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back, on a host without systemd: a process of its own, that really waits and really runs."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import transaction


class Failed(Exception):
    pass


class Module(object):
    """As much of an AnsibleModule as it takes."""

    def __init__(self, code=0):
        self.code, self.commands = code, []

    def run_command(self, command, **_more):
        self.commands.append(" ".join(command))
        return self.code, "", "no bus\n"

    def get_bin_path(self, name, **_more):
        return None

    def fail_json(self, msg):
        raise Failed(msg)


@pytest.fixture
def folder(tmpdir, monkeypatch):
    monkeypatch.setattr(transaction, "FOLDER", str(tmpdir.join("run")))
    monkeypatch.setattr(transaction, "SYSTEMD", str(tmpdir.join("systemd")))
    return tmpdir


@pytest.fixture
def no_timer(monkeypatch):
    """For tests that say themselves when the time is up: no process is left waiting for it."""
    monkeypatch.setattr(transaction.Transaction, "arm_process", lambda self, timeout: None)


def wait_for(path, seconds=15):
    deadline = time.time() + seconds
    while not path.check():
        assert time.time() < deadline, "%s never came" % path
        time.sleep(0.05)


def armed(folder, timeout, module=None):
    made = transaction.Transaction(module or Module(), "test")
    made.arm("echo back >> %s" % folder.join("back"), timeout)
    return made


def test_it_is_taken_back_when_nobody_confirms(folder):
    made = armed(folder, 1)
    assert made.remaining() in (0, 1)
    wait_for(folder.join("back"))
    assert made.was_undone() and made.remaining() is None
    assert not made.confirm()
    assert folder.join("back").read() == "back\n"


def test_it_stays_when_confirmed_in_time(folder):
    made = armed(folder, 1)
    assert made.confirm()
    time.sleep(2)
    assert not folder.join("back").check()
    assert not made.was_undone()
    assert os.listdir(transaction.FOLDER) == []


def test_its_status_tells_what_may_still_be_taken_back(folder, no_timer):
    made = armed(folder, 20)
    assert made.status() == {"changed": False, "undone": False, "pending": True}
    assert made.confirm()
    assert made.status() == {"changed": False, "undone": False, "pending": False}
    made = armed(folder, 20)
    subprocess.check_call(["/bin/sh", made.script])
    assert made.status() == {"changed": False, "undone": True, "pending": False}


def test_exactly_one_of_the_two_happens(folder, no_timer):
    """The script may begin in the very moment of the confirmation; the loser does nothing."""
    for _round in range(20):
        made = armed(folder, 60)
        script = folder.join("copy")
        script.write(folder.join("run", "test.rollback").read())
        running = subprocess.Popen(["/bin/sh", str(script)])
        confirmed = made.confirm()
        running.wait()
        assert confirmed != folder.join("back").check()
        if folder.join("back").check():
            folder.join("back").remove()


def test_it_outlives_the_process_that_armed_it(folder):
    """And that one's whole process group, as when the connection is cut."""
    code = """
import os, signal, sys
sys.path[:0] = [%r]
import conftest
from ansible_collections.xensec.hardening.plugins.module_utils import transaction
transaction.FOLDER, transaction.SYSTEMD = %r, %r
transaction.Transaction(None, "test").arm("echo back >> %s", 1)
os.killpg(0, signal.SIGKILL)
"""
    tests = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = code % (tests, transaction.FOLDER, transaction.SYSTEMD, folder.join("back"))
    killed = subprocess.Popen([sys.executable, "-c", code], preexec_fn=os.setsid)
    assert killed.wait() == -9
    wait_for(folder.join("back"))


def test_only_one_at_a_time(folder, no_timer):
    armed(folder, 60)
    with pytest.raises(Failed) as caught:
        armed(folder, 60)
    assert "its confirmation is still out: wait" in str(caught.value)


def test_after_a_reboot_nothing_is_armed(folder, no_timer):
    armed(folder, 60)
    folder.join("run").remove()
    made = transaction.Transaction(Module(), "test")
    assert made.remaining() is None and not made.confirm() and not made.was_undone()


@pytest.mark.parametrize("text", ["", "soon"])
def test_a_broken_mark_does_not_keep_it_from_being_armed_again(folder, no_timer, text):
    armed(folder, 60)
    folder.join("run", "test.armed").write(text)
    assert armed(folder, 60).confirm()


def test_under_systemd_a_timer_of_its_own(folder):
    folder.ensure("systemd", dir=True)
    module = Module()
    made = armed(folder, 45, module)
    started = [command for command in module.commands if command.startswith("systemd-run")]
    assert len(started) == 1
    for word in ("--unit=xensec-rollback-test ", "--on-active=45 ", "--timer-property=AccuracySec=1s "):
        assert word in started[0]
    assert made.confirm()
    assert module.commands[-1] == "systemctl stop xensec-rollback-test.timer"
    # Where that failed, what the timer runs is gone, and that is no failure.
    assert subprocess.call(["/bin/sh", "-c", started[0].rpartition("/bin/sh -c ")[2]]) == 0
    # The next one is armed though that failed, and one that failed on the way back is forgotten.
    made.clear()
    assert module.commands[-2] == "systemctl stop xensec-rollback-test.timer"
    assert module.commands[-1] == "systemctl reset-failed xensec-rollback-test.timer xensec-rollback-test.service"


def test_what_cannot_be_armed_is_an_error(folder):
    folder.ensure("systemd", dir=True)
    with pytest.raises(Failed) as caught:
        armed(folder, 45, Module(code=1))
    assert "could not be armed, so nothing was changed: no bus" in str(caught.value)
    assert transaction.Transaction(Module(), "test").remaining() is None


# The boot, under SysV init.


class SysV(Module):
    """With update-rc.d, which makes links of what says what it depends on."""

    def __init__(self, folder, works=True):
        super(SysV, self).__init__()
        self.folder, self.works = folder, works

    def get_bin_path(self, name, **_more):
        return "/usr/sbin/" + name

    def run_command(self, command, **_more):
        self.commands.append(" ".join(command))
        name = command[-2]
        if command[-1] == "defaults" and self.works:
            assert "# Provides:          %s\n" % name in self.folder.join("init.d", name).read()
            os.symlink("../init.d/" + name, str(self.folder.ensure("rcS.d", dir=True).join("S14" + name)))
        return 0, "", ""


@pytest.fixture
def boot(folder, monkeypatch, no_timer):
    for name, path in (("INIT", "init.d"), ("RC", "rcS.d"), ("BOOT_FOLDER", "state/rollback")):
        monkeypatch.setattr(transaction, name, str(folder.join(path)))
    folder.ensure("init.d", dir=True)
    return folder


def armed_for_boot(folder, module):
    made = transaction.Transaction(module, "test")
    made.arm("true", 60, boot="echo boot >> %s" % folder.join("back"))
    return made


def left_for_boot(folder):
    return [path for name in ("init.d", "rcS.d", "state/rollback") for path in folder.ensure(name, dir=True).listdir()]


@pytest.mark.parametrize("has_update_rc", [True, False])
def test_a_boot_before_the_confirmation_takes_it_back(boot, has_update_rc):
    armed_for_boot(boot, SysV(boot) if has_update_rc else Module())
    (link,) = boot.join("rcS.d").listdir()
    # Only for another action it is silent.
    assert subprocess.call([str(link), "stop"]) == 0 and not boot.join("back").check()
    assert subprocess.call([str(link), "start"]) == 0
    assert boot.join("back").read() == "boot\n"
    assert left_for_boot(boot) == []


def test_what_a_boot_starts_says_what_it_depends_on(boot):
    """An init that starts several scripts at a time starts none that does not."""
    module = SysV(boot)
    made = armed_for_boot(boot, module)
    script = boot.join("init.d", "xensec-rollback-test")
    assert "# Required-Start:    $local_fs\n" in script.read() and "# Default-Start:     S\n" in script.read()
    assert made.confirm()
    assert left_for_boot(boot) == [] and not boot.join("back").check()
    assert module.commands == [
        "/usr/sbin/update-rc.d xensec-rollback-test defaults",
        "/usr/sbin/update-rc.d -f xensec-rollback-test remove",
    ]


def test_without_a_link_for_the_boot_nothing_is_armed(boot):
    with pytest.raises(Failed) as caught:
        armed_for_boot(boot, SysV(boot, works=False))
    assert "could not be armed, so nothing was changed: update-rc.d made no link" in str(caught.value)
    assert left_for_boot(boot) == []
    assert transaction.Transaction(Module(), "test").remaining() is None
