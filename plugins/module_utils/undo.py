# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put back the files of a record, and leave alone what somebody has changed since."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible_collections.xensec.hardening.plugins.module_utils import files
from ansible_collections.xensec.hardening.plugins.module_utils.record import content_of, describe_file, sweep

# The folders that more than one module may have made.
OWN_FOLDERS = ("/etc/xensec/firewall", "/etc/xensec/firewall.d", "/etc/xensec/relocation", "/etc/xensec")
LOOKS = ("content", "link", "absent", "mode", "uid", "gid", "xattrs")


class Undo(object):
    """What is to be put back, and what is left.

    :arg record: the Record.
    :arg force: whether to put back also what somebody has changed since.
    :arg paths: those of the recorded files to consider; None for all.
    """

    def __init__(self, record, force=False, paths=None):
        self.record, self.paths, self.left = record, [], []
        for path in sorted(record.content("files") if paths is None else paths):
            was, now = record.file(path), describe_file(path)
            if all(was.get(key) == now.get(key) for key in LOOKS if key in was or key in now):
                continue
            foreign = content_of(now) != content_of(was) and record.is_foreign(path, content_of(now))
            if foreign and not force:
                self.left.append(self.changed_since(path))
            else:
                self.paths.append(path)

    @staticmethod
    def changed_since(path):
        return "%s has been changed since" % path

    def diff(self):
        """Return what changes, as Ansible shows it."""
        found = []
        for path in self.paths:
            before = (files.read(path) or b"").decode("utf-8", "replace")
            after = (self.record.original(path) or b"").decode("utf-8", "replace")
            found.append({"before_header": path, "after_header": path, "before": before, "after": after})
        return found

    def apply(self):
        for path in self.paths:
            files.put_back(path, self.record.file(path))

    def tidy(self):
        """Remove what runs that were killed have left of files, and the folders that were not there."""
        for folder in sorted(set(os.path.dirname(path) for path in self.record.content("files"))):
            sweep(folder)
        remove_folders(self.record.folders() + list(OWN_FOLDERS))


def remove_folders(folders):
    """Remove those of the folders that are there and empty, innermost first."""
    for folder in sorted(set(folders), key=len, reverse=True):
        if os.path.isdir(folder) and not os.path.islink(folder) and not os.listdir(folder):
            os.rmdir(folder)


def warnings(left):
    """Return what to warn about."""
    said = "these were left as they are (force puts them back as well): "
    return [said + "; ".join(left)] if left else []
