# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The from_sxp filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.module_utils import sxp

DOCUMENTATION = r"""
name: from_sxp
short_description: Read the S-expressions of xend's configuration
version_added: "0.1.0"
description:
  - Reads text in the format of C(xend-config.sxp) as xend reads it, oddities included.
  - The reverse of P(xensec.hardening.to_sxp#filter).
author:
  - xensec.hardening maintainers (@xensec)
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the port of the relocation server
  ansible.builtin.debug:
    msg: "{{ (text | xensec.hardening.from_sxp | selectattr(0, 'eq', 'xend-relocation-port') | first)[1] }}"
  vars:
    text: |
      # Where guests come in
      (xend-relocation-server yes)
      (xend-relocation-port 8002)
"""

RETURN = r"""
_value:
  description: >-
    The entries in the order of the text. Each is a list of strings and further such lists, or a string.
  type: list
  elements: raw
  sample:
    - [xend-relocation-server, "yes"]
    - [xen-api-server, [[unix, none]]]
"""


def from_sxp(text: object) -> list[Any]:
    """Return the entries of the text as nested lists of strings."""
    if not isinstance(text, str):
        raise AnsibleFilterError(f"from_sxp: {text!r} is a {type(text).__name__}; give the text of the file")
    try:
        entries: list[Any] = sxp.loads(text)
    except sxp.SxpError as error:
        raise AnsibleFilterError(f"from_sxp: {error}") from error
    return entries


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"from_sxp": from_sxp}
