# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run with what: the nodes of lab/cluster.yml by the cores of lab/cores.yml, and the table of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CORES: dict[str, list[str]] = yaml.safe_load((HERE / "lab/cores.yml").read_text())
HOSTS: dict[str, Any] = yaml.safe_load((HERE / "lab/cluster.yml").read_text())["hosts"]
NODES: dict[str, dict[str, Any]] = {
    node: settings["vars"] for node, settings in HOSTS.items() if "xen_nodes" in settings["groups"]
}
RUN, NOT_MANAGED = "run", "cannot manage it"


def nodes(core: str) -> list[str]:
    """The nodes that a controller with this core can manage."""
    return [node for node, variables in NODES.items() if core in variables.get("matrix_cores", CORES)]


def chosen(core: str, everything: bool) -> list[str]:
    """The nodes that are run with it: all that it can manage, or those that are its own in make test."""
    return [node for node in nodes(core) if everything or NODES[node]["matrix_test_core"] == core]


def programs(project: Path, core: str) -> Path:
    """The folder of the programs of a core, where nox -s cores has been able to install it."""
    return project / ".cache" / f"core-{core}" / "venv" / "bin"


def table(cells: Mapping[tuple[str, str], str] | None = None) -> list[str]:
    """The platforms by cores, in Markdown: what is to be run, or what came of it."""

    def cell(node: str, core: str) -> str:
        if core not in CORES or node not in nodes(core):
            return NOT_MANAGED
        return RUN if cells is None else cells.get((node, core), "not run")

    rows = [["host", *(f"ansible-core {core}" for core in CORES)], ["---"] * (len(CORES) + 1)]
    rows += [[str(NODES[node]["matrix_platform"]), *(cell(node, core) for core in CORES)] for node in NODES]
    return ["| " + " | ".join(row) + " |" for row in rows]
