# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    """What every module with O(state=restored) takes."""

    DOCUMENTATION = r"""
options:
  force:
    description: With O(state=restored), whether to put back also what somebody has changed since.
    type: bool
    default: false
  forget:
    description: >-
      With O(state=restored), whether to delete the record of what was found, in place of keeping it beside its place under
      its name with C(.restored) added.
    type: bool
    default: false
"""
