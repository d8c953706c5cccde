#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: account_allowlist
short_description: Close every local account that could log in and is not on a list
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Finds, in one call, what could let each local account in, and takes it away from all that are not in O(allowed). The
    password is locked, the account expires, its shell becomes C(nologin), it leaves the groups that give privilege, its
    ssh keys, crontabs and at jobs are put away, lingering ends, and so do its sessions and processes.
  - An account that a service of the system runs as goes on running it. It does not expire, keeps its jobs and the groups
    of its service, and loses its password, shell, keys and sessions.
  - A system account with a shell that nothing else could let in loses the shell, and nothing else.
  - An account that nothing could let in stays exactly as it is. So does C(root), whose logins are for
    M(xensec.hardening.login_policy) to close.
  - With O(confirm_timeout) it is a transaction. The host arms a rollback of its own before it closes accounts; only
    once a new connection came through are files put away and sessions ended.
  - What is found is recorded in C(/var/lib/xensec/account_allowlist.json), readable by root only.
extends_documentation_fragment:
  - xensec.hardening.undo
  - xensec.hardening.confirmation
options:
  state:
    description: V(present) closes the accounts, V(restored) gives back what was taken, but for the processes.
    type: str
    choices: [present, restored]
    default: present
  allowed:
    description: The accounts that may log in. It has to be given, and must not be empty, for O(state=present).
    type: list
    elements: str
    default: []
  privileged_groups:
    description:
      - The groups that give privilege. The ones that own the sockets of the tool stack, of container engines and of
        libvirt are added by themselves.
    type: list
    elements: str
    default:
      - root
      - sudo
      - wheel
      - admin
      - adm
      - shadow
      - disk
      - kmem
      - staff
      - kvm
      - docker
      - podman
      - libvirt
      - libvirtd
      - lxd
      - incus
      - incus-admin
      - xen
      - systemd-journal
      - netdev
attributes:
  check_mode:
    support: full
    description: Predicts what would change, without touching anything.
  diff_mode:
    support: full
    description: Shows by account what could let it in, and no secrets.
  platform:
    support: full
    platforms: linux
    description: Accounts in C(/etc/passwd); those of a directory are not seen.
"""

EXAMPLES = r"""
- name: Let nobody in but root and one operator
  xensec.hardening.account_allowlist:
    allowed: [root, ops]
"""

RETURN = r"""
left:
  description: What was left as it is, because somebody has changed it since.
  returned: for O(state=restored)
  type: list
  elements: str
accounts:
  description: The accounts that something could let in, by name, with what that is and what was done about it.
  returned: always
  type: dict
  sample:
    root: {allowed: true, ways: [key], done: [], service: false}
    alice: {allowed: false, ways: [password, key], done: [password, expire, shell, "group sudo"], service: false}
compat:
  description: Lines of /etc/passwd that have a directory add accounts.
  returned: for O(state=present)
  type: list
  elements: str
undone:
  description: Whether the host took the last change back, for want of a confirmation.
  returned: for the step V(status)
  type: bool
"""

import glob
import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils import accounts as local
from ansible_collections.xensec.hardening.plugins.module_utils import closing, sessions, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out
from ansible_collections.xensec.hardening.plugins.module_utils.control import control_connection, control_login
from ansible_collections.xensec.hardening.plugins.module_utils.files import remove
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record, sweep
from ansible_collections.xensec.hardening.plugins.module_utils.sshd import Sshd
from ansible_collections.xensec.hardening.plugins.module_utils.transaction import Transaction

STATE_FOLDER = RECORD_ROOT
# Whoever may write to one of these is root in all but name.
SOCKETS = (
    "/run/xenstored/*",
    "/var/run/xenstored/*",
    "/var/run/xend/*",
    "/dev/xen/*",
    "/run/docker.sock",
    "/run/podman/*.sock",
    "/run/libvirt/*-sock",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
)


def privileged(names):
    """Return the names with those of the groups that own sockets of power."""
    gids = set()
    for pattern in SOCKETS:
        for path in glob.glob(pattern):
            try:
                status = os.stat(path)
            except OSError:
                continue
            if status.st_mode & 0o020:
                gids.add(status.st_gid)
    return set(names) | set(name for name, gid, dummy in local.groups() if gid in gids)


def exists(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


class AllowList(object):
    """The accounts, what could let each of them in, and what is to be done."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.transaction = Transaction(module, "accounts")
        self.record = Record("account_allowlist", root=STATE_FOLDER)
        self.patterns = list(local.KEY_FILES)
        if module.get_bin_path("sshd", opt_dirs=["/usr/sbin", "/sbin"]):
            self.patterns = Sshd(module).key_files(self.params["allowed"] + ["root"])
        self.accounts = local.local_accounts()
        self.kept = set(self.params["allowed"]) | set(["root"])
        self.unfinished = self.read_unfinished()
        kept_accounts = [account for account in self.accounts if account.name in self.kept]
        # What these share with a closed account is theirs: a uid, a home.
        self.kept_uids = set(account.uid for account in kept_accounts)
        self.kept_keys = set(
            os.path.realpath(path) for account in kept_accounts for path in local.key_paths(account, self.patterns)
        )

    def read_unfinished(self):
        """Return the accounts that the last run closed, if it was killed before it put their files away."""
        number = self.next_run() - 1
        if not number or self.record.state("run/%d/files" % number) is not None:
            return set()
        return set(self.record.state("run/%d/closing" % number))

    def expired(self, account):
        """Whether it expires, and not by the work of a run that was killed."""
        return account.expired and account.name not in self.unfinished

    def look(self):
        """Return by account its ways in, whether a service runs as it, and what is to be done."""
        running = sessions.of_accounts(set(account.uid for account in self.accounts))
        named = sessions.service_accounts()
        groups = privileged(self.params["privileged_groups"])
        first_person = local.uid_min()
        found = {}
        for account in self.accounts:
            allowed = account.name in self.kept
            processes = running[account.uid]
            service = bool(processes["service"]) or account.name in named or str(account.uid) in named
            if account.uid in self.kept_uids:
                # Its processes cannot be told from those of the account that has the same uid.
                processes, service = {"person": [], "job": []}, False
            ways = []
            if account.has_password and not account.expired:
                ways.append("password")
            if self.keys(account, allowed, service) and not self.expired(account):
                ways.append("key")
            if not allowed:
                ways += self.quiet_ways(account, processes, service, first_person)
            if not ways and not allowed:
                continue
            work = {"allowed": allowed, "ways": ways, "service": service, "do": set(), "groups": set()}
            work["kind"] = "shell" if ways == ["shell"] else "service" if service else "account"
            if not allowed:
                self.decide(account, work, groups)
            found[account.name] = work
        return found

    def keys(self, account, allowed, service):
        paths = local.key_paths(account, self.patterns)
        if allowed or not (service or any(os.path.realpath(path) in self.kept_keys for path in paths)):
            return local.has_key(account, self.patterns)
        # Of an account that does not expire, or shares its home, only keys that can be put away count: sshd closes it.
        return bool(self.own_keys(account))

    def own_keys(self, account):
        """Return the account's files of keys that can be put away, in the form of closing.take."""
        with local.acting_as(account):
            found = []
            for path in local.key_paths(account, self.patterns):
                own = path.startswith(local.file_name(account.home.rstrip("/") + "/"))
                if own and os.path.realpath(path) not in self.kept_keys:
                    found.append(closing.take(account, path, True))
        return [one for one in found if one]

    def quiet_ways(self, account, processes, service, first_person):
        """What runs for an account without anybody logging in."""
        ways = []
        if account.uid >= first_person and not service and not self.expired(account):
            ways += ["cron"] if local.crontabs(account) else []
            ways += ["at"] if account.uid not in self.kept_uids and local.at_jobs(account) else []
        if os.path.lexists(local.linger_file(account)):
            ways.append("linger")
        # A system account's jobs are the system's.
        if processes["person"] or (processes["job"] and not service and account.uid >= first_person):
            ways.append("session")
        if account.uid < first_person and account.has_shell:
            ways.append("shell")
        return ways

    def decide(self, account, work, groups):
        if os.path.basename(account.shell) not in closing.NO_SHELL:
            work["do"].add("shell")
        if work["kind"] == "shell":
            return
        if account.has_password:
            work["do"].add("password")
        if not work["service"] and not account.expired and account.has_shadow:
            work["do"].add("expire")
        # A daemon's groups are its own; those of people are not.
        leaving = groups & set(local.ADMINISTRATORS) if work["service"] else groups
        work["groups"] = set(name for name, dummy, members in local.groups() if account.name in members) & leaving

    def run(self):
        if self.params["step"] == "status":
            return self.transaction.status()
        if self.params["state"] == "restored":
            return self.restore()
        if self.params["step"] == "confirm":
            return self.confirm()
        found = self.look()
        plan = dict((name, work) for name, work in found.items() if not work["allowed"])
        result = self.result(found)
        if self.module.check_mode or not plan:
            return result
        timeout = self.params["confirm_timeout"] if self.params["step"] == "load" else 0
        login = control_login()
        if login and login["account"] in plan and not timeout:
            self.module.fail_json(
                msg="this run comes in as %s, which is not allowed, and no transaction guards it: add %s to 'allowed'"
                % (login["account"], login["account"])
            )
        self.transaction.refuse_another()
        with closing.locked():
            edits = closing.edit(plan)
            number = self.next_run()
            self.record.keep(
                state={
                    "run/%d" % number: dict((name, edits[name][2]) for name in edits),
                    "run/%d/closing" % number: dict((name, plan[name]["kind"]) for name in plan),
                }
            )
            if edits and timeout:
                self.arm(edits, timeout)
            closing.write(dict((name, edits[name][1]) for name in edits))
        if edits and timeout:
            return dict(
                result,
                pending=True,
                confirm_timeout=timeout,
                control=control_connection(),
                login=login,
            )
        return self.put_away(number, result)

    def next_run(self):
        return len([key for key in self.record.content("state") if key.endswith("/closing")]) + 1

    def arm(self, edits, timeout):
        commands = []
        for name in sorted(edits):
            path = local.etc(name)
            copy = self.transaction.keep(name, edits[name][0], path)
            commands.append("cp -p '%s' '%s.xensec-back' && mv '%s.xensec-back' '%s'" % (copy, path, path, path))
        self.transaction.arm("\n".join(commands), timeout, boot="\n".join(commands))

    def confirm(self):
        if not self.transaction.confirm():
            self.module.fail_json(msg="the confirmation came too late, the host has taken the change back")
        return self.put_away(self.next_run() - 1, {"changed": True})

    def put_away(self, number, result):
        """End what runs, then put away what would bring it back. An account that only loses its shell has neither."""
        kinds = self.record.state("run/%d/closing" % number)
        closed = [account for account in self.accounts if kinds.get(account.name, "shell") != "shell"]
        for account in closed:
            if os.path.lexists(local.linger_file(account)):
                self.record.keep(state={"run/%d/linger/%s" % (number, account.name): True})
                self.linger(account, "disable")
                remove(local.linger_file(account))
        uids = set(account.uid for account in closed) - self.kept_uids
        left = sessions.end(uids, set(account.uid for account in closed if kinds[account.name] == "service"))
        warnings = ["the process %d of a closed account did not end" % pid for pid in left]
        taken = self.taken(closed, kinds)
        self.record.keep(state={"run/%d/files" % number: [one for dummy, one in taken]})
        for account, one in taken:
            try:
                with local.acting_as(account if one["own"] else self.root()):
                    remove(one["path"].encode("latin-1"))
            except OSError as error:
                warnings.append("%s stays (%s); sshd does not let its account in" % (local.shown(one["path"]), error))
        return dict(result, warnings=warnings)

    def root(self):
        return [account for account in self.accounts if account.uid == 0][0]

    def taken(self, closed, kinds):
        """Return (account, what was found) for each file that is put away."""
        found = []
        for account in closed:
            found += [(account, one) for one in self.own_keys(account)]
            if kinds[account.name] == "account":
                jobs = local.at_jobs(account) if account.uid not in self.kept_uids else []
                taken = [closing.take(account, path, False) for path in local.crontabs(account) + jobs]
                found += [(account, one) for one in taken if one]
        return found

    def linger(self, account, verb):
        """Tell logind, where it is there; what it does not take the file says."""
        if os.path.isdir(sessions.SYSTEMD):
            self.module.run_command(["loginctl", verb + "-linger", account.name.encode("latin-1")])

    def result(self, found):
        described, before, after = {}, [], []
        for name in sorted(found):
            work = found[name]
            done = sorted(work["do"]) + ["group %s" % local.shown(group) for group in sorted(work["groups"])]
            if not work["allowed"]:
                done += [way for way in ("key", "cron", "at", "linger", "session") if way in work["ways"]]
            described[local.shown(name)] = {
                "allowed": work["allowed"],
                "ways": work["ways"],
                "done": done,
                "service": work["service"],
            }
            if not work["allowed"]:
                before.append("%s: %s\n" % (local.shown(name), ", ".join(work["ways"])))
                runs = " (a service runs as it)" if work["service"] else ""
                after.append("%s: closed by %s%s\n" % (local.shown(name), ", ".join(done), runs))
        compat = [local.shown(line) for line in local.lines("passwd") if local.is_compat(line)]
        return {
            "changed": bool(before),
            "accounts": described,
            "compat": compat,
            "diff": [
                {
                    "before_header": "what could let accounts in",
                    "after_header": "what was done about it",
                    "before": "".join(before),
                    "after": "".join(after),
                }
            ],
        }

    def restore(self):
        """Give back what was taken, the last closing first."""
        if not self.module.check_mode:
            # Of a run that ended before its confirmation.
            self.transaction.take_back()
        state = self.record.content("state")
        kept, given, force = [], [], self.params["force"]
        for number in range(self.next_run() - 1, 0, -1):
            lines = state["run/%d" % number]
            kept += ["%s of %s has been changed since" % one for one in ([] if force else closing.changed(lines))]
            if self.module.check_mode:
                given += sorted(closing.reopen(lines, force))
                given += [one["path"] for one in state.get("run/%d/files" % number, []) if not closing.is_back(one)]
                continue
            with closing.locked():
                contents = closing.reopen(lines, force)
                closing.write(contents)
            given += sorted(contents)
            by_name = dict((account.name, account) for account in local.local_accounts())
            for one in state.get("run/%d/files" % number, []):
                account = by_name.get(one["account"])
                if not account:
                    continue
                with local.acting_as(account if one["own"] else self.root()):
                    if closing.is_back(one):
                        continue
                    if closing.give_back(one, force):
                        given.append(local.shown(one["path"]))
                    else:
                        kept.append("%s has come since" % local.shown(one["path"]))
            for key in sorted(state):
                account = by_name.get(key.split("/", 3)[3]) if key.startswith("run/%d/linger/" % number) else None
                if account and not os.path.lexists(local.linger_file(account)):
                    self.linger(account, "enable")
                    given.append(key)
        if not self.module.check_mode:
            self.transaction.clear()
            sweep(os.path.dirname(local.etc("passwd")))
            if not kept:
                self.record.close(self.params["forget"])
        diff = [{"before": "", "after": "\n".join(given) + "\n"}]
        result = {"changed": bool(given), "accounts": {}, "left": kept, "diff": diff if given else []}
        return dict(result, warnings=undo.warnings(kept))


def main():
    defaults = (
        "root sudo wheel admin adm shadow disk kmem staff kvm docker podman libvirt libvirtd lxd incus incus-admin"
    )
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "allowed": {"type": "list", "elements": "str", "default": []},
            "privileged_groups": {
                "type": "list",
                "elements": "str",
                "default": defaults.split() + ["xen", "systemd-journal", "netdev"],
            },
            "confirm_timeout": {"type": "int", "default": 60},
            "step": {"type": "str", "choices": ["all", "load", "confirm", "status"], "default": "all"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["state"] == "present" and not params["allowed"]:
        module.fail_json(msg="allowed is empty, which would close every account: name at least one, as in [root]")
    timeout = params["confirm_timeout"]
    if timeout and not 10 <= timeout <= 3600:
        module.fail_json(msg="confirm_timeout=%d: give 10 to 3600 seconds, or 0 for no transaction" % timeout)
    if params["state"] == "present" and not any(exists(name) for name in params["allowed"]):
        module.fail_json(
            msg="allowed=%s: this host has no such account, so all would be closed: name one that it has"
            % ", ".join(params["allowed"])
        )
    work_on(module)


def work_on(module):
    """Do what the parameters say, and end."""
    waits = module.params["step"] in ("all", "load") and module.params["state"] == "present"
    try:
        # What is found is only true while nobody else changes it.
        carry_out(module, lambda: AllowList(module).run(), [Transaction(module, "accounts")] if waits else ())
    except closing.Busy as error:
        module.fail_json(msg="%s, so nothing was changed: run this again later" % error)


if __name__ == "__main__":
    main()
