# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a host looked like before this collection first changed it.

One JSON file per module below C(/var/lib/xensec), readable by root only. An entry is written, and on disk,
before the change it describes; an entry that exists is never written again, so a second run cannot replace
the original with its own work. Beside it are the digests of all that was written in its place, by which what
somebody else has changed since can be told.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import glob
import hashlib
import json
import os
import stat
import tempfile

RECORD_VERSION = 2
# Version 1 has no digests; before it there was no number.
OLDER_VERSIONS = (None, 1)
RECORD_ROOT = "/var/lib/xensec"
# What new files are called until they are whole. A run that was killed leaves one behind.
TEMPORARY = ".xensec-"
ABSENT = "absent"


def sweep(folder):
    """Remove what a run that was killed has left of a file that it was writing."""
    for path in glob.glob(os.path.join(folder, TEMPORARY + "*")):
        if os.path.isfile(path) or os.path.islink(path):
            os.unlink(path)


def write_atomically(path, data, mode):
    """Replace path with data (bytes) in one step: readers see the old content or the new, never a part.

    The data and the name are on disk when this returns.
    """
    folder = os.path.dirname(path)
    sweep(folder)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def digest(data):
    """Return what tells the content (bytes), or the absence (None), of a file from others."""
    return ABSENT if data is None else hashlib.sha256(data).hexdigest()


def read_xattrs(path):
    """Return the extended attributes, access control lists among them. Python 2 cannot tell."""
    if not hasattr(os, "listxattr"):
        return None
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return dict(
            (name, base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode("ascii")) for name in names
        )
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EPERM):
            return None
        raise


def describe_file(path):
    """Return what is needed to put path back: content, owner, group, mode, times, lists; or that it is absent."""
    try:
        status = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return {"absent": True}
        raise
    described = {
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime": status.st_mtime,
    }
    if hasattr(status, "st_mtime_ns"):
        # A float has not enough digits for it.
        described["mtime_ns"] = status.st_mtime_ns
    xattrs = read_xattrs(path)
    if xattrs:
        described["xattrs"] = xattrs
    if stat.S_ISLNK(status.st_mode):
        described["link"] = os.readlink(path)
    else:
        with open(path, "rb") as stream:
            described["content"] = base64.b64encode(stream.read()).decode("ascii")
    return described


def content_of(described):
    """Return the digest of what describe_file found."""
    if described.get("absent"):
        return ABSENT
    if "link" in described:
        return digest(
            ("link " + described["link"]).encode("utf-8", "surrogateescape" if str is not bytes else "strict")
        )
    return digest(base64.b64decode(described["content"]))


def missing_folders(path):
    """Return the folders above path that are not there."""
    found, folder = [], os.path.dirname(path)
    while folder not in ("", "/") and not os.path.lexists(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found


class Record(object):
    """The record of one module on this host.

    :arg name: the file's name without C(.json), the module's name by custom.
    :arg root: the folder the records are in.
    :raises ValueError: the file there is not a record of a version this code knows.
    """

    def __init__(self, name, root=RECORD_ROOT):
        self.path = os.path.join(root, name + ".json")
        self._content = self._empty()
        if os.path.exists(self.path):
            with open(self.path, "rb") as stream:
                content = json.loads(stream.read().decode("utf-8"))
            version = content.get("version") if isinstance(content, dict) else ""
            if version != RECORD_VERSION and version not in OLDER_VERSIONS:
                raise ValueError(
                    "%s is a record of version %r, this release knows version %d: "
                    "use the release that wrote it, or move the file away" % (self.path, version, RECORD_VERSION)
                )
            self._content.update((key, content[key]) for key in content if key != "version")

    @staticmethod
    def _empty():
        return {"version": RECORD_VERSION, "files": {}, "state": {}, "written": {}, "folders": []}

    def exists(self):
        """Whether anything was recorded."""
        return os.path.exists(self.path)

    def file(self, path):
        """Return what was recorded of path, or None."""
        return self._content["files"].get(path)

    def state(self, key):
        """Return the state recorded under key, or None."""
        return self._content["state"].get(key)

    def keep(self, files=(), state=None, writes=None):
        """Record the files as they are now, and the state given, unless they are recorded already.

        :arg writes: what is about to be written, bytes or None for no file, by path; these are recorded as well. A
            name that is no path may stand for something else that has a value.
        """
        written, content = writes or {}, self._content
        wanted = sorted(set(files) | set(name for name in written if name.startswith("/")))
        missing = [path for path in wanted if path not in content["files"]]
        values = dict((key, value) for key, value in (state or {}).items() if key not in content["state"])
        digests = dict((name, digest(written[name])) for name in written)
        news = [name for name in digests if digests[name] not in content["written"].get(name, [])]
        if not missing and not values and not news:
            return
        for path in missing:
            content["files"][path] = describe_file(path)
            content["folders"] += [one for one in missing_folders(path) if one not in content["folders"]]
        content["state"].update(values)
        for name in news:
            content["written"].setdefault(name, []).append(digests[name])
        self.save()

    def save(self):
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
        text = json.dumps(self._content, indent=1, sort_keys=True) + "\n"
        write_atomically(self.path, text.encode("utf-8"), 0o600)

    def content(self, kind):
        """Return what was recorded of a kind, C(files) or C(state), by its name."""
        return dict(self._content[kind])

    def folders(self):
        """Return the folders that were not there before, the innermost first."""
        return sorted(self._content["folders"], key=len, reverse=True)

    def original(self, path):
        """Return the recorded content of a file, or None where there was none."""
        recorded = self.file(path) or {}
        return base64.b64decode(recorded["content"]) if "content" in recorded else None

    def is_foreign(self, name, value):
        """Whether this digest of a file or value is of nothing that was written here: somebody else's work.

        Records of version 1 cannot tell.
        """
        written = self._content["written"].get(name)
        return written is not None and value not in written

    def close(self, forget=False):
        """End the record, once everything is as it was: a change that comes later begins a new one.

        :arg forget: whether to delete it, in place of keeping it under another name.
        """
        former = self.path + ".restored"
        if os.path.exists(self.path) and not forget:
            os.rename(self.path, former)
        for path in [self.path] + ([former] if forget else []):
            if os.path.exists(path):
                os.unlink(path)
        folder = os.path.dirname(self.path)
        if os.path.isdir(folder):
            sweep(folder)
            # A transaction's folder, empty where none is open, and ours.
            for path in [os.path.join(folder, "rollback"), folder] if forget else []:
                if os.path.isdir(path) and not os.listdir(path):
                    os.rmdir(path)
        self._content = self._empty()
