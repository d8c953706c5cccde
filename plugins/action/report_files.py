# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report is written by the controller itself: copying each of its files to itself, as to a host, took longer than
reading a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.xensec.hardening.plugins.module_utils.record import write_atomically

# For nobody else to read: a report describes weaknesses.
MODE = 0o600


class ActionModule(ActionBase):  # type: ignore[misc]
    """Writes files in a folder of the controller."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            {
                "path": {"type": "path", "required": True},
                "files": {"type": "dict", "required": True},
                "former": {"type": "dict", "default": {}},
            }
        )
        folder = Path(arguments["path"])
        try:
            # One that is there already may be shared on purpose.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, content in arguments["files"].items():
                former, path = arguments["former"].get(name), folder / name
                if former and path.exists():
                    write_atomically(str(folder / former), path.read_bytes(), MODE)
                write_atomically(str(path), (content.rstrip("\n") + "\n").encode(), MODE)
        except OSError as error:
            raise AnsibleActionFail(
                f"the report is not written: {error}. Set dom0_audit_report_dir to a folder that you may write, "
                "or to '' for no report"
            ) from error
        return {"changed": False, "written": list(arguments["files"])}
