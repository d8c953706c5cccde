# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a host looked like before this collection first changed it.

One JSON file per module below C(/var/lib/xensec), readable by root only. An entry is written, and on disk,
before the change it describes; an entry that exists is never written again, so a second run cannot replace
the original with its own work.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import json
import os
import stat
import tempfile

RECORD_VERSION = 1
RECORD_ROOT = "/var/lib/xensec"


def write_atomically(path, data, mode):
    """Replace path with data (bytes) in one step: readers see the old content or the new, never a part.

    The data and the name are on disk when this returns.
    """
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".xensec-", dir=folder)
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


def describe_file(path):
    """Return what is needed to put path back: content, owner, group, mode, times; or that it is absent."""
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
    if stat.S_ISLNK(status.st_mode):
        described["link"] = os.readlink(path)
    else:
        with open(path, "rb") as stream:
            described["content"] = base64.b64encode(stream.read()).decode("ascii")
    return described


class Record(object):
    """The record of one module on this host.

    :arg name: the file's name without C(.json), the module's name by custom.
    :arg root: the folder the records are in.
    :raises ValueError: the file there is not a record of a version this code knows.
    """

    def __init__(self, name, root=RECORD_ROOT):
        self.path = os.path.join(root, name + ".json")
        self._content = {"version": RECORD_VERSION, "files": {}, "state": {}}
        if os.path.exists(self.path):
            with open(self.path, "rb") as stream:
                content = json.loads(stream.read().decode("utf-8"))
            if content.get("version") != RECORD_VERSION:
                raise ValueError(
                    "%s is a record of version %r, this release knows version %d: "
                    "use the release that wrote it, or move the file away"
                    % (self.path, content.get("version"), RECORD_VERSION)
                )
            self._content = content

    def file(self, path):
        """Return what was recorded of path, or None."""
        return self._content["files"].get(path)

    def state(self, key):
        """Return the state recorded under key, or None."""
        return self._content["state"].get(key)

    def keep(self, files=(), state=None):
        """Record the files as they are now, and the state given, unless they are recorded already."""
        missing = [path for path in files if path not in self._content["files"]]
        values = dict((key, value) for key, value in (state or {}).items() if key not in self._content["state"])
        if not missing and not values:
            return
        for path in missing:
            self._content["files"][path] = describe_file(path)
        self._content["state"].update(values)
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
        text = json.dumps(self._content, indent=1, sort_keys=True) + "\n"
        write_atomically(self.path, text.encode("utf-8"), 0o600)

    def content(self, kind):
        """Return what was recorded of a kind, C(files) or C(state), by its name."""
        return dict(self._content[kind])

    def original(self, path):
        """Return the recorded content of a file, or None where there was none."""
        recorded = self.file(path) or {}
        return base64.b64decode(recorded["content"]) if "content" in recorded else None

    def forget(self):
        """Remove the record, once everything is as it was."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        self._content = {"version": RECORD_VERSION, "files": {}, "state": {}}
