# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to nobody: each call of a module gets what a node answered when it was recorded.

The addresses in it are the simulated node's. The probe of the relocation ports depends on how many nodes there are, so its
answer is made from what it is asked.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: replay
short_description: Answers as a node did
description: For measurements of the controller.
author: xensec.hardening maintainers (@xensec)
options:
  host:
    description: The name of the host, which ends in its number.
    default: inventory_hostname
    vars: [{name: inventory_hostname}]
"""

MODULE = re.compile(rb"ansible_collections\.xensec\.hardening\.plugins\.modules\.(\w+)'")
PARAMETERS = re.compile(rb"^params=('.*'),?$", re.MULTILINE)


def addresses(number: int) -> dict[str, str]:
    """The simulated node's own."""
    return {"ipv4": f"10.0.{number // 250}.{number % 250 + 1}", "ipv6": f"fd00::{number:x}"}


def called(payload: bytes) -> tuple[str, dict[str, Any]]:
    """The name of the call that Ansible sends to a host's Python, and what the module is asked."""
    module, parameters = MODULE.search(payload), PARAMETERS.search(payload)
    assert module and parameters, payload[-2000:]
    asked = json.loads(ast.literal_eval(parameters[1].decode()))["ANSIBLE_MODULE_ARGS"]
    return f"{module[1].decode()}-{asked.get('name', '')}", asked


def probed(targets: list[dict[str, Any]], own: dict[str, str]) -> dict[str, Any]:
    """What a probe says of a cluster that is as planned: xend answers its peers over IPv4."""
    results = [
        {
            **target,
            "state": "open" if target["port"] == 8002 and ":" not in target["address"] else "rejected",
            "reason": None,
            "detail": "",
            "milliseconds": 0.1,
            "source": own["ipv6" if ":" in target["address"] else "ipv4"],
        }
        for target in targets
    ]
    return {"changed": False, "results_json": json.dumps(results)}


class Connection(ConnectionBase):  # type: ignore[misc]
    """Answers at once."""

    transport = "replay"
    has_pipelining = True

    def _connect(self) -> Connection:
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        if not in_data:
            return 0, b"", b""
        name, asked = called(in_data)
        own = addresses(int(re.sub(r"\D", "", self.get_option("host"))))
        if "targets" in asked:
            return 0, json.dumps(probed(asked["targets"], own)).encode(), b""
        folder = Path(os.environ["XENSEC_BENCH_RECORDED"])
        said = (folder / name).read_text()
        recorded = json.loads((folder / "addresses").read_text())
        for kind in own:
            said = said.replace(recorded[kind], own[kind])
        # All of them are in one network.
        return 0, said.replace(recorded["network"], "10.0.0.0/16").replace('"prefix": 24', '"prefix": 16').encode(), b""

    def put_file(self, in_path: str, out_path: str) -> None:
        raise NotImplementedError("modules come through the pipeline")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise NotImplementedError("there is no file to fetch")

    def close(self) -> None:
        return
