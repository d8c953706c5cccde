# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    """What a module takes that carries out a plan: plugin_utils/planned.py."""

    DOCUMENTATION = r"""
options:
  warnings:
    description: What the plan has to warn of. The action plugin says it before anything is changed.
    type: list
    elements: str
    default: []
    version_added: "0.1.0"
"""
