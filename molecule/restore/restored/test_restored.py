# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the undo nothing differs, a second one changes nothing, and nothing secret was told on the way."""

import pytest
from restoretest import MACHINES, before, differences, play, snapshot


@pytest.mark.parametrize("host", MACHINES)
def test_nothing_differs(machines, host):
    assert differences(before(host), snapshot(machines[host])) == {}


def test_a_second_undo_changes_nothing():
    done = play("restore")
    assert done.returncode == 0, done.output
    assert done.stdout.count("changed=0") == len(MACHINES)
    assert "0 hosts given back, 4 as they were before, 0 things left" in done.stdout


def test_the_record_goes_when_asked(machines):
    done = play("restore", "--limit", "node1", restore_forget=True)
    assert done.returncode == 0, done.output
    assert not machines["node1"].file("/var/lib/xensec").exists
