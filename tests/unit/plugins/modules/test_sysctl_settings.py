# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import sysctl
from ansible_collections.xensec.hardening.plugins.modules import sysctl_settings
from harness import ModuleFailed, run

SETTINGS = {"net/ipv4/conf/eth0.5/rp_filter": 1, "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.tcp_rmem": "1 2 3"}


class Host(object):
    def __init__(self, folder):
        self.proc, self.folder, self.state = folder.mkdir("proc"), folder.join("sysctl.d"), folder.join("state")
        self.file = self.folder.join("99-xensec-test.conf")
        self.kernel("net/ipv4/conf/eth0.5/rp_filter", "2")
        self.kernel("net/ipv4/conf/all/rp_filter", "0")
        self.kernel("net/ipv4/tcp_rmem", "1\t2\t4")

    def kernel(self, path, value=None):
        file = self.proc.join(*path.split("/"))
        if value is None:
            return file.read().strip()
        file.write(value + "\n", ensure=True)

    def snapshot(self):
        return dict((str(path), path.read()) for path in self.proc.dirpath().visit() if path.check(file=1))

    def run(self, check=False, **settings):
        return run(sysctl_settings.main, {"name": "test", "settings": settings or SETTINGS}, check=check)


@pytest.fixture
def host(tmpdir, monkeypatch):
    made = Host(tmpdir)
    monkeypatch.setattr(sysctl, "ROOT", str(made.proc))
    monkeypatch.setattr(sysctl, "FOLDER", str(made.folder))
    monkeypatch.setattr(sysctl_settings, "STATE_FOLDER", str(made.state))
    return made


def test_it_is_set_in_the_kernel_and_for_the_boot_and_a_second_run_changes_nothing(host):
    before = host.snapshot()
    predicted = host.run(check=True)
    assert host.snapshot() == before
    result = host.run()
    assert result == predicted and result["changed"]
    assert host.kernel("net/ipv4/conf/eth0.5/rp_filter") == "1"
    assert host.kernel("net/ipv4/tcp_rmem") == "1 2 3"
    assert host.file.read().splitlines()[1:] == [
        "net.ipv4.conf.all.rp_filter = 0",
        "net.ipv4.tcp_rmem = 1 2 3",
        "net/ipv4/conf/eth0.5/rp_filter = 1",
    ]
    after = host.snapshot()
    assert not host.run()["changed"] and not host.run(check=True)["changed"]
    assert host.snapshot() == after


def test_what_was_there_is_on_record_and_stays_there(host):
    host.run()
    host.run(**{"net.ipv4.conf.all.rp_filter": "2"})
    record = json.loads(host.state.join("sysctl_test.json").read())
    assert record["state"]["net/ipv4/conf/eth0.5/rp_filter"] == "2"
    assert record["state"]["net.ipv4.conf.all.rp_filter"] == "0"
    assert record["files"] == {str(host.file): {"absent": True}}


def test_a_value_that_somebody_else_has_set_since_is_set_again(host):
    host.run()
    host.kernel("net/ipv4/conf/eth0.5/rp_filter", "0")
    assert host.run()["reasons"] == ["net/ipv4/conf/eth0.5/rp_filter was 0"]
    assert host.kernel("net/ipv4/conf/eth0.5/rp_filter") == "1"


def test_what_the_kernel_does_not_have_is_left_out_and_said(host):
    result = host.run(**{"net.ipv6.conf.all.accept_redirects": "0", "net.ipv4.conf.all.rp_filter": "1"})
    assert result["missing"] == ["net.ipv6.conf.all.accept_redirects"]
    assert "ipv6" not in host.file.read()


def test_what_the_kernel_refuses_is_an_error(host, monkeypatch):
    monkeypatch.setattr(sysctl, "put", lambda key, value: "Read-only file system")
    with pytest.raises(ModuleFailed) as caught:
        host.run()
    assert "net.ipv4.tcp_rmem = 1 2 3 (Read-only file system)" in str(caught.value)


@pytest.mark.parametrize("name", ["", "Test", "../x", "a-b", "abcdefghijklm"])
def test_a_name_that_is_none_is_refused(host, name):
    with pytest.raises(ModuleFailed, match="12 lower-case"):
        run(sysctl_settings.main, {"name": name, "settings": SETTINGS})
    assert not host.folder.check()


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
