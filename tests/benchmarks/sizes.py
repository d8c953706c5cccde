# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run takes for each node of clusters of several sizes, in turn, beside the run on the smallest of them."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from figures import draw, ratios, table
from labplay import Run


def asked(description: str | None, rounds: int, sizes: Sequence[int]) -> argparse.Namespace:
    """The rounds and the sizes, those given here where the command line has none."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    return parser.parse_args()


def measure(arguments: argparse.Namespace, have: Callable[[int], None], run: Callable[[], Run]) -> dict[int, list[Run]]:
    """The runs on each size.

    :param arguments: what was asked.
    :param have: makes the inventory of so many nodes.
    """
    rounds, sizes = arguments.rounds, arguments.sizes
    taken: dict[int, list[Run]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in taken:
            print(f"bench: round {number + 1} of {rounds}, nodes: {size}", file=sys.stderr, flush=True)
            have(size)
            taken[size].append(run())
    return taken


def show(name: str, heading: str, taken: Mapping[int, Sequence[Run]]) -> None:
    """Print and draw the seconds a node; beside them the memory, and how much of it each further node takes."""
    smallest = min(taken)
    each = {f"{size} nodes": [run.seconds / size for run in runs] for size, runs in taken.items()}
    base = statistics.median(run.megabytes for run in taken[smallest])
    more = {}
    for (label, times), (size, runs) in zip(each.items(), taken.items(), strict=True):
        megabytes = statistics.median(run.megabytes for run in runs)
        share = f", {(megabytes - base) / (size - smallest):.2f} MB for each further one" if size > smallest else ""
        more[label] = (
            f"{statistics.median(times):.1f} s a node; the controller's largest process {megabytes:.0f} MB{share}"
        )
    found = ratios(each, f"{smallest} nodes", more)
    table(heading, found)
    draw(name, heading, found)
