# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening did change the machines in every respect that the undo is then held to."""

import pytest
from labtest import NODES
from restoretest import before, differences, snapshot


@pytest.mark.parametrize("host", NODES)
def test_every_kind_of_thing_has_changed(machines, host):
    changed = differences(before(host), snapshot(machines[host]))
    kinds = {name.split(" ")[0] for name in changed}
    assert kinds >= {"file", "account", "unit", "process", "socket", "rules"}


def test_the_gateway_has_rules_and_settings(machines):
    changed = differences(before("gateway1"), snapshot(machines["gateway1"]))
    assert {"file", "rules", "sysctl"} <= {name.split(" ")[0] for name in changed}
