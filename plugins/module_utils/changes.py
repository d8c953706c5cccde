# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a host one at a time."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import fcntl
import os
import time

# In C(/run): a reboot leaves nothing behind.
LOCK = "/run/xensec/lock"
# How long to wait for another run's module to end, in seconds. The longest is one that stops services.
PATIENCE = 120


class Busy(Exception):
    """Another process is changing this host."""


def _open():
    folder = os.path.dirname(LOCK)
    while True:
        try:
            if not os.path.isdir(folder):
                os.makedirs(folder, 0o700)
            handle = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            # The one who held it took the folder away, too.
            if error.errno not in (errno.ENOENT, errno.EEXIST):
                raise
            continue
        fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        return handle


def _is_current(handle):
    """Whether the file that is open is still the one of this name."""
    try:
        return os.fstat(handle).st_ino == os.stat(LOCK).st_ino
    except OSError:
        return False


def _acquire(patience):
    deadline = time.time() + patience
    while True:
        handle = _open()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError) as error:
            said = os.read(handle, 200).decode("ascii", "replace")
            os.close(handle)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            if time.time() >= deadline:
                raise Busy(said or "another process")
            time.sleep(0.2)
            continue
        if _is_current(handle):
            return handle
        os.close(handle)


@contextlib.contextmanager
def exclusive(what, patience=None):
    """Hold the host's lock. A process that dies lets go of it.

    :arg what: what this one is, for those who wait.
    :raises Busy: another one has held it all the time; its message says which, and since when.
    """
    handle = _acquire(PATIENCE if patience is None else patience)
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        os.ftruncate(handle, 0)
        os.write(handle, ("process %d, %s, since %s" % (os.getpid(), what, since)).encode("ascii", "replace"))
        yield
    finally:
        for action, path in ((os.unlink, LOCK), (os.rmdir, os.path.dirname(LOCK))):
            try:
                action(path)
            except OSError:
                # Others have something there.
                continue
        os.close(handle)


def carry_out(module, work, transactions=()):
    """End the module with what work() returns, done while nobody else changes this host; a failure in words.

    :arg transactions: those of other runs that are to end before.
    """
    name = module._name.split(".")[-1]
    try:
        if module.check_mode:
            result = work()
        else:
            for transaction in transactions:
                transaction.settle()
            with exclusive(name):
                result = work()
    except Busy as error:
        module.fail_json(
            msg="another run is changing this host, so nothing was changed: %s. It was waited for %d seconds; see what "
            "it does, and run this again once it is done" % (error, PATIENCE)
        )
    except (IOError, OSError, ValueError) as error:
        module.fail_json(msg="%s: %s. Mend that and run this again" % (name, error))
    # Ansible wants warnings by a call of their own.
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)
