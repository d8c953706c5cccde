# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
short_description: Compare who reached which relocation port with what was planned
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Takes what M(xensec.hardening.port_probe) found from every machine, and says which relocation port was reached or
    refused otherwise than the plan of its node has it.
options:
  _input:
    description: >-
      The variables of all hosts by name. Of a source's, C(dom0_audit_probe) is used, of a node's
      C(xend_relocation_plan).
    type: dict
    required: true
  sources:
    description: The names of the machines that tried.
    type: list
    elements: str
    required: true
  nodes:
    description: The names of the nodes that the result is about.
    type: list
    elements: str
    required: true
  targets:
    description: >-
      The names that P(xensec.hardening.relocation_targets#filter) was given; those of O(nodes) where it is left out. A
      machine that answers otherwise than to what it was asked counts as unreached.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Compare with the plan
  ansible.builtin.set_fact:
    matrix: "{{ hostvars | xensec.hardening.reachability(ansible_play_hosts_all, groups['xen_nodes']) }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with the numbers tried, open and refused; surprises, a line for each path that is not as planned;
    unreached, the hosts nothing is known of; lines, the matrix as text; and summary, one line.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils import reachability as utils
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def reachability(
    hostvars: Mapping[str, Mapping[str, Any]],
    sources: Sequence[str],
    nodes: Sequence[str],
    targets: Sequence[str] | None = None,
) -> dict[str, Any]:
    return as_text(utils.reachability(hostvars, sources, nodes, targets))  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"reachability": reachability}
