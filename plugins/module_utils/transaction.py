# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that the host takes back by itself unless it is confirmed in time.

The host is armed before the change: a timer of its own runs a command that takes the change back. It needs neither the
connection, nor the controller, nor Ansible to go on living. Confirming and rolling back each begin by renaming the one
file that says the transaction is armed, so exactly one of them happens. All of it is in C(/run): a reboot, which brings
the old state back by itself, leaves nothing armed. A change that a reboot would not take back, because it is in files, is
armed for the next boot as well, below C(/var/lib/xensec).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import os
import shutil
import subprocess
import time

from ansible_collections.xensec.hardening.plugins.module_utils.record import write_atomically

FOLDER = "/run/xensec"
SYSTEMD = "/run/systemd/system"
UNITS = "/etc/systemd/system"
INIT = "/etc/init.d"
RC = "/etc/rcS.d"
BOOT_FOLDER = "/var/lib/xensec/rollback"
# How long to wait for the end of another run's transaction, and for a timer that is late, in seconds.
PATIENCE = 90
GRACE = 10
BOOT_UNIT = """\
[Unit]
Description=Take back what was not confirmed before the boot ({name})
DefaultDependencies=no
RequiresMountsFor=/var/lib/xensec
After=local-fs.target
Before=sysinit.target shutdown.target
[Service]
Type=oneshot
ExecStart=/bin/sh {script}
"""
# A boot that starts several scripts at a time starts none that says nothing of what it depends on.
BOOT_INIT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {unit}
# Required-Start:    $local_fs
# Required-Stop:
# Default-Start:     S
# Default-Stop:
# Short-Description: Take back what was not confirmed before the boot ({name})
### END INIT INFO
[ "$1" != start ] || exec /bin/sh {script}
"""
BOOT_SCRIPT = """\
#!/bin/sh
# Takes back what was changed and not confirmed before the boot, and then itself.
{commands}
rm -rf {leftovers}
"""
SCRIPT = """\
#!/bin/sh
# Takes back what was changed, unless it has been confirmed: then the file to rename is gone.
mv {armed} {undone} 2>/dev/null || exit 0
{commands}
rm -rf {leftovers}
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

    @property
    def copies(self):
        """Where the old files are, until they are needed no more."""
        return os.path.join(BOOT_FOLDER, self.name)

    def keep(self, name, data, like):
        """Keep data for the way back, with the owner and mode of the file like. Return where it is."""
        if not os.path.isdir(self.copies):
            os.makedirs(self.copies, 0o700)
        path = os.path.join(self.copies, name)
        write_atomically(path, data, 0o600)
        status = os.stat(like)
        os.chown(path, status.st_uid, status.st_gid)
        os.chmod(path, status.st_mode & 0o7777)
        return path

    def remaining(self):
        """Seconds until the host takes the change back; None where nothing is armed."""
        try:
            with open(self.armed) as stream:
                return max(0, int(float(stream.read()) - time.time()))
        except (IOError, OSError, ValueError):
            return None

    def settle(self):
        """Wait until a change of another run is confirmed or taken back; do that where nothing is left that would."""
        start = time.time()
        while True:
            try:
                with open(self.armed) as stream:
                    overdue = time.time() - float(stream.read())
            except (IOError, OSError, ValueError):
                return
            if overdue > GRACE:
                # Whoever armed it was killed before there was a timer.
                self.take_back()
                return
            if time.time() - start - overdue > PATIENCE:
                return
            time.sleep(0.5)

    def take_back(self):
        """Do at once what the host would do if no confirmation came; nothing where nothing is armed."""
        if self.remaining() is None:
            return
        self.module.run_command(["/bin/sh", self.script])
        if os.path.isdir(SYSTEMD):
            self.module.run_command(["systemctl", "stop", self.unit + ".timer"])

    def clear(self):
        """Remove all traces of what is over."""
        if self.remaining() is not None:
            return
        self.disarm_boot()
        self.dismiss()
        for path in (self.undone, self.script):
            if os.path.exists(path):
                os.unlink(path)
        for folder in (BOOT_FOLDER, FOLDER):
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)

    def dismiss(self):
        """Have systemd let go of a timer with nothing to take back, and of one that failed: no other may have its name."""
        if os.path.isdir(SYSTEMD):
            self.module.run_command(["systemctl", "stop", self.unit + ".timer"])
            self.module.run_command(["systemctl", "reset-failed", self.unit + ".timer", self.unit + ".service"])

    def refuse_another(self):
        """Fail the module while another run's change waits for its confirmation."""
        remaining = self.remaining()
        if remaining is not None:
            self.module.fail_json(
                msg="another run changed %s and its confirmation is still out: "
                "wait %d seconds, then run this again" % (self.name, remaining + 1)
            )

    def arm(self, commands, timeout, boot=""):
        """Have the host run the shell commands after timeout seconds. It fails the module, unchanged, if it cannot.

        :arg boot: commands for the next boot, where it comes before.
        """
        self.refuse_another()
        if not os.path.isdir(FOLDER):
            os.makedirs(FOLDER, 0o700)
        if os.path.exists(self.undone):
            os.unlink(self.undone)
        leftovers = " ".join(sorted(set(self.boot_files())) + [self.copies])
        text = SCRIPT.format(
            armed=self.armed,
            undone=self.undone,
            commands=commands,
            leftovers=leftovers,
            name=self.name,
            timeout=timeout,
        )
        write_atomically(self.script, text.encode("utf-8"), 0o700)
        write_atomically(self.armed, str(time.time() + timeout).encode("ascii"), 0o600)
        if boot:
            self.arm_boot(boot, leftovers)
        if os.path.isdir(SYSTEMD):
            self.arm_systemd(timeout)
        else:
            self.arm_process(timeout)

    def boot_files(self, order="[SK][0-9][0-9]"):
        """The script for the boot, what has the boot run it, and the link that turns that on, as a pattern.

        :arg order: how the link's name begins under SysV init, which may work that out itself.
        """
        script = os.path.join(BOOT_FOLDER, self.name + ".boot")
        if os.path.isdir(SYSTEMD):
            unit = os.path.join(UNITS, self.unit + "-boot.service")
            wants = os.path.join(UNITS, "sysinit.target.wants", os.path.basename(unit))
            return script, unit, wants
        return script, os.path.join(INIT, self.unit), os.path.join(RC, order + self.unit)

    def arm_boot(self, commands, leftovers):
        script, unit, wants = self.boot_files("S99")
        if not os.path.isdir(BOOT_FOLDER):
            os.makedirs(BOOT_FOLDER, 0o700)
        text = BOOT_SCRIPT.format(commands=commands, leftovers=leftovers)
        write_atomically(script, text.encode("utf-8"), 0o700)
        systemd = os.path.isdir(SYSTEMD)
        text = (BOOT_UNIT if systemd else BOOT_INIT).format(name=self.name, unit=self.unit, script=script)
        write_atomically(unit, text.encode("utf-8"), 0o644 if systemd else 0o755)
        if not systemd and self.update_rc("defaults"):
            if not glob.glob(self.boot_files()[-1]):
                self.never_armed("update-rc.d made no link for it")
            return
        if not os.path.isdir(os.path.dirname(wants)):
            os.makedirs(os.path.dirname(wants), 0o755)
        if not os.path.islink(wants):
            os.symlink(unit, wants)

    def update_rc(self, action, *options):
        """Have SysV init work out again what it starts, and when. Return whether it has a program for that."""
        program = self.module.get_bin_path("update-rc.d", opt_dirs=["/sbin", "/usr/sbin"])
        if program:
            self.module.run_command([program] + list(options) + [self.unit, action])
        return bool(program)

    def disarm_boot(self):
        found = [path for pattern in set(self.boot_files()) for path in glob.glob(pattern)]
        for path in found:
            os.unlink(path)
        if found and not os.path.isdir(SYSTEMD):
            self.update_rc("remove", "-f")
        shutil.rmtree(self.copies, ignore_errors=True)

    def never_armed(self, reason):
        os.unlink(self.armed)
        self.disarm_boot()
        self.module.fail_json(msg="the way back could not be armed, so nothing was changed: " + reason.strip())

    def arm_systemd(self, timeout):
        self.dismiss()
        command = ["systemd-run", "--unit=" + self.unit, "--on-active=%d" % timeout]
        command += ["--timer-property=AccuracySec=1s", "--property=Type=oneshot"]
        # A timer that outlives the confirmation finds no script, and is to end well: a failed unit would stay.
        command += ["/bin/sh", "-c", "test ! -e {0} || exec /bin/sh {0}".format(self.script)]
        code, dummy, error = self.module.run_command(command)
        if code:
            self.never_armed(error)

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
        self.disarm_boot()
        if os.path.isdir(SYSTEMD):
            self.module.run_command(["systemctl", "stop", self.unit + ".timer"])
        return True

    def was_undone(self):
        """Whether the last transaction of this name was taken back."""
        return os.path.exists(self.undone)

    def status(self):
        """Return what a module says of it: whether it was taken back, and whether the host still may."""
        return {"changed": False, "undone": self.was_undone(), "pending": self.remaining() is not None}
