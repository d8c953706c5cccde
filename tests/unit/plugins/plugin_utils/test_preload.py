# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
# As Ansible does before it forks the process for a task of the module.
SCRIPT = """
import json, sys
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader([sys.argv[1]])
action_loader.get("xensec.hardening.dom0_info", class_only=True)
json.dump(sorted(sys.modules), sys.stdout)
"""


def test_what_templates_use_is_loaded_before_the_first_task() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT / ".cache/collections")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout))
    plugins = "ansible_collections.xensec.hardening.plugins"
    filters = {f"{plugins}.filter.{path.stem}" for path in ROOT.glob("plugins/filter/*.py")}
    assert len(filters) > 10 and filters <= loaded
    assert {"jmespath", f"{plugins}.plugin_utils.relocation"} <= loaded
    # Ansible's own have no names of their own in it.
    assert any(re.match(r"ansible\.plugins\.filter\.\w*core", name) for name in loaded)
