# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that the host takes back by itself unless it is confirmed in time.

The host is armed before the change: a timer of its own runs a command that takes the change back. It needs neither the
connection, nor the controller, nor Ansible to go on living. Confirming and rolling back each begin by renaming the one
file that says the transaction is armed, so exactly one of them happens. All of it is in C(/run): a reboot, which brings
the old state back by itself, leaves nothing armed.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import subprocess
import time

from ansible_collections.xensec.hardening.plugins.module_utils.record import write_atomically

FOLDER = "/run/xensec"
SYSTEMD = "/run/systemd/system"
SCRIPT = """\
#!/bin/sh
# Takes back what was changed, unless it has been confirmed: then the file to rename is gone.
mv {armed} {undone} 2>/dev/null || exit 0
{commands}
logger -t xensec "{name}: not confirmed within {timeout} seconds, the old state is back" 2>/dev/null
exit 0
"""


class Transaction(object):
    """One change that waits for its confirmation.

    :arg module: the AnsibleModule, for running commands.
    :arg name: of letters, digits and C(-); one transaction of a name can be armed at a time.
    """

    def __init__(self, module, name):
        self.module = module
        self.name = name
        self.unit = "xensec-rollback-" + name
        self.armed = os.path.join(FOLDER, name + ".armed")
        self.undone = os.path.join(FOLDER, name + ".undone")
        self.script = os.path.join(FOLDER, name + ".rollback")

    def remaining(self):
        """Seconds until the host takes the change back; None where nothing is armed."""
        try:
            with open(self.armed) as stream:
                return max(0, int(float(stream.read()) - time.time()))
        except (IOError, OSError, ValueError):
            return None

    def arm(self, commands, timeout):
        """Have the host run the shell commands after timeout seconds. It fails the module, unchanged, if it cannot."""
        remaining = self.remaining()
        if remaining is not None:
            self.module.fail_json(
                msg="another run changed %s and its confirmation is still out: "
                "wait %d seconds, then run this again" % (self.name, remaining + 1)
            )
        if not os.path.isdir(FOLDER):
            os.makedirs(FOLDER, 0o700)
        if os.path.exists(self.undone):
            os.unlink(self.undone)
        text = SCRIPT.format(armed=self.armed, undone=self.undone, commands=commands, name=self.name, timeout=timeout)
        write_atomically(self.script, text.encode("utf-8"), 0o700)
        write_atomically(self.armed, str(time.time() + timeout).encode("ascii"), 0o600)
        if os.path.isdir(SYSTEMD):
            self.arm_systemd(timeout)
        else:
            self.arm_process(timeout)

    def arm_systemd(self, timeout):
        self.module.run_command(["systemctl", "reset-failed", self.unit + ".timer", self.unit + ".service"])
        command = ["systemd-run", "--unit=" + self.unit, "--on-active=%d" % timeout]
        command += ["--timer-property=AccuracySec=1s", "--property=Type=oneshot", "/bin/sh", self.script]
        code, dummy, error = self.module.run_command(command)
        if code:
            os.unlink(self.armed)
            self.module.fail_json(msg="the way back could not be armed, so nothing was changed: " + error.strip())

    def arm_process(self, timeout):
        """Without systemd: a process in a session of its own, which the end of this one does not reach."""
        with open(os.devnull, "r+b") as nothing:
            subprocess.Popen(
                ["/bin/sh", "-c", "sleep %d; exec /bin/sh %s" % (timeout, self.script)],
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                close_fds=True,
                preexec_fn=os.setsid,
                cwd="/",
            )

    def confirm(self):
        """Keep the change. Return whether that was in time; if not, the host has taken it back."""
        try:
            os.rename(self.armed, self.script + ".confirmed")
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        os.unlink(self.script + ".confirmed")
        os.unlink(self.script)
        if os.path.isdir(SYSTEMD):
            self.module.run_command(["systemctl", "stop", self.unit + ".timer"])
        return True

    def was_undone(self):
        """Whether the last transaction of this name was taken back."""
        return os.path.exists(self.undone)
