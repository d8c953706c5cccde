# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dom0_users_plan
short_description: Plan who may log in to Dom0, and by which doors
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Turns the variables of the role P(xensec.hardening.dom0_users#role) into what M(xensec.hardening.login_policy),
    M(xensec.hardening.account_allowlist) and M(xensec.hardening.sysctl_settings) are to be told.
  - Whatever would lock the operator out is an error that says which line to add; so is a name that does not exist.
options:
  _input:
    description: >-
      The settings, as the role's variables without their prefix: allowed, permit_root_login, tunnels,
      kernel_exceptions, precheck, untried_platforms, password.
    type: dict
    required: true
  host:
    description: The node's name in the inventory.
    type: str
    required: true
  facts:
    description: What M(xensec.hardening.dom0_info) returned as accounts, and platform.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan who may log in
  ansible.builtin.set_fact:
    plan: >-
      {{ settings | xensec.hardening.dom0_users_plan(host=inventory_hostname,
                                                     facts=dom0.accounts | combine({'platform': dom0.platform})) }}
"""

RETURN = r"""
_value:
  description: A dictionary with allowed, permit_root_login, files, blocks, sshd, kernel and warnings.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import users
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def dom0_users_plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plan = users.plan(settings, host, facts)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return as_text(plan)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"dom0_users_plan": dom0_users_plan}
