# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: relocation_targets
short_description: List the relocation ports of a cluster to try from one machine
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Lists every relocation port on every address of every planned node, but the source itself, in the form that
    M(xensec.hardening.port_probe) takes.
options:
  _input:
    description: >-
      The variables of all hosts by name. Of a node's, C(xend_relocation_info) and C(xend_relocation_plan) are used;
      a node without a plan is left out.
    type: dict
    required: true
  nodes:
    description: The names of the nodes.
    type: list
    elements: str
    required: true
  source:
    description: The name of the machine to try from, which is left out.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Try every node's relocation ports
  xensec.hardening.port_probe:
    targets: "{{ hostvars | xensec.hardening.relocation_targets(groups['xen_nodes'], inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with name, address and port.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils import reachability
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def relocation_targets(
    hostvars: Mapping[str, Mapping[str, Any]], nodes: Sequence[str], source: str = ""
) -> list[dict[str, Any]]:
    return as_text(reachability.relocation_targets(hostvars, nodes, source))  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"relocation_targets": relocation_targets}
