# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on account files and a /proc of its own."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import accounts, closing, sessions, transaction
from ansible_collections.xensec.hardening.plugins.modules import account_allowlist
from harness import ModuleFailed, run

FILES = {
    "passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "toor:x:0:0:other root:/root:/bin/bash\n"
        "daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
        "idler:x:901:901::/nonexistent:/bin/sh\n"
        "keeper:x:902:902::{home}/keeper:/bin/bash\n"
        "ops:x:1000:1000::{home}/ops:/bin/bash\n"
        "alice:x:1001:1001::{home}/alice:/bin/bash\n"
        "frank:x:1002:1002::/nonexistent:/bin/bash\n"
        "grace:x:1003:1003::/nonexistent:/bin/bash\n"
        "twin:x:1000:1000::/nonexistent:/bin/bash\n"
        "+@staff::::::\n"
    ),
    "shadow": (
        "root:$6$root:1:0:99999:7:::\ntoor:$6$toor:1:0:99999:7:::\ndaemon:*:1:0:99999:7:::\nidler:!:1::::::\n"
        "keeper:$6$keeper:1:0:99999:7:::\nops:$6$ops:1:0:99999:7:::\nalice:$6$secret:1:0:99999:7:::\n"
        "frank:$6$frank:1:0:99999:7::10000:\ngrace:!$6$grace:1:0:99999:7:::\ntwin:$6$twin:1:0:99999:7:::\n"
    ),
    "group": "sudo:x:27:ops,alice,grace\nkvm:x:28:keeper,alice\nusers:x:100:alice\n",
    "gshadow": "sudo:*::ops,alice,grace\nkvm:!::keeper,alice\nusers:!::alice\n",
    "login.defs": "UID_MIN 1000\n",
    "shells": "/bin/bash\n",
}


class Host(object):
    def __init__(self, root, monkeypatch):
        self.root, self.killed, self.cgroups = root, [], {}
        self.etc = root.ensure("etc", dir=True)
        for name, text in FILES.items():
            self.etc.join(name).write(text.format(home=root.join("home")))
        self.crontabs, self.jobs = root.ensure("crontabs", dir=True), root.ensure("atjobs", dir=True)
        self.linger, self.proc = root.ensure("linger", dir=True), root.ensure("proc", dir=True)
        for owner, name, value in (
            (accounts, "ETC", self.etc),
            (accounts, "LINGER", self.linger),
            (sessions, "PROC", self.proc),
            (sessions, "SYSTEMD", self.proc),
            (transaction, "SYSTEMD", self.proc),
            (transaction, "FOLDER", root.join("run")),
            (transaction, "BOOT_FOLDER", root.join("state/rollback")),
            (transaction, "UNITS", root.ensure("units", dir=True)),
            (account_allowlist, "STATE_FOLDER", root.join("state")),
        ):
            monkeypatch.setattr(owner, name, str(value))
        monkeypatch.setattr(accounts, "CRONTABS", (str(self.crontabs),))
        monkeypatch.setattr(accounts, "AT_JOBS", (str(self.jobs),))
        monkeypatch.setattr(sessions, "UNIT_FOLDERS", ())
        monkeypatch.setattr(closing, "NOLOGINS", ("/usr/sbin/nologin",))
        monkeypatch.setattr(account_allowlist, "SOCKETS", ())
        monkeypatch.setattr(account_allowlist, "exists", lambda name: name in ("root", "ops"))
        monkeypatch.setattr(account_allowlist, "control_login", lambda: None)
        basic = account_allowlist.AnsibleModule
        monkeypatch.setattr(basic, "get_bin_path", lambda module, name, *more, **options: None)
        monkeypatch.setattr(basic, "run_command", lambda module, command, **options: (0, "", ""))
        monkeypatch.setattr(os, "kill", self.kill)
        self.process(1, 0, "/init.scope")

    def process(self, pid, uid, cgroup, parent=1):
        folder = self.proc.ensure(str(pid), dir=True)
        folder.join("status").write("Name:\tx\nState:\tS\nPPid:\t%d\nUid:\t%d\t0\t0\t0\n" % (parent, uid))
        folder.join("cgroup").write("0::%s\n" % cgroup)

    def kill(self, pid, signal):
        self.killed.append(pid)
        self.proc.join(str(pid)).remove()

    def line(self, name, account):
        return [line for line in self.etc.join(name).read().splitlines() if line.startswith(account + ":")][0]

    def all(self):
        return dict((name, self.etc.join(name).read()) for name in FILES)


@pytest.fixture
def host(tmpdir, monkeypatch):
    return Host(tmpdir, monkeypatch)


def close(**more):
    check = more.pop("check", False)
    return run(account_allowlist.main, dict({"allowed": ["root", "ops"]}, **more), check=check)


def test_what_lets_in_is_taken_away_and_nothing_else(host):
    host.process(50, 902, "/system.slice/keeper.service")
    before = host.all()
    result = close()
    found = result["accounts"]
    assert result["changed"]
    assert sorted(found) == ["alice", "idler", "keeper", "ops", "root", "toor", "twin"]
    assert found["alice"]["done"] == ["expire", "password", "shell", "group kvm", "group sudo"]
    assert found["idler"]["done"] == ["shell"]
    assert found["keeper"]["service"] and found["keeper"]["done"] == ["password", "shell"]
    assert host.line("shadow", "alice") == "alice:!$6$secret:1:0:99999:7::1:"
    assert host.line("passwd", "alice").endswith(":/usr/sbin/nologin")
    assert host.line("shadow", "keeper") == "keeper:!$6$keeper:1:0:99999:7:::"
    assert host.line("group", "kvm") == "kvm:x:28:keeper"
    assert host.line("group", "users") == "users:x:100:alice"
    for name in ("passwd", "shadow"):
        for account in ("root", "daemon", "ops", "frank", "grace"):
            if account != "daemon" or name == "passwd":
                assert host.line(name, account) + "\n" in before[name]
    assert host.line("passwd", "toor").endswith(":/usr/sbin/nologin")
    assert result["compat"] == ["+@staff::::::"]
    assert "secret" not in json.dumps(result)


def test_a_second_run_changes_nothing(host):
    close()
    before = host.all()
    assert not close()["changed"]
    assert host.all() == before


def test_check_mode_says_the_same_and_does_nothing(host):
    before = host.all()
    predicted = close(check=True)
    assert host.all() == before
    assert not host.root.join("state").check()
    done = close()
    assert predicted["accounts"] == done["accounts"]
    assert predicted["diff"] == done["diff"]


def test_a_restore_gives_back_every_byte(host):
    before = host.all()
    host.crontabs.join("alice").write("* * * * * true\n")
    host.linger.ensure("alice")
    close()
    assert not host.crontabs.join("alice").check() and not host.linger.join("alice").check()
    result = run(account_allowlist.main, {"state": "restored"})
    assert result["changed"] and "secret" not in json.dumps(result)
    assert host.all() == before
    assert host.crontabs.join("alice").read() == "* * * * * true\n"
    assert not host.root.join("state/account_allowlist.json").check()
    assert not run(account_allowlist.main, {"state": "restored"})["changed"]


def test_the_record_is_for_root_alone(host):
    close()
    assert os.stat(str(host.root.join("state/account_allowlist.json"))).st_mode & 0o777 == 0o600


def test_sessions_end_and_services_go_on(host):
    host.process(50, 902, "/system.slice/keeper.service")
    host.process(51, 902, "/user.slice/user-902.slice/session-3.scope")
    host.process(52, 902, "/system.slice/cron.service")
    host.process(60, 1001, "/user.slice/user-1001.slice/user@1001.service/tmux.scope")
    host.process(61, 1001, "/system.slice/ssh.service")
    host.process(62, 1001, "/system.slice/cron.service")
    host.process(63, 1001, "/machine.slice/libpod-1.scope")
    host.process(70, 1000, "/user.slice/user-1000.slice/session-1.scope")
    host.process(71, 0, "/system.slice/ssh.service")
    close()
    assert sorted(host.killed) == [51, 60, 61, 62]


def test_an_account_with_nothing_but_a_session_is_closed(host):
    host.process(60, 1003, "/user.slice/user-1003.slice/session-1.scope")
    result = close()
    assert result["accounts"]["grace"]["ways"] == ["session"]
    assert host.line("shadow", "grace") == "grace:!$6$grace:1:0:99999:7::1:"
    assert host.killed == [60]


def test_a_job_of_a_system_account_is_no_session_of_anybodys(host):
    host.process(60, 901, "/system.slice/cron.service")
    assert close()["accounts"]["idler"]["ways"] == ["shell"]
    assert host.killed == []


def test_the_keys_of_who_shares_a_home_with_the_allowed_stay(host, monkeypatch):
    home = host.root.ensure("home", "ops", ".ssh", dir=True)
    home.join("authorized_keys").write("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA x\n")
    passwd = host.etc.join("passwd")
    passwd.write(passwd.read().replace("/nonexistent:/bin/bash\n+", "%s:/bin/bash\n+" % host.root.join("home/ops")))
    close()
    assert home.join("authorized_keys").check()


def load(host, **more):
    return close(step="load", confirm_timeout=30, **more)


def test_nothing_is_put_away_before_the_confirmation(host):
    host.crontabs.join("alice").write("* * * * * true\n")
    host.process(60, 1001, "/user.slice/user-1001.slice/session-1.scope")
    result = load(host)
    assert result["pending"] and host.killed == [] and host.crontabs.join("alice").check()
    assert host.line("shadow", "alice").startswith("alice:!")
    close(step="confirm", confirm_timeout=30)
    assert host.killed == [60] and not host.crontabs.join("alice").check()
    assert not host.root.join("state/rollback/accounts").check(), "copies with hashes are left"
    assert not host.root.join("units").listdir() or not host.root.join("units/sysinit.target.wants").listdir()


def test_what_is_not_confirmed_goes_back(host):
    before = host.all()
    load(host)
    os.system("sh %s" % host.root.join("run/accounts.rollback"))
    assert host.all() == before
    assert close(step="status")["undone"]
    with pytest.raises(ModuleFailed, match="too late"):
        close(step="confirm", confirm_timeout=30)
    assert not host.root.join("state/rollback/accounts").check()


def test_a_boot_before_the_confirmation_goes_back(host):
    before = host.all()
    load(host)
    os.system("sh %s" % host.root.join("state/rollback/accounts.boot"))
    assert host.all() == before
    assert not host.root.join("state/rollback/accounts").check()


def test_two_runs_do_not_mix(host):
    load(host)
    host.etc.join("shadow").write(FILES["shadow"])
    with pytest.raises(ModuleFailed, match="confirmation is still out"):
        load(host)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"allowed": []}, "allowed is empty"),
        ({"allowed": ["mallory"]}, "no such account"),
        ({"confirm_timeout": 5}, "give 10 to 3600 seconds"),
    ],
)
def test_bad_input_is_refused(host, arguments, message):
    before = host.all()
    with pytest.raises(ModuleFailed, match=message):
        close(**arguments)
    assert host.all() == before


def test_the_account_that_comes_in_is_not_closed_without_a_way_back(host, monkeypatch):
    before = host.all()
    monkeypatch.setattr(account_allowlist, "control_login", lambda: {"account": "alice"})
    with pytest.raises(ModuleFailed, match="comes in as alice, which is not allowed"):
        close()
    assert host.all() == before


def test_what_somebody_changed_since_is_left_unless_forced(host):
    before = host.all()
    close()
    line = host.line("passwd", "alice")
    host.etc.join("passwd").write(host.etc.join("passwd").read().replace(line, line.rsplit(":", 1)[0] + ":/bin/zsh"))
    result = close(state="restored")
    assert result["left"] == ["the shell of alice has been changed since"]
    assert host.line("passwd", "alice").endswith(":/bin/zsh")
    assert host.all()["shadow"] == before["shadow"]
    assert not close(state="restored")["changed"]
    assert close(state="restored", force=True)["left"] == []
    assert host.all() == before
    assert not host.root.join("state", "account_allowlist.json").check()


def test_a_run_that_was_killed_before_it_put_jobs_away_is_made_whole(host, monkeypatch):
    crontab = host.crontabs.join("alice")
    crontab.write("* * * * * true\n")
    before = host.all()

    def killed(module, number, result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(account_allowlist.AllowList, "put_away", killed)
        with pytest.raises(KeyboardInterrupt):
            close()
    # The account expires by now, as one that was never open might.
    assert host.all() != before and crontab.check()
    assert close()["changed"]
    assert not crontab.check()
    assert not close()["changed"]
    assert close(state="restored")["left"] == []
    assert host.all() == before and crontab.read() == "* * * * * true\n"
