#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: sysctl_settings
short_description: Keep a named group of kernel settings, now and at every boot
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Writes the file C(/etc/sysctl.d/99-xensec-NAME.conf) with each setting and why it is there, and sets them in the
    kernel, in one call. Settings in other files are left alone; this one is read late, and prevails.
  - A setting the kernel does not have, or does not let anybody change, is reported and not written. In a container, where
    a setting would be that of the machine around it, only those of the network are touched, which are its own.
  - What is found is recorded in C(/var/lib/xensec/sysctl_NAME.json) before the first change.
extends_documentation_fragment:
  - xensec.hardening.undo
options:
  name:
    description: Which group, up to 12 lower-case letters and digits. It gives the file its name.
    type: str
    required: true
  state:
    description: V(present) sets them, V(restored) puts back what was found before the first change.
    type: str
    choices: [present, restored]
    default: present
  settings:
    description: The settings, in the order they are written.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: Its name, with dots or slashes, as C(sysctl.d) has them; the first of them separates.
        type: str
        required: true
      value:
        description: Its value. White space in it counts as one space.
        type: str
        required: true
      why:
        description: What it is good for, in one line.
        type: str
        required: true
      minimum:
        description: Whether a greater number is stricter, and left alone.
        type: bool
        default: false
      without:
        description: A key in place of which it is set; where the kernel has that one, this one is left alone.
        type: str
        default: ""
attributes:
  check_mode:
    support: full
    description: Predicts what would change, without touching anything.
  diff_mode:
    support: full
    description: Shows the file.
  platform:
    support: full
    platforms: linux
    description: Writes to C(/proc/sys).
"""

EXAMPLES = r"""
- name: Keep the kernel's log for root
  xensec.hardening.sysctl_settings:
    name: log
    settings:
      - {key: kernel.dmesg_restrict, value: 1, why: the log has addresses in it, minimum: true}
"""

RETURN = r"""
left:
  description: What was left as it is, because somebody has changed it since.
  returned: for O(state=restored)
  type: list
  elements: str
settings:
  description: >-
    By key its value as found, and its state: V(set) and V(held) are in effect, V(absent) is unknown to the kernel,
    V(replaced) has another key in its place, V(not applicable) is not this host's to change, V(refused) the kernel does
    not take; why says so.
  returned: always
  type: dict
  sample:
    kernel.dmesg_restrict: {found: "0", state: set, why: ""}
    kernel.kptr_restrict: {found: "0", state: not applicable, why: a container has the kernel of the machine around it}
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.xensec.hardening.plugins.module_utils import files, sysctl, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record, digest

PROC = "/proc"
FOLDER = "/etc/sysctl.d"
STATE_FOLDER = RECORD_ROOT
CONTAINER_FILES = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")
CAP_SYS_ADMIN = 21
HEADER = "# Written by xensec.hardening; a change made here is taken back by its next run.\n"


def foreign_kernel():
    """Return why the kernel is not this host's to set, or the empty string.

    Most settings are not per container: written in one, they are those of the machine that it runs on.
    """
    environment = (files.read(os.path.join(PROC, "1", "environ")) or b"").split(b"\0")
    if any(os.path.exists(path) for path in CONTAINER_FILES) or any(
        item.startswith(b"container=") for item in environment
    ):
        return "a container has the kernel of the machine around it"
    mapped = (files.read(os.path.join(PROC, "self", "uid_map")) or b"0 0 4294967295").split()
    if mapped != [b"0", b"0", b"4294967295"]:
        return "root is not root of the machine here, but of a user namespace"
    status = (files.read(os.path.join(PROC, "self", "status")) or b"").decode("ascii", "replace")
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M)
    if capabilities and not int(capabilities.group(1), 16) >> CAP_SYS_ADMIN & 1:
        return "root lacks the capability CAP_SYS_ADMIN here"
    return ""


class Settings(object):
    """The settings as they are and are to be."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.record = Record("sysctl_" + self.params["name"], root=STATE_FOLDER)
        self.path = os.path.join(FOLDER, "99-xensec-%s.conf" % self.params["name"])
        self.foreign = foreign_kernel()
        self.report, self.wanted = {}, []

    def look(self):
        for item in self.params["settings"]:
            key, found = item["key"], sysctl.get(item["key"])
            value = " ".join(item["value"].split())
            if found is None:
                state, why = "absent", "this kernel does not have it"
            elif item["without"] and sysctl.get(item["without"]) is not None:
                state, why = "replaced", "%s does it here" % item["without"]
            elif self.foreign and not sysctl.is_namespaced(key):
                state, why = "not applicable", self.foreign
            else:
                if item["minimum"] and (found + value).isdigit() and int(found) > int(value):
                    value = found
                state, why = "held" if found == value else "set", ""
                self.wanted.append((item, value))
            self.report[key] = {"found": found, "state": state, "why": why}

    def text(self):
        lines = ["# %s.\n%s = %s\n" % (item["why"], item["key"], value) for item, value in self.wanted]
        return to_bytes(HEADER + "".join(lines)) if lines else None

    def present(self):
        self.look()
        path, before = self.path, files.read(self.path)
        pending = [(item["key"], value) for item, value in self.wanted if self.report[item["key"]]["state"] == "set"]
        if not self.module.check_mode and (pending or self.text() != before):
            writes = dict(("sysctl " + key, to_bytes(value)) for key, value in pending)
            writes[path] = self.text()
            self.record.keep(state=dict((key, self.report[key]["found"]) for key, dummy in pending), writes=writes)
            for key, value in pending:
                refused = sysctl.put(key, value)
                if refused:
                    # What is not so is not said to be so, and not left for the next boot to trip over.
                    self.report[key].update(state="refused", why=refused)
                    self.wanted = [one for one in self.wanted if one[0]["key"] != key]
            if self.text() is not None and self.text() != before:
                # Once more: what the kernel refused is not in it.
                self.record.keep(writes={path: self.text()})
                files.rewrite(path, self.text())
            elif self.text() is None:
                files.remove(path)
        after = self.text()
        changed = after != before or any(entry["state"] == "set" for entry in self.report.values())
        return self.result(changed, before, after)

    def result(self, changed, before, after):
        diff = {"before_header": self.path, "after_header": self.path}
        diff.update(before=(before or b"").decode("utf-8", "replace"), after=(after or b"").decode("utf-8", "replace"))
        return {"changed": changed, "settings": self.report, "diff": [diff]}

    def restored(self):
        path, before, recorded = self.path, files.read(self.path), self.record.content("state")
        given = undo.Undo(self.record, self.params["force"])
        after = self.record.original(path) if path in given.paths else before
        left, stuck = list(given.left), []
        for key in sorted(recorded):
            found = sysctl.get(key)
            if found in (None, recorded[key]):
                continue
            if self.record.is_foreign("sysctl " + key, digest(to_bytes(found))) and not self.params["force"]:
                left.append("%s has been set to %s since" % (key, found))
                continue
            refused = "" if self.module.check_mode else sysctl.put(key, recorded[key])
            self.report[key] = {"found": found, "state": "refused" if refused else "set", "why": refused}
            stuck += ["%s stays %s until the next boot: %s" % (key, found, refused)] if refused else []
        changed = bool(given.paths) or any(entry["state"] == "set" for entry in self.report.values())
        if not self.module.check_mode:
            given.apply()
            given.tidy()
            if not left:
                self.record.close(self.params["forget"])
        return dict(self.result(changed, before, after), warnings=stuck + undo.warnings(left), left=left)


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "name": {"type": "str", "required": True},
            "settings": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "key": {"type": "str", "required": True, "no_log": False},
                    "value": {"type": "str", "required": True},
                    "why": {"type": "str", "required": True},
                    "minimum": {"type": "bool", "default": False},
                    "without": {"type": "str", "default": ""},
                },
            },
        },
        supports_check_mode=True,
    )
    if not re.match(r"[a-z][a-z0-9]{0,11}\Z", module.params["name"]):
        module.fail_json(msg="name=%r: give up to 12 lower-case letters and digits" % module.params["name"])
    try:
        settings = Settings(module)
    except ValueError as error:
        module.fail_json(msg="%s. Nothing was changed" % error)
    work = settings.present if module.params["state"] == "present" else settings.restored
    carry_out(module, work)


if __name__ == "__main__":
    main()
