# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: control_summary
short_description: Sum up for the terminal what the controls say of a host
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Counts the results by status, and writes a few lines for each that failed or is an error, the gravest first.
options:
  _input:
    description: The results, as the filter P(xensec.hardening.evaluate_controls#filter) returns them.
    type: list
    elements: dict
    required: true
  controls:
    description: The catalogue.
    type: list
    elements: dict
    required: true
  fail_severity:
    description: The least severity that counts as grave, or V(never).
    type: str
    choices: [critical, high, medium, low, never]
    default: high
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ (results | xensec.hardening.control_summary(controls=catalogue)).lines }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with C(counts) by status, C(lines) of text, and C(grave), the ids of those that failed, or are an error,
    and are grave.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils.controls import summarize
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def control_summary(
    results: Sequence[Mapping[str, Any]], controls: Sequence[Mapping[str, Any]], fail_severity: str = "high"
) -> dict[str, Any]:
    try:
        return as_text(summarize(results, controls, fail_severity))  # type: ignore[no-any-return]
    except ValueError as error:
        raise AnsibleFilterError(f"control_summary: {error}") from error


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"control_summary": control_summary}
