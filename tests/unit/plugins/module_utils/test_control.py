# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import control


@pytest.fixture
def processes(tmpdir, monkeypatch):
    """Processes by number, each with its parent's and its environment; this one is 30, a child of 20, a child of 10."""
    monkeypatch.setattr(control, "PROC", str(tmpdir))
    monkeypatch.setattr(os, "getpid", lambda: 30)

    def make(pid, parent, environment):
        folder = tmpdir.ensure(str(pid), dir=True)
        folder.join("status").write("Name:\tsh\nPid:\t%d\nPPid:\t%d\n" % (pid, parent))
        folder.join("environ").write("\0".join(environment) + "\0")

    make(1, 0, ["SSH_CONNECTION=203.0.113.1 1 192.0.2.5 22"])
    make(10, 1, [])
    make(20, 10, [])
    make(30, 20, [])
    return make


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.1 50812 192.0.2.5 22", {"address": "192.0.2.1", "port": 22}),
        ("2001:db8::1 50812 2001:db8::5 2222", {"address": "2001:db8::1", "port": 2222}),
        ("fe80::1%eth0 50812 fe80::5%eth0 22", {"address": "fe80::1", "port": 22}),
        ("::ffff:192.0.2.1 50812 ::ffff:192.0.2.5 22", {"address": "192.0.2.1", "port": 22}),
        ("", None),
        ("192.0.2.1 22", None),
    ],
)
def test_what_sshd_says(processes, value, expected):
    processes(30, 20, ["PATH=/bin", "SSH_CONNECTION=" + value])
    assert control.control_connection() == expected


def test_through_sudo_that_cleans_the_environment(processes):
    processes(10, 1, ["SSH_CONNECTION=192.0.2.1 50812 192.0.2.5 22"])
    assert control.control_connection() == {"address": "192.0.2.1", "port": 22}


def test_the_nearest_one_counts(processes):
    processes(10, 1, ["SSH_CONNECTION=192.0.2.1 50812 192.0.2.5 22"])
    processes(20, 10, ["SSH_CONNECTION=192.0.2.2 50812 192.0.2.5 22"])
    assert control.control_connection()["address"] == "192.0.2.2"


def test_what_merely_looks_like_it_does_not_count(processes):
    processes(30, 20, ["OLD_SSH_CONNECTION=192.0.2.1 50812 192.0.2.5 22"])
    assert control.control_connection() is None


def test_a_process_that_is_gone_ends_the_search(processes, tmpdir):
    tmpdir.join("20").remove()
    assert control.control_connection() is None
