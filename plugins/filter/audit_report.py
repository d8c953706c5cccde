# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: audit_report
short_description: Put together what the audit found
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Makes one document of what the role P(xensec.hardening.dom0_audit#role) found on all hosts, with a summary, and with
    what has changed since the previous report.
  - Its form is in C(roles/dom0_audit/files/report.schema.json), a JSON schema.
  - A host without results is unreachable, and a control without a result is an error; neither is ever left out.
options:
  _input:
    description: >-
      The variables of all hosts by name. Used are C(dom0_audit_results), C(dom0_audit_probe), C(dom0_audit_controls),
      C(xend_relocation_info) and C(xend_relocation_plan).
    type: dict
    required: true
  hosts:
    description: The names of the hosts that this run asked. The others are shown as not asked.
    type: list
    elements: str
    required: true
  nodes:
    description: The names of the nodes.
    type: list
    elements: str
    required: true
  gateways:
    description: The names of the gateways.
    type: list
    elements: str
    required: true
  probes:
    description: The names of the machines that only try to get in.
    type: list
    elements: str
    required: true
  catalogue:
    description: The controls, with C(id), C(title), C(why), C(severity), C(remedy) and C(source) each.
    type: list
    elements: dict
    required: true
  previous:
    description: The previous report, or its text as JSON; empty or null where there is none.
    type: raw
    required: true
  generated:
    description: When, in UTC, as in V(2026-01-31T12:00:00Z).
    type: str
    required: true
  version:
    description: The version of the collection; found out where it is empty.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Put the report together
  ansible.builtin.set_fact:
    report: >-
      {{ hostvars | xensec.hardening.audit_report(hosts=ansible_play_hosts_all, nodes=groups['xen_nodes'], gateways=[],
      probes=[], catalogue=dom0_audit_catalogue, previous=none, generated='2026-01-31T12:00:00Z') }}
"""

RETURN = r"""
_value:
  description: >-
    A dictionary with schema_version, collection, generated, hosts, controls, ports, unplanned, summary, drift and
    drift_problem.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_report as utils
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import as_text


def audit_report(hostvars: Mapping[str, Mapping[str, Any]], **arguments: Any) -> dict[str, Any]:
    try:
        report = utils.audit_report(hostvars, **arguments)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"audit_report: {error}") from error
    return as_text(report)  # type: ignore[no-any-return]


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"audit_report": audit_report}
