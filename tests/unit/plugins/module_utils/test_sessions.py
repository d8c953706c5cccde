# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a process is, with systemd and without, and who logged in, in a /proc of the test's own."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import control, sessions


class Proc(object):
    def __init__(self, folder):
        self.folder = folder
        self.process(1, 0, cgroup="0::/init.scope")

    def process(self, pid, uid, name="x", cgroup="", parent=1, terminal=0, login="4294967295", environ="", state="S"):
        one = self.folder.ensure(str(pid), dir=True)
        one.join("status").write(
            "Name:\t%s\nState:\t%s (x)\nPPid:\t%d\nUid:\t%d\t0\t0\t0\n" % (name, state, parent, uid)
        )
        one.join("cgroup").write("12:cpu:/elsewhere\n%s\n" % cgroup)
        one.join("stat").write("%d (a) b) S %d 1 1 %d 0 0\n" % (pid, parent, terminal))
        one.join("loginuid").write(login)
        one.join("environ").write(environ)


@pytest.fixture
def proc(tmpdir, monkeypatch):
    folder = tmpdir.ensure("proc", dir=True)
    monkeypatch.setattr(sessions, "PROC", str(folder))
    monkeypatch.setattr(control, "PROC", str(folder))
    monkeypatch.setattr(sessions, "SYSTEMD", str(folder))
    return Proc(folder)


def whose(uid):
    found = sessions.of_accounts([uid])[uid]
    return {"service": sorted(found["service"]), "job": sorted(found["job"]), "person": sorted(found["person"])}


@pytest.mark.parametrize(
    "cgroup, kind",
    [
        ("0::/system.slice/postgresql@13-main.service", "service"),
        ("1:name=systemd:/system.slice/exim4.service", "service"),
        ("0::/xen.slice/xenstored.service", "service"),
        ("0::/user.slice/user-7.slice/session-3.scope", "person"),
        ("0::/user.slice/user-7.slice/user@7.service/app.slice/tmux.service", "person"),
        ("0::/system.slice/ssh.service", "person"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service", "person"),
        ("0::/system.slice/cron.service", "job"),
        ("0::/system.slice/atd.service", "job"),
        ("0::/machine.slice/libpod-1.scope", None),
    ],
)
def test_systemd_knows_whose_a_process_is(proc, cgroup, kind):
    proc.process(20, 7, cgroup=cgroup)
    found = whose(7)
    assert [name for name in found if found[name]] == ([kind] if kind else [])


def test_a_container_without_a_cgroup_namespace(proc):
    proc.process(1, 0, cgroup="1:name=systemd:/user.slice/box/init.scope")
    proc.process(20, 7, cgroup="1:name=systemd:/user.slice/box/system.slice/exim4.service")
    assert whose(7) == {"service": ["exim4.service"], "job": [], "person": []}


def test_a_daemon_of_roots_that_acts_as_an_account_is_not_that_accounts(proc):
    proc.process(20, 0, cgroup="0::/system.slice/ssh.service")
    proc.process(21, 7, cgroup="0::/system.slice/ssh.service", state="Z")
    assert whose(7)["person"] == []


@pytest.mark.parametrize(
    "more, kind",
    [
        ({}, "service"),
        ({"terminal": 34816}, "person"),
        ({"login": "7"}, "person"),
        ({"environ": "A=b\0SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22\0"}, "person"),
        ({"parent": 10}, "person"),
    ],
)
def test_without_systemd_a_daemon_is_what_no_login_has_brought_up(proc, monkeypatch, more, kind):
    monkeypatch.setattr(sessions, "SYSTEMD", str(proc.folder.join("none")))
    proc.process(10, 0, name="sshd")
    proc.process(20, 7, name="daemon", **more)
    found = whose(7)
    assert [name for name in found if found[name]] == [kind]


def test_what_runs_is_ended_but_for_who_asks_and_the_jobs_of_services(proc, monkeypatch):
    ended = []

    def kill(pid, signal):
        ended.append(pid)
        proc.folder.join(str(pid)).remove()

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(os, "getpid", lambda: 31)
    proc.process(30, 7, cgroup="0::/user.slice/s.scope")
    proc.process(31, 0, cgroup="0::/user.slice/s.scope", parent=30)
    proc.process(32, 7, cgroup="0::/user.slice/t.scope")
    proc.process(33, 8, cgroup="0::/system.slice/cron.service")
    proc.process(34, 7, cgroup="0::/system.slice/cron.service")
    assert sessions.end([7, 8], kept=[8]) == []
    assert sorted(ended) == [32, 34]


def test_what_does_not_end_is_reported(proc, monkeypatch):
    monkeypatch.setattr(os, "kill", lambda pid, signal: None)
    monkeypatch.setattr(sessions.time, "sleep", lambda seconds: None)
    proc.process(30, 7, cgroup="0::/user.slice/s.scope")
    assert sessions.end([7], kept=[], patience=0) == [30]


def test_accounts_that_units_name(tmpdir, monkeypatch):
    own, vendor = tmpdir.ensure("own", dir=True), tmpdir.ensure("vendor", dir=True)
    monkeypatch.setattr(sessions, "UNIT_FOLDERS", (str(own), str(vendor)))
    vendor.join("a.service").write("[Service]\nUser=alpha\n")
    vendor.join("b.service").write("[Service]\n#User=beta\nUser=%i\n")
    vendor.join("masked.service").write("[Service]\nUser=gamma\n")
    own.join("masked.service").mksymlinkto("/dev/null")
    own.ensure("c.service.d", "user.conf").write("[Service]\n User = x\nUser=delta\n")
    found = sessions.service_accounts()
    assert found["alpha"] == "a.service" and "beta" not in found and "gamma" not in found and "delta" in found


def test_who_logged_in_and_what_made_it_root(proc, monkeypatch):
    connection = "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22\0LOGNAME=root\0"
    proc.process(10, 0, name="sshd")
    proc.process(11, 0, name="bash", parent=10, environ=connection)
    proc.process(12, 0, name="sudo", parent=11, environ=connection)
    proc.process(13, 0, name="python3", parent=12)
    monkeypatch.setattr(os, "getpid", lambda: 13)
    assert control.control_login() == {"account": "root", "uid": 0, "become": "sudo"}
    monkeypatch.setattr(os, "getpid", lambda: 10)
    assert control.control_login() is None
