# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings, by keys as sysctl writes them: in one file of our own for the boot, and in the kernel."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

ROOT = "/proc/sys"
FOLDER = "/etc/sysctl.d"


def file_of(key):
    """Return the kernel's file for a key: whichever of dot and slash comes first in it separates (sysctl.d(5))."""
    if "/" not in key or -1 < key.find(".") < key.find("/"):
        key = key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return os.path.join(ROOT, key)


def render(settings):
    """Return the file that sets them at boot."""
    lines = ["# Written by xensec.hardening, which writes it anew."]
    return "\n".join(lines + ["%s = %s" % (key, settings[key]) for key in sorted(settings)]) + "\n"


def get(key):
    """Return the value in the kernel, its words one space apart; None where it has no such setting."""
    try:
        with open(file_of(key)) as stream:
            return " ".join(stream.read().split())
    except (IOError, OSError):
        return None


def put(key, value):
    """Set it in the kernel. Return the empty string, or why it was refused."""
    try:
        with open(file_of(key), "w") as stream:
            stream.write(value + "\n")
    except (IOError, OSError) as error:
        return error.strerror or str(error)
    return ""
