# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: audit_junit
short_description: Write the audit's report for CI
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Makes JUnit XML of the report, with a suite for each host and a test for each control.
  - A control that fails is a failure, one that could not be evaluated an error, and so is a host that could not be reached.
    What is waived or does not apply is skipped.
requirements:
  - junitparser on the controller
options:
  _input:
    description: The report, as P(xensec.hardening.audit_report#filter) makes it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write it
  ansible.builtin.copy:
    content: "{{ report | xensec.hardening.audit_junit }}"
    dest: report.xml
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The XML.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_junit as utils


def audit_junit(report: Mapping[str, Any]) -> str:
    try:
        return utils.audit_junit(report)
    except ValueError as error:
        raise AnsibleFilterError(f"audit_junit: {error}") from error


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"audit_junit": audit_junit}
