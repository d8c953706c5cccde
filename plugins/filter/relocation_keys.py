# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: relocation_keys
short_description: Put a node's relocation peers beside their public keys
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Takes a node's peers from its plan, and their public keys from what this run has read from them, in the form that
    M(xensec.hardening.xl_relocation) takes, and tells which keys can go.
options:
  _input:
    description: >-
      The variables of all hosts by name. Of each, C(ansible_host), C(xend_relocation_info) and what the role
      P(xensec.hardening.xend_relocation#role) has registered of the module's results are looked at.
    type: dict
    required: true
  host:
    description: The node's name in the inventory.
    type: str
    required: true
  plan:
    description: What P(xensec.hardening.relocation_plan#filter) returned for the node.
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
    description: >-
      What P(xensec.hardening.relocation_nodes#filter) returned when the run planned. Of the peers in it that have keys of
      the plan's generation alone, C(hostvars) are not looked at. Leave it out to tell which keys can go.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Let the peers in
  xensec.hardening.xl_relocation:
    address: "{{ plan.address }}"
    peers: "{{ (hostvars | xensec.hardening.relocation_keys(inventory_hostname, plan)).peers }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with peers (dictionaries with name, names, address, keys and host_keys), retire (whether every peer
    knows the node's new keys, and there are old ones), stale (whether it still lets in keys that no peer has) and
    rotating (whether that is so, or will be once a peer has retired its old ones).
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils import relocation_keys as keys
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text, unpacked


def relocation_keys(
    hostvars: Mapping[str, Mapping[str, Any]],
    host: str,
    plan: Mapping[str, Any],
    read: Sequence[Mapping[str, Any]] = (),
    nodes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    peers = {result["xend_relocation_peer"]: result for result in read}
    return as_text(keys.exchange(hostvars, host, plan, peers, unpacked(nodes)))  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Any]:
        return {"relocation_keys": relocation_keys}
