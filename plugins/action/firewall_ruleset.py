# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ruleset is kept once a new connection came through it."""

from __future__ import annotations

from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.confirmation import ConfirmingAction


class ActionModule(ConfirmingAction):
    """Loads rules, and confirms them over a new connection."""

    module = "xensec.hardening.firewall_ruleset"
    changed_things = "rules"
    barrier = "the packet filter"

    def remedy(self, loaded: dict[str, Any]) -> str:
        client = (loaded.get("control") or {}).get("address")
        return f"; admit {client}, which is where this connection comes from" if client else ""
