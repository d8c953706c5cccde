# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's machines as testinfra hosts, each reached over ssh connections of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

SCENARIO = os.environ["MOLECULE_SCENARIO_NAME"]
LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / SCENARIO
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


@pytest.fixture(scope="session")
def machines() -> dict[str, Any]:
    return {host: testinfra.get_host(f"ssh://{host}", ssh_config=str(LAB / "ssh_config")) for host in ADDRESSES}


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, machines: dict[str, Any]) -> Any:
    return machines[request.param]
