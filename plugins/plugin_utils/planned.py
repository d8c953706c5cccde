# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan's warnings are said before it is carried out."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_report import visible

display = Display()


def say(arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
    """Say the warnings, each with the host that it is about. Return the arguments without them."""
    host = (task_vars or {}).get("inventory_hostname", "")
    for warning in arguments.get("warnings") or []:
        display.warning(visible(f"{host}: {warning}"))
    return {key: value for key, value in arguments.items() if key != "warnings"}
