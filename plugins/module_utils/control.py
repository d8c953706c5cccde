# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection that Ansible comes in by, as the host sees it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd
import re

from ansible_collections.xensec.hardening.plugins.module_utils.contents import read

PROC = "/proc"


def control_connection():
    """Return the other end of the ssh connection this process belongs to, or None.

    The environment of this very process may have lost the variable on its way through sudo or su; that of the login
    shell, some way up, has it.
    """
    pid = os.getpid()
    while pid > 1:
        for variable in read(PROC, str(pid), "environ").split("\0"):
            words = variable.partition("=")[2].split()
            if variable.startswith("SSH_CONNECTION=") and len(words) == 4:
                # A link-local address comes with its interface, an IPv4 one maybe in the notation of IPv6.
                address = re.sub(r"%.*|^::ffff:(?=\d+\.)", "", words[0])
                return {"address": address, "port": int(words[3])}
        status = re.search(r"^PPid:\s*(\d+)", read(PROC, str(pid), "status"), re.M)
        pid = int(status.group(1)) if status else 0
    return None


def control_login():
    """Return who logged in over that connection and what made it root: account, uid and become, or None.

    The login shell is the outermost process that has the variable; sshd itself has not.
    """
    pid, login, programs = os.getpid(), None, []
    while pid > 1:
        environment = dict(item.partition("=")[::2] for item in read(PROC, str(pid), "environ").split("\0"))
        status = read(PROC, str(pid), "status")
        if "SSH_CONNECTION" in environment:
            uid = re.search(r"^Uid:\s*(\d+)", status, re.M)
            login = (int(uid.group(1)), environment.get("LOGNAME") or environment.get("USER"), list(programs))
        name = re.search(r"^Name:\s*(\S+)", status, re.M)
        programs.append(name.group(1) if name else "")
        parent = re.search(r"^PPid:\s*(\d+)", status, re.M)
        pid = int(parent.group(1)) if parent else 0
    if not login:
        return None
    uid, name, programs = login
    try:
        # Of several accounts with one uid, it is the one whose name sshd has set.
        if not name or pwd.getpwnam(name).pw_uid != uid:
            name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
    become = [program for program in programs if program in ("sudo", "su", "doas", "pfexec", "dzdo", "ksu")]
    return {"account": name, "uid": uid, "become": become[-1] if become else None}
