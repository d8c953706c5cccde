# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of harden takes for each node that is as it should be, on 1, 3, 10 and 30 nodes, beside the run on one.

Nodes and controller share the machine's processors, so what the nodes work themselves is part of it. The runs take turns,
round by round; the figures are ratios to the run on one node of the same round.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from figures import draw, ratios, table
from labplay import Plays, Run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 10, 30])
    arguments = parser.parse_args()
    plays = Plays("growth")
    taken: dict[int, list[Run]] = {size: [] for size in arguments.sizes}
    names = [f"node{number}" for number in range(1, max(taken) + 1)]
    with plays.started():
        plays.limit(names)
        plays.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%")
        for number in range(arguments.rounds):
            for size in taken:
                print(f"bench: round {number + 1} of {arguments.rounds}, nodes: {size}", file=sys.stderr, flush=True)
                plays.limit(names[:size])
                taken[size].append(plays.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%"))
    smallest = min(taken)
    each = {f"{size} nodes": [run.seconds / size for run in runs] for size, runs in taken.items()}
    base = statistics.median(run.megabytes for run in taken[smallest])
    more = {}
    for (name, times), (size, runs) in zip(each.items(), taken.items(), strict=True):
        megabytes = statistics.median(run.megabytes for run in runs)
        share = f", {(megabytes - base) / (size - smallest):.2f} MB for each further one" if size > smallest else ""
        more[name] = (
            f"{statistics.median(times):.1f} s a node; the controller's largest process {megabytes:.0f} MB{share}"
        )
    found = ratios(each, f"{smallest} nodes", more)
    table("Seconds a node, beside those of the smallest cluster", found)
    draw("growth", "Seconds a node, by the number of nodes", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
