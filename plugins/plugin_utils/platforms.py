# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which platforms the roles have been run on: elsewhere units, paths and PAM are called otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import require_flag

# By the names of os-release (ID and ID_LIKE): those the Molecule scenarios run on, and what is made from them.
TRIED = ("debian",)


def is_tried(platform: Mapping[str, Any]) -> bool:
    return any(name in TRIED for name in (platform.get("id"), *platform.get("like", ())))


def check_platform(role: str, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse a platform that the role has not been run on, unless the operator wants it all the same.

    :arg facts: what dom0_info returned, with platform.
    :raises ValueError: it has not been run there.
    """
    variable = f"{role}_untried_platforms"
    platform = facts.get("platform") or {}
    if is_tried(platform) or require_flag(variable, settings["untried_platforms"]):
        return
    known = f"is {platform['name']} ({platform['id']})" if platform.get("id") else "does not say what it is"
    raise ValueError(
        f"the platform {known}, and {role} has been tried on Debian alone: leave this host out of the run, or set "
        f"{variable}: true to go ahead all the same, first with --check --diff and where you have the console"
    )
