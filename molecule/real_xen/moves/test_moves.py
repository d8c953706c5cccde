# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real guests really move between hardened nodes."""

from labtest import NODES
from xen_guest import counted, goes_on, where


def test_xen_and_its_guests_go_on(machines):
    for node in NODES:
        assert "xen_version" in machines[node].check_output("xl info")
    goes_on(machines[where(machines)])


def test_a_guest_moves_there_and_back_and_counts_on(machines):
    for _there_and_back in range(2):
        source = where(machines)
        target = next(node for node in NODES if node != source)
        left = goes_on(machines[source])
        arrived = len(counted(machines[target]))
        machines[source].check_output(f"xl migrate counter {target}")
        assert where(machines) == target
        goes_on(machines[target])
        there = counted(machines[target])[arrived:]
        last = counted(machines[source])[-1]
        assert last >= left
        # Not a number is missing, and none comes twice.
        assert there == list(range(last + 1, last + 1 + len(there)))
        print(f"moved from {source} at {last} to {target} at {there[0]}, now at {there[-1]}")
