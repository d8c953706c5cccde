# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: audit_page
short_description: Draw the audit's report as a page
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Makes one page of HTML of the report, which needs nothing else, no script of others and no network.
  - Whatever a host said is escaped.
options:
  _input:
    description: The report, as P(xensec.hardening.audit_report#filter) makes it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write it
  ansible.builtin.copy:
    content: "{{ report | xensec.hardening.audit_page }}"
    dest: report.html
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils import audit_page as utils


def audit_page(report: Mapping[str, Any]) -> str:
    try:
        return utils.audit_page(report)
    except ValueError as error:
        raise AnsibleFilterError(f"audit_page: {error}") from error


class FilterModule:
    """The filter for Ansible's templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"audit_page": audit_page}
