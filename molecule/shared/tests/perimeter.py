# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a perimeter has done to connections, and how to run its role as the operator would."""

from __future__ import annotations

import json
import re
import shlex

CONNECT = """
import json, socket, sys
def connect(address, port):
    try:
        socket.create_connection((address, port), timeout=4).close()
        return "open"
    except OSError as error:
        return type(error).__name__
print(json.dumps([connect(*target) for target in json.loads(sys.argv[1])]))
"""
OPEN, REFUSED = "open", "ConnectionRefusedError"


def connect(machine, targets):
    """Return what became of a connection to each of the addresses and ports."""
    return json.loads(machine.check_output(f"python3 -c {shlex.quote(CONNECT)} {shlex.quote(json.dumps(targets))}"))


def counters(machine):
    """What a gateway has stopped so far: packets by counter."""
    shown = machine.check_output(
        "nft list counters table inet xensec_perimeter 2>/dev/null;"
        "for tool in iptables ip6tables; do for table in raw filter; do $tool-save -c -t $table; done; done"
    )
    found = re.findall(r"counter (\w+) {\s*packets (\d+)", shown)
    rules = re.findall(r"(?m)^\[(\d+):\d+\] -A XENSEC_.*--comment (\w+)", shown)
    total = {}
    for name, packets in [*found, *((name, packets) for packets, name in rules)]:
        total[name] = total.get(name, 0) + int(packets)
    return total


def grown(before, after):
    return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


def listing(machine):
    """Our rules, without what they have counted."""
    return machine.check_output(
        "nft -s list table inet xensec_perimeter 2>/dev/null;"
        "for tool in iptables ip6tables; do for table in raw filter; do"
        " $tool-save -t $table | grep XENSEC | sed 's/ \\[[0-9:]*\\]//'; done; done; true"
    )
