# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doors of a machine with accounts of every kind, tried for real: those on the network from here, the others there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import testinfra
from labtest import INVENTORY, LAB, NODES

VARIABLES = INVENTORY["children"]["xen_nodes"]["hosts"]
ALLOWED = {node: VARIABLES[node]["dom0_users_allowed"] for node in NODES}
PASSWORD = "correct-horse"
ODD = "ödd.näme+x$"
# Whom each door let in before: the person with everything, the administrator, the one of the groups, the one at work,
# the careless service's account, the second root, and the odd one.
PEOPLE = ("alice", "bob", "carol", "dave", "keeper", "toor", ODD)
# These nobody could come in by, and they stay as they are.
CLOSED_BEFORE = ("frank", "grace", "idler")
EVERYBODY = (*PEOPLE, *CLOSED_BEFORE, "ops")


def login_name(node: str) -> str:
    return str(VARIABLES[node].get("ansible_user", "root"))


@cache
def root_on(node: str) -> Any:
    """The node, as root, the way its operator becomes that."""
    user = login_name(node)
    return testinfra.get_host(f"ssh://{user}@{node}", ssh_config=str(LAB / "ssh_config"), sudo=user != "root")


def inside(node: str, *command: str) -> str:
    """Run a command inside of a node that ssh may not get into."""
    return subprocess.run(
        ["podman", "exec", VARIABLES[node]["lab_container"], *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout


def ssh(node: str, account: str, *options: str, command: tuple[str, ...] = ("echo", "let-in")) -> bool:
    """Whether a new ssh connection with these options lets the account run a command."""
    done = subprocess.run(
        ["ssh", "-F", str(LAB / "ssh_config"), *options, "-l", account, node, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode == 0 and "let-in" in done.stdout


def by_key(node: str, account: str) -> bool:
    return ssh(node, account, "-o", "PasswordAuthentication=no", "-o", "BatchMode=yes")


def by_password(node: str, account: str) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False) as script:
        script.write(f"#!/bin/sh\necho {PASSWORD}\n")
    os.chmod(script.name, 0o700)
    try:
        done = subprocess.run(
            [
                *("ssh", "-F", str(LAB / "ssh_config"), "-o", "PubkeyAuthentication=no"),
                *("-o", "NumberOfPasswordPrompts=1", "-l", account, node, "echo", "let-in"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "SSH_ASKPASS": script.name, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none"},
        )
    finally:
        os.unlink(script.name)
    return done.returncode == 0 and "let-in" in done.stdout


def by_sftp(node: str, account: str) -> bool:
    done = subprocess.run(
        ["sftp", "-F", str(LAB / "ssh_config"), "-b", "-", "-o", f"User={account}", node],
        input="pwd\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode == 0


def from_the_network(node: str, accounts: tuple[str, ...]) -> dict[str, dict[str, bool]]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        tried = {
            account: {
                "ssh key": pool.submit(by_key, node, account),
                "ssh password": pool.submit(by_password, node, account),
                "sftp": pool.submit(by_sftp, node, account),
            }
            for account in accounts
        }
        return {account: {door: one.result() for door, one in doors.items()} for account, doors in tried.items()}


def on_the_machine(node: str, accounts: tuple[str, ...]) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = json.loads(
        root_on(node).check_output(f"python3 /usr/local/sbin/doors try {shlex.quote(json.dumps(accounts))}")
    )
    return found


def every_door(node: str, accounts: tuple[str, ...]) -> dict[str, dict[str, bool]]:
    network, machine = from_the_network(node, accounts), on_the_machine(node, accounts)
    return {account: {**network[account], **machine[account]} for account in accounts}


@cache
def every_door_everywhere(accounts: tuple[str, ...]) -> dict[str, dict[str, dict[str, bool]]]:
    """All nodes at once, for most of it is waiting: a refusal takes its time."""
    with ThreadPoolExecutor(max_workers=len(NODES)) as pool:
        return dict(zip(NODES, pool.map(lambda node: every_door(node, accounts), NODES), strict=True))


def ticks(node: str) -> dict[str, int]:
    """How often the cron job of each account has run."""
    counts = root_on(node).check_output("cd /var/tmp; wc -l tick-* 2>/dev/null | grep -v total; true")
    return {line.split()[1].removeprefix("tick-"): int(line.split()[0]) for line in counts.splitlines()}


def files(node: str) -> list[str]:
    return str(root_on(node).check_output("python3 /usr/local/sbin/doors files")).splitlines()


def baseline(node: str) -> list[str]:
    return str(root_on(node).check_output("cat /root/baseline")).splitlines()
