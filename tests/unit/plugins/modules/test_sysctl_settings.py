# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a /proc of its own: no test sets anything of the kernel that it runs on."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import sysctl
from ansible_collections.xensec.hardening.plugins.modules import sysctl_settings
from harness import ModuleFailed, run

SETTINGS = [
    {"key": "kernel.dmesg_restrict", "value": "1", "why": "log", "minimum": True},
    {"key": "kernel.yama.ptrace_scope", "value": "2", "why": "trace", "minimum": True},
    {"key": "fs.suid_dumpable", "value": "0", "why": "core"},
    {"key": "kernel.unprivileged_userns_clone", "value": "0", "why": "namespaces"},
    {"key": "user.max_user_namespaces", "value": "0", "why": "the same", "without": "kernel.unprivileged_userns_clone"},
    {"key": "net/ipv4/conf/eth0.5/rp_filter", "value": "1", "why": "way back"},
    {"key": "net.ipv4.tcp_rmem", "value": "1 2 3", "why": "words"},
    {"key": "kernel.io_uring_disabled", "value": "1", "why": "rings"},
]
FOUND = {
    "kernel.dmesg_restrict": "0",
    "kernel.yama.ptrace_scope": "3",
    "fs.suid_dumpable": "2",
    "kernel.unprivileged_userns_clone": "1",
    "user.max_user_namespaces": "31000",
    "net/ipv4/conf/eth0.5/rp_filter": "2",
    "net.ipv4.tcp_rmem": "1 2 4",
}
NETWORK = ["net/ipv4/conf/eth0.5/rp_filter", "net.ipv4.tcp_rmem"]


class Host(object):
    def __init__(self, root, monkeypatch):
        self.proc, self.path = root.ensure("proc", dir=True), root.join("sysctl.d", "99-xensec-test.conf")
        monkeypatch.setattr(sysctl, "ROOT", str(self.proc.join("sys")))
        for key, value in FOUND.items():
            # Where there are several numbers, the kernel has tabs between them.
            self.key(key).write(value.replace(" ", "\t") + "\n", ensure=True)
        self.proc.join("1", "environ").write("HOME=/\0", ensure=True)
        self.proc.join("self", "uid_map").write("         0          0 4294967295\n", ensure=True)
        self.proc.join("self", "status").write("CapEff:\t000001ffffffffff\n")
        monkeypatch.setattr(sysctl_settings, "PROC", str(self.proc))
        monkeypatch.setattr(sysctl_settings, "FOLDER", str(root.join("sysctl.d")))
        monkeypatch.setattr(sysctl_settings, "STATE_FOLDER", str(root.join("state")))
        monkeypatch.setattr(sysctl_settings, "CONTAINER_FILES", (str(root.join("container")),))

    def key(self, key):
        return self.proc.join("sys", os.path.relpath(sysctl.file_of(key), sysctl.ROOT))

    def values(self):
        return dict((key, " ".join(self.key(key).read().split())) for key in FOUND)

    def run(self, check=False, **more):
        return run(sysctl_settings.main, dict({"name": "test", "settings": SETTINGS}, **more), check=check)


@pytest.fixture
def host(tmpdir, monkeypatch):
    return Host(tmpdir, monkeypatch)


def states(result):
    return dict((key, entry["state"]) for key, entry in result["settings"].items())


def test_settings_are_in_effect_and_each_line_says_why(host):
    result = host.run()
    assert states(result) == {
        "kernel.dmesg_restrict": "set",
        "kernel.yama.ptrace_scope": "held",
        "fs.suid_dumpable": "set",
        "kernel.unprivileged_userns_clone": "set",
        "user.max_user_namespaces": "replaced",
        "net/ipv4/conf/eth0.5/rp_filter": "set",
        "net.ipv4.tcp_rmem": "set",
        "kernel.io_uring_disabled": "absent",
    }
    done = {"kernel.dmesg_restrict": "1", "fs.suid_dumpable": "0", "kernel.unprivileged_userns_clone": "0"}
    done.update({"net/ipv4/conf/eth0.5/rp_filter": "1", "net.ipv4.tcp_rmem": "1 2 3"})
    assert host.values() == dict(FOUND, **done)
    assert host.path.read().splitlines()[1:5] == [
        "# log.",
        "kernel.dmesg_restrict = 1",
        "# trace.",
        "kernel.yama.ptrace_scope = 3",
    ]
    assert "io_uring" not in host.path.read() and "max_user" not in host.path.read()


def test_a_second_run_changes_nothing(host):
    host.run()
    result = host.run()
    assert not result["changed"]
    assert set(states(result).values()) == set(["held", "replaced", "absent"])


def test_check_mode_changes_nothing_and_says_the_same(host):
    predicted = host.run(check=True)
    assert host.values() == FOUND and not host.path.check()
    done = host.run()
    assert [predicted[key] for key in ("changed", "diff", "settings")] == [
        done[key] for key in ("changed", "diff", "settings")
    ]


def test_drift_is_mended(host):
    host.run()
    host.key("fs.suid_dumpable").write("2\n")
    assert host.run()["changed"]
    assert host.values()["fs.suid_dumpable"] == "0"


@pytest.mark.parametrize("how", ["file", "environment", "user namespace", "capability"])
def test_the_kernel_around_a_container_is_left_alone(host, tmpdir, how):
    if how == "file":
        tmpdir.ensure("container")
    elif how == "environment":
        host.proc.join("1", "environ").write("container=podman\0")
    elif how == "user namespace":
        host.proc.join("self", "uid_map").write("0 100000 65536\n")
    else:
        host.proc.join("self", "status").write("CapEff:\t00000000a80425fb\n")
    result = host.run()
    # The network is the container's own.
    assert dict((key, value) for key, value in host.values().items() if value != FOUND[key]) == {
        "net/ipv4/conf/eth0.5/rp_filter": "1",
        "net.ipv4.tcp_rmem": "1 2 3",
    }
    assert [line.split(" =")[0] for line in host.path.read().splitlines() if " =" in line] == NETWORK
    others = dict((key, entry) for key, entry in result["settings"].items() if key not in NETWORK)
    assert set(entry["state"] for entry in others.values()) == set(["not applicable", "replaced", "absent"])
    assert all(entry["why"] for entry in others.values())
    assert not host.run()["changed"]


def test_what_the_kernel_refuses_is_not_said_to_be_done(host, monkeypatch):
    put = sysctl.put

    def refuse(key, value):
        return "the kernel does not take it" if key == "fs.suid_dumpable" else put(key, value)

    monkeypatch.setattr(sysctl, "put", refuse)
    result = host.run()
    assert result["settings"]["fs.suid_dumpable"]["state"] == "refused"
    assert "suid_dumpable" not in host.path.read()
    assert not host.run()["changed"]


def test_a_restore_gives_back_the_file_and_the_values(host):
    host.path.write("# mine\n", ensure=True)
    host.run()
    assert host.run(state="restored")["changed"]
    assert host.path.read() == "# mine\n"
    assert host.values() == FOUND
    assert not host.run(state="restored")["changed"]


def test_what_cannot_be_set_back_now_is_named(host, monkeypatch):
    host.run()
    monkeypatch.setattr(sysctl, "put", lambda key, value: "the kernel does not take it")
    result = host.run(state="restored")
    assert "stays 1 until the next boot" in " ".join(result["warnings"])
    assert not host.path.check()


def test_what_was_there_is_on_record_and_stays_there(host, tmpdir):
    host.run()
    host.run(settings=[dict(SETTINGS[2], value="1")])
    record = json.loads(tmpdir.join("state", "sysctl_test.json").read())
    assert record["state"]["fs.suid_dumpable"] == "2"
    assert record["files"] == {str(host.path): {"absent": True}}


@pytest.mark.parametrize("name", ["", "Test", "../x", "a-b", "abcdefghijklm"])
def test_a_name_that_is_none_is_refused(host, name):
    with pytest.raises(ModuleFailed) as caught:
        host.run(name=name)
    assert "12 lower-case" in str(caught.value)
    assert host.values() == FOUND


@pytest.mark.parametrize(
    "key, path",
    [
        ("net.ipv4.conf.all.rp_filter", "net/ipv4/conf/all/rp_filter"),
        ("net.ipv4.conf.eth0/5.rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
        ("net/ipv4/conf/eth0.5/rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
        ("kernel/x", "kernel/x"),
    ],
)
def test_the_first_of_dot_and_slash_separates(key, path):
    assert sysctl.file_of(key) == os.path.join("/proc/sys", path)
    assert sysctl.is_namespaced(key) == path.startswith("net/")


def test_a_setting_that_somebody_changed_since_is_left_unless_forced(host):
    host.run()
    changed = dict(host.values(), **{"fs.suid_dumpable": "1"})
    assert sysctl.put("fs.suid_dumpable", "1") in ("", None)
    result = host.run(state="restored")
    assert result["left"] == ["fs.suid_dumpable has been set to 1 since"]
    assert host.values() == dict(FOUND, **{"fs.suid_dumpable": changed["fs.suid_dumpable"]})
    assert not host.run(state="restored")["changed"]
    assert host.run(state="restored", force=True)["changed"]
    assert host.values() == FOUND
