# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import time

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils.reader import Reader, Unreadable


class Module(object):
    params = {"service_policy": None}

    @staticmethod
    def get_bin_path(name, required=False, opt_dirs=None):
        return {"sh": "/bin/sh"}.get(name)


def test_a_command_answers():
    reader = Reader(Module)
    assert reader.run_command(["/bin/sh", "-c", "cat; echo err >&2; exit 3"], data="in") == (3, "in", "err\n")
    assert reader.run_command(["/bin/sh", "-c", "echo $LC_ALL"])[1] == "C\n"


def test_a_command_that_hangs_is_given_up_with_all_it_has_started(tmpdir):
    pid = tmpdir.join("pid")
    before = time.time()
    with pytest.raises(Unreadable) as error:
        Reader(Module, each=0.5).run_command(["/bin/sh", "-c", "sleep 60 & echo $! > %s; wait" % pid])
    assert "did not answer within 0 seconds" in str(error.value)
    assert time.time() - before < 10
    child = int(pid.read())
    for _attempt in range(50):
        try:
            os.kill(child, 0)
        except OSError:
            break
        # Whoever adopts it may not have collected it yet.
        with open("/proc/%d/stat" % child) as stream:
            if ") Z" in stream.read():
                break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        raise AssertionError("what the command had started went on")


def test_all_of_them_have_a_time_together():
    reader = Reader(Module, each=60, total=0)
    with pytest.raises(Unreadable) as error:
        reader.run_command(["/bin/sh", "-c", "true"])
    assert "time for reading this host was up" in str(error.value)


def test_failures_are_those_of_one_fact():
    reader = Reader(Module)
    assert reader.get_bin_path("sh") == "/bin/sh"
    assert reader.get_bin_path("nft") is None
    for function, message in (
        (lambda: reader.get_bin_path("nft", required=True), "the program nft is not here"),
        (lambda: reader.fail_json(msg="no such luck", rc=1), "no such luck"),
        (lambda: reader.run_command(["/nowhere/nft"]), "could not be run"),
        (lambda: reader.run_command(["/bin/sh", "-c", "echo broken >&2; exit 2"], check_rc=True), "returned 2: broken"),
    ):
        with pytest.raises(Unreadable) as error:
            function()
        assert message in str(error.value)
