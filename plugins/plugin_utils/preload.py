# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, loaded once for all tasks of a run.

Ansible has a new process for each task on each host, and loads and compiles in each of them anew what its templates use of a
collection. An action plugin it imports in the process that they are forked from, and what is loaded there they all have.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ansible.plugins.loader import filter_loader, test_loader
from ansible_collections.xensec.hardening.plugins.plugin_utils import controls


def preload() -> None:
    # With one of Ansible's own come all of them.
    filter_loader.get("ansible.builtin.default")
    test_loader.get("ansible.builtin.changed")
    for path in sorted(Path(__file__).parents[1].glob("filter/*.py")):
        filter_loader.get(f"xensec.hardening.{path.stem}")
    # Where it cannot be, as without jmespath, the first that needs it says so.
    with contextlib.suppress(ValueError):
        controls.builtin()
