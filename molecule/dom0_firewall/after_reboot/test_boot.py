# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a reboot, and before anything has loaded the rules again."""

from firewalltest import noted, own
from labtest import NODES


def test_the_boot_has_loaded_what_the_role_had_loaded(machines):
    assert {node: own(machines[node]) for node in NODES} == noted()


def test_the_rules_were_loaded_before_the_network_came_up(node):
    """The unit had ended before the one began that sets up routes and bridges here."""
    shown = "systemctl show --value -p ExecMain{}TimestampMonotonic {}"
    ours = int(node.check_output(shown.format("Exit", "xensec-firewall-dom0.service")))
    theirs = int(node.check_output(shown.format("Start", "lab-network.service")))
    assert 0 < ours <= theirs


def test_the_unit_is_ordered_before_the_network(node):
    assert "network-pre.target" in node.check_output("systemctl show --value -p Before xensec-firewall-dom0.service")
