# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dom0s that were rebooted come back hardened."""

from labtest import ADDRESSES, NODES
from xen_guest import goes_on, where


def test_xen_and_the_relocation_service_are_back(machines):
    for node in NODES:
        machine = machines[node]
        assert "Domain-0" in machine.check_output("xl list")
        listening = machine.check_output("ss -Hltn 'sport = :8002' | awk '{print $4}'")
        assert listening == f"{ADDRESSES[node]['management']['ipv4']}:8002"


def test_the_packet_filter_is_back(machines):
    for node in NODES:
        tables = machines[node].check_output("nft list tables")
        assert "inet xensec_dom0" in tables
        assert "inet xensec_relocation" in tables


def test_the_guest_is_back_where_it_was_and_counts_on(machines):
    """xendomains has saved and restored it: what stops it when it should not, or does not let it start, shows here."""
    # It comes up some time after ssh does.
    for node in NODES:
        machines[node].check_output("systemctl start xendomains.service")
    assert goes_on(machines[where(machines)]) > 0
