# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xend is configured by the module alone."""

from __future__ import annotations

from ansible_collections.xensec.hardening.plugins.plugin_utils.results import ModuleAction


class ActionModule(ModuleAction):
    """Runs the module."""
