# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest that counts on its console, once a second, wherever it is."""

from __future__ import annotations

import re
import time
from typing import Any

NODES = ("xen1", "xen2")
# xenconsoled names a console by what the guest is called when it comes up: one that comes in has "--incoming" to its name.
LOGS = "/var/log/xen/console/guest-counter*.log"


def where(machines: dict[str, Any]) -> str:
    """The one node that has the guest."""
    found = [node for node in NODES if "counter" in machines[node].check_output("xl list | awk '{print $1}'").split()]
    assert len(found) == 1, f"the guest is on {found or 'no node'}"
    return found[0]


def counted(machine: Any) -> list[int]:
    """What the guest has counted on this node, in order."""
    return [
        int(number) for number in re.findall(r"^count (\d+)\r?$", machine.run(f"cat $(ls -tr {LOGS})").stdout, re.M)
    ]


def goes_on(machine: Any) -> int:
    """Wait until the guest has counted further, and return where it is."""
    before, deadline = len(counted(machine)), time.monotonic() + 300
    while time.monotonic() < deadline:
        now = counted(machine)
        if len(now) > before + 1:
            return now[-1]
        time.sleep(2)
    raise AssertionError(f"the guest stopped counting at {counted(machine)[-1:]}")
