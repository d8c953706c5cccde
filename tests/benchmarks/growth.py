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
    print(
        f"{'nodes':>6} {'seconds':>8} {'a node':>7}   {'a node, as a ratio to the run on one':38} {'MB':>6} {'a node':>7}"
    )
    smallest = min(taken)
    base = statistics.median(run.megabytes for run in taken[smallest])
    for size, runs in taken.items():
        ratios = sorted(
            run.seconds / size / (one.seconds / smallest) for run, one in zip(runs, taken[smallest], strict=True)
        )
        seconds, megabytes = (
            statistics.median(values) for values in zip(*((r.seconds, r.megabytes) for r in runs), strict=True)
        )
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        more = f"{(megabytes - base) / (size - smallest):.2f}" if size > smallest else "-"
        print(f"{size:6} {seconds:8.1f} {seconds / size:7.1f}   {spread:38} {megabytes:6.0f} {more:>7}")
    print("  MB is the largest process of the controller; a node's share is what it has more than with one node")
    return 0


if __name__ == "__main__":
    sys.exit(main())
