# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter restored: say in a few lines what a run of restore put back, and what it left."""

from __future__ import annotations

DOCUMENTATION = r"""
name: restored
short_description: Say what was restored, and what was left
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Sums up what the entry points C(restore) of the roles did on each host, a line for everything that was left as it is,
    and one line for all of it.
positional: hosts
options:
  _input:
    description: C(hostvars), or a part of it.
    type: dict
    required: true
  hosts:
    description: The hosts the restore was for.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what was restored
  ansible.builtin.debug:
    msg: "{{ hostvars | xensec.hardening.restored(ansible_play_hosts_all) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text

# What the roles registered, by role.
REGISTERED = {
    "dom0_users": ("dom0_users_restored_kernel", "dom0_users_restored_accounts", "dom0_users_restored_login"),
    "dom0_services": ("dom0_services_restored",),
    "xend_relocation": (
        "xend_relocation_restored_ssh",
        "xend_relocation_restored_xend",
        "xend_relocation_restored_guard",
    ),
    "dom0_firewall": ("dom0_firewall_restored",),
    "perimeter_firewall": ("perimeter_firewall_restored_sysctls", "perimeter_firewall_restored"),
}


def restored(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """Return what was left, a line each, and the sum of it all."""
    lines, changed, unchanged, missing, left = [], 0, 0, [], 0
    for host in hosts:
        results = {
            role: [hostvars[host][name] for name in names if name in hostvars[host]]
            for role, names in REGISTERED.items()
        }
        done = [result for found in results.values() for result in found]
        if not done or any(result.get("failed") for result in done):
            missing.append(host)
            continue
        back = [role for role, found in results.items() if any(result.get("changed") for result in found)]
        stayed = [item for found in results.values() for result in found for item in result.get("left", [])]
        changed, unchanged, left = changed + bool(back), unchanged + (not back), left + len(stayed)
        lines += [f"{host}: given back: {', '.join(back) or 'nothing, it is as it was'}"]
        lines += [f"{host}: left: {item}" for item in stayed]
    total = f"{changed} hosts given back, {unchanged} as they were before, {left} things left as somebody changed them"
    lines.append(total + (f"; not done: {', '.join(missing)}" if missing else ""))
    return as_text(lines)  # type: ignore[no-any-return]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"restored": restored}
