# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection that Ansible comes in by, as the host sees it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

PROC = "/proc"


def _read(pid, name):
    try:
        with open(os.path.join(PROC, str(pid), name), "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""


def control_connection():
    """Return the other end of the ssh connection this process belongs to, or None.

    The environment of this very process may have lost the variable on its way through sudo or su; that of the login
    shell, some way up, has it.
    """
    pid = os.getpid()
    while pid > 1:
        for variable in _read(pid, "environ").split("\0"):
            words = variable.partition("=")[2].split()
            if variable.startswith("SSH_CONNECTION=") and len(words) == 4:
                # A link-local address comes with its interface, an IPv4 one maybe in the notation of IPv6.
                address = re.sub(r"%.*|^::ffff:(?=\d+\.)", "", words[0])
                return {"address": address, "port": int(words[3])}
        status = re.search(r"^PPid:\s*(\d+)", _read(pid, "status"), re.M)
        pid = int(status.group(1)) if status else 0
    return None
