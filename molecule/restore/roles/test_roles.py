# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role alone, on one node: hardened and given back it is what it was; what others change is left; no secret is told."""

import pytest
from restoretest import before, differences, play, snapshot

NODE = "node2"
ROLES = ["dom0_firewall", "xend_relocation", "dom0_services", "dom0_users"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_alone_is_undone(machines, role):
    done = play("harden", "--limit", NODE, "--tags", role)
    assert done.returncode == 0, done.output
    assert differences(before(NODE), snapshot(machines[NODE])) != {}
    done = play("restore", "--limit", NODE, "--tags", role)
    assert done.returncode == 0, done.output
    assert differences(before(NODE), snapshot(machines[NODE])) == {}
