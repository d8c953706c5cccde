# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of all hosts, for filters that look at many of them, and what becomes of the hosts' words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible import template
from ansible.utils.unsafe_proxy import wrap_var

# From 2.19 on a text is no template unless it is marked as one.
MARKS_TEMPLATES = hasattr(template, "trust_as_template")


class LookedUp(Mapping[str, Any]):
    """A mapping whose values are looked up once.

    For C(hostvars[host][variable]) Ansible puts together all variables of that host, and templates the one. In a cluster of
    a hundred nodes, each of which looks at all others, that is most of what a filter takes.
    """

    def __init__(self, mapping: Mapping[str, Any], depth: int = 1, found: Mapping[str, Any] | None = None) -> None:
        self._mapping = mapping
        self._depth = depth
        self._found: dict[str, Any] = dict(found or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._found:
            value = self._mapping[key]
            deeper = self._depth > 1 and isinstance(value, Mapping)
            self._found[key] = LookedUp(value, self._depth - 1) if deeper else value
        return self._found[key]

    def __contains__(self, key: object) -> bool:
        return key in self._found or key in self._mapping

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self._mapping)


def looked_up(
    hostvars: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]] | None = None
) -> Mapping[str, Mapping[str, Any]]:
    """Return the hosts' variables, of which each is looked up once.

    :arg found: hosts whose variables have been looked up before, all those that will be asked for.
    """
    return LookedUp(hostvars, 2, found)


def unpacked(nodes: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the variables by host of what P(xensec.hardening.relocation_nodes#filter) returned."""
    found: dict[str, dict[str, Any]] = json.loads(nodes["json"]) if nodes else {}
    return found


def as_text(value: Any) -> Any:
    """Return a filter's result such that nothing in it is ever taken for a template.

    ansible-core before 2.19 renders again what set_fact keeps of it, unless it has seen that a host's words went in; it does
    not see that in hostvars, nor where they are names in a dictionary.
    """
    return value if MARKS_TEMPLATES else wrap_var(value)
