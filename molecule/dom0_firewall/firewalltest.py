# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests before and after the reboot share: our rules as a machine lists them, and a note of them."""

import json

from labtest import LAB

NOTE = LAB / "loaded.json"


def listing(machine):
    """Our rules, chain by chain: the order in which a listing has the chains means nothing."""
    return machine.check_output(
        "for family in inet bridge; do nft -s list table $family xensec_dom0; done 2>/dev/null;"
        "for tool in iptables ip6tables; do for chain in INPUT XENSEC_DOM0 XENSEC_DOM0_GUESTS; do $tool -S $chain; done;"
        " done 2>/dev/null; true"
    )


def own(machine):
    """The same without the jumps of others, who come before or after ours as they were started."""
    return [line for line in listing(machine).splitlines() if not line.startswith("-A INPUT") or "XENSEC" in line]


def note(loaded):
    NOTE.write_text(json.dumps(loaded))


def noted():
    return json.loads(NOTE.read_text())
