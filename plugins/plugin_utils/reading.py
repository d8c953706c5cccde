# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has read of a host already, in place of asking the host again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What M(xensec.hardening.dom0_info) reads where nobody says what.
DEFAULT = ("toolstack", "interfaces", "listeners", "control", "firewall_managers", "relocation")
# After so many seconds a reading is too old, whoever vouches for it.
MOST_SECONDS = 600


def recall(
    known: Mapping[str, Any], wanted: Sequence[str], account_names: Sequence[str], now: float
) -> dict[str, Any] | None:
    """Return what is wanted out of what is known; None where the host has to be asked.

    :arg known: a result of M(xensec.hardening.dom0_info) with C(read_at), or nothing.
    :arg wanted: the subsets.
    :arg account_names: accounts that have to be among the known ones.
    """
    if not 0 <= now - float(known.get("read_at") or 0) <= MOST_SECONDS:
        return None
    if "audit" in wanted:
        return dict(known) if "audit" in known else None
    names = ["platform", *wanted, *(["root_keys"] if "relocation" in wanted else [])]
    # A fact is null where it could not be read: then the host says why, or fails.
    if any(known.get(name) is None for name in names):
        return None
    if "accounts" in wanted and not set(account_names) <= set(known["accounts"]["users"]):
        return None
    return {"changed": False, "read_at": known["read_at"], **{name: known[name] for name in names}}
