# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of harden and of audit takes on one node that is as it should be, beside a play that only pings it.

Where the collection devsec.hardening is installed, its roles for the system and for ssh are run on another node of the same
kind, for comparison. They all take turns, round by round, so that whatever else the machine does falls on all of them alike.
The figures are ratios to the ping of the round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from figures import draw, ratios, table
from labplay import COLLECTIONS, PROGRAMS, Failed, Plays

PEER = "devsec.hardening"
PEER_PLAY = f"""
- hosts: node2
  roles:
    - {PEER}.os_hardening
    - {PEER}.ssh_hardening
  vars:
    # As careful as ours: the operator gets in afterwards, too.
    ssh_permit_root_login: without-password
    sftp_enabled: true
"""


def has_peer() -> bool:
    listed = subprocess.run(
        [str(PROGRAMS / "ansible-galaxy"), "collection", "list", PEER],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS},
        capture_output=True,
        text=True,
        check=False,
    )
    return PEER in listed.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    plays = Plays("bench")
    with plays.started():
        ours = {"harden": "xensec.hardening.harden", "audit": "xensec.hardening.audit"}
        runs = {"ping": plays.ping}
        runs |= {
            name: lambda playbook=playbook: plays.play(playbook, "--limit", "node1") for name, playbook in ours.items()
        }
        first = runs["harden"]().seconds
        said = f"{PEER} is not installed, so it was not run"
        if has_peer():
            path = plays.written("peer", PEER_PLAY)
            try:
                took = plays.play(path).seconds
                said = f"the first run of {PEER} took {took:.1f} s"
                runs[PEER] = lambda: plays.play(path)
            except Failed as failure:
                said = f"{PEER} did not come through here, so it was not measured: {str(failure)[-300:]}"
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(arguments.rounds):
            print(f"bench: round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            for name, run in runs.items():
                taken[name].append(run().seconds)
    heading = "One node as it should be, beside a play that only pings it"
    found = ratios(taken, "ping", {name: f"{statistics.median(times):.1f} s" for name, times in taken.items()})
    table(heading, found)
    print(f"  the first run of harden took {first:.1f} s; {said}")
    draw("harden", heading, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
