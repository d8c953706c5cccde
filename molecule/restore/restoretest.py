# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the undo share: a machine as it is, what differs, and the playbooks run as an operator would."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from labtest import INVENTORY, LAB, ansible

MACHINES = sorted(
    host for group in ("xen_nodes", "xen_gateways") for host in INVENTORY["children"].get(group, {"hosts": {}})["hosts"]
)
# All that may differ after an undo, and why.
ALLOWED = {
    r"file /etc/(passwd|shadow|group|gshadow)\.? time": "rewritten, with what others have changed since kept",
    r"file /etc/\.pwd\.lock": "the lock of whoever changes accounts, an empty file",
    r"file /var/lib/xensec(/[a-z0-9_]+\.json\.restored)?( time)?$": "the record, kept unless it is to be forgotten",
    r"sysctl /proc/sys/net/.*(conntrack_count|conntrack_buckets|stable_secret|route/flush|tcp_mem|udp_mem)": "a counter",
    r"sysctl /proc/sys/(vm|kernel|fs|user)/": "of the machine around the containers, where they may not be set",
    r"unit state (session-|user@|user-|run-|systemd-|apt-|dpkg-|e2scrub|logrotate|man-db|fstrim)": "jobs that come and go",
    r"socket udp .*:(327(6[89]|[7-9]\d)|32[89]\d\d|(3[3-9]|[45]\d|6[0-5])\d{3})$": "a port that the kernel gave out",
    r"unit state network-pre\.target": "a milestone with nothing in it, which our unit had wanted; gone with the next boot",
    r"process (sshd|sshd-session|sshd-auth|sh|bash|ps|cron|CRON|exim4)$": "the look itself, and jobs",
    r"process (python3|\(sd-pam\)|systemd.*|cleanup|pickup|trivial-rewrite)$": "helpers that come and go",
}


def snapshot(machine: Any) -> dict[str, Any]:
    done: dict[str, Any] = json.loads(machine.check_output("python3 /opt/snapshot"))
    return done


def path_of(host: str) -> Path:
    return LAB / f"{host}.snapshot.json"


def before(host: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(path_of(host).read_text())
    return kept


def flat(taken: dict[str, Any]) -> dict[str, Any]:
    """Each thing by a name of its own, a file's time apart from the rest of it."""
    found = {}
    for kind, things in taken.items():
        for name, value in things.items():
            if isinstance(value, dict) and "time" in value:
                found[f"{kind} {name} time"] = value["time"]
                value = {key: item for key, item in value.items() if key != "time"}
            found[f"{kind} {name}"] = value
    return found


def differences(then: dict[str, Any], now: dict[str, Any], allowed: bool = True) -> dict[str, Any]:
    """What differs, by name, as [then, now]; without what is allowed to."""
    one, other = flat(then), flat(now)
    found = {
        name: [one.get(name), other.get(name)] for name in sorted({*one, *other}) if one.get(name) != other.get(name)
    }
    return {
        name: values
        for name, values in found.items()
        if not (allowed and any(re.match(pattern, name) for pattern in ALLOWED))
    }


def command(name: str, *extra: str, **variables: Any) -> list[str]:
    return ansible("ansible-playbook", "--extra-vars", json.dumps(variables), *extra, f"xensec.hardening.{name}")


def play(name: str, *extra: str, timeout: int = 600, **variables: Any) -> Any:
    """Run one of the collection's playbooks as an operator would; what it said is in output."""
    done: Any = subprocess.run(
        command(name, *extra, **variables), capture_output=True, text=True, check=False, timeout=timeout
    )
    done.output = done.stdout + done.stderr
    return done
