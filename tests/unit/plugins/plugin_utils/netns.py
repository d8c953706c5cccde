# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nft and iptables themselves say of a ruleset, in a network namespace of its own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import firewall


@functools.cache
def namespace_problem() -> str:
    """Why nothing can be tried in a network namespace, or the empty string."""
    if os.geteuid() != 0:
        return "not root, so no network namespace can be made"
    if not shutil.which("unshare"):
        return "unshare is not installed"
    made = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    return made.stderr.strip()


def complaint(command: list[str], text: str) -> str:
    """Feed text to command in a new network namespace; return what it complained about."""
    program = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not program:
        pytest.skip(f"{command[0]} is not installed")
    if namespace_problem():
        pytest.skip(namespace_problem())
    full = ["unshare", "-n", program, *command[1:]]
    done = subprocess.run(full, input=text, capture_output=True, text=True, check=False)
    return done.stderr.strip() or ("" if done.returncode == 0 else f"returned {done.returncode}")


def nft_complaint(ruleset: str) -> str:
    return complaint(["nft", "-c", "-f", "-"], ruleset)


def iptables_complaint(name: str, tool: str, plan: Mapping[str, Any]) -> str:
    """What iptables or ip6tables says of the plan's rules, written as firewall_ruleset writes them without ipset."""

    class Module:
        def get_bin_path(self, program: str, **_more: Any) -> str | None:
            return None if program == "ipset" else program

    backend = firewall.Iptables(Module(), name, "iptables", "INPUT")
    backend.tools, backend.paths = [tool], {tool: tool}
    text = backend.files({"sets": {}, **plan}, {})[tool]
    return complaint([f"{tool}-restore", "--noflush", "--test"], text)
