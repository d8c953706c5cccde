# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_registration
short_description: Write services as rules that Dom0's packet filter admits
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Turns services into rules for the option O(xensec.hardening.firewall_ruleset#module:registers).
options:
  _input:
    description: Services, as in the variable C(dom0_firewall_services).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Admit the monitoring agent
  xensec.hardening.firewall_ruleset:
    name: monitoring
    registers: "{{ [{'name': 'agent', 'ports': [9100], 'sources': ['192.0.2.0/24']}]
                   | xensec.hardening.firewall_registration }}"
"""

RETURN = r"""
_value:
  description: A dictionary with nftables, iptables and ip6tables, lists of rules each.
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import firewall


def firewall_registration(services: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    try:
        return firewall.registration(services)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"firewall_registration": firewall_registration}
