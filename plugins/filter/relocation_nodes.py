# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter relocation_nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: relocation_nodes
short_description: Take from the variables of hosts what plans of relocation look at
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Looks up, once for a run, what P(xensec.hardening.relocation_plan#filter) and P(xensec.hardening.relocation_keys#filter)
    want to know of every peer. Ansible puts together all variables of a host for each look at one of them, which for every
    pair of three hundred nodes takes minutes.
options:
  _input:
    description: >-
      The variables of all hosts by name. Of each, C(ansible_host), C(xend_relocation_address), C(xend_relocation_interface)
      and C(xend_relocation_info) are looked at.
    type: dict
    required: true
  hosts:
    description: The names of the hosts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Know what there is to know of the nodes
  ansible.builtin.set_fact:
    nodes: "{{ hostvars | xensec.hardening.relocation_nodes(groups['xen_nodes']) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: For the option C(nodes) of those filters.
  type: dict
  contains:
    hosts:
      description: The hosts that this run has read; one that gave no answer is not among them.
      type: list
      elements: str
    json:
      description: >-
        As JSON, as Ansible looks at each value of a dictionary anew wherever it is used, those variables of each of them; of
        C(xend_relocation_info) the parts interfaces, relocation and root_keys.
      type: str
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils import relocation_keys
from ansible_collections.xensec.hardening.plugins.plugin_utils.controls import plain
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def relocation_nodes(hostvars: Mapping[str, Mapping[str, Any]], hosts: Sequence[str]) -> dict[str, Any]:
    found = plain(relocation_keys.nodes_read(hostvars, hosts))
    return as_text({"hosts": list(found), "json": json.dumps(found)})  # type: ignore[no-any-return]


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"relocation_nodes": relocation_nodes}
