# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller takes for clusters of 10, 30 and 100 nodes that are as they should be, beside the smallest of them.

Runs of harden first, then of audit, on the same sizes.

The answers of a real node are recorded, and every simulated node gives them at once, with addresses of its own: so there
is no ssh, no network and no node in the figures, but all that Ansible and this collection do on the controller. Every node
is a peer of all others, and every relocation port is asked for by every node.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from connection import replay
from labplay import VARIABLES, Plays
from sizes import asked, measure, show

CONNECTIONS = Path(replay.__file__).parent
# In place of Python: it keeps what each module was given and what it said.
RECORD = """#!/bin/sh
kept=$(mktemp /root/recorded/XXXXXX)
cat >"$kept.given"
python3 <"$kept.given" | tee "$kept.said"
"""


def record(plays: Plays, folder: Path) -> None:
    """Have what node1 of a hardened cluster of two answers."""
    plays.harden()
    plays.node("node1", f"mkdir /root/recorded; cat >/root/record <<'END'\n{RECORD}END\nchmod 755 /root/record")
    found: dict[str, Any] = yaml.safe_load((plays.folder / "plays.yml").read_text())
    nodes = found["all"]["children"]["xen_nodes"]
    nodes["hosts"]["node1"]["ansible_python_interpreter"] = "/root/record"
    plays.keep(found)
    plays.harden()
    folder.mkdir(exist_ok=True)
    for given in plays.node("node1", "ls /root/recorded/*.given").split():
        name = replay.called(plays.node("node1", f"cat {given}").encode())[0]
        (folder / name).write_text(plays.node("node1", f"cat {given.removesuffix('given')}said"))
    own = nodes["hosts"]["node1"]["lab_addresses"]["management"]
    network = found["all"]["vars"]["lab_networks"]["management"]["ipv4"]
    (folder / "addresses").write_text(json.dumps({**own, "network": network}))


def simulate(plays: Plays, size: int) -> None:
    """Have an inventory of so many nodes that answer as the recorded one."""
    found: dict[str, Any] = yaml.safe_load((plays.folder / "inventory.yml").read_text())
    found["all"]["vars"]["ansible_connection"] = "replay"
    found["all"]["children"] = {
        "xen_nodes": {
            "vars": plays.variables,
            "hosts": {f"node{number}": {} for number in range(1, size + 1)},
        }
    }
    plays.keep(found)


def main() -> int:
    arguments = asked(__doc__, 2, [10, 30, 100])
    plays = Plays("bench")
    plays.variables = VARIABLES
    folder = plays.folder / "recorded"
    runs = {"harden": plays.harden, "audit": lambda: plays.play("xensec.hardening.audit")}
    with plays.started():
        record(plays, folder)
        os.environ["XENSEC_BENCH_RECORDED"] = str(folder)
        os.environ["ANSIBLE_CONNECTION_PLUGINS"] = str(CONNECTIONS)
        for name, run in runs.items():
            taken = measure(arguments, lambda size: simulate(plays, size), run)
            heading = f"The controller's seconds a node for {name}, beside those of the smallest cluster"
            show(f"simulated-{name}", heading, taken)
    return 0


if __name__ == "__main__":
    sys.exit(main())
