# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has read of a host already, in place of asking the host again."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
        if "audit" not in known:
            return None
        return taken(known, [name for name in (*FORMS, "audit") if name in known])
    names = ["platform", *wanted, *(["root_keys"] if "relocation" in wanted else [])]
    # A fact is null where it could not be read: then the host says why, or fails.
    if any(known.get(name) is None for name in names):
        return None
    if "accounts" in wanted and not set(account_names) <= set(known["accounts"]["users"]):
        return None
    return taken(known, names)


def taken(known: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return these facts as a result; nothing else that is known is one, whoever has it known."""
    return {"changed": False, "read_at": known["read_at"], **{name: known[name] for name in names}}


# What facts are made of: types, a form for each of a list, forms for the keys of a dictionary, Each for any keys.
class Each(NamedTuple):
    form: Any
    key: str = ".*"


ADDRESSES = [{"address": str, "prefix": int}]
FORMS: dict[str, Any] = {
    "platform": {"id": str, "like": [str], "name": str},
    "toolstack": {"detected": str, "evidence": [str], "libvirt": bool},
    "interfaces": Each(
        {
            "ipv4": ADDRESSES,
            "ipv6": ADDRESSES,
            "up": bool,
            "bridge": (str, None),
            "guests": bool,
            "default_route": bool,
            "routes": ([str], None),
            "rp_filter": int,
        },
        # IFNAMSIZ, and what dev_valid_name() of Linux refuses (net/core/dev.c); no quote, as names get into rules.
        r"[^\s/\"]{1,15}",
    ),
    "listeners": [{"address": str, "port": int, "socket": str, "pid": (int, None), "process": (str, None)}],
    "control": ({"address": str, "port": int}, None),
    "firewall_managers": [str],
    "relocation": {
        "installed": bool,
        "generations": Each({"client": str, "host": str}, "[0-9]{1,18}"),
        "accepts": [str],
        "pins": [str],
    },
    "root_keys": {"own": [str], "admitted": [{"key": str, "path": str, "line": int, "comment": str}]},
    "perimeter": Each({"packets": int, "bytes": int}),
    "accounts": {
        "users": Each(Each((str, int, bool, None))),
        "uid_min": int,
        "login": (Each((str, int, None)), None),
        "sshd": {"settings": Each([str]), "drop_in": bool, "keys_elsewhere": bool},
        "pam": {"common": bool, "unguarded": [str]},
    },
    "unread": [{"fact": str, "reason": str}],
}


def fits(value: Any, form: Any) -> bool:
    if isinstance(form, Each):
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and re.fullmatch(form.key, key, re.S) and fits(item, form.form)
            for key, item in value.items()
        )
    if isinstance(form, tuple):
        return any(fits(value, one) for one in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, dict):
        return isinstance(value, Mapping) and all(fits(value.get(key), item) for key, item in form.items())
    if form is None:
        return value is None
    return isinstance(value, form) and (form is bool or not isinstance(value, bool))


def misfits(answer: Mapping[str, Any]) -> list[str]:
    """Return the facts of an answer that are not made as M(xensec.hardening.dom0_info) makes them.

    One that could not be read is null.
    """
    found = [name for name, form in FORMS.items() if answer.get(name) is not None and not fits(answer[name], form)]
    for interface in () if "interfaces" in found else (answer.get("interfaces") or {}).values():
        for item in [*interface["ipv4"], *interface["ipv6"]]:
            try:
                ipaddress.ip_interface(f"{item['address']}/{item['prefix']}")
            except ValueError:
                return [*found, "interfaces"]
    return found
