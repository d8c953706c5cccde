# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in is kept once somebody did."""

from __future__ import annotations

from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.confirmation import ConfirmingAction


class ActionModule(ConfirmingAction):
    """Writes the files, and confirms them over a new login."""

    module = "xensec.hardening.login_policy"
    changed_things = "login files"
    barrier = "sshd"

    def remedy(self, loaded: dict[str, Any]) -> str:
        account = (loaded.get("login") or {}).get("account")
        return f"; let {account} in by key, which is who this connection logs in as" if account else ""
