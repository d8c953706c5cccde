# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario share: the role run as an operator would, and what a node runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from labtest import LAB

FOLDER = Path(__file__).resolve().parents[1]
SYSTEMD_NODES = ("node1", "node2", "node3")
# systemd's own; oneshots that some releases leave behind as active; timers that wait for a kernel's features.
ENVIRONMENT = ("systemd-", "user@", "user-runtime-dir@", "modprobe@", "ldconfig.", "getty@", "e2scrub_all.timer")
KINDS = "service,socket,timer,path"


def run_role(*extra, variables=None, limit="xen_nodes", playbook="converge.yml"):
    command = [
        os.path.join(os.path.dirname(sys.executable), "ansible-playbook"),
        *("--inventory", str(LAB / "inventory.yml"), "--inventory", os.environ["MOLECULE_INVENTORY_FILE"]),
        *("--limit", limit, "--extra-vars", json.dumps(variables or {}), *extra),
        str(FOLDER / playbook),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    done.output = done.stdout + done.stderr
    return done


def units(node, *what):
    """The names that systemctl lists of what is decided on."""
    listed = node.check_output(f"systemctl {' '.join(what)} --type={KINDS} --plain --no-legend --no-pager --full")
    return {line.split()[0] for line in listed.splitlines()}


def record(node):
    return json.loads(node.check_output("cat /var/lib/xensec/service_allowlist.json"))


def active(node):
    return {unit for unit in units(node, "list-units --state=active") if not unit.startswith(ENVIRONMENT)}
