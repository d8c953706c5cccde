# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run in check mode nothing is other than it was, and the doors are as open as they were careless."""

import time

import pytest
from doortest import EVERYBODY, PEOPLE, baseline, every_door_everywhere, files, root_on, ticks
from labtest import NODES

# An account that everything lets in, but for what it takes to be an administrator.
OPEN = {"ssh key", "ssh password", "sftp", "su to it", "su from it", "login", "crontab", "at"}


@pytest.mark.parametrize("node", NODES)
def test_nothing_is_other_than_it_was(node):
    assert files(node) == baseline(node)
    for folder in ("/etc/xensec", "/var/lib/xensec", "/etc/cron.allow", "/etc/at.allow"):
        assert not root_on(node).file(folder).exists


@pytest.mark.parametrize("node", NODES)
def test_every_door_is_open(node):
    found = {name: doors for name, doors in every_door_everywhere(EVERYBODY)[node].items() if name in (*PEOPLE, "ops")}
    shut = {account: sorted(door for door in OPEN if not doors[door]) for account, doors in found.items()}
    assert shut == {account: [] for account in found}
    assert found["ops"]["sudo"]
    assert found["bob"]["sudo"]


@pytest.mark.parametrize("node", NODES)
def test_those_that_nothing_lets_in(node):
    found = every_door_everywhere(EVERYBODY)[node]
    assert not any(found[account][door] for account in ("frank", "grace") for door in ("ssh key", "su to it", "login"))


@pytest.mark.parametrize("node", NODES)
def test_somebody_is_at_work(node):
    running = root_on(node).check_output("ps -o args= -u dave")
    assert "tmux" in running and "sleep 1001" in running


@pytest.mark.parametrize("node", NODES)
def test_jobs_run(node):
    deadline = time.monotonic() + 130
    while set(ticks(node)) != {"root", "bob", "keeper"}:
        assert time.monotonic() < deadline, ticks(node)
        time.sleep(3)
