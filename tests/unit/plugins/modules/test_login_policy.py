# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with files of its own and a stand-in for sshd, which says what it is told to."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import files, sshd, transaction
from ansible_collections.xensec.hardening.plugins.modules import login_policy
from harness import ModuleFailed, run

COMMON = "#\n# common-account\naccount required pam_unix.so\n"


class Host(object):
    def __init__(self, root, monkeypatch):
        self.root, self.commands = root, []
        self.main = root.join("etc/ssh/sshd_config")
        self.drop_in = root.join("etc/ssh/sshd_config.d/00-xensec.conf")
        self.common, self.allow = root.join("etc/common-account"), root.join("etc/cron.allow")
        self.main.write("Port 22\n", ensure=True)
        self.common.write(COMMON)
        self.faults, self.settings = "", {}
        for owner, name, value in (
            (sshd, "CONFIG", self.main),
            (sshd, "RUNTIME", root.join("sshd")),
            (sshd, "SYSTEMD", root),
            (login_policy, "SSH", str(root.join("etc/ssh")) + "/"),
            (login_policy, "STATE_FOLDER", root.join("state")),
            (transaction, "SYSTEMD", root),
            (transaction, "FOLDER", root.join("run")),
            (transaction, "UNITS", root.join("units")),
            (transaction, "BOOT_FOLDER", root.join("state/rollback")),
        ):
            monkeypatch.setattr(owner, name, str(value))
        root.ensure("units", dir=True)
        monkeypatch.setattr(login_policy.AnsibleModule, "get_bin_path", lambda module, name, *more, **options: name)
        monkeypatch.setattr(
            login_policy.AnsibleModule, "run_command", lambda module, command, **options: self.command(command)
        )
        monkeypatch.setattr(login_policy, "control_login", lambda: {"account": "root"})
        monkeypatch.setattr(login_policy, "control_connection", lambda: None)

    def command(self, command):
        self.commands.append(" ".join(command))
        if command[:2] == ["sshd", "-t"]:
            return (255, "", self.faults) if self.faults else (0, "", "")
        if command[:2] == ["sshd", "-T"]:
            text = "".join("%s %s\n" % item for item in sorted(self.settings.items()))
            return 0, text or "permitrootlogin %s\n" % ("without-password" if self.drop_in.check() else "yes"), ""
        return 0, "", ""

    def arguments(self, **more):
        arguments = {
            "files": [
                {"path": str(self.drop_in), "content": "PermitRootLogin prohibit-password\n"},
                {"path": str(self.allow), "content": "root\n"},
            ],
            "blocks": [{"path": str(self.common), "content": "account required pam_access.so\n"}],
            "sshd": {"root": {"permitrootlogin": ["prohibit-password"]}},
            "confirm_timeout": 0,
        }
        return dict(arguments, **more)

    def run(self, check=False, **more):
        return run(login_policy.main, self.arguments(**more), check=check)

    def reloads(self):
        return [command for command in self.commands if "systemctl reload ssh.service" in command]

    def as_found(self):
        return self.common.read() == COMMON and not self.drop_in.check() and not self.allow.check()


@pytest.fixture
def host(tmpdir, monkeypatch):
    return Host(tmpdir, monkeypatch)


def test_the_files_are_written_checked_and_read(host):
    result = host.run()
    assert result["changed"] and len(result["reasons"]) == 3
    assert host.common.read().startswith(files.BEGIN.decode()) and host.common.read().endswith(COMMON)
    assert host.drop_in.read() == "PermitRootLogin prohibit-password\n"
    assert host.commands.index("sshd -t") < host.commands.index(host.reloads()[0])


def test_a_second_run_changes_nothing_and_reloads_nothing(host):
    host.run()
    del host.commands[:]
    assert not host.run()["changed"]
    assert host.reloads() == []


def test_sshd_is_left_alone_where_its_files_are(host):
    host.run()
    del host.commands[:]
    host.allow.write("root\nmallory\n")
    assert host.run()["changed"]
    assert host.reloads() == []


def test_check_mode_changes_nothing(host):
    result = host.run(check=True)
    assert result["changed"] and host.as_found() and not host.root.join("state").check()
    assert result["diff"] == host.run()["diff"]


def test_what_sshd_does_not_take_is_put_back_at_once(host):
    host.faults = "line 1: Bad configuration option"
    with pytest.raises(ModuleFailed, match="put back at once: sshd -t: line 1"):
        host.run(step="load", confirm_timeout=30)
    assert host.as_found()
    assert not host.root.join("run/login-policy.armed").check()


def test_what_would_not_be_in_effect_is_put_back_at_once(host):
    host.settings = {"permitrootlogin": "yes"}
    with pytest.raises(ModuleFailed, match="for root sshd would have permitrootlogin yes instead of prohibit-password"):
        host.run()
    assert host.as_found()


def test_a_setting_lost_behind_our_back_is_an_error_not_a_success(host):
    host.run()
    host.settings = {"permitrootlogin": "yes"}
    with pytest.raises(ModuleFailed, match="it is not in effect"):
        host.run()


def test_an_older_main_file_with_a_match_that_wins_is_refused(host):
    host.main.write("Match User bob\n  PermitRootLogin yes\n")
    host.settings = {"permitrootlogin": "prohibit-password"}
    block = {"path": str(host.main), "content": "PermitRootLogin prohibit-password\n"}
    with pytest.raises(ModuleFailed, match="PermitRootLogin yes; take them out"):
        host.run(files=[], blocks=[block])
    assert host.main.read() == "Match User bob\n  PermitRootLogin yes\n"


def test_a_file_that_is_not_there_cannot_get_a_block(host):
    with pytest.raises(ModuleFailed, match="nothing was changed"):
        host.run(blocks=[{"path": str(host.root.join("none")), "content": "x\n"}])
    assert host.as_found()


def test_a_transaction_waits_and_is_kept(host):
    result = host.run(step="load", confirm_timeout=30)
    assert result["pending"] and result["login"] == {"account": "root"}
    assert host.root.join("units/sysinit.target.wants").listdir()
    assert host.run(step="confirm", confirm_timeout=30)["changed"]
    assert host.drop_in.check()
    assert not host.root.join("units/sysinit.target.wants").listdir()
    assert not host.root.join("state/rollback/login-policy").check()


@pytest.mark.parametrize("script", ["run/login-policy.rollback", "state/rollback/login-policy.boot"])
def test_what_is_not_confirmed_goes_back(host, script):
    host.common.chmod(0o640)
    host.run(step="load", confirm_timeout=30)
    os.system("PATH=/bin:/usr/bin; systemctl() { :; }; . %s" % host.root.join(script))
    assert host.as_found()
    assert os.stat(str(host.common)).st_mode & 0o777 == 0o640


def test_the_script_for_the_boot_does_not_wait_for_sshd(host):
    host.run(step="load", confirm_timeout=30)
    assert "systemctl" in host.root.join("run/login-policy.rollback").read()
    assert "systemctl" not in host.root.join("state/rollback/login-policy.boot").read()


def test_a_confirmation_that_comes_too_late_is_an_error(host):
    host.run(step="load", confirm_timeout=30)
    os.rename(str(host.root.join("run/login-policy.armed")), str(host.root.join("run/login-policy.undone")))
    with pytest.raises(ModuleFailed, match="too late"):
        host.run(step="confirm", confirm_timeout=30)
    assert host.run(step="status")["undone"]


def test_two_runs_do_not_mix(host):
    host.run(step="load", confirm_timeout=30)
    host.allow.write("mallory\n")
    with pytest.raises(ModuleFailed, match="confirmation is still out"):
        host.run(step="load", confirm_timeout=30)


def test_a_restore_gives_back_every_byte(host):
    host.allow.write("alice\n")
    host.run()
    host.common.write(host.common.read() + "# somebody's line since\n")
    result = run(login_policy.main, {"state": "restored"})
    assert result["changed"]
    assert host.allow.read() == "alice\n"
    assert host.common.read() == COMMON + "# somebody's line since\n"
    assert not host.drop_in.check()
    assert not run(login_policy.main, {"state": "restored"})["changed"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"confirm_timeout": 5}, "give 10 to 3600 seconds"),
        ({"files": [{"path": "/etc/a'; rm -rf", "content": ""}]}, "plain letters"),
    ],
)
def test_bad_input_is_refused(host, arguments, message):
    with pytest.raises(ModuleFailed, match=message):
        host.run(**arguments)
    assert host.as_found()


def test_whether_drop_ins_are_read(host, monkeypatch):
    monkeypatch.setattr(sshd, "DROP_INS", "/etc/ssh/sshd_config.d")
    for text, expected in (
        ("Include /etc/ssh/sshd_config.d/*.conf\n", True),
        ("#Include /etc/ssh/sshd_config.d/*.conf\n", False),
        ("Match User bob\nInclude /etc/ssh/sshd_config.d/*.conf\n", False),
        ("Port 22\n", False),
    ):
        host.main.write(text)
        assert sshd.Sshd.reads_drop_ins() == expected
