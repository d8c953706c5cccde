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
options:
  name:
    description: Which ruleset. It gives the tables, the chain, the files and the unit their names.
    type: str
    required: true
  state:
    description: V(absent) takes the ruleset out of the kernel and away from the boot.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description: The packet filter to use; V(auto) takes nftables where C(nft) works, else iptables.
    type: str
    choices: [auto, nftables, iptables]
    default: auto
  nftables:
    description:
      - The ruleset for nftables, as C(nft -f) reads it. It may declare the two tables named after O(name), no others.
    type: str
    default: ""
  iptables:
    description: The rules of the chain for IPv4, each as it would follow C(iptables -A CHAIN).
    type: list
    elements: str
    default: []
  ip6tables:
    description: The rules of the chain for IPv6, each as it would follow C(ip6tables -A CHAIN).
    type: list
    elements: str
    default: []
  hook:
    description: The built-in chain of iptables that the chain is called from, ahead of other rules.
    type: str
    choices: [INPUT, FORWARD]
    default: INPUT
attributes:
  check_mode:
    support: full
    description: Nothing is loaded or written; the result is that of the real run.
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
      - -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset
    ip6tables:
      - -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset
"""

RETURN = r"""
backend:
  description: The packet filter in use.
  returned: always
  type: str
  sample: nftables
reasons:
  description: Why something was, or in check mode would be, changed.
  returned: always
  type: list
  elements: str
  sample: ["the ruleset differs"]
"""

import json
import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils.record import (
    RECORD_ROOT,
    Record,
    write_atomically,
)

CONFIGURATION = "/etc/xensec/firewall"
SBIN = ["/sbin", "/usr/sbin"]
UNIT = """\
[Unit]
Description=xensec.hardening: packet filter of {name}
DefaultDependencies=no
RequiresMountsFor={folder}
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
{commands}

[Install]
WantedBy=sysinit.target
"""
INIT_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {unit}
# Required-Start:    $local_fs
# Required-Stop:
# X-Start-Before:    networking
# Default-Start:     S
# Default-Stop:
# Short-Description: xensec.hardening: packet filter of {name}
### END INIT INFO
case "$1" in
start|restart|reload|force-reload)
{commands}
    ;;
esac
"""


def read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8")
    except (IOError, OSError):
        return None


class Nftables(object):
    """The ruleset as tables of nftables."""

    def __init__(self, module, name, tool):
        self.module, self.tool = module, tool
        self.tables = ["inet xensec_" + name, "bridge xensec_" + name]
        self.path = os.path.join(CONFIGURATION, name + ".nft")

    @staticmethod
    def find(module):
        tool = module.get_bin_path("nft", opt_dirs=SBIN)
        return tool if tool and module.run_command([tool, "list", "tables"])[0] == 0 else None

    def files(self, params):
        """What the boot loads: whatever is there of the tables goes and the new comes, in one transaction."""
        declared = re.findall(r"^\s*table\s+(.*?)\s*\{", params["nftables"], re.M)
        strangers = sorted(set(declared) - set(self.tables))
        if strangers or not declared:
            self.module.fail_json(
                msg="the nftables ruleset %s: it may declare %s and no other table"
                % (
                    "declares table " + strangers[0] if strangers else "declares no table",
                    " and ".join(self.tables),
                )
            )
        return {self.path: self.removal(sorted(set(declared))) + params["nftables"].strip() + "\n"}

    @staticmethod
    def removal(tables):
        """Commands that delete the tables, whether they are there or not."""
        return "".join("table {0}\ndelete table {0}\n".format(table) for table in tables)

    def listings(self):
        """What the kernel holds of each table that is there."""
        found = {}
        for table in self.tables:
            code, output, dummy = self.module.run_command([self.tool, "-s", "list", "table"] + table.split())
            if code == 0:
                found[table] = output
        return found

    def boot_commands(self):
        return ["%s -f %s" % (self.tool, self.path)]

    def listing(self):
        """What the kernel holds, or None where it holds nothing."""
        found = self.listings()
        return "".join(found[table] for table in sorted(found)) or None

    def load(self, files):
        text = self.removal(sorted(self.listings())) + files[self.path]
        for options in (["-c"], []):
            code, dummy, error = self.module.run_command([self.tool] + options + ["-f", "-"], data=text)
            if code:
                self.module.fail_json(msg="nft refused the ruleset, nothing was changed: " + error.strip())

    def unload(self):
        self.module.run_command([self.tool, "-f", "-"], data=self.removal(sorted(self.listings())), check_rc=True)


class Iptables(object):
    """The ruleset as one chain in each of iptables and ip6tables."""

    def __init__(self, module, name, tool):
        self.module = module
        self.chain = "XENSEC_" + name.upper()
        self.hook = module.params["hook"]
        self.tools = [tool]
        tool6 = module.get_bin_path("ip6tables", opt_dirs=SBIN)
        # Without IPv6 in the kernel there is nothing to guard, and ip6tables cannot work.
        if tool6 and os.path.exists("/proc/net/if_inet6"):
            self.tools.append(tool6)
        self.paths = dict(
            (tool, os.path.join(CONFIGURATION, name + "." + os.path.basename(tool))) for tool in self.tools
        )
        self.jump = "-A %s -j %s" % (self.hook, self.chain)

    @staticmethod
    def find(module):
        return module.get_bin_path("iptables", opt_dirs=SBIN)

    def files(self, params):
        found = {}
        for tool in self.tools:
            rules = ["-A %s %s" % (self.chain, rule) for rule in params[os.path.basename(tool)]]
            lines = ["*filter", ":%s - [0:0]" % self.chain, "-I %s 1 -j %s" % (self.hook, self.chain)]
            found[self.paths[tool]] = "\n".join(lines + rules + ["COMMIT", ""])
        return found

    def boot_commands(self):
        commands = []
        for tool in self.tools:
            commands.append("-%s -D %s -j %s" % (tool, self.hook, self.chain))
            commands.append("%s-restore --noflush %s" % (tool, self.paths[tool]))
        return commands

    def saved(self, tool):
        """The lines of the filter table that belong to the hook or to our chain."""
        code, output, dummy = self.module.run_command([tool + "-save", "-t", "filter"])
        wanted = ("-A %s " % self.hook, "-A %s " % self.chain, ":%s " % self.chain)
        return [line for line in output.splitlines() if line.startswith(wanted)] if code == 0 else []

    def listing(self):
        found = []
        for tool in self.tools:
            lines = self.saved(tool)
            before = lines[: lines.index(self.jump)] if self.jump in lines else []
            own = [
                line.split(" [")[0] for line in lines if line.startswith((":%s " % self.chain, "-A %s " % self.chain))
            ]
            # An accept ahead of the jump lets packets past our chain, so it counts as a change to it.
            own += [line for line in before if line.endswith("-j ACCEPT")]
            found += own + [line for line in lines if line == self.jump]
        return "\n".join(found) or None

    def restore(self, tool, text, *options):
        code, dummy, error = self.module.run_command([tool + "-restore", "--noflush"] + list(options), data=text)
        if code:
            self.module.fail_json(msg="%s-restore refused the ruleset: %s" % (tool, error.strip()))

    def load(self, files):
        texts = {}
        for tool in self.tools:
            delete = "-D %s -j %s\n" % (self.hook, self.chain)
            texts[tool] = files[self.paths[tool]].replace(
                "-I %s 1" % self.hook, delete * self.saved(tool).count(self.jump) + "-I %s 1" % self.hook, 1
            )
            self.restore(tool, texts[tool], "--test")
        for tool in self.tools:
            self.restore(tool, texts[tool])

    def unload(self):
        for tool in self.tools:
            saved = self.saved(tool)
            lines = ["-D %s -j %s" % (self.hook, self.chain)] * saved.count(self.jump)
            if any(line.startswith(":%s " % self.chain) for line in saved):
                lines += ["-F " + self.chain, "-X " + self.chain]
            self.restore(tool, "\n".join(["*filter"] + lines + ["COMMIT", ""]))


class Boot(object):
    """Loading at boot, by systemd or by SysV init."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.unit = "xensec-firewall-%s" % name
        self.systemd = os.path.isdir("/run/systemd/system")

    def file(self):
        return "/etc/systemd/system/%s.service" % self.unit if self.systemd else "/etc/init.d/" + self.unit

    def text(self, commands):
        if self.systemd:
            lines = ["ExecStart=" + command for command in commands]
            return UNIT.format(name=self.name, folder=CONFIGURATION, commands="\n".join(lines))
        lines = [
            "    " + (command[1:] + " 2>/dev/null" if command.startswith("-") else command) for command in commands
        ]
        return INIT_SCRIPT.format(name=self.name, unit=self.unit, commands="\n".join(lines))

    def enabled(self):
        if self.systemd:
            return os.path.islink("/etc/systemd/system/sysinit.target.wants/%s.service" % self.unit)
        return any(entry.endswith(self.unit) for entry in os.listdir("/etc/rcS.d"))

    def enable(self):
        if self.systemd:
            self.module.run_command(["systemctl", "daemon-reload"], check_rc=True)
            self.module.run_command(["systemctl", "enable", self.unit], check_rc=True)
        else:
            self.module.run_command(["update-rc.d", self.unit, "defaults"], check_rc=True)

    def disable(self):
        if self.systemd:
            self.module.run_command(["systemctl", "disable", self.unit])
        else:
            self.module.run_command(["update-rc.d", "-f", self.unit, "remove"])


class Ruleset(object):
    """One named ruleset on this host: wanted, on disk, in the kernel."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.name = module.params["name"]
        self.backends = {}
        for kind in (Nftables, Iptables):
            tool = kind.find(module)
            if tool:
                self.backends[kind.__name__.lower()] = kind(module, self.name, tool)
        self.boot = Boot(module, self.name)
        # The kernel prints a ruleset in words of its own: what it printed right after the load is what to compare with.
        self.loaded_path = os.path.join(RECORD_ROOT, "firewall_%s.loaded" % self.name)

    def choose(self):
        wanted = self.params["backend"]
        for backend in ["nftables", "iptables"] if wanted == "auto" else [wanted]:
            if backend in self.backends:
                return backend
        self.module.fail_json(
            msg="no packet filter for backend=%s: install the package nftables (or iptables) on this host" % wanted
        )

    def loaded(self):
        text = read(self.loaded_path)
        return json.loads(text) if text else {}

    def present(self):
        chosen = self.choose()
        backend = self.backends[chosen]
        files = backend.files(self.params)
        boot_file, boot_text = self.boot.file(), self.boot.text(backend.boot_commands())
        before = dict((path, read(path)) for path in files)
        loaded = self.loaded()
        reasons = []
        if loaded.get("backend") not in (None, chosen):
            reasons.append("the backend was %s" % loaded["backend"])
        if before != files:
            reasons.append("the ruleset differs")
        elif loaded.get("listing") is None or backend.listing() != loaded["listing"]:
            reasons.append("the kernel holds another ruleset than was loaded")
        if read(boot_file) != boot_text or not self.boot.enabled():
            reasons.append("it is not loaded at boot")
        diff = [
            {"before_header": path, "after_header": path, "before": before[path] or "", "after": files[path]}
            for path in sorted(files)
        ]
        result = {"changed": bool(reasons), "backend": chosen, "reasons": reasons, "diff": diff}
        if reasons and not self.module.check_mode:
            Record("firewall_" + self.name).keep(files=sorted(files) + [boot_file])
            if loaded.get("backend") not in (None, chosen) and loaded["backend"] in self.backends:
                self.backends[loaded["backend"]].unload()
            backend.load(files)
            self.persist(files, boot_file, boot_text)
            state = {"backend": chosen, "listing": backend.listing()}
            write_atomically(self.loaded_path, json.dumps(state, sort_keys=True).encode("utf-8"), 0o600)
        return result

    def persist(self, files, boot_file, boot_text):
        if not os.path.isdir(CONFIGURATION):
            os.makedirs(CONFIGURATION, 0o755)
        for path in files:
            write_atomically(path, files[path].encode("utf-8"), 0o600)
        write_atomically(boot_file, boot_text.encode("utf-8"), 0o644 if self.boot.systemd else 0o755)
        self.boot.enable()

    def absent(self):
        files = [os.path.join(CONFIGURATION, self.name + ending) for ending in (".nft", ".iptables", ".ip6tables")]
        files = [path for path in files + [self.boot.file(), self.loaded_path] if os.path.exists(path)]
        held = [name for name in sorted(self.backends) if self.backends[name].listing()]
        reasons = ["%s is there" % path for path in files] + ["%s holds it" % name for name in held]
        if reasons and not self.module.check_mode:
            for name in held:
                self.backends[name].unload()
            if self.boot.file() in files:
                self.boot.disable()
            for path in files:
                os.unlink(path)
        return {"changed": bool(reasons), "backend": held[0] if held else "", "reasons": reasons}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "backend": {"type": "str", "choices": ["auto", "nftables", "iptables"], "default": "auto"},
            "nftables": {"type": "str", "default": ""},
            "iptables": {"type": "list", "elements": "str", "default": []},
            "ip6tables": {"type": "list", "elements": "str", "default": []},
            "hook": {"type": "str", "choices": ["INPUT", "FORWARD"], "default": "INPUT"},
        },
        supports_check_mode=True,
    )
    if not re.match(r"[a-z][a-z0-9_]{0,19}\Z", module.params["name"]):
        module.fail_json(msg="name=%r: give up to 20 lower-case letters, digits and _" % module.params["name"])
    ruleset = Ruleset(module)
    module.exit_json(**getattr(ruleset, module.params["state"])())


if __name__ == "__main__":
    main()
