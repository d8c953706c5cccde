# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: control_catalogue
short_description: Put the audit's own controls and those of a site into one catalogue
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Checks every control, and refuses one that is not sound, or has the id of another.
  - It needs the Python library jmespath on the controller.
options:
  _input:
    description: The site's own, as O(xensec.hardening.dom0_audit#role:dom0_audit_controls).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Have one catalogue
  ansible.builtin.set_fact:
    catalogue: "{{ dom0_audit_controls | xensec.hardening.control_catalogue }}"
"""

RETURN = r"""
_value:
  description: The controls, those of the collection first.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils.controls import catalogue


def control_catalogue(site: object) -> list[dict[str, Any]]:
    try:
        return catalogue(site)
    except ValueError as error:
        raise AnsibleFilterError(f"control_catalogue: {error}") from error


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"control_catalogue": control_catalogue}
