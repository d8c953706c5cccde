# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of harden and of audit takes on one node that is as it should be, beside a play that only pings it.

A lab of its own, made and taken away again. All go over ssh with pipelining and one shared connection, in turn, round by
round, so that whatever else the machine does falls on all of them alike. The figures are ratios to the ping of the round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / ".lab" / "bench"
SHARED = ROOT / "molecule" / "shared"
PROGRAMS = Path(sys.executable).parent
PING = """
- hosts: xen_nodes
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
"""
VARIABLES = {
    "xend_relocation_scenario": "isolated_management",
    "xend_relocation_interface": "management0",
    # A node needs a peer; this one is nobody.
    "xend_relocation_peers": ["{{ lab_networks.management.ipv4.rpartition('.')[0] }}.99"],
    "dom0_users_allowed": ["root"],
    "dom0_firewall_management_sources": ["{{ lab_networks.management.ipv4 }}"],
}


def lab(*arguments: str) -> None:
    subprocess.run([sys.executable, str(SHARED / "lab/lab.py"), *arguments], check=True, stdout=sys.stderr)


def inventory() -> None:
    """The lab's inventory with the role's variables, and a connection that stays open between tasks."""
    found: dict[str, Any] = yaml.safe_load((LAB / "inventory.yml").read_text())
    found["all"]["vars"]["ansible_ssh_args"] = (
        f"-F {LAB}/ssh_config -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={LAB}/%C"
    )
    found["all"]["children"]["xen_nodes"]["vars"] = VARIABLES
    (LAB / "one.yml").write_text(yaml.safe_dump(found, sort_keys=False))


def play(playbook: str) -> float:
    """Run it. Return the seconds it took, the start of ansible-playbook included."""
    command = [
        *(str(PROGRAMS / "ansible-playbook"), "--inventory", str(LAB / "one.yml")),
        *("--extra-vars", f"dom0_audit_report_dir={LAB}/report", playbook),
    ]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    taken = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"bench: {playbook} failed:\n{done.stdout}{done.stderr}")
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if os.geteuid():
        print("bench: the lab needs root: sudo make bench", file=sys.stderr)
        return 1
    plays = {"ping": str(LAB / "ping.yml"), "harden": "xensec.hardening.harden", "audit": "xensec.hardening.audit"}
    taken: dict[str, list[float]] = {name: [] for name in plays}
    try:
        lab("up", "bench")
        inventory()
        (LAB / "ping.yml").write_text(PING)
        play(str(SHARED / "prepare.yml"))
        first = play("xensec.hardening.harden")
        for number in range(arguments.rounds):
            print(f"bench: round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            for name, playbook in plays.items():
                taken[name].append(play(playbook))
    finally:
        lab("down", "bench")
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
