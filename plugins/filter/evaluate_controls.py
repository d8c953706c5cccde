# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: evaluate_controls
short_description: Say which controls hold on a host
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Evaluates each control's JMESPath expression on a host's facts, as M(xensec.hardening.dom0_info) returns them with the
    subset V(audit), and compares with what is expected.
  - A control passes only where all it rests on was read. One whose expression fails, or rests on a fact that is null or not
    there, is an error.
  - The facts also have C(plan), the plan of the node's relocation service, and C(site), which has C(kind) (V(node) or
    V(gateway)), C(planned), C(logins) (who can log in, and whether the site allows it), C(peer_root_logins),
    C(relocation_sockets) and C(relocation_interface).
  - It needs the Python library jmespath on the controller.
options:
  _input:
    description: The facts of the host.
    type: dict
    required: true
  controls:
    description: The catalogue, as the filter P(xensec.hardening.control_catalogue#filter) returns it.
    type: list
    elements: dict
    required: true
  waivers:
    description: What may fail on this host, each with C(control), C(reason) and C(expires).
    type: list
    elements: dict
    default: []
  today:
    description: The day it is, as C(YYYY-MM-DD). A waiver counts up to and including the day it expires.
    type: str
    required: true
  site:
    description: >-
      What only the site can tell: C(kind), C(plan), C(allowed_accounts), and C(peer_keys), the public keys of other nodes'
      root.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Evaluate
  ansible.builtin.set_fact:
    results: >-
      {{ facts | xensec.hardening.evaluate_controls(controls=catalogue, waivers=[], today='2026-07-01',
                                                   site={'kind': 'node'}) }}
"""

RETURN = r"""
_value:
  description: >-
    For each control in order, its C(id); C(status), V(pass), V(fail), V(not_applicable), V(waived) or V(error);
    C(evidence), what was found, or the error's text; C(expected); and the C(waiver), or null.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils.controls import evaluate
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def evaluate_controls(
    facts: Mapping[str, Any],
    controls: Sequence[Mapping[str, Any]],
    today: object,
    waivers: object = (),
    site: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    try:
        return as_text(evaluate(facts, controls, waivers, today, site))  # type: ignore[no-any-return]
    except ValueError as error:
        raise AnsibleFilterError(f"evaluate_controls: {error}") from error


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"evaluate_controls": evaluate_controls}
