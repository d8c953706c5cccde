#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: firewall_ruleset
short_description: Load one ruleset into tables of its own, now and at every boot
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Makes the kernel's packet filter hold one named ruleset, in the nftables tables C(inet xensec_NAME) and
    C(bridge xensec_NAME), or in one chain C(XENSEC_NAME) of iptables and ip6tables.
  - Loads it in one step, and has it loaded at boot before the network comes up, through a unit or an init script
    of its own. Tables, chains, sets and files of other software are neither flushed nor rewritten.
  - A ruleset that was changed behind the module's back is loaded again.
  - With O(confirm_timeout) the change is a transaction. The host arms a rollback of its own, loads the rules, and keeps
    them once the controller has come through over a new connection; if it does not, the host takes them back by itself
    and the task fails. Only what was confirmed is made permanent. Where nothing differs, no new connection is made.
extends_documentation_fragment:
  - xensec.hardening.undo
  - xensec.hardening.planned
options:
  name:
    description:
      - Which ruleset, up to 12 lower-case letters and digits. It gives the tables, chains, files and the unit their names.
    type: str
    required: true
  state:
    description:
      - V(absent) takes the ruleset out of the kernel and away from the boot, and takes back what it registered.
      - V(restored) does that as well, and puts the files back that were there before the first change. With
        O(confirm_timeout) it is a transaction, too. Chains of iptables that end in accept go ahead of the host's other
        rules, and without them those may reject the operator.
    type: str
    choices: [present, absent, restored]
    default: present
  backend:
    description: The packet filter to use; V(auto) takes nftables where C(nft) works, else iptables.
    type: str
    choices: [auto, nftables, iptables]
    default: auto
  nftables:
    description:
      - The ruleset for nftables, as C(nft -f) reads it. It may declare the two tables named after O(name), no others,
        and beside them hold nothing but definitions of variables and comments.
    type: str
    default: ""
  iptables:
    description:
      - The rules for IPv4, as C(-A XENSEC_NAME ...), or of further chains whose names begin with C(XENSEC_NAME_).
      - With O(hook=FORWARD) also C(-t raw -A XENSEC_NAME ...), for chains of the table raw, called from PREROUTING. There,
        packets are seen before they are tracked or routed, those for the host itself included.
    type: list
    elements: str
    default: []
  ip6tables:
    description: The rules for IPv6, in the form of O(iptables).
    type: list
    elements: str
    default: []
  sets:
    description:
      - Networks by the name of a set, which the rules of iptables name as C(-m set --match-set NAME src). Names begin with
        C(xensec_) and are up to 31 characters long; a set's content never changes under a name.
      - Without ipset on the host, a rule for each of the networks takes the place of the one that names the set.
    type: dict
    default: {}
  registers:
    description:
      - Rules that the ruleset C(dom0) is to admit something by, now if it is loaded, else when it comes to be.
      - With nothing else to load, only this is done.
    type: dict
    suboptions:
      nftables:
        description: Rules of the chain C(registered) in the table C(inet xensec_dom0).
        type: list
        elements: str
        default: []
      iptables:
        description: Rules for IPv4, as C(-A XENSEC_DOM0 ...).
        type: list
        elements: str
        default: []
      ip6tables:
        description: Rules for IPv6, in the same form.
        type: list
        elements: str
        default: []
  confirm_timeout:
    description:
      - How long the host waits for the confirmation before it takes the change back, in seconds, from 10 to 3600.
      - V(0) is no transaction, for rulesets that cannot cut anybody off.
    type: int
    default: 0
  step:
    description: Which step of the transaction. It is for the action plugin, which sets it by itself.
    type: str
    choices: [all, load, confirm, status]
    default: all
  hook:
    description: The built-in chain of iptables that the chain is called from, ahead of other rules.
    type: str
    choices: [INPUT, FORWARD]
    default: INPUT
attributes:
  check_mode:
    support: full
    description: Nothing is loaded or written; the result is that of the real run, a refused ruleset included.
  diff_mode:
    support: full
    description: Shows the ruleset that was loaded last, and the one to load.
  platform:
    support: full
    platforms: linux
    description: systemd or SysV init; nftables 0.9 or later, or iptables 1.4 or later.
"""

EXAMPLES = r"""
- name: Reject relocation from everybody
  xensec.hardening.firewall_ruleset:
    name: relocation
    nftables: |
      table inet xensec_relocation {
        chain input {
          type filter hook input priority -5; policy accept;
          tcp dport { 8002, 8003 } reject with tcp reset
        }
      }
    iptables:
      - -A XENSEC_RELOCATION -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset
    ip6tables:
      - -A XENSEC_RELOCATION -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset
"""

RETURN = r"""
backend:
  description: The packet filter in use.
  returned: always
  type: str
  sample: nftables
undone:
  description: Whether the host took the last change back, for want of a confirmation.
  returned: for the step V(status)
  type: bool
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
  sample: ["the ruleset differs"]
"""

import glob
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils import firewall, undo
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out
from ansible_collections.xensec.hardening.plugins.module_utils.control import control_connection
from ansible_collections.xensec.hardening.plugins.module_utils.record import RECORD_ROOT, Record, write_atomically
from ansible_collections.xensec.hardening.plugins.module_utils.transaction import FOLDER, Transaction

REGISTRATIONS = "/etc/xensec/firewall.d"
STATE_FOLDER = RECORD_ROOT
# The ruleset that admits what others register.
DOM0 = "dom0"


class Ruleset(object):
    """One named ruleset on this host: wanted, on disk, in the kernel."""

    def __init__(self, module, name, params):
        self.module, self.name, self.params = module, name, params
        self.boot = firewall.Boot(module, name)
        self.record = Record("firewall_" + name, root=STATE_FOLDER)
        self.transaction = Transaction(module, "firewall-" + name)
        # The kernel prints a ruleset in words of its own: what it printed right after the load is what to compare with.
        self.loaded_path = os.path.join(STATE_FOLDER, "firewall_%s.loaded" % name)
        self.wanted_path = os.path.join(firewall.CONFIGURATION, name + ".json")
        hook = params["hook"]
        if params.get("state") in ("absent", "restored"):
            # Where it is to be taken away from, nobody has to remember.
            hook = self.read_json(self.wanted_path).get("hook", hook)
        self.backends = {}
        for kind in (firewall.Nftables, firewall.Iptables):
            tool = kind.find(module)
            if tool:
                self.backends[kind.__name__.lower()] = kind(module, name, tool, hook)

    def choose(self):
        wanted = self.params["backend"]
        for backend in ["nftables", "iptables"] if wanted == "auto" else [wanted]:
            if backend in self.backends:
                return backend
        self.module.fail_json(
            msg="no packet filter for backend=%s: install the package nftables (or iptables) on this host" % wanted
        )

    def read_json(self, path):
        text = firewall.read(path)
        return json.loads(text) if text else {}

    def compare(self, registrations):
        """Find out what differs; return the result so far, and what carrying it out takes."""
        chosen = self.choose()
        backend = self.backends[chosen]
        if chosen == "nftables":
            registered = [rule for owner in sorted(registrations) for rule in registrations[owner]["nftables"]]
        else:
            registered = dict(
                (family, [rule for owner in sorted(registrations) for rule in registrations[owner][family]])
                for family in ("iptables", "ip6tables")
            )
        files = backend.files(self.params, registered)
        # What the ruleset was made from, so that it can be made again when another role registers something.
        wanted = dict(
            (key, self.params[key]) for key in ("backend", "hook", "nftables", "iptables", "ip6tables", "sets")
        )
        # As it comes back from the file: on Python 2, text that is not ASCII would differ from itself.
        wanted = json.loads(json.dumps(wanted))
        loaded = self.read_json(self.loaded_path)
        before = dict((path, firewall.read(path)) for path in files)
        reasons, reload_needed = [], True
        if loaded.get("backend") not in (None, chosen):
            reasons.append("the backend was %s" % loaded["backend"])
        if before != files:
            reasons.append("the ruleset differs")
        elif loaded.get("listing") is None or backend.listing() != loaded["listing"]:
            reasons.append("the kernel holds another ruleset than was loaded")
        else:
            reload_needed = False
        boot_text = self.boot.text(backend.boot_commands())
        if firewall.read(self.boot.file()) != boot_text or not self.boot.enabled():
            reasons.append("it is not loaded at boot")
        if self.read_json(self.wanted_path) != wanted:
            reasons.append("what it was made from differs")
        diff = [
            {"before_header": path, "after_header": path, "before": before[path] or "", "after": files[path]}
            for path in sorted(files)
        ]
        result = {"changed": bool(reasons), "backend": chosen, "reasons": reasons, "diff": diff}
        return result, {
            "backend": backend,
            "files": files,
            "boot_text": boot_text,
            "wanted": wanted,
            "reload": reload_needed,
            "former": loaded.get("backend") if loaded.get("backend") not in (None, chosen) else None,
        }

    def present(self, registrations, step="all", timeout=0):
        """Make the host match, as far as the step goes."""
        if step == "status":
            return self.transaction.status()
        result, work = self.compare(registrations)
        if not result["reasons"] and step != "confirm":
            return result
        backend, files = work["backend"], work["files"]
        if step != "confirm":
            backend.check(files)
        if self.module.check_mode:
            return result
        if step == "confirm":
            if not self.transaction.confirm():
                self.module.fail_json(msg="the confirmation came too late, the host has taken the rules back")
            self.give_up_way_back()
            result["changed"] = True
        elif work["reload"]:
            self.keep(work)
            if step == "load" and timeout:
                self.arm([backend], timeout)
            backend.load(files)
            if step == "load" and timeout:
                return dict(result, pending=True, confirm_timeout=timeout, control=control_connection())
        self.persist(work)
        return result

    def keep(self, work):
        writes = dict((path, work["files"][path].encode("utf-8")) for path in work["files"])
        writes[self.boot.file()] = work["boot_text"].encode("utf-8")
        writes[self.wanted_path] = self.as_json(work["wanted"])
        self.record.keep(writes=writes)

    def arm(self, backends, timeout):
        """Have the host bring back what it holds now, in back ends that are about to be changed."""
        if not os.path.isdir(FOLDER):
            os.makedirs(FOLDER, 0o700)
        commands = []
        for backend in backends:
            source = dict((path, firewall.read(path)) for path in backend.sources())
            # With the other back end, or after a change behind the module's back, the files are not what the kernel holds.
            unchanged = all(source.values()) and backend.listing() == self.read_json(self.loaded_path).get("listing")
            files, back = backend.way_back(FOLDER, source if unchanged else None)
            for path in files:
                write_atomically(path, files[path].encode("utf-8"), 0o600)
            commands.append(back)
        self.transaction.arm("\n".join(commands), timeout)

    def give_up_way_back(self):
        """Remove what the host held before, once it is not to come back."""
        for name in sorted(self.backends):
            path = os.path.join(FOLDER, os.path.basename(self.backends[name].sources()[0]))
            for leftover in glob.glob(os.path.splitext(path)[0] + ".*.before*"):
                os.unlink(leftover)

    def persist(self, work):
        """Have the boot load it, and write down what the kernel holds now."""
        self.keep(work)
        # Only now, so that the ports are guarded all the time.
        if work["former"] in self.backends:
            former = self.backends[work["former"]]
            former.unload()
            for path in former.sources():
                if os.path.exists(path):
                    os.unlink(path)
        if not os.path.isdir(firewall.CONFIGURATION):
            os.makedirs(firewall.CONFIGURATION, 0o755)
        for path in work["files"]:
            write_atomically(path, work["files"][path].encode("utf-8"), 0o600)
        boot_mode = 0o644 if self.boot.systemd else 0o755
        write_atomically(self.boot.file(), work["boot_text"].encode("utf-8"), boot_mode)
        self.boot.enable(work["backend"].seamless)
        self.write_json(self.wanted_path, work["wanted"])
        work["backend"].clean()
        chosen = type(work["backend"]).__name__.lower()
        self.write_json(self.loaded_path, {"backend": chosen, "listing": work["backend"].listing()})

    @staticmethod
    def as_json(content):
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode("utf-8")

    def write_json(self, path, content):
        write_atomically(path, self.as_json(content), 0o600)

    def sources(self):
        return [
            os.path.join(firewall.CONFIGURATION, self.name + ending)
            for ending in (".nft", ".iptables", ".ip6tables", ".ipset", ".json")
        ]

    def absent(self):
        files = self.sources()
        diff = [
            {"before_header": path, "after_header": path, "before": firewall.read(path), "after": ""}
            for path in files[:4]
            if os.path.exists(path)
        ]
        files = [path for path in files + [self.boot.file(), self.loaded_path] if os.path.exists(path)]
        held = [name for name in sorted(self.backends) if self.backends[name].listing()]
        reasons = ["%s is there" % path for path in files] + ["%s holds it" % name for name in held]
        if reasons and not self.module.check_mode:
            for name in held:
                self.backends[name].unload()
            for path in files:
                if path == self.boot.file():
                    self.boot.remove()
                else:
                    os.unlink(path)
        return {"changed": bool(reasons), "backend": held[0] if held else "", "reasons": reasons, "diff": diff}

    def restored(self, step, timeout):
        """Take the ruleset away, and put back what was in the place of its files."""
        if step == "status":
            return self.transaction.status()
        if step == "confirm" and not self.transaction.confirm():
            self.module.fail_json(msg="the confirmation came too late, the host has put the rules back")
        if step != "confirm" and not self.module.check_mode:
            # Of a run that ended before its confirmation: its rules go, not those from before.
            self.transaction.take_back()
        given, unknown = self.undo(), [path for path in self.sources() if os.path.exists(path)]
        unknown = [path for path in unknown if not self.record.file(path)]
        held = [name for name in sorted(self.backends) if self.backends[name].listing()]
        reasons = ["%s is not as it was" % path for path in given.paths] + ["%s is there" % path for path in unknown]
        reasons += ["%s holds it" % name for name in held]
        result = {
            "changed": bool(reasons or step == "confirm"),
            "backend": held[0] if held else "",
            "reasons": reasons,
            "diff": [item for item in given.diff() if item["before_header"] != self.wanted_path],
            "left": given.left,
            "warnings": undo.warnings(given.left) + self.changed_in_kernel(held),
        }
        if self.module.check_mode:
            return result
        timeout = timeout if step == "load" else 0
        if held and timeout:
            self.arm([self.backends[name] for name in held], timeout)
        for name in held:
            self.backends[name].unload(clean=not timeout)
        if held and timeout:
            return dict(result, pending=True, confirm_timeout=timeout, control=control_connection())
        self.put_back(given, unknown)
        return result

    def undo(self):
        """Return the Undo of the ruleset's own files; the ones of registrations are Registrations' own."""
        recorded = [path for path in self.record.content("files") if not path.startswith(REGISTRATIONS + "/")]
        given = undo.Undo(self.record, self.params["force"], recorded)
        # What has the boot load the ruleset goes with it in any case: without its rules it would fail.
        for path in (self.boot.file(), self.wanted_path):
            said = given.changed_since(path)
            if said in given.left:
                given.left.remove(said)
                given.paths.append(path)
        return given

    def changed_in_kernel(self, held):
        loaded = self.read_json(self.loaded_path)
        name = loaded.get("backend")
        if name in held and self.backends[name].listing() != loaded.get("listing"):
            return ["the rules had been changed in the kernel since they were loaded; they go all the same"]
        return []

    def put_back(self, given, unknown):
        if os.path.exists(self.boot.file()) or self.boot.enabled():
            self.boot.remove()
        given.apply()
        for path in unknown + [self.loaded_path]:
            if os.path.exists(path):
                os.unlink(path)
        for name in sorted(self.backends):
            self.backends[name].clean()
        self.finish(given)

    def finish(self, given):
        """Remove what is left of the ruleset's files."""
        self.give_up_way_back()
        self.transaction.clear()
        given.tidy()
        if not given.left:
            self.record.close(self.params["forget"])


class Registrations(object):
    """What rulesets have put down for the ruleset dom0 to admit, a file for each of them."""

    def __init__(self, module):
        self.module = module

    def all(self):
        found = {}
        for entry in sorted(os.listdir(REGISTRATIONS)) if os.path.isdir(REGISTRATIONS) else []:
            if entry.endswith(".json"):
                found[entry[: -len(".json")]] = json.loads(firewall.read(os.path.join(REGISTRATIONS, entry)))
        return found

    def update(self, name, rules, result):
        """Put down the rules, or take them back where there are none, and have dom0's ruleset made again."""
        before = self.all()
        after = dict((owner, before[owner]) for owner in before if owner != name)
        if rules and any(rules.values()):
            after[name] = rules
        if before == after:
            return
        result["changed"] = True
        result["reasons"].append("what it registers with the ruleset %s differs" % DOM0)
        stored = firewall.read(os.path.join(firewall.CONFIGURATION, DOM0 + ".json"))
        if stored:
            ruleset = Ruleset(self.module, DOM0, json.loads(stored))
            remaining = ruleset.transaction.remaining()
            if remaining is not None:
                self.module.fail_json(
                    msg="a change of the ruleset %s waits for its confirmation: run this again in %d seconds"
                    % (DOM0, remaining + 1)
                )
            result["diff"] += ruleset.present(after)["diff"]
        # Last, so that a run that was interrupted is made up for by the next.
        path = os.path.join(REGISTRATIONS, name + ".json")
        if self.module.check_mode:
            return
        if name not in after:
            os.unlink(path)
            undo.remove_folders(undo.OWN_FOLDERS)
            return
        Record("firewall_" + name, root=STATE_FOLDER).keep(writes={path: Ruleset.as_json(after[name])})
        if not os.path.isdir(REGISTRATIONS):
            os.makedirs(REGISTRATIONS, 0o755)
        write_atomically(path, Ruleset.as_json(after[name]), 0o600)


def main():
    rules = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            # For the action plugin.
            "warnings": {"type": "list", "elements": "str", "default": []},
            "backend": {"type": "str", "choices": ["auto", "nftables", "iptables"], "default": "auto"},
            "nftables": {"type": "str", "default": ""},
            "iptables": {"type": "list", "elements": "str", "default": []},
            "ip6tables": {"type": "list", "elements": "str", "default": []},
            "hook": {"type": "str", "choices": ["INPUT", "FORWARD"], "default": "INPUT"},
            "sets": {"type": "dict", "default": {}},
            "registers": {"type": "dict", "options": {"nftables": rules, "iptables": rules, "ip6tables": rules}},
            "confirm_timeout": {"type": "int", "default": 0},
            "step": {"type": "str", "choices": ["all", "load", "confirm", "status"], "default": "all"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not re.match(r"[a-z][a-z0-9]{0,11}\Z", params["name"]):
        module.fail_json(msg="name=%r: give up to 12 lower-case letters and digits" % params["name"])
    timeout = params["confirm_timeout"]
    if timeout and not 10 <= timeout <= 3600:
        module.fail_json(msg="confirm_timeout=%d: give 10 to 3600 seconds, or 0 for no transaction" % timeout)
    try:
        ruleset = Ruleset(module, params["name"], params)
    except ValueError as error:
        module.fail_json(msg="%s. Nothing was changed" % error)
    armed = [ruleset.transaction] + [Transaction(module, "firewall-" + DOM0)] * bool(params["registers"])
    waits = params["step"] in ("all", "load") and params["state"] == "present"
    carry_out(module, lambda: work_on(ruleset, params), armed if waits else ())


def work_on(ruleset, params):
    """Do what the parameters say; return the result."""
    registrations = Registrations(ruleset.module)
    own_rules = params["nftables"] or params["iptables"] or params["ip6tables"]
    if params["state"] == "absent":
        result = ruleset.absent()
    elif params["state"] == "restored":
        result = ruleset.restored(params["step"], params["confirm_timeout"])
    elif own_rules or not params["registers"]:
        registered = registrations.all() if params["name"] == DOM0 else {}
        result = ruleset.present(registered, params["step"], params["confirm_timeout"])
    else:
        result = {"changed": False, "backend": "", "reasons": [], "diff": []}
    if params["name"] != DOM0 and params["step"] in ("all", "load"):
        registrations.update(params["name"], params["registers"] if params["state"] == "present" else None, result)
    return result


if __name__ == "__main__":
    main()
