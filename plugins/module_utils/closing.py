# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take away what lets an account in, and give it back: lines of the account files, and files of the account's own."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import contextlib
import errno
import fcntl
import os
import stat
import time

from ansible_collections.xensec.hardening.plugins.module_utils import accounts
from ansible_collections.xensec.hardening.plugins.module_utils.files import read, rewrite, set_times

FILES = ("passwd", "shadow", "group", "gshadow")
NOLOGINS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")
NO_SHELL = ("nologin", "false")
# Day 1: day 0 is taken for "never" by some programs.
EXPIRED = "1"
LOCK_PATIENCE = 15


class Busy(Exception):
    """Another program is changing the accounts."""


@contextlib.contextmanager
def locked():
    """Hold the lock that passwd, usermod, systemd and the C library's lckpwdf take."""
    path = accounts.etc(".pwd.lock")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        deadline = time.time() + LOCK_PATIENCE
        while True:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (IOError, OSError) as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                if time.time() > deadline:
                    raise Busy("another program has held %s for %d seconds" % (path, LOCK_PATIENCE))
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def nologin():
    for path in NOLOGINS:
        if os.path.exists(path):
            return path
    return NOLOGINS[-1]


def closed_line(name, line, plan):
    """Return a line of one of the files as it is once the accounts of the plan are closed.

    :arg plan: by account the set of C(password), C(expire), C(shell), and by C(groups) the set of groups it leaves.
    """
    fields = line.split(":")
    if accounts.is_compat(line) or line[:1] == "#":
        return line
    if name in ("passwd", "shadow"):
        work = plan.get(fields[0])
        if not work or len(fields) < 7:
            return line
        if "password" in work["do"] and fields[1] != "x" and fields[1][:1] not in ("!", "*"):
            fields[1] = "!" + fields[1]
        if name == "passwd" and "shell" in work["do"]:
            fields[6] = nologin()
        if name == "shadow" and "expire" in work["do"] and len(fields) > 7:
            fields[7] = EXPIRED
    elif len(fields) == 4:
        leaving = set(account for account in plan if fields[0] in plan[account]["groups"])
        # The third field of gshadow has the group's administrators.
        for number in (3, 2) if name == "gshadow" else (3,):
            members = fields[number].split(",")
            if leaving.intersection(members):
                fields[number] = ",".join(member for member in members if member not in leaving)
    return ":".join(fields)


def edit(plan):
    """Return {file: (bytes before, bytes after, lines [before, after])} for the files that change."""
    found = {}
    for name in FILES:
        before = read(accounts.etc(name))
        if before is None:
            continue
        lines = before.decode("latin-1").split("\n")
        after = [closed_line(name, line, plan) for line in lines]
        pairs = [[line, after[number]] for number, line in enumerate(lines) if line != after[number]]
        if pairs:
            found[name] = (before, "\n".join(after).encode("latin-1"), pairs)
    return found


def reopened_line(line, before, after, force=False):
    """Return a line of now with what was taken away from it given back, and what others changed since kept."""
    now, old, closed = line.split(":"), before.split(":"), after.split(":")
    if not len(now) == len(old) == len(closed):
        return line
    for number, was in enumerate(old):
        became = closed[number]
        if was == became:
            continue
        if now[number] == became or (force and len(now) != 4):
            now[number] = was
        elif len(now) == 4:
            # Members came or went since: those that were taken out come back beside them.
            members = [member for member in now[number].split(",") if member]
            taken = [member for member in was.split(",") if member not in became.split(",") + members]
            now[number] = ",".join(members + taken)
    return ":".join(now)


def changed(pairs_by_file):
    """Return (field, account) for what is neither as it was found nor as it was left by the closing."""
    names = {"passwd": {1: "the password", 6: "the shell"}, "shadow": {1: "the password", 7: "the expiry"}}
    found = []
    for name in sorted(set(pairs_by_file) & set(names)):
        data = read(accounts.etc(name)) or b""
        lines = dict((line.split(":")[0], line.split(":")) for line in data.decode("latin-1").split("\n"))
        for before, after in pairs_by_file[name]:
            old, closed = before.split(":"), after.split(":")
            now = lines.get(old[0], [])
            for number in sorted(names[name]) if len(now) == len(old) == len(closed) else []:
                if old[number] != closed[number] and now[number] not in (old[number], closed[number]):
                    found.append((names[name][number], accounts.shown(old[0])))
    return found


def reopen(pairs_by_file, force=False):
    """Return {file: bytes} of the files with these lines given back."""
    found = {}
    for name in sorted(pairs_by_file):
        data = read(accounts.etc(name))
        if data is None:
            continue
        lines = data.decode("latin-1").split("\n")
        for before, after in pairs_by_file[name]:
            if after in lines:
                # Of two lines of one name it is this one.
                lines[lines.index(after)] = before
                continue
            key = after.split(":")[0]
            lines = [reopened_line(line, before, after, force) if line.split(":")[0] == key else line for line in lines]
        text = "\n".join(lines).encode("latin-1")
        if text != data:
            found[name] = text
    return found


def write(contents):
    for name in sorted(contents):
        rewrite(accounts.etc(name), contents[name], 0o600)


def take(account, path, own):
    """Return what is needed to give a file of the account's back, or None where it cannot be given back as it is.

    :arg own: whether it is in the account's home, and so handled with the account's own rights.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if own and status.st_uid != account.uid:
        return None
    taken = {
        "path": path.decode("latin-1"),
        "account": account.name,
        "own": own,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": stat.S_IMODE(status.st_mode),
        "mtime": status.st_mtime,
    }
    if hasattr(status, "st_mtime_ns"):
        taken["mtime_ns"] = status.st_mtime_ns
    if stat.S_ISLNK(status.st_mode):
        taken["link"] = os.readlink(path).decode("latin-1")
        return taken
    data = accounts.read_small(path)
    if data is None:
        return None
    taken["content"] = base64.b64encode(data).decode("ascii")
    return taken


def is_back(taken):
    """Whether the file is there as it was, because the run that was to take it was killed, or gave it back already."""
    path = taken["path"].encode("latin-1")
    try:
        if "link" in taken:
            return os.readlink(path) == taken["link"].encode("latin-1")
        return not os.path.islink(path) and read(path) == base64.b64decode(taken["content"])
    except (IOError, OSError):
        return False


def give_back(taken, force=False):
    """Make a file again as it was. Return whether it could be: not where one of that name has come since."""
    path = taken["path"].encode("latin-1")
    if force and os.path.lexists(path) and not os.path.isdir(path):
        os.unlink(path)
    if "link" in taken:
        if os.path.lexists(path):
            return False
        os.symlink(taken["link"].encode("latin-1"), path)
        return True
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    with os.fdopen(handle, "wb") as stream:
        if os.geteuid() == 0:
            os.fchown(handle, taken["uid"], taken["gid"])
        os.fchmod(handle, taken["mode"])
        stream.write(base64.b64decode(taken["content"]))
    set_times(path, taken)
    return True
