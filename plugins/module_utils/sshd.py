# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's ssh server: what it would do with its files as they are, and having it read them again."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.xensec.hardening.plugins.module_utils.accounts import KEY_FILES
from ansible_collections.xensec.hardening.plugins.module_utils.files import read

CONFIG = "/etc/ssh/sshd_config"
DROP_INS = "/etc/ssh/sshd_config.d"
SYSTEMD = "/run/systemd/system"
SERVICES = ("ssh", "sshd")
RUNTIME = "/run/sshd"


class Sshd(object):
    """The ssh server of this host; it is an error that there is none."""

    def __init__(self, module):
        self.module = module
        self.program = module.get_bin_path("sshd", required=True, opt_dirs=["/usr/sbin", "/sbin", "/usr/local/sbin"])

    def prepare(self):
        # Debian's unit has systemd make it, and remove it when the service stops; without it sshd checks nothing.
        if not os.path.isdir(RUNTIME) and os.path.isdir(os.path.dirname(RUNTIME)):
            os.mkdir(RUNTIME, 0o755)

    def check(self):
        """Return what is wrong with the files, or the empty string."""
        self.prepare()
        code, dummy, error = self.module.run_command([self.program, "-t"])
        return (error.strip() or "sshd -t returned %d" % code) if code else ""

    def effective(self, user="root", address="127.0.0.1"):
        """Return the settings for one who logs in, by their names in lower case, each a list of its lines."""
        self.prepare()
        command = [self.program, "-T", "-C", "user=%s,host=%s,addr=%s" % (user, address, address)]
        code, output, error = self.module.run_command(command)
        if code:
            self.module.fail_json(
                msg="sshd does not accept its configuration as it is, so nothing was changed: %s" % error.strip()
            )
        settings = {}
        for line in output.splitlines():
            name, dummy, value = line.strip().partition(" ")
            settings.setdefault(name.lower(), []).append(value.strip())
        return settings

    def key_files(self, users):
        """Return where it looks for keys; those of whom it does not let in at all it looks for nowhere."""
        for user in users:
            patterns = " ".join(self.effective(user).get("authorizedkeysfile", [])).split()
            if patterns and patterns != ["none"]:
                return patterns
        return list(KEY_FILES)

    @staticmethod
    def reads_drop_ins():
        """Whether the main file includes the drop-ins, before anything that would be bound to a Match."""
        for line in (read(CONFIG) or b"").decode("latin-1").splitlines():
            words = line.replace("=", " ").split()
            if words and words[0].lower() == "match":
                return False
            if words and words[0].lower() == "include" and DROP_INS + "/*.conf" in words[1:]:
                return True
        return False

    def service(self):
        """Return the name of the service that runs; None where none does, as with socket activation."""
        for name in SERVICES:
            if os.path.isdir(SYSTEMD):
                if self.module.run_command(["systemctl", "is-active", "--quiet", name + ".service"])[0] == 0:
                    return name
            elif os.access("/etc/init.d/" + name, os.X_OK):
                return name
        return None

    def reload_command(self):
        """Return the shell command that has it read its files again; connections that are up stay up."""
        name = self.service()
        if not name:
            return ":"
        if os.path.isdir(SYSTEMD):
            return "systemctl reload %s.service" % name
        return "/etc/init.d/%s reload" % name

    def reload(self):
        """Have it read its files again. Return what was said if it would not."""
        code, output, error = self.module.run_command(["/bin/sh", "-c", self.reload_command()])
        return (error.strip() or output.strip() or "no message") if code else ""


def conflicts(text, names):
    """Return the lines of a configuration that set one of the names within a Match, where they count before ours."""
    found, within = [], False
    for number, line in enumerate(text.splitlines(), 1):
        word = re.match(r"\s*([A-Za-z]+)", line)
        if word and word.group(1).lower() == "match":
            within = True
        elif word and within and word.group(1).lower() in names:
            found.append("line %d: %s" % (number, line.strip()))
    return found
