# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's playbook with some of our roles among its own, run as the site does."""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from labtest import LAB, NODES, ansible, changes
from restoretest import differences, snapshot

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
THEIRS = [item["role"] for item in yaml.safe_load((SCENARIO / "converge.yml").read_text())[0]["roles"]]
OURS = ("dom0_firewall", "dom0_services", "dom0_users", "xend_relocation")
STRATEGIES = ("linear", "free", "host_pinned")
# How one is added: with all that is there; or alone, after a look at what would change, at once, or a node at a time.
WAYS = ("whole", "check", "tags", "limit")
# Names that many playbooks have for something, and that none of our roles may write to.
COMMON = (
    "backend",
    "firewall",
    "hosts",
    "info",
    "networks",
    "packages",
    "peers",
    "plan",
    "result",
    "services",
    "users",
)
KNOWN = "|".join((*(f"{role}_" for role in (*OURS, *THEIRS)), "ansible_", "site_", "dom0_audit_"))


@dataclass(frozen=True)
class Addition:
    role: str
    strategy: str
    way: str

    def __str__(self) -> str:
        return f"{self.role} ({self.strategy}, {self.way})"


@dataclass(frozen=True)
class Draw:
    """Our roles one by one, and where each of them stands among the site's."""

    additions: tuple[Addition, ...]
    places: dict[str, int]

    def roles(self, count: int) -> list[str]:
        """The site's roles with the first so many of ours, each in its place."""
        ours = [item.role for item in self.additions[:count]]
        found = []
        for place in range(len(THEIRS) + 1):
            found += [f"xensec.hardening.{role}" for role in ours if self.places[role] == place]
            found += THEIRS[place : place + 1]
        return found


def draw(seed: str, number: int) -> Draw:
    """Every draw has each strategy and each way; which role they meet, and the order, are others each time."""
    chance = random.Random(f"{seed} {number}")
    roles, ways = chance.sample(OURS, len(OURS)), chance.sample(WAYS, len(WAYS))
    strategies = chance.sample((*STRATEGIES, chance.choice(STRATEGIES)), len(OURS))
    additions = tuple(Addition(*item) for item in zip(roles, strategies, ways, strict=True))
    return Draw(additions, {role: chance.randint(0, len(THEIRS)) for role in roles})


def playbook(roles: list[str], strategy: str) -> Path:
    """Write the site's playbook; it ends with a look at what it has of variables."""
    values = {name: f"the site's {name}" for name in COMMON}
    strangers = f"hostvars[inventory_hostname].keys() | reject('in', site_names) | reject('match', '({KNOWN})') | list"
    play = {
        "name": "Run the site",
        "hosts": "xen_nodes",
        "gather_facts": False,
        "any_errors_fatal": True,
        "strategy": strategy,
        "vars": values,
        "pre_tasks": [
            {
                "name": "Keep the names there are",
                "ansible.builtin.set_fact": {"site_names": "{{ hostvars[inventory_hostname].keys() | list }}"},
                "tags": ["always"],
            }
        ],
        "roles": [{"role": role, "tags": [role.rpartition(".")[2]]} for role in roles],
        "post_tasks": [
            {
                "name": "Check that the site's variables are as they were, and that there are none of other names",
                "ansible.builtin.assert": {
                    "that": [
                        *(f"{name} == {value!r}" for name, value in values.items()),
                        f"{strangers} == []",
                    ],
                    "fail_msg": f"{{{{ {strangers} }}}}",
                },
                "tags": ["always"],
            }
        ],
    }
    path = LAB / "site.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return path


def run(*arguments: object) -> Any:
    """Run ansible-playbook over connections of its own; changed has the number of changes on each node."""
    environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(SCENARIO / "roles"), "ANSIBLE_FORCE_COLOR": "false"}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as sockets:
        done = execute({**environment, "ANSIBLE_NOCOLOR": "true", "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}, *arguments)
    done.seconds = round(time.monotonic() - started)
    done.output = done.stdout + done.stderr
    assert done.returncode == 0, done.output
    done.changed = changes(done.stdout)
    assert done.changed, done.output
    return done


def execute(environment: dict[str, str], *arguments: object) -> Any:
    return subprocess.run(
        ansible("ansible-playbook", *map(str, arguments)),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def look(machines: dict[str, Any]) -> dict[str, Any]:
    """All nodes as they are. A ruleset's tables come in the order in which they were made; that means nothing."""
    with ThreadPoolExecutor() as at_once:
        found = dict(zip(NODES, at_once.map(lambda node: snapshot(machines[node]), NODES), strict=True))
    for taken in found.values():
        taken["rules"]["nft"] = sorted(re.split(r"(?m)^(?=table )", taken["rules"]["nft"]))
    return found


def same_in_the_end(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What differs, but for when it was written, and for the records of what was found before."""
    return {
        f"{node}: {name}": values
        for node in NODES
        for name, values in differences(one[node], other[node]).items()
        if not re.match(r"file (.* time$|/var/lib/xensec/)", name)
    }
