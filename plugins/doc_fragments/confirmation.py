# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    """What a module takes whose change is kept once a new connection came through: plugin_utils/confirmation.py."""

    DOCUMENTATION = r"""
options:
  confirm_timeout:
    description: >-
      How long the host waits for a new connection before it takes the change back, in seconds, from 10 to 3600. 0 is for
      no transaction.
    type: int
    default: 60
  step:
    description: For the controller's half of the transaction, which sets it. Leave it alone.
    type: str
    choices: [all, load, confirm, status]
    default: all
"""
