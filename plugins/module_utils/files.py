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
    """Replace path in one step. A file that is there keeps its owner, group and mode; a link stays a link."""
    path = os.path.realpath(path)
    try:
        status = os.stat(path)
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    except OSError:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
    # A name that no other program takes for a file of its own: run-parts, cron and sshd's Include pass it over.
    handle, temporary = tempfile.mkstemp(prefix=".xensec-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            if os.geteuid() == 0:
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            stream.write(data)
            stream.flush()
            os.fsync(handle)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def remove(path):
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def put_back(path, described):
    """Make path what describe_file of the record found there."""
    if described.get("absent"):
        remove(path)
    elif "link" in described:
        remove(path)
        os.symlink(described["link"], path)
    else:
        rewrite(
            path,
            base64.b64decode(described["content"]),
            described["mode"],
            (described["uid"], described["gid"]),
        )


def without_block(data):
    """Return the content of a file without our block."""
    start, end = data.find(BEGIN), data.find(END)
    if start < 0 or end < start:
        return data
    return data[:start] + data[end + len(END) :]


def with_block(data, block):
    """Return the content of a file with the block at its top, in place of the one it had."""
    return BEGIN + block + END + without_block(data)
