# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import os
import stat

import pytest
from ansible.module_utils import basic
from ansible_collections.xensec.hardening.plugins.module_utils import record, service
from ansible_collections.xensec.hardening.plugins.modules import xend_config
from harness import ModuleFailed, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONFIG = b"""# -*- sh -*-
#(xend-port            8000)
(xend-relocation-server yes)
#(xend-relocation-address '')
(xend-relocation-hosts-allow '^localhost$ ^localhost\\\\.localdomain$')
# caf\xe9
(vncpasswd 's3cret')
"""
OFF = {"xend-relocation-server": False}


class Host(object):
    """A host with a configuration file and a service manager that does as told."""

    def __init__(self, folder):
        self.state = folder.join("state")
        self.file = folder.join("xend-config.sxp")
        self.file.write_binary(CONFIG)
        self.marker = self.state.join("xend_config.restart-pending")
        self.active = True
        self.broken = False
        self.commands = []
        self.seen = []

    def run_command(self, module, command, **more):
        self.commands.append(" ".join(command))
        if "restart" in command:
            self.seen.append((self.file.read_binary(), self.marker.check()))
            if self.broken:
                self.active = False
                return 1, "", "cannot bind\n"
            self.active = True
            return 0, "", ""
        return (0 if self.active else 3), "", ""

    @property
    def restarts(self):
        return len(self.seen)

    def run(self, options, check=False, diff=True, **more):
        args = dict(more, path=more.get("path", str(self.file)), options=options)
        return run(xend_config.main, args, check=check, diff=diff)


@pytest.fixture
def host(tmpdir, monkeypatch):
    made = Host(tmpdir)
    monkeypatch.setattr(xend_config, "STATE_FOLDER", str(made.state))
    monkeypatch.setattr(service, "SYSTEMD_FOLDER", str(tmpdir))
    programs = {"systemctl": "systemctl"}
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda module, name, *rest, **more: programs.get(name))
    monkeypatch.setattr(
        basic.AnsibleModule, "run_command", lambda module, command, **more: made.run_command(module, command)
    )
    return made


def test_changes_records_and_restarts(host):
    options = dict(OFF, **{"xend-port": 8000, "xend-relocation-address": "192.0.2.1", "vif-script": None})
    predicted = host.run(options, check=True)
    assert host.file.read_binary() == CONFIG
    assert not host.state.check() and not host.restarts
    result = host.run(options)
    assert result == predicted
    assert result["changed"] and result["restarted"]
    assert result["before"] == {
        "xend-relocation-server": "yes",
        "xend-port": None,
        "xend-relocation-address": None,
        "vif-script": None,
    }
    assert result["after"] == {
        "xend-relocation-server": "no",
        "xend-port": "8000",
        "xend-relocation-address": "192.0.2.1",
        "vif-script": None,
    }
    expected = (
        CONFIG.replace(b"server yes", b"server no")
        .replace(b" 8000)\n", b" 8000)\n(xend-port 8000)\n")
        .replace(b"address '')\n", b"address '')\n(xend-relocation-address '192.0.2.1')\n")
    )
    assert host.file.read_binary() == expected
    assert host.seen == [(expected, True)]
    assert not host.marker.check()
    kept = record.Record("xend_config", root=str(host.state)).file(str(host.file))
    assert base64.b64decode(kept["content"]) == CONFIG

    for check in (True, False):
        again = host.run(options, check=check)
        assert not again["changed"] and not again["restarted"]
        assert again["before"] == again["after"] == result["after"]
    assert host.restarts == 1
    host.run({"xend-port": 8001})
    kept = record.Record("xend_config", root=str(host.state)).file(str(host.file))
    assert base64.b64decode(kept["content"]) == CONFIG


def test_values_of_every_kind(host):
    accented = b"caf\xc3\xa9".decode("utf-8")
    host.run({"xen-api-server": [["unix", "none"], [9363, True]], "a": accented, "b": "", "c": "'\\\n"})
    lines = host.file.read_binary()[len(CONFIG) :].splitlines()
    assert lines == [
        b"(a 'caf\xc3\xa9')",
        b"(b '')",
        b"(c '\\'\\\\\\n')",
        b"(xen-api-server ((unix none) (9363 yes)))",
    ]
    result = host.run({"xen-api-server": [["unix"]], "a": accented}, check=True)
    assert result["before"] == {"xen-api-server": [["unix", "none"], ["9363", "yes"]], "a": accented}
    assert result["after"] == {"xen-api-server": [["unix"]], "a": accented}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "options,policy,active,marked,changed,restarted",
    [
        (OFF, "changed", True, None, True, True),
        (OFF, "changed", False, None, True, False),
        (OFF, "never", True, None, True, False),
        (OFF, "always", True, None, True, True),
        ({}, "changed", True, None, False, False),
        ({}, "always", True, None, True, True),
        ({}, "always", False, None, False, False),
        ({}, "changed", True, "changed", True, True),
        ({}, "changed", False, "changed", False, False),
        ({}, "changed", True, "", True, True),
        ({}, "never", True, "changed", False, False),
        # A restart that failed or was cut off may itself have left xend down.
        ({}, "changed", False, "restarting", True, True),
        (OFF, "changed", False, "restarting", True, True),
    ],
)
def test_restarts_when_due(host, options, policy, active, marked, changed, restarted, check):
    host.active = active
    if marked is not None:
        host.marker.write(marked, ensure=True)
    result = host.run(options, check=check, restart=policy)
    assert (result["changed"], result["restarted"]) == (changed, restarted)
    assert host.restarts == (1 if restarted and not check else 0)
    assert host.marker.check() == (marked is not None and (check or policy == "never"))
    if policy == "never":
        assert host.commands == []


def test_failed_restart_is_made_good_by_the_next_run(host):
    host.broken = True
    for _attempt in range(2):
        with pytest.raises(ModuleFailed, match="cannot bind.*run again") as caught:
            host.run(OFF)
        assert "cannot bind" in caught.value.result["stderr"]
        assert host.marker.check()
        assert b"server no" in host.file.read_binary()
    host.broken = False
    assert host.run(OFF, check=True)["restarted"]
    result = host.run(OFF)
    assert result["changed"] and result["restarted"] and host.active
    assert not host.marker.check()
    assert not host.run(OFF)["changed"]


def test_restart_that_leaves_xend_down_is_a_failure(host, monkeypatch):
    monkeypatch.setattr(
        basic.AnsibleModule,
        "run_command",
        lambda module, command: (3 if "is-active" in command and host.commands else 0, "", ""),
    )
    real = service.restart
    monkeypatch.setattr(service, "restart", lambda *given: host.commands.append("restart") or real(*given))
    with pytest.raises(ModuleFailed, match="does not run"):
        host.run(OFF)
    assert host.marker.check()


def test_interrupted_before_the_restart(host, monkeypatch):
    class Interrupted(Exception):
        pass

    def interrupt(*given):
        raise Interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(xend_config, "restart", interrupt)
        with pytest.raises(Interrupted):
            host.run(OFF)
    assert b"server no" in host.file.read_binary()
    assert host.run(OFF)["restarted"]
    assert not host.run(OFF)["restarted"]


def test_marker_is_there_before_the_file_changes(host, monkeypatch):
    real = basic.AnsibleModule.atomic_move

    def move(module, source, target, *rest, **more):
        assert host.marker.check()
        assert host.file.read_binary() == CONFIG
        host.seen.append("moved")
        return real(module, source, target, *rest, **more)

    monkeypatch.setattr(basic.AnsibleModule, "atomic_move", move)
    host.run(OFF)
    assert host.seen[0] == "moved"


def test_keeps_mode_owner_and_link(host):
    os.chmod(str(host.file), 0o640)
    if os.getuid() == 0:
        os.chown(str(host.file), 1234, 4321)
    before = os.stat(str(host.file))
    link = host.file.dirpath().join("link.sxp")
    link.mksymlinkto(host.file)
    result = host.run(OFF, path=str(link))
    after = os.stat(str(host.file))
    assert link.islink()
    assert result["diff"]["after_header"] == str(host.file)
    assert b"server no" in host.file.read_binary()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)
    assert sorted(entry.basename for entry in host.file.dirpath().listdir()) == [
        "link.sxp",
        "state",
        "xend-config.sxp",
    ]


def test_backup(host):
    assert "backup_file" not in host.run(OFF, backup=True, check=True)
    result = host.run(OFF, backup=True)
    with open(result["backup_file"], "rb") as stream:
        assert stream.read() == CONFIG
    assert "backup_file" not in host.run(OFF, backup=True)


SECRETS = [
    {"vncpasswd": "n3w"},
    {"vncpasswd": None},
    {"vncpasswd": "s3cret", "xend-port": 1},
    {"vncpasswd": ["n3w"]},
    {"xend-port": 1},
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("options", SECRETS)
def test_never_shows_the_password(host, options, check):
    host.file.write_binary(
        b"# ('vncpasswd' 's3cret')\n(vncpasswd # s3cret\n 's3cret' s3cret)\n" + CONFIG + b"(foo # (vncpasswd s3cret\n)"
    )
    result = host.run(options, check=check)
    assert result["changed"]
    assert "s3cret" not in str(result) and "n3w" not in str(result)
    if "vncpasswd" in options:
        assert result["before"]["vncpasswd"] == "********"
        assert result["after"]["vncpasswd"] == (None if options["vncpasswd"] is None else "********")
    assert result["diff"]["before"] != result["diff"]["after"]


def test_diff_tells_a_changed_password_from_an_unchanged_one(host):
    diff = host.run({"vncpasswd": "n3w"}, check=True)["diff"]
    assert diff["before"] != diff["after"]
    diff = host.run({"vncpasswd": "s3cret"}, check=True)["diff"]
    assert diff["before"] == diff["after"]


def test_diff_is_the_files_text(host):
    diff = host.run(OFF)["diff"]
    text = CONFIG.decode("utf-8", "replace").replace("s3cret", "********")
    assert diff == {
        "before": text,
        "after": text.replace("server yes", "server no"),
        "before_header": str(host.file),
        "after_header": str(host.file),
    }
    assert "diff" not in host.run(OFF, diff=False)


REFUSED = [
    ({"Xend-port": 1}, "'Xend-port' cannot be an option"),
    ({"": 1}, "cannot be an option"),
    ({"a b": 1}, "cannot be an option"),
    ({"a\n": 1}, "cannot be an option"),
    ({"a": 1.5}, "option a, 1.5: a float"),
    ({"a": {"b": 1}}, "option a, .*dict"),
    ({"a": ["b", None]}, "option a, .*NoneType"),
    ({"a": ["@", "b"]}, "option a, .*attributes"),
    ({"vncpasswd": {"n3w": 1}}, r"option vncpasswd, '\*+': a dict"),
]


@pytest.mark.parametrize("options,message", REFUSED)
def test_refuses_options_that_cannot_be(host, options, message):
    with pytest.raises(ModuleFailed, match=message) as caught:
        host.run(dict(OFF, **options))
    assert "n3w" not in str(caught.value.result)
    assert host.file.read_binary() == CONFIG and not host.state.check() and not host.commands


def test_leaves_a_file_alone_that_it_cannot_read(host):
    broken = CONFIG + b"(a\n (vncpasswd 'n3w)\n"
    host.file.write_binary(broken)
    with pytest.raises(ModuleFailed, match="line 9, column 13: .*same quote") as caught:
        host.run(OFF)
    assert str(host.file) in str(caught.value)
    assert "n3w" not in str(caught.value.result)
    assert host.file.read_binary() == broken and not host.state.check() and not host.commands


def test_missing_and_unreadable_files(host):
    with pytest.raises(ModuleFailed, match="xend does not seem to be installed.*'path'"):
        host.run(OFF, path=str(host.file) + ".none")
    with pytest.raises(ModuleFailed, match="cannot read.*'path'"):
        host.run(OFF, path=str(host.file.dirpath()))
    assert not host.state.check()


def test_a_record_it_does_not_know_stops_it(host):
    host.state.join("xend_config.json").write('{"version": 3}', ensure=True)
    with pytest.raises(ModuleFailed, match="version 3"):
        host.run(OFF)
    assert host.file.read_binary() == CONFIG and not host.restarts


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "(xend-relocation-server no)",
        "(xend-relocation-server no) (xend-relocation-server no) (a 1)",
        "(xend-relocation-server yes) (a b)",
        "(xend-relocation-server yes",
    ],
)
def test_an_edit_that_does_not_read_back_is_not_written(host, monkeypatch, wrong):
    good = "(xend-relocation-server yes)\n(a 1)\n"
    host.file.write(good)
    real = xend_config.sxp.edit
    monkeypatch.setattr(xend_config.sxp, "edit", lambda text, options: wrong if text else real(text, options))
    with pytest.raises(ModuleFailed, match="bug, nothing written"):
        host.run(OFF)
    assert host.file.read() == good and not host.state.check()


MANAGERS = [
    ("systemctl", ["systemctl is-active xend", "systemctl restart xend", "systemctl is-active xend"]),
    ("rc-service", ["rc-service xend status", "rc-service xend restart", "rc-service xend status"]),
    ("service", ["service xend status", "service xend restart", "service xend status"]),
    ("init", ["/xend status", "/xend restart", "/xend status"]),
]


@pytest.mark.parametrize("manager,commands", MANAGERS)
def test_uses_the_hosts_service_manager(host, monkeypatch, manager, commands):
    folder = host.file.dirpath()
    if manager != "systemctl":
        monkeypatch.setattr(service, "SYSTEMD_FOLDER", str(folder.join("none")))
    # OpenRC comes before the service program of System V init where both are there.
    present = [manager, "service"] if manager == "rc-service" else [manager]
    monkeypatch.setattr(service, "INIT_FOLDER", str(folder))
    folder.join("xend").write("#!/bin/sh\n")
    os.chmod(str(folder.join("xend")), 0o755)
    monkeypatch.setattr(
        basic.AnsibleModule,
        "get_bin_path",
        lambda module, name, *rest, **more: name if name in present else None,
    )
    assert host.run(OFF)["restarted"]
    assert [command.replace(str(folder), "") for command in host.commands] == commands


def test_no_service_manager_fails_before_anything_is_changed(host, monkeypatch):
    monkeypatch.setattr(service, "SYSTEMD_FOLDER", str(host.state))
    monkeypatch.setattr(service, "INIT_FOLDER", str(host.state))
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda module, name, *rest, **more: None)
    with pytest.raises(ModuleFailed, match="'restart' to 'never'"):
        host.run(OFF)
    assert host.file.read_binary() == CONFIG and not host.state.check()
    assert host.run(OFF, restart="never")["changed"]


NAMES = st.sampled_from(["a", "xend-port", "xend-relocation-server", "vncpasswd", "xend-relocation-address"])
TEXTS = st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=8)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**40), 2**40)
VALUES = SCALARS | st.none() | st.lists(st.lists(SCALARS, max_size=3), max_size=3)
RELAXED = {"max_examples": 60, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
if hasattr(HealthCheck, "function_scoped_fixture"):
    RELAXED["suppress_health_check"].append(HealthCheck.function_scoped_fixture)


@settings(**RELAXED)
@given(st.dictionaries(NAMES, VALUES))
def test_any_values_twice_give_no_change(host, options):
    host.file.write_binary(CONFIG)
    predicted = host.run(options, check=True)
    assert host.file.read_binary() == CONFIG
    first = host.run(options)
    assert first == predicted
    assert first["changed"] == (host.file.read_binary() != CONFIG)
    second = host.run(options)
    assert not second["changed"]
    assert second["before"] == first["after"]


def test_a_restore_gives_the_file_back_and_restarts(host):
    os.chmod(str(host.file), 0o640)
    host.file.setmtime(1234567890)
    host.run(OFF)
    predicted = host.run(None, check=True, state="restored")
    assert b"server no" in host.file.read_binary()
    result = host.run(None, state="restored")
    assert result == predicted
    assert result["changed"] and result["restarted"] and result["left"] == []
    assert "s3cret" not in str(result)
    assert host.file.read_binary() == CONFIG and host.restarts == 2
    assert stat.S_IMODE(os.stat(str(host.file)).st_mode) == 0o640 and host.file.mtime() == 1234567890
    assert [path.basename for path in host.state.listdir()] == ["xend_config.json.restored"]
    again = host.run(None, state="restored")
    assert not again["changed"] and host.restarts == 2


def test_what_somebody_changed_since_is_left_unless_forced(host):
    host.run(OFF)
    edited = host.file.read_binary() + b"(dom0-cpus 2)\n"
    host.file.write_binary(edited)
    for check in (True, False):
        result = host.run(None, check=check, state="restored")
        assert result["left"] == ["%s has been changed since" % host.file]
        assert not result["changed"] and "changed since" in result["warnings"][0]
    assert host.file.read_binary() == edited
    result = host.run(None, state="restored", force=True, forget=True)
    assert result["changed"] and host.file.read_binary() == CONFIG
    assert not host.state.check()


def test_an_older_version_s_record_still_restores(host):
    """As the release before records of version 2 wrote it."""
    host.state.ensure(dir=True)
    content = base64.b64encode(CONFIG).decode("ascii")
    entry = '{"content": "%s", "gid": %d, "mode": 384, "mtime": 1234567890.5, "uid": %d}' % (
        content,
        os.getgid(),
        os.getuid(),
    )
    text = '{"files": {"%s": %s}, "state": {}, "version": 1}' % (host.file, entry)
    host.state.join("xend_config.json").write(text)
    host.file.write_binary(CONFIG.replace(b"server yes", b"server no"))
    result = host.run(None, state="restored")
    assert result["changed"] and host.file.read_binary() == CONFIG
    assert stat.S_IMODE(os.stat(str(host.file)).st_mode) == 0o600


def test_a_restart_that_fails_is_made_up_for_by_the_next_restore(host):
    host.run(OFF)
    host.broken = True
    with pytest.raises(ModuleFailed, match="run again"):
        host.run(None, state="restored")
    host.broken = False
    result = host.run(None, state="restored")
    assert result["restarted"] and host.active and host.file.read_binary() == CONFIG
    assert not host.run(None, state="restored")["changed"]


def test_without_a_record_there_is_nothing_to_restore(host):
    result = host.run(None, state="restored")
    assert not result["changed"] and not host.commands
