# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the undo every file is byte for byte what it was, and the doors are as they were."""

import pytest
from doortest import PEOPLE, baseline, every_door_everywhere, files, root_on
from labtest import NODES


@pytest.mark.parametrize("node", NODES)
def test_every_file_is_what_it_was(node):
    assert files(node) == baseline(node)


@pytest.mark.parametrize("node", NODES)
def test_nothing_of_ours_is_left(node):
    for path in ("/etc/cron.allow", "/etc/at.allow", "/etc/ssh/sshd_config.d/00-xensec.conf", "/etc/xensec/operators"):
        assert not root_on(node).file(path).exists
    assert root_on(node).run("ls /var/lib/xensec/*.json").rc != 0


@pytest.mark.parametrize("node", NODES)
def test_the_doors_are_as_they_were(node):
    found = every_door_everywhere(PEOPLE)[node]
    assert not [(account, door) for account, doors in found.items() for door in ("ssh key", "login") if not doors[door]]
