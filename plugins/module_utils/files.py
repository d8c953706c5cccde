# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change files that belong to others, and put them back byte for byte."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import os
import stat
import tempfile

from ansible_collections.xensec.hardening.plugins.module_utils.record import TEMPORARY, read_xattrs, sweep

BEGIN = b"# BEGIN xensec.hardening: what is between these lines is ours\n"
END = b"# END xensec.hardening\n"


def read(path):
    """Return the content, or None where there is no such file."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except (IOError, OSError) as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def rewrite(path, data, mode=0o644, owner=(0, 0)):
    """Replace path in one step. A file that is there keeps its owner, group, mode and lists; a link stays a link."""
    path = os.path.realpath(path)
    xattrs = None
    try:
        status = os.stat(path)
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        xattrs = read_xattrs(path)
    except OSError:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
    replace(path, data, {"mode": mode, "uid": owner[0], "gid": owner[1], "xattrs": xattrs})


def replace(path, data, described):
    """Replace path in one step by a file of this content, owner, group, mode, and maybe lists and time."""
    sweep(os.path.dirname(path))
    # A name that no other program takes for a file of its own: run-parts, cron and sshd's Include pass it over.
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            if os.geteuid() == 0:
                os.fchown(handle, described["uid"], described["gid"])
            stream.write(data)
            stream.flush()
            set_xattrs(temporary, described.get("xattrs"))
            # After the lists, which have a mode in them.
            os.fchmod(handle, described["mode"])
            os.fsync(handle)
        set_times(temporary, described)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def set_xattrs(path, xattrs):
    """Give a new file its extended attributes. Those that the kernel sets by itself it may not take from us."""
    for name in sorted(xattrs or {}):
        try:
            os.setxattr(path, name, base64.b64decode(xattrs[name]))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def set_times(path, described):
    if "mtime_ns" in described and hasattr(os, "listxattr"):
        os.utime(path, ns=(described["mtime_ns"], described["mtime_ns"]))
    elif "mtime" in described:
        os.utime(path, (described["mtime"], described["mtime"]))


def remove(path):
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def put_back(path, described):
    """Make path what describe_file of the record found there."""
    folder = os.path.dirname(path)
    if described.get("absent"):
        remove(path)
        return
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o755)
    if "link" in described:
        sweep(folder)
        temporary = os.path.join(folder, TEMPORARY + "link")
        os.symlink(described["link"], temporary)
        os.rename(temporary, path)
    else:
        replace(path, base64.b64decode(described["content"]), described)


def without_block(data):
    """Return the content of a file without our block."""
    start, end = data.find(BEGIN), data.find(END)
    if start < 0 or end < start:
        return data
    return data[:start] + data[end + len(END) :]


def with_block(data, block):
    """Return the content of a file with the block at its top, in place of the one it had."""
    return BEGIN + block + END + without_block(data)
