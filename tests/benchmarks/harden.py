# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of harden and of audit takes on one node that is as it should be, beside a play that only pings it.

They take turns, round by round, so that whatever else the machine does falls on all of them alike. The figures are ratios
to the ping of the round.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from labplay import Plays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {"ping": [], "harden": [], "audit": []}
    plays = Plays("bench")
    with plays.started():
        first = plays.play("xensec.hardening.harden").seconds
        for number in range(arguments.rounds):
            print(f"bench: round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            taken["ping"].append(plays.ping().seconds)
            taken["harden"].append(plays.play("xensec.hardening.harden").seconds)
            taken["audit"].append(plays.play("xensec.hardening.audit").seconds)
    heading = "one node as it should be, as a ratio to a play that only pings it"
    print(f"{heading:66} {'median':>7} {'lowest':>7} {'highest':>7}")
    for name, seconds in taken.items():
        ratios = sorted(one / base for one, base in zip(seconds, taken["ping"], strict=True))
        print(
            f"  {name + f', {statistics.median(seconds):.1f} s':64} "
            f"{statistics.median(ratios):7.2f} {ratios[0]:7.2f} {ratios[-1]:7.2f}"
        )
    print(f"  the first run of harden, {first:.1f} s, was not repeated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
