# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: root_keys
short_description: List the public keys that root of each node has
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Takes the public keys that root of each node could log in elsewhere with from what the audit has read of the nodes.
options:
  _input:
    description: The variables of all hosts by name. Of a node's, C(dom0_audit_info) is used.
    type: dict
    required: true
  nodes:
    description: The names of the nodes.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Know the keys of root of all nodes
  ansible.builtin.set_fact:
    root_keys: "{{ hostvars | xensec.hardening.root_keys(groups['xen_nodes']) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: For each node by name a list of its root's public keys; a node that could not be read is left out.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def root_keys(hostvars: Mapping[str, Mapping[str, Any]], nodes: Sequence[str]) -> dict[str, list[str]]:
    read = {node: (hostvars[node].get("dom0_audit_info") or {}).get("root_keys") for node in nodes}
    return as_text({node: list(keys["own"]) for node, keys in read.items() if keys})  # type: ignore[no-any-return]


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"root_keys": root_keys}
