# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: service_policy
short_description: Plan which services Dom0 needs
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Turns the variables of the role P(xensec.hardening.dom0_services#role) into the policy for
    M(xensec.hardening.service_allowlist), which units stay and why.
  - Whatever does not make sense is an error that names the value and the remedy; so is asking to stop what is never
    stopped.
options:
  _input:
    description: >-
      The settings, as the role's variables without their prefix: keep, stop, action, toolstack, preset, kernel_ports,
      purge_packages, untried_platforms.
    type: dict
    required: true
  facts:
    description: What M(xensec.hardening.dom0_info) returned for the node (platform, toolstack).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan what stays
  ansible.builtin.set_fact:
    plan: "{{ settings | xensec.hardening.service_policy(facts=dom0) }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with action, toolstack, keep, keep_without_timers, wanted, stop, preset, kernel_ports, purge_packages and
    warnings.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import services
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def service_policy(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plan = services.service_policy(settings, facts)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return as_text(plan)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"service_policy": service_policy}
