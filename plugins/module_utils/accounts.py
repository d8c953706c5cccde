# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local accounts as the files have them, and what could let each of them in.

Text out of these files is latin-1 in here: whatever bytes a name or a comment has come out again as they went in.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import os
import re
import stat
import time

from ansible_collections.xensec.hardening.plugins.module_utils.files import read

ETC = "/etc"
CRONTABS = ("/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron")
AT_JOBS = ("/var/spool/cron/atjobs", "/var/spool/at")
LINGER = "/var/lib/systemd/linger"
SHELLS = (
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "mksh",
    "ash",
    "csh",
    "tcsh",
    "fish",
    "rbash",
    "busybox",
    "tmux",
    "screen",
)
# Members of these can become root by asking.
ADMINISTRATORS = ("root", "sudo", "wheel", "admin")
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
# A file of keys is small; a device or a link to something endless is no such file.
KEYS_LIMIT = 1 << 20


def etc(name):
    return os.path.join(ETC, name)


def shown(text):
    """Return text out of these files as people read it."""
    decoded = text.encode("latin-1").decode("utf-8", "replace")
    return decoded if str is not bytes else decoded.encode("utf-8")


def file_name(text):
    """Return text out of these files as the system's calls take it."""
    return text.encode("latin-1")


def lines(name):
    """Return the lines of a file in /etc, without their ends."""
    return (read(etc(name)) or b"").decode("latin-1").split("\n")


def today():
    return int(time.time() // 86400)


def is_compat(line):
    """Whether the line has NIS add or take away accounts that are not in the file."""
    return line[:1] in ("+", "-")


class Account(object):
    """One account of /etc/passwd."""

    def __init__(self, fields, shadow):
        self.name, self.password, uid, gid, self.gecos, self.home, self.shell = fields
        self.uid, self.gid = int(uid), int(gid)
        self.shadowed = self.password == "x"
        self.expires = ""
        if self.shadowed:
            entry = shadow.get(self.name)
            self.password = entry[1] if entry else "*"
        entry = shadow.get(self.name)
        if entry and len(entry) > 7:
            self.expires = entry[7]
        self.has_shadow = entry is not None

    @property
    def has_password(self):
        """Whether a password lets it in. An empty one is one."""
        return self.password[:1] not in ("!", "*") and self.password not in ("x", "NP", "LK")

    @property
    def expired(self):
        return bool(re.match(r"\d+\Z", self.expires)) and int(self.expires) <= today()

    @property
    def has_shell(self):
        return not self.shell or os.path.basename(self.shell) in SHELLS or self.shell in lines("shells")


def local_accounts():
    """Return the accounts of /etc/passwd in their order; of a name that comes twice the first counts."""
    shadow = {}
    for line in lines("shadow"):
        fields = line.split(":")
        if len(fields) >= 2 and not is_compat(line):
            shadow.setdefault(fields[0], fields)
    found, seen = [], set()
    for line in lines("passwd"):
        fields = line.split(":")
        if len(fields) != 7 or is_compat(line) or line[:1] == "#" or not fields[0] or fields[0] in seen:
            continue
        if not (fields[2].isdigit() and fields[3].isdigit()):
            continue
        seen.add(fields[0])
        found.append(Account(fields, shadow))
    return found


def groups():
    """Return (name, gid, members) of /etc/group."""
    found = []
    for line in lines("group"):
        fields = line.split(":")
        if len(fields) == 4 and fields[2].isdigit() and not is_compat(line):
            found.append((fields[0], int(fields[2]), [member for member in fields[3].split(",") if member]))
    return found


def uid_min():
    """The first uid of persons."""
    match = re.search(r"^\s*UID_MIN\s+(\d+)", "\n".join(lines("login.defs")), re.M)
    return int(match.group(1)) if match else 1000


@contextlib.contextmanager
def acting_as(account):
    """Touch an account's own files with its own rights: a link of its making leads to nothing it could not reach."""
    if os.geteuid() != 0 or account.uid == 0:
        yield
        return
    former = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(former[1])
        os.setgroups(former[0])


def key_paths(account, patterns=KEY_FILES):
    """Return where sshd looks for the account's keys, as bytes."""
    paths = []
    values = {"%": "%", "h": account.home, "u": account.name, "U": str(account.uid)}
    for pattern in patterns if account.home.startswith("/") else []:
        if pattern == "none":
            continue
        path = re.sub(r"%([%huU])", lambda match: values[match.group(1)], pattern)
        paths.append(file_name(os.path.join(account.home, path)))
    return paths


def read_small(path):
    """Return the content of a small regular file, else None. It follows links as the acting account may."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > KEYS_LIMIT:
            return None
        with os.fdopen(os.dup(handle), "rb") as stream:
            return stream.read(KEYS_LIMIT)
    finally:
        os.close(handle)


def trusted(path, account):
    """Whether sshd takes the file: it and the folders above, up to the home, are writable by the owner alone."""
    home = os.path.realpath(file_name(account.home))
    path = os.path.realpath(path)
    while True:
        try:
            status = os.stat(path)
        except OSError:
            return False
        if status.st_uid not in (0, account.uid) or status.st_mode & 0o022:
            return False
        if path in (home, b"/"):
            return True
        path = os.path.dirname(path)


def has_usable_key(account, patterns=KEY_FILES):
    """Whether a key lets the account in with a shell: one that has no command of its own, in a file that sshd takes."""
    with acting_as(account):
        for path in key_paths(account, patterns):
            for line in (read_small(path) or b"").splitlines():
                line = line.strip()
                kind = re.search(b"(?:^|\\s)(?:ssh-|ecdsa-|sk-)\\S+\\s+[A-Za-z0-9+/]{16,}", line)
                if line.startswith(b"#") or not kind:
                    continue
                if b"command=" not in line[: kind.start()].lower() and trusted(path, account):
                    return True
    return False


def has_key(account, patterns=KEY_FILES):
    """Whether there is a key at all, be it one that sshd would not take today."""
    with acting_as(account):
        return any((read_small(path) or b"").strip() or os.path.islink(path) for path in key_paths(account, patterns))


def crontabs(account):
    """Return the account's crontabs, as bytes."""
    paths = [file_name(os.path.join(folder, account.name)) for folder in CRONTABS]
    return [path for path in paths if os.path.isfile(path)]


def at_jobs(account):
    """Return the files of the account's at jobs, as bytes."""
    found = []
    for folder in AT_JOBS:
        try:
            names = os.listdir(file_name(folder))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            continue
        for name in sorted(names):
            path = os.path.join(file_name(folder), name)
            if not name.startswith(b".") and os.path.isfile(path) and os.lstat(path).st_uid == account.uid:
                found.append(path)
    return found


def linger_file(account):
    return file_name(os.path.join(LINGER, account.name))
