#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: login_policy
short_description: Set who may log in by which door, and go back when nobody comes through
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Writes the files that decide who logs in (those of sshd, PAM, cron and at) in one call, whole files of its own and
    marked blocks at the top of files of others, and has sshd read them again.
  - The files are checked with C(sshd -t), and what would be in effect with C(sshd -T), before sshd reads them; what does
    not come out as wanted is put back at once.
  - With O(confirm_timeout) it is a transaction. The host arms a rollback of its own first; a new connection from the
    controller has to come through, become included, or the host puts the files back by itself. A reboot in between
    comes up with the old ones as well.
  - What is found is recorded in C(/var/lib/xensec/login_policy.json) before the first change.
extends_documentation_fragment:
  - xensec.hardening.undo
  - xensec.hardening.planned
  - xensec.hardening.confirmation
options:
  state:
    description: V(present) writes the files, V(restored) puts back what was found before the first change.
    type: str
    choices: [present, restored]
    default: present
  files:
    description: Files that are ours as a whole.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      content:
        description: What is in it.
        type: str
        required: true
      mode:
        description: Its mode, in octal, where it is new.
        type: str
        default: "0644"
  blocks:
    description: Files of others that get a block of ours at their top.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is. It has to be there.
        type: path
        required: true
      content:
        description: The lines of the block.
        type: str
        required: true
  sshd:
    description: >-
      What has to be in effect in the ssh server, by the name of who logs in; of each setting, in lower case, a list of
      its lines.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Predicts what would change, without touching anything.
  diff_mode:
    support: full
    description: Shows the files.
  platform:
    support: full
    platforms: linux
    description: Needs OpenSSH's server.
"""

EXAMPLES = r"""
- name: Let in root by key only
  xensec.hardening.login_policy:
    files:
      - path: /etc/ssh/sshd_config.d/00-xensec.conf
        content: |
          AllowUsers root
          PermitRootLogin prohibit-password
          PasswordAuthentication no
    sshd:
      root: {permitrootlogin: [prohibit-password], passwordauthentication: ["no"]}
    confirm_timeout: 60
"""

RETURN = r"""
left:
  description: What was left as it is, because somebody has changed it since.
  returned: for O(state=restored)
  type: list
  elements: str
reasons:
  description: Why something was, or in check mode would be, changed.
  returned: always
  type: list
  elements: str
  sample: ["/etc/at.allow differs"]
undone:
  description: Whether the host took the last change back, for want of a confirmation.
  returned: for the step V(status)
  type: bool
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.xensec.hardening.plugins.module_utils import files, sshd, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out
from ansible_collections.xensec.hardening.plugins.module_utils.control import control_connection, control_login
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record
from ansible_collections.xensec.hardening.plugins.module_utils.transaction import Transaction

STATE_FOLDER = RECORD_ROOT
SSH = "/etc/ssh/"


class LoginPolicy(object):
    """The files as they are and as they are to be."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.sshd = sshd.Sshd(module)
        self.transaction = Transaction(module, "login-policy")
        self.record = Record("login_policy", root=STATE_FOLDER)
        self.before, self.after, self.modes = {}, {}, {}
        self.left, self.given = [], None

    def wanted(self):
        """Fill in what the files are to hold; None is for no file."""
        for item in self.params["files"]:
            path = item["path"]
            self.before[path], self.after[path] = files.read(path), to_bytes(item["content"])
            self.modes[path] = int(item["mode"], 8)
        for item in self.params["blocks"]:
            path = item["path"]
            self.before[path] = files.read(path)
            if self.before[path] is None:
                self.module.fail_json(msg="%s is not there, so it cannot get a block: nothing was changed" % path)
            self.after[path] = files.with_block(self.before[path], to_bytes(item["content"]))

    def recorded(self):
        """Fill in what the files held at first; of others' files only our block goes."""
        given = undo.Undo(self.record, self.params["force"])
        self.left = list(given.left)
        for path in sorted(self.record.content("files")):
            self.before[path] = now = files.read(path)
            original = self.record.original(path)
            if now is not None and files.without_block(now) not in (now, original):
                self.after[path] = files.without_block(now)
                # Nothing is lost that somebody else has put there.
                self.left = [said for said in self.left if said != given.changed_since(path)]
            elif given.changed_since(path) not in given.left:
                self.after[path] = original
        self.given = given

    def differing(self):
        found = set(path for path in self.after if self.before[path] != self.after[path])
        if self.given:
            # Those of which only owner, mode or lists differ.
            found |= set(path for path in self.given.paths if path in self.after)
        return sorted(found)

    def write(self, contents):
        for path in sorted(contents):
            if contents[path] is None:
                files.remove(path)
            elif self.given and contents[path] == self.record.original(path):
                files.put_back(path, self.record.file(path))
            else:
                files.rewrite(path, contents[path], self.modes.get(path, 0o644))

    def wrong(self):
        """Return what is not as it has to be in the ssh server, would it read its files now; empty if all is well."""
        error = self.sshd.check()
        if error:
            return "sshd -t: " + error
        control = control_connection()
        # Settings may be bound to where a connection comes from: that of this very one counts.
        address = control["address"] if control else "127.0.0.1"
        for user in sorted(self.params["sshd"]):
            effective = self.sshd.effective(user, address)
            wanted = self.params["sshd"][user]
            for key in sorted(wanted):
                found = sorted(
                    value.replace("without-password", "prohibit-password") for value in effective.get(key, [])
                )
                if found != sorted(str(value) for value in wanted[key]):
                    return (
                        "for %s sshd would have %s %s instead of %s, because another line of its configuration says "
                        "so: take it out of %s or what that includes"
                        % (user, key, " ".join(found) or "unset", " ".join(wanted[key]), sshd.CONFIG)
                    )
        main = files.read(sshd.CONFIG) or b""
        if sshd.CONFIG in self.after and self.params["state"] == "present":
            names = set(key for user in self.params["sshd"] for key in self.params["sshd"][user])
            loose = sshd.conflicts(main.decode("latin-1"), names)
            if loose:
                return "%s has lines that win over ours for some: %s; take them out" % (sshd.CONFIG, "; ".join(loose))
        return ""

    def arm(self, changed, timeout):
        """Have the host put the files back, unless it is told in time that a new connection came through."""
        self.transaction.refuse_another()
        commands = []
        for number, path in enumerate(changed):
            if self.before[path] is None:
                commands.append("rm -f '%s'" % path)
                continue
            copy = self.transaction.keep("%d" % number, self.before[path], path)
            commands.append("cp -p '%s' '%s.xensec-back' && mv '%s.xensec-back' '%s'" % (copy, path, path, path))
        # At boot sshd is not up yet, and reads them anyway.
        reload = [self.sshd.reload_command()]
        self.transaction.arm("\n".join(commands + reload), timeout, boot="\n".join(commands))

    def run(self):
        if self.params["step"] == "status":
            return self.transaction.status()
        if self.params["step"] == "confirm":
            if not self.transaction.confirm():
                self.module.fail_json(msg="the confirmation came too late, the host has taken the change back")
            return dict(self.close(), changed=True)
        restoring = self.params["state"] == "restored"
        if restoring:
            if not self.module.check_mode:
                # Of a run that ended before its confirmation.
                self.transaction.take_back()
            self.recorded()
        else:
            self.wanted()
        changed = self.differing()
        result = {
            "changed": bool(changed),
            "reasons": ["%s differs" % path for path in changed],
            "diff": [self.difference(path) for path in changed],
        }
        if restoring:
            result.update(left=self.left, warnings=undo.warnings(self.left))
        if self.module.check_mode:
            return result
        timeout = self.params["confirm_timeout"] if self.params["step"] == "load" else 0
        if changed:
            self.apply(changed, timeout)
        elif not restoring:
            error = self.wrong()
            if error:
                self.module.fail_json(msg="nothing was changed, but it is not in effect: " + error)
        if not (changed and timeout):
            self.close()
        else:
            result.update(pending=True, confirm_timeout=timeout, control=control_connection(), login=control_login())
        return result

    def close(self):
        """After a restore that is whole, end the record and remove what is left beside it; return what was left."""
        if self.params["state"] != "restored":
            return {}
        if self.given is None:
            self.recorded()
        self.transaction.clear()
        self.given.tidy()
        if not self.left:
            self.record.close(self.params["forget"])
        return {"left": self.left}

    def difference(self, path):
        return {
            "before_header": path,
            "after_header": path,
            "before": (self.before[path] or b"").decode("utf-8", "replace"),
            "after": (self.after[path] or b"").decode("utf-8", "replace"),
        }

    def apply(self, changed, timeout):
        """Write the files, and have sshd read them if all is well with them; else put them back."""
        restoring = self.params["state"] == "restored"
        if not restoring:
            self.record.keep(writes=dict((path, self.after[path]) for path in changed))
        if timeout:
            self.arm(changed, timeout)
        self.write(dict((path, self.after[path]) for path in changed))
        error = self.sshd.check() if restoring else self.wrong()
        if not error and any(path.startswith(SSH) for path in changed):
            error = self.sshd.reload()
        if not error:
            return
        self.write(dict((path, self.before[path]) for path in changed))
        self.sshd.reload()
        if timeout:
            self.transaction.confirm()
        self.module.fail_json(msg="the files were put back at once: " + error)


def main():
    file = {"path": {"type": "path", "required": True}, "content": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            # For the action plugin.
            "warnings": {"type": "list", "elements": "str", "default": []},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": dict(file, mode={"type": "str", "default": "0644"}),
            },
            "blocks": {"type": "list", "elements": "dict", "default": [], "options": file},
            "sshd": {"type": "dict", "default": {}},
            "confirm_timeout": {"type": "int", "default": 60},
            "step": {"type": "str", "choices": ["all", "load", "confirm", "status"], "default": "all"},
        },
        supports_check_mode=True,
    )
    timeout = module.params["confirm_timeout"]
    if timeout and not 10 <= timeout <= 3600:
        module.fail_json(msg="confirm_timeout=%d: give 10 to 3600 seconds, or 0 for no transaction" % timeout)
    for item in module.params["files"] + module.params["blocks"]:
        if not re.match(r"/[A-Za-z0-9_./-]+\Z", item["path"]):
            module.fail_json(msg="path=%r: give an absolute path of plain letters" % item["path"])
    try:
        policy = LoginPolicy(module)
    except ValueError as error:
        module.fail_json(msg="%s. Nothing was changed" % error)
    waits = module.params["step"] in ("all", "load") and module.params["state"] == "present"
    carry_out(module, policy.run, [policy.transaction] if waits else ())


if __name__ == "__main__":
    main()
