# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The to_sxp filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.module_utils import sxp

DOCUMENTATION = r"""
name: to_sxp
short_description: Write S-expressions for xend's configuration
version_added: "0.1.0"
description:
  - Writes a list of entries in the format of C(xend-config.sxp), one entry per line, so that xend reads them
    as given.
  - Strings are quoted and escaped where xend needs it; numbers are written as they are, booleans as V(yes)
    and V(no).
  - The reverse of P(xensec.hardening.from_sxp#filter), which gives numbers and booleans back as strings.
author:
  - xensec.hardening maintainers (@xensec)
options:
  _input:
    description: >-
      The entries. Each is a list of strings, numbers, booleans and further such lists, or one of these.
    type: list
    elements: raw
    required: true
"""

EXAMPLES = r"""
- name: Show what admits a single peer
  ansible.builtin.debug:
    msg: "{{ entries | xensec.hardening.to_sxp }}"
  vars:
    entries:
      - [xend-relocation-hosts-allow, '^192\.0\.2\.12$']
"""

RETURN = r"""
_value:
  description: The text, each line ended by a line feed; the empty string if there are no entries.
  type: str
  sample: |
    (xend-relocation-server yes)
    (xen-api-server ((unix none)))
"""


def to_sxp(entries: object) -> str:
    """Return the entries as text, one a line."""
    if not isinstance(entries, (list, tuple)):
        raise AnsibleFilterError(
            f"to_sxp: {entries!r} is a {type(entries).__name__}; give a list of entries, as [[name, value]]"
        )
    try:
        text: str = sxp.dump_entries(entries)
    except ValueError as error:
        raise AnsibleFilterError(f"to_sxp: {error}") from error
    return text


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"to_sxp": to_sxp}
