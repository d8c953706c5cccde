# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings, by keys as sysctl(8) writes them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

ROOT = "/proc/sys"


def file_of(key):
    """Return the kernel's file for a key: whichever of dot and slash comes first in it separates (sysctl.d(5))."""
    if "/" not in key or -1 < key.find(".") < key.find("/"):
        key = key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return os.path.join(ROOT, key)


def get(key):
    """Return the value in the kernel, its words one space apart; None where it has no such setting."""
    try:
        with open(file_of(key)) as stream:
            return " ".join(stream.read().split())
    except (IOError, OSError):
        return None


def is_namespaced(key):
    """Whether a container has a setting of its own: those of the network, for the most part."""
    return file_of(key).startswith(os.path.join(ROOT, "net", ""))


def put(key, value):
    """Set it in the kernel. Return the empty string, or why it was refused."""
    try:
        with open(file_of(key), "w") as stream:
            stream.write(value + "\n")
    except (IOError, OSError) as error:
        return "the kernel does not take it: %s" % (error.strerror or error)
    return "" if get(key) == value else "the kernel took it and kept its own value"
