# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's machines as testinfra hosts, each reached over ssh connections of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
LAB = PROJECT / ".lab" / SCENARIO
INVENTORY = yaml.safe_load((LAB / "inventory.yml").read_text())["all"]
NODES = sorted(INVENTORY["children"]["xen_nodes"]["hosts"])
ADDRESSES = {
    host: variables["lab_addresses"]
    for group in INVENTORY["children"].values()
    for host, variables in group["hosts"].items()
}


# What attempt() returns where ssh itself failed: testinfra takes 255 for a failure of the ssh it came in by.
SSH_FAILED = 254


def attempt(machine: Any, command: str) -> Any:
    """Run a command that is, or ends in, an ssh from this machine to another."""
    return machine.run(f"( {command}\n); code=$?; [ $code != 255 ] || code={SSH_FAILED}; exit $code")


def ssh(host: str, command: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command over a connection that did not exist before; it has to succeed, unless check is false."""
    words = ("-F", str(LAB / "ssh_config"), "-o", "ControlMaster=no", "-o", "ControlPath=none", *options)
    done = subprocess.run(["ssh", *words, host, command], capture_output=True, text=True, check=False, timeout=180)
    assert not check or done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done


def changes(said: str) -> dict[str, int]:
    """How many tasks changed something, by host, as a run of ansible-playbook says in the end."""
    return {host: int(count) for host, count in re.findall(r"(?m)^(\S+) +: ok=\d+ +changed=(\d+)", said)}


def ansible(
    program: str, *words: str, programs: Path = Path(sys.executable).parent, inventory: Path = LAB / "inventory.yml"
) -> list[str]:
    """The command that runs a program of Ansible on the lab's machines, with the variables of the scenario."""
    inventories = ("--inventory", str(inventory), "--inventory", os.environ["MOLECULE_INVENTORY_FILE"])
    return [str(programs / program), *inventories, *words]


def converge(*extra: str, variables: Mapping[str, Any], limit: str = "xen_nodes") -> list[str]:
    """The command that runs the scenario's role as the operator would, with these variables."""
    return ansible(
        *("ansible-playbook", "--limit", limit, "--extra-vars", json.dumps(variables), *extra),
        str(Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "converge.yml"),
    )


@contextlib.contextmanager
def killed_afterwards(command: list[str]) -> Iterator[None]:
    """Run the command meanwhile; then kill it, with all that it has started."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def reboot(node: str) -> None:
    subprocess.run([sys.executable, str(PROJECT / "molecule/shared/lab/lab.py"), "reboot", SCENARIO, node], check=True)


@pytest.fixture(scope="session")
def machines() -> dict[str, Any]:
    return {host: testinfra.get_host(f"ssh://{host}", ssh_config=str(LAB / "ssh_config")) for host in ADDRESSES}


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, machines: dict[str, Any]) -> Any:
    return machines[request.param]
