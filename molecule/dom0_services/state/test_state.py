# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Dom0 runs after the role: exactly what it needs, and nothing else listens."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from servicetest import ACTIVE, DEBIAN, ENABLED, LINKED, SYSTEMD_NODES, SYSV, active, units


@pytest.fixture(params=SYSTEMD_NODES)
def systemd(request, machines):
    return request.param, machines[request.param]


def test_exactly_the_expected_units_are_active(systemd):
    name, node = systemd
    assert active(node) == ACTIVE[name]


def test_exactly_the_expected_units_are_enabled(systemd):
    name, node = systemd
    # Some releases list the instance of getty@ as well.
    assert units(node, "list-unit-files --state=enabled,generated") - {"getty@tty1.service"} == ENABLED | DEBIAN[name]


def test_exactly_the_expected_scripts_run_and_are_enabled(machines):
    node = machines["node4"]
    listed = node.check_output("service --status-all 2>/dev/null").splitlines()
    assert {line.split()[-1] for line in listed if "[ + ]" in line} == SYSV["node4"]
    links = node.check_output("ls /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d /etc/rcS.d").split()
    assert {link[3:] for link in links if link.startswith("S")} == LINKED


def test_nothing_else_listens_at_all(node):
    """On no address, loopback included, TCP or UDP."""
    listed = [line.split() for line in node.check_output("ss -Hltun").splitlines()]
    assert sorted((words[0], words[4]) for words in listed) == [("tcp", "0.0.0.0:22"), ("tcp", "[::]:22")]
