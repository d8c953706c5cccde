# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the checkout importable as ansible_collections.xensec.hardening, on Python 2.7 and 3 alike."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys
import types

import pytest
from hypothesis import settings

# No test is timed: the machine may be busy with others.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = {
    "ansible_collections": None,
    "ansible_collections.xensec": None,
    "ansible_collections.xensec.hardening": "",
    "ansible_collections.xensec.hardening.plugins": "plugins",
    "ansible_collections.xensec.hardening.plugins.action": "plugins/action",
    "ansible_collections.xensec.hardening.plugins.filter": "plugins/filter",
    "ansible_collections.xensec.hardening.plugins.modules": "plugins/modules",
    "ansible_collections.xensec.hardening.plugins.module_utils": "plugins/module_utils",
    "ansible_collections.xensec.hardening.plugins.plugin_utils": "plugins/plugin_utils",
}

for name in sorted(PACKAGES):
    package = types.ModuleType(name)
    folder = PACKAGES[name]
    package.__path__ = [] if folder is None else [os.path.join(ROOT, folder)]
    sys.modules[name] = package
    parent, _dot, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)

# What runs on the controller only is not meant for the Pythons of old hosts.
collect_ignore_glob = (
    ["plugins/filter/*", "plugins/action/*", "plugins/plugin_utils/*"] if sys.version_info < (3, 9) else []
)


@pytest.fixture(autouse=True)
def own_lock(tmpdir, monkeypatch):
    """The lock of a host is each test's own, and no test waits for a transaction of another run."""
    from ansible_collections.xensec.hardening.plugins.module_utils import changes, transaction

    monkeypatch.setattr(changes, "LOCK", str(tmpdir.join("locked", "lock")))
    monkeypatch.setattr(transaction, "PATIENCE", 0)
