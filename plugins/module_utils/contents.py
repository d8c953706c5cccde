# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file that may not be there, or go while it is read."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os


def read(*path):
    """Return the text of the file, what is no UTF-8 replaced; the empty string if it cannot be had.

    :arg path: its path, in as many parts as C(os.path.join) takes.
    """
    try:
        with open(os.path.join(*path), "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""
