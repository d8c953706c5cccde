# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of whole runs share: a lab of their own, made and taken away again, and runs that are timed.

All go over ssh with pipelining and one shared connection, as an operator's do.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "molecule" / "shared"
PROGRAMS = Path(sys.executable).parent
COLLECTIONS = os.pathsep.join(
    [str(ROOT / ".cache/collections"), *filter(None, [os.environ.get("ANSIBLE_COLLECTIONS_PATH")])]
)
PING = """
- hosts: node1
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
"""
VARIABLES = {
    "xend_relocation_scenario": "isolated_management",
    "xend_relocation_interface": "management0",
    "dom0_users_allowed": ["root"],
    "dom0_firewall_management_sources": ["{{ lab_networks.management.ipv4 }}"],
}
# A node needs a peer; this one is nobody, and the same for clusters of any size.
NOBODY = {"xend_relocation_peers": ["{{ lab_networks.management.ipv4.rpartition('.')[0] }}.99"]}


class Failed(Exception):
    """A run that did not come through, and what it said."""


@dataclass(frozen=True)
class Run:
    """What one run took: seconds, the start of ansible-playbook included, and its largest process, in MB."""

    seconds: float
    megabytes: float


class Plays:
    """The lab NAME, as molecule/NAME/lab/cluster.yml has it, and the runs on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = ROOT / ".lab" / name
        self.forks = 20
        self.variables = {**VARIABLES, **NOBODY}

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        if os.geteuid():
            raise SystemExit("bench: the lab needs root: sudo make bench")
        try:
            self.lab("up")
            self.limit(None)
            self.play(str(SHARED / "prepare.yml"))
            yield
        finally:
            self.lab("down")

    def lab(self, word: str) -> None:
        subprocess.run([sys.executable, str(SHARED / "lab/lab.py"), word, self.name], check=True, stdout=sys.stderr)

    def limit(self, hosts: Sequence[str] | None) -> None:
        """Have an inventory of these nodes alone, with the role's variables, and connections that stay open."""
        found: dict[str, Any] = yaml.safe_load((self.folder / "inventory.yml").read_text())
        found["all"]["vars"]["ansible_ssh_args"] = (
            f"-F {self.folder}/ssh_config -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={self.folder}/%C"
        )
        nodes = found["all"]["children"]["xen_nodes"]
        nodes["vars"] = self.variables
        if hosts is not None:
            nodes["hosts"] = {host: nodes["hosts"][host] for host in hosts}
        self.keep(found)

    def keep(self, inventory: dict[str, Any]) -> None:
        """Have this inventory for the runs to come."""
        (self.folder / "plays.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))

    def node(self, name: str, script: str) -> str:
        """Have a node run a script; return what it printed."""
        command = ["ssh", "-F", str(self.folder / "ssh_config"), name, script]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def written(self, name: str, text: str) -> str:
        """Have a playbook with this text; return its path."""
        path = self.folder / f"{name}.yml"
        path.write_text(text)
        return str(path)

    def ping(self) -> Run:
        return self.play(self.written("ping", PING))

    def harden(self) -> Run:
        """Harden the whole cluster at once."""
        return self.play("xensec.hardening.harden", "--extra-vars", "harden_serial=100%")

    def play(self, playbook: str, *options: str) -> Run:
        command = [
            *(str(PROGRAMS / "ansible-playbook"), "--inventory", str(self.folder / "plays.yml")),
            *("--forks", str(self.forks), "--extra-vars", f"dom0_audit_report_dir={self.folder}/report"),
            *(*options, playbook),
        ]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        started = time.monotonic()
        with (self.folder / "play.log").open("w+") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        taken = time.monotonic() - started
        if process.returncode:
            raise Failed(f"{playbook} failed:\n{(self.folder / 'play.log').read_text()}")
        return Run(taken, used.ru_maxrss / 1024)
