# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as they were recorded: enabled by which links, masked or not, running or not; and back to that.

Links, not commands: what C(systemctl enable) makes follows from the unit's file of today, not from what there was.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re

from ansible_collections.xensec.hardening.plugins.module_utils import units

# By what systemd, SysV init and OpenRC know what is to be started.
LINK_FOLDERS = (
    "/etc/systemd/system",
    "/etc/systemd/system/*.wants",
    "/etc/systemd/system/*.requires",
    "/etc/systemd/system/*.upholds",
    "/etc/rc[0-6S].d",
    "/etc/runlevels/*",
)
RUNLEVEL_LINK = re.compile(r"/rc[0-6S]\.d/([SK])\d\d([^/]+)$")
MASK = "/dev/null"


def all_links():
    """Return {path: target} of the links in those folders."""
    found = {}
    for folder in [folder for pattern in LINK_FOLDERS for folder in glob.glob(pattern)]:
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
    return found


def links_of(names, links):
    """Return those of the links that say whether a unit of these names is started."""
    stems = set(units.stem(name) for name in names if name.endswith(".service"))
    found = {}
    for path, target in links.items():
        level = RUNLEVEL_LINK.search(path)
        base = level.group(2) if level else os.path.basename(path)
        by_stem = level or "/runlevels/" in path
        mine = base in stems if by_stem else base in names or os.path.basename(target) in names
        if mine:
            found[path] = target
    return found


def describe(unit, links):
    """Return what is recorded of a unit. One that serves a single connection does not come back."""
    return {
        "active": unit.active and not unit.per_connection,
        "state": unit.state,
        "names": sorted(unit.names),
        "links": links_of(unit.names, links),
    }


class Former(object):
    """What differs between the units as they are and as they were recorded.

    :arg recorded: what describe returned, by the unit's name.
    :arg found: the units of now, by name.
    :arg force: whether to put back also what somebody has changed since.
    """

    def __init__(self, recorded, found, force):
        self.recorded, self.found, self.links = recorded, found, all_links()
        self.remove, self.make, self.left = [], {}, []
        # Of records that do not have the links yet.
        self.unmask, self.enable = [], []
        changed = set(name for name in recorded if self.compare(name, recorded[name], force))
        active = [name for name in sorted(recorded) if recorded[name]["active"] and self.could_run(name)]
        self.start = [name for name in active if name not in self.left_names]
        self.touched = sorted(changed | set(self.start))

    @property
    def left_names(self):
        return [item.split(" ")[0] for item in self.left]

    def could_run(self, name):
        return name not in self.found or not self.found[name].active

    def compare(self, name, was, force):
        """Note what is to be done about the links of a unit. Return whether anything is."""
        unit = self.found.get(name)
        if "links" not in was:
            state = unit.state if unit else ""
            masked = state.startswith("masked") and not was["state"].startswith("masked")
            enabled = was["state"].startswith("enabled") and not state.startswith("enabled")
            self.unmask += [name] if masked else []
            self.enable += [name] if enabled else []
            return masked or enabled
        now = links_of(was["names"], self.links)
        if now == was["links"]:
            return False
        blocked = [path for path in was["links"] if os.path.lexists(path) and not os.path.islink(path)]
        if blocked:
            self.left.append("%s has a file of its own since, %s" % (name, blocked[0]))
            return False
        foreign = [path for path in now if now[path] != was["links"].get(path) and not self.is_ours(path, now[path])]
        if foreign and not force:
            self.left.append("%s has been enabled since, by %s" % (name, sorted(foreign)[0]))
            return False
        self.remove += [path for path in now if path not in was["links"]]
        self.make.update((path, target) for path, target in was["links"].items() if now.get(path) != target)
        return True

    @staticmethod
    def is_ours(path, target):
        """Whether a link is one that masking or disabling makes."""
        level = RUNLEVEL_LINK.search(path)
        return target == MASK or (level is not None and level.group(1) == "K")

    def relink(self):
        """Make the links what they were."""
        for path in self.remove:
            os.unlink(path)
        for path in sorted(self.make):
            if not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path), 0o755)
            if os.path.islink(path):
                os.unlink(path)
            os.symlink(self.make[path], path)

    def in_words(self, now):
        """Return a line for each unit that changes, as it is now or as it was."""
        lines = []
        for name in self.touched:
            unit, was = self.found.get(name), self.recorded[name]
            active = (unit is not None and unit.active) if now else was["active"]
            state = (unit.state if unit else "") if now else was["state"]
            lines.append("%s: %s, %s\n" % (name, "active" if active else "inactive", state or "no file"))
        return "".join(lines)
