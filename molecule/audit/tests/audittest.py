# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario share: an audit as an operator runs it, and what a machine is like around it."""

import json
import subprocess
from pathlib import Path

from labtest import LAB, NODES, ansible

FOLDER = Path(__file__).resolve().parents[1]
# Everything but what is written by the connection itself, and what a clock writes.
SNAPSHOT = r"""
find /etc /var/lib /usr/local /root /run/sshd -not -path '/root/.ansible*' -not -path '/var/lib/systemd/timers*' \
    -printf '%p %y %m %u %g %s %T@ %C@ %l\n' 2>/dev/null | sort
systemctl list-units --all --plain --no-legend --no-pager --type=service,socket,timer,path | awk '{print $1, $2, $3, $4}' |
    grep -v '^session-\|^user@\|^user-runtime-dir@\|^ssh@'
systemctl list-unit-files --no-legend --no-pager
nft -s list ruleset
ss -Hltnu
"""


def play(playbook, *extra, variables=None, limit=None):
    limited = ["--limit", limit] if limit else []
    command = ansible("ansible-playbook", "--extra-vars", json.dumps(variables or {}), *limited, *extra, playbook)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


def audit(*extra):
    """Evaluate the controls of the nodes; return the results by node and control."""
    done = play(str(FOLDER / "results.yml"), *extra)
    assert done.returncode == 0, done.output
    return {node: {result["id"]: result for result in json.loads((LAB / f"{node}.json").read_text())} for node in NODES}


def failing(results):
    return {name for name, result in results.items() if result["status"] not in ("pass", "not_applicable")}


def snapshot(machines):
    """The files, units, rules and sockets of every node, a line each."""
    return {f"{node}: {line}" for node in NODES for line in machines[node].check_output(SNAPSHOT).splitlines()}
