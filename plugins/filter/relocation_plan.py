# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: relocation_plan
short_description: Plan a node's relocation service from a scenario
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Works out, for one node, which address and ports its relocation service listens on, which peers may connect, the
    options of C(xend-config.sxp) that say so, and the packet filter rules that guard the ports.
  - The scenarios are those of the page "Securing Xen" of the Xen wiki.
  - Whatever does not make sense is an error that names the value and the remedy.
options:
  _input:
    description: >-
      The settings, as the variables of the role P(xensec.hardening.xend_relocation#role) without their prefix:
      scenario, toolstack, interface, address, networks, peers, port, ssl_port, ssl, keep_listeners, key_generation,
      allow_root_keys, untried_platforms; and control_port, the port Ansible connects to.
    type: dict
    required: true
  host:
    description: The node's name in the inventory.
    type: str
    required: true
  facts:
    description: What M(xensec.hardening.dom0_info) returned for the node (toolstack, interfaces, relocation, root_keys).
    type: dict
    required: true
  hostvars:
    description: >-
      The variables of all hosts by name. Of a peer's, C(xend_relocation_address), C(xend_relocation_interface) and
      C(xend_relocation_info) are looked at.
    type: dict
    required: true
  read:
    description: >-
      The results of a loop of M(xensec.hardening.dom0_info) over peers that C(hostvars) has no
      C(xend_relocation_info) of, each with the peer's name as C(xend_relocation_peer).
    type: list
    elements: dict
    default: []
  nodes:
    description: What P(xensec.hardening.relocation_nodes#filter) returned. Of the peers in it C(hostvars) are not looked at.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Plan the node's relocation service
  ansible.builtin.set_fact:
    plan: "{{ settings | xensec.hardening.relocation_plan(host=inventory_hostname, facts=dom0, hostvars=hostvars) }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with scenario, toolstack, decided (how that was told), enabled, interface, address, ports (to listen
    on), guarded_ports, peers (names with addresses), sources (who may connect), listeners (C(address:port) strings),
    tunnel (where a forward to xend comes out), options (of xend-config.sxp), ssh (for
    M(xensec.hardening.xl_relocation)), guard (rules for M(xensec.hardening.firewall_ruleset)) and warnings.
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import relocation
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text, looked_up, unpacked


def relocation_plan(
    settings: Mapping[str, Any],
    host: str,
    facts: Mapping[str, Any],
    hostvars: Mapping[str, Mapping[str, Any]],
    read: Sequence[Mapping[str, Any]] = (),
    nodes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    try:
        peers = {result["xend_relocation_peer"]: result for result in read}
        plan = relocation.relocation_plan(settings, host, facts, looked_up(hostvars, unpacked(nodes)), peers)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return as_text(plan)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"relocation_plan": relocation_plan}
