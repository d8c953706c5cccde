# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: perimeter_firewall_plan
short_description: Plan the packet filter of a gateway that guards a Xen cluster
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Turns the variables of the role P(xensec.hardening.perimeter_firewall#role) into rules for
    M(xensec.hardening.firewall_ruleset), the same policy for nftables and for iptables, and into kernel settings for
    M(xensec.hardening.sysctl_settings).
  - Whatever does not make sense is an error that names the value and the remedy; so are rules that would stop the
    connection it comes in by.
options:
  _input:
    description: >-
      The settings, as the role's variables without their prefix: outside_interfaces, outside_networks,
      cluster_networks, inside_networks, relocation_ports, libvirt, reverse_path, forward_policy, services, precheck,
      untried_platforms; and gateways (their names) and node_ports (that Ansible connects to).
    type: dict
    required: true
  host:
    description: The gateway's name in the inventory.
    type: str
    required: true
  facts:
    description: What M(xensec.hardening.dom0_info) returned for the gateway (interfaces, control, firewall_managers).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan the perimeter
  ansible.builtin.set_fact:
    plan: "{{ settings | xensec.hardening.perimeter_firewall_plan(host=inventory_hostname, facts=gateway) }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with nftables (text), iptables and ip6tables (lists of rules), sets, sysctls (settings, as
    M(xensec.hardening.sysctl_settings) takes them) and warnings.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import perimeter
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def perimeter_firewall_plan(settings: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plan = perimeter.perimeter_firewall_plan(settings, host, facts)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return as_text(plan)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"perimeter_firewall_plan": perimeter_firewall_plan}
