# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dom0_firewall_plan
short_description: Plan Dom0's default-reject packet filter
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Turns the variables of the role P(xensec.hardening.dom0_firewall#role) into rules for
    M(xensec.hardening.firewall_ruleset), the same policy for nftables and for iptables.
  - Whatever does not make sense is an error that names the value and the remedy; so is a policy that would not admit
    the connection it comes in by.
options:
  _input:
    description: >-
      The settings, as the role's variables without their prefix: management_sources, services, guest_services,
      allow_broad_sources, ssh_port, precheck, untried_platforms.
    type: dict
    required: true
  host:
    description: The node's name in the inventory.
    type: str
    required: true
  facts:
    description: What M(xensec.hardening.dom0_info) returned for the node (platform, interfaces, control, firewall_managers).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan Dom0's packet filter
  ansible.builtin.set_fact:
    plan: "{{ settings | xensec.hardening.dom0_firewall_plan(host=inventory_hostname, facts=dom0) }}"
"""

RETURN = r"""
_value:
  description: A dictionary with nftables (text), iptables and ip6tables (lists of rules), and warnings.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import firewall
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def dom0_firewall_plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plan = firewall.dom0_firewall_plan(settings, host, facts)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return as_text(plan)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"dom0_firewall_plan": dom0_firewall_plan}
