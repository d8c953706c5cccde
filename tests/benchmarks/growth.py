# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of harden takes for each node that is as it should be, on 1, 3, 10 and 30 nodes, beside the run on one.

Nodes and controller share the machine's processors, so what the nodes work themselves is part of it. The runs take turns,
round by round; the figures are ratios to the run on one node of the same round.
"""

from __future__ import annotations

import sys

from labplay import Plays
from sizes import asked, measure, show


def main() -> int:
    arguments = asked(__doc__, 3, [1, 3, 10, 30])
    plays = Plays("growth")
    names = [f"node{number}" for number in range(1, max(arguments.sizes) + 1)]
    with plays.started():
        plays.limit(names)
        plays.harden()
        taken = measure(arguments, lambda size: plays.limit(names[:size]), plays.harden)
    show("growth", "Seconds a node, beside those of the smallest cluster", taken)
    return 0


if __name__ == "__main__":
    sys.exit(main())
