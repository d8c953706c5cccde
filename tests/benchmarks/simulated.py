# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller takes for clusters of 30, 100 and 300 nodes that are as they should be, beside the smallest of them.

The answers of a real node are recorded, and every simulated node gives them at once, with addresses of its own: so there
is no ssh, no network and no node in the figures, but all that Ansible and this collection do on the controller. Every node
is a peer of all others, and every relocation port is asked for by every node.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import yaml
from connection import replay
from figures import draw, ratios, table
from labplay import VARIABLES, Plays, Run

CONNECTIONS = Path(replay.__file__).parent
# In place of Python: it keeps what each module was given and what it said.
RECORD = """#!/bin/sh
kept=$(mktemp /root/recorded/XXXXXX)
cat >"$kept.given"
python3 <"$kept.given" | tee "$kept.said"
"""


def record(plays: Plays, folder: Path) -> None:
    """Have what node1 of a hardened cluster of two answers."""
    plays.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%")
    plays.node("node1", f"mkdir /root/recorded; cat >/root/record <<'END'\n{RECORD}END\nchmod 755 /root/record")
    found: dict[str, Any] = yaml.safe_load((plays.folder / "plays.yml").read_text())
    nodes = found["all"]["children"]["xen_nodes"]
    nodes["hosts"]["node1"]["ansible_python_interpreter"] = "/root/record"
    plays.keep(found)
    plays.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%")
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100, 300])
    arguments = parser.parse_args()
    plays = Plays("bench")
    plays.variables = {key: value for key, value in VARIABLES.items() if key != "xend_relocation_peers"}
    taken: dict[int, list[Run]] = {size: [] for size in arguments.sizes}
    folder = plays.folder / "recorded"
    with plays.started():
        record(plays, folder)
        os.environ["XENSEC_BENCH_RECORDED"] = str(folder)
        os.environ["ANSIBLE_CONNECTION_PLUGINS"] = str(CONNECTIONS)
        for number in range(arguments.rounds):
            for size in taken:
                print(f"bench: round {number + 1} of {arguments.rounds}, nodes: {size}", file=sys.stderr, flush=True)
                simulate(plays, size)
                taken[size].append(plays.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%"))
    smallest = min(taken)
    each = {f"{size} nodes": [run.seconds / size for run in runs] for size, runs in taken.items()}
    more = {
        name: f"{statistics.median(times):.1f} s a node; the controller's largest process "
        f"{statistics.median(run.megabytes for run in runs):.0f} MB"
        for (name, times), runs in zip(each.items(), taken.values(), strict=True)
    }
    heading = "The controller's seconds a node, beside those of the smallest cluster"
    found = ratios(each, f"{smallest} nodes", more)
    table(heading, found)
    draw("simulated", heading, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
