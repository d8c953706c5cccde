# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts stay closed once somebody logged in to one that is not."""

from __future__ import annotations

from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.confirmation import ConfirmingAction


class ActionModule(ConfirmingAction):
    """Closes accounts, and confirms that over a new login."""

    module = "xensec.hardening.account_allowlist"
    changed_things = "accounts"
    barrier = "sshd"

    def remedy(self, loaded: dict[str, Any]) -> str:
        account = (loaded.get("login") or {}).get("account")
        return f"; add {account}, which is who this connection logs in as, to the allowed ones" if account else ""
