# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the AnsibleModule where facts are read: commands have a time limit, and a failure is that of one fact."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import subprocess
import threading
import time

from ansible.module_utils.common.text.converters import to_bytes, to_native

# systemctl and the parsers need the untranslated output.
ENVIRONMENT = {
    "LANG": "C",
    "LC_ALL": "C",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
    # systemctl gives up after 25 seconds by itself; how long it may take is up to the reader.
    "SYSTEMD_BUS_TIMEOUT": "120",
}


class Unreadable(Exception):
    """A fact cannot be read; the message says why."""


class Reader(object):
    """What the helpers want of an AnsibleModule.

    :arg each: seconds that one command may take.
    :arg total: seconds that all of them may take.
    """

    def __init__(self, module, each=90, total=240):
        self.module, self.params, self.each = module, module.params, each
        self.deadline = time.time() + total

    def get_bin_path(self, name, required=False, opt_dirs=None):
        path = self.module.get_bin_path(name, opt_dirs=opt_dirs or ["/sbin", "/usr/sbin"])
        if required and not path:
            raise Unreadable("the program %s is not here" % name)
        return path

    def fail_json(self, msg, **more):
        raise Unreadable(msg)

    def run_command(self, command, check_rc=False, data=None, **more):
        limit = min(self.each, self.deadline - time.time())
        if limit <= 0:
            raise Unreadable("the time for reading this host was up before '%s' could be asked" % command[0])
        code, output, error = self.bounded(command, data, limit)
        if check_rc and code:
            raise Unreadable("'%s' returned %d: %s" % (" ".join(command[:3]), code, (error or output).strip()[-300:]))
        return code, output, error

    @staticmethod
    def bounded(command, data, limit):
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(os.environ, **ENVIRONMENT),
                # A group of its own, so that what it starts goes with it.
                preexec_fn=os.setsid,  # pylint: disable=subprocess-popen-preexec-fn
            )
        except (IOError, OSError) as error:
            raise Unreadable("'%s' could not be run: %s" % (command[0], error.strerror))
        told = []
        waiting = threading.Thread(target=lambda: told.append(child.communicate(to_bytes(data) if data else None)))
        # A command that hangs in the kernel outlives even SIGKILL; this process must not wait for it.
        waiting.daemon = True
        waiting.start()
        waiting.join(limit)
        if not told:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except OSError:
                pass
            raise Unreadable("'%s' did not answer within %d seconds" % (" ".join(command[:3]), limit))
        return (child.returncode,) + tuple(to_native(text, errors="surrogate_or_replace") for text in told[0])
