# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A named ruleset in nftables or iptables, in tables or chains of its own, and its loading at boot."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible.module_utils.common.text.converters import to_text

CONFIGURATION = "/etc/xensec/firewall"
SYSTEMD_RUNNING = "/run/systemd/system"
SYSTEMD_UNITS = "/etc/systemd/system"
INIT_SCRIPTS = "/etc/init.d"
INIT_LINKS = "/etc/rcS.d"
IPV6 = "/proc/net/if_inet6"
SBIN = ["/sbin", "/usr/sbin"]
# The built-in chains, by table of iptables, that a ruleset may be called from.
HOOKS = {"filter": ["INPUT", "FORWARD"], "raw": ["PREROUTING"]}
# The place in a list of rules where those go that other roles have registered.
REGISTERED = "# registered"
UNIT = """\
[Unit]
Description=xensec.hardening: packet filter of {name}
DefaultDependencies=no
RequiresMountsFor={folder}
Wants=network-pre.target
# These flush what they find, at boot and whenever they are loaded again.
After=nftables.service netfilter-persistent.service iptables.service ip6tables.service ufw.service
PartOf=nftables.service netfilter-persistent.service iptables.service ip6tables.service
ReloadPropagatedFrom=nftables.service netfilter-persistent.service iptables.service ip6tables.service
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
{commands}

[Install]
WantedBy=sysinit.target nftables.service netfilter-persistent.service
"""
INIT_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {unit}
# Required-Start:    $local_fs
# Required-Stop:
# Should-Start:      nftables netfilter-persistent iptables-persistent ufw
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


# The legacy iptables gives up at once where another one runs, as at boot, where an init starts several things at a time.
WAIT = "--wait=30"
MATCH_SET = re.compile(r"-m set --match-set (\S+) src")


class Nftables(object):
    """The ruleset as tables of nftables."""

    # Whether the boot's commands may be run while the rules are loaded, without a moment in which they are not.
    seamless = True

    def __init__(self, module, name, tool, hook):
        self.module, self.tool = module, tool
        self.tables = ["inet xensec_" + name, "bridge xensec_" + name]
        self.path = os.path.join(CONFIGURATION, name + ".nft")

    @staticmethod
    def find(module):
        tool = module.get_bin_path("nft", opt_dirs=SBIN)
        if not tool:
            return None
        code, dummy, error = module.run_command([tool, "list", "tables"])
        if code == 0:
            return tool
        other = Iptables.find(module)
        if other and module.params["backend"] != "iptables" and "nf_tables" in module.run_command([other, "-V"])[1]:
            # No older kernel is the reason: iptables would use the same part of it. Rules may be there, unseen.
            module.fail_json(
                msg="nft does not work on this host, so nothing was changed: %s. Mend that and run this again, or choose "
                "backend=iptables" % to_text(error).strip()
            )
        return None

    def files(self, params, registered):
        """What the boot loads: whatever is there of the tables goes and the new comes, in one transaction.

        :arg registered: rules that other roles have put down, for the chain C(registered) of the first table.
        """
        declared, rest = self.outline(params["nftables"])
        strangers = sorted(set(declared) - set(self.tables))
        if rest or strangers or not declared:
            if rest:
                problem = "has '%s' outside of its tables" % rest.splitlines()[0]
            else:
                problem = "declares table " + strangers[0] if strangers else "declares no table"
            self.module.fail_json(
                msg="the nftables ruleset %s: it may declare %s, no other table, and hold nothing beside them"
                % (problem, " and ".join(self.tables))
            )
        text = self.removal(sorted(set(declared))) + to_text(params["nftables"]).strip() + "\n"
        if registered:
            rules = "\n".join("    " + rule for rule in registered)
            text += "table %s {\n  chain registered {\n%s\n  }\n}\n" % (self.tables[0], rules)
        return {self.path: text}

    @staticmethod
    def outline(text):
        """Return the tables the text declares, and what it says outside of them besides definitions."""
        text = re.sub(r'"[^"]*"|#.*', "", text)
        inner = None
        while text != inner:
            inner, text = text, re.sub(r"\{[^{}]*\}", "\0", text)
        text = re.sub(r"(?m)^\s*define\s+\w+\s*=[^\n;]*", "", text)
        table = r"(?<!\S)table\s+([^\0;\n]+?)\s*\0"
        declared = [" ".join(name.split()) for name in re.findall(table, text)]
        return declared, re.sub(table, "", text).strip(" \t\n;").replace("\0", "{}")

    @staticmethod
    def removal(tables):
        """Commands that delete the tables, whether they are there or not."""
        return "".join("table {0}\ndelete table {0}\n".format(table) for table in tables)

    def listings(self):
        """What the kernel holds of each table that is there."""
        found = {}
        # What cannot be listed must not be taken for absent.
        there = to_text(self.module.run_command([self.tool, "list", "tables"], check_rc=True)[1]).splitlines()
        for table in self.tables:
            if "table " + table in there:
                command = [self.tool, "-s", "list", "table"] + table.split()
                found[table] = to_text(self.module.run_command(command, check_rc=True)[1])
        return found

    def boot_commands(self):
        return ["%s -f %s" % (self.tool, self.path)]

    def listing(self):
        """What the kernel holds, or None where it holds nothing."""
        found = self.listings()
        return "".join(found[table] for table in sorted(found)) or None

    def load(self, files, *options):
        text = self.removal(sorted(self.listings())) + files[self.path]
        code, dummy, error = self.module.run_command([self.tool] + list(options) + ["-f", "-"], data=text)
        if code:
            self.module.fail_json(msg="nft refused the ruleset, nothing was changed: " + error.strip())

    def check(self, files):
        """Fail where the ruleset could not be loaded."""
        self.load(files, "-c")

    def clean(self):
        """Sets are part of their table here, and go with it."""

    def sources(self):
        return [self.path]

    def unload(self, clean=True):
        self.module.run_command([self.tool, "-f", "-"], data=self.removal(sorted(self.listings())), check_rc=True)

    def way_back(self, folder, source):
        """Return the files, by path, and the shell commands that bring back what the kernel holds now.

        :arg source: the texts it was loaded from, by path; None where it has been changed since. What the kernel
            lists means the same, but may read otherwise once it has been loaded again.
        """
        path = os.path.join(folder, os.path.basename(self.path) + ".before")
        held = self.listings()
        text = source[self.path] if source else "".join(held[table] for table in sorted(held))
        text = self.removal(self.tables) + text
        code, dummy, error = self.module.run_command([self.tool, "-c", "-f", "-"], data=text)
        if code:
            self.module.fail_json(msg="nft cannot load what it lists, so there is no way back: " + error.strip())
        removal = "%s -f - <<'END'\n%sEND" % (self.tool, self.removal(self.tables))
        # Should the old rules not load, an open door is better than a closed one: the operator has to get in.
        return {path: text}, "%s -f %s || %s" % (self.tool, path, removal)


class Iptables(object):
    """The ruleset as chains of iptables and ip6tables: XENSEC_NAME, which the hook jumps to, and those named after it.

    One that guards what is forwarded may have them in the table raw as well, ahead of connection tracking and of routing.
    """

    seamless = False

    def __init__(self, module, name, tool, hook):
        self.module = module
        self.chain = "XENSEC_" + name.upper()
        # The built-in chain that calls ours, by table.
        self.hooks = {"filter": hook}
        if hook == "FORWARD":
            self.hooks["raw"] = "PREROUTING"
        self.tools = [tool]
        tool6 = module.get_bin_path("ip6tables", opt_dirs=SBIN)
        # Without IPv6 in the kernel there is nothing to guard, and ip6tables cannot work.
        if tool6 and os.path.exists(IPV6):
            self.tools.append(tool6)
        self.paths = dict(
            (tool, os.path.join(CONFIGURATION, name + "." + os.path.basename(tool))) for tool in self.tools
        )
        # The words that run a program, by its path.
        self.patient = {}
        self.ipset = module.get_bin_path("ipset", opt_dirs=SBIN)
        self.sets_path = os.path.join(CONFIGURATION, name + ".ipset")

    @staticmethod
    def find(module):
        return module.get_bin_path("iptables", opt_dirs=SBIN)

    def files(self, params, registered):
        """What the boot loads.

        :arg registered: rules that other roles have put down, by tool, to go where the ruleset says C(# registered).
        """
        given = [to_text(rule).strip() for rule in params["iptables"] + params["ip6tables"]]
        broken = [rule for rule in given if rule != REGISTERED and not self.is_rule(self.split(rule)[1])]
        if broken or not given:
            problem = "%r is not a rule of the chain %s" % (broken[0], self.chain) if broken else "there is no rule"
            self.module.fail_json(
                msg="%s for iptables, the packet filter in use here: write rules as '-A %s ...', or of chains named %s_..."
                % (problem, self.chain, self.chain)
            )
        found = {}
        for tool in self.tools:
            name = os.path.basename(tool)
            rules = dict((table, []) for table in self.hooks)
            for rule in params[name]:
                table, rule = self.split(to_text(rule).strip())
                rules[table] += registered.get(name, []) if rule == REGISTERED else self.spread(rule, params["sets"])
            tables = [table for table in sorted(rules) if rules[table] or table == "filter"]
            found[self.paths[tool]] = "".join(self.section(table, rules[table]) for table in tables)
        if self.ipset and params["sets"]:
            found[self.sets_path] = self.set_commands(params["sets"])
        return found

    def split(self, rule):
        """Return the table a rule is for, and the rule without it."""
        words = rule.split(None, 2)
        return (words[1], words[2]) if words[:1] == ["-t"] and words[1] in self.hooks else ("filter", rule)

    def section(self, table, rules):
        """One table as iptables-restore reads it."""
        chains = sorted(set([self.chain] + [rule.split()[1] for rule in rules]))
        lines = ["*" + table] + [":%s - [0:0]" % chain for chain in chains]
        lines += ["-I %s 1 -j %s" % (self.hooks[table], self.chain)]
        return "\n".join(lines + rules + ["COMMIT", ""])

    @staticmethod
    def set_commands(sets):
        lines = []
        for name in sorted(sets):
            family = "inet6" if ":" in sets[name][0] else "inet"
            # hash:net doubles by itself up to maxelem.
            lines.append("create %s hash:net family %s maxelem %d" % (name, family, max(65536, 2 * len(sets[name]))))
            lines += ["add %s %s" % (name, element) for element in sets[name]]
        return "\n".join(lines + [""])

    def spread(self, rule, sets):
        """Return the rule; without ipset, one for each element of the set it names."""
        found = MATCH_SET.search(rule)
        if self.ipset or not found:
            return [rule.strip()]
        return [MATCH_SET.sub("-s " + element, rule).strip() for element in sets[found.group(1)]]

    def own_sets(self):
        """Our sets that the kernel has, with what is in them."""
        if not self.ipset:
            return {}
        code, output, dummy = self.module.run_command([self.ipset, "save"])
        found = {}
        for line in sorted(to_text(output).splitlines()) if code == 0 else []:
            name = line.split()[1]
            if name.startswith("xensec_"):
                # How large the kernel has made a set by now is its own affair.
                found.setdefault(name, []).append(line if line.startswith("add") else "create " + name)
        return found

    def is_own(self, chain):
        return chain == self.chain or chain.startswith(self.chain + "_")

    def is_rule(self, rule):
        words = rule.split()
        return "\n" not in rule and len(words) > 2 and words[0] == "-A" and self.is_own(words[1])

    def waiting(self, program):
        """Return the words that run the program, and have it wait for its turn if it can; older ones know no turns."""
        if program not in self.patient:
            dummy, output, error = self.module.run_command([program, "--help"])
            waits = re.search(r"--wait\b.*seconds", to_text(output) + to_text(error))
            self.patient[program] = [program, WAIT] if waits else [program]
        return self.patient[program]

    def restoring(self, tool):
        return self.waiting(tool + "-restore") + ["--noflush"]

    def boot_commands(self):
        commands = []
        if self.ipset:
            commands.append("-%s restore -exist -file %s" % (self.ipset, self.sets_path))
        for tool in self.tools:
            for table in sorted(self.hooks):
                commands.append("-%s -D %s -j %s" % (self.tool(tool, table), self.hooks[table], self.chain))
            commands.append("%s %s" % (" ".join(self.restoring(tool)), self.paths[tool]))
        return commands

    def tool(self, tool, table):
        return " ".join(self.waiting(tool) + ([] if table == "filter" else ["-t", table]))

    def jumps(self, table):
        return ["-A %s -j %s" % (hook, self.chain) for hook in HOOKS[table]]

    def saved(self, tool, table):
        """The lines of the table that belong to the hooks or to our chains."""
        code, output, dummy = self.module.run_command([tool + "-save", "-t", table])
        found = []
        for line in to_text(output).splitlines() if code == 0 else []:
            words = line.split()
            if line.startswith(":") and self.is_own(words[0][1:]):
                found.append(words[0] + " -")
            elif words[:1] == ["-A"] and (words[1] in HOOKS[table] or self.is_own(words[1])):
                found.append(line)
        return found

    def chains(self, saved):
        return [line.split()[0][1:] for line in saved if line.startswith(":")]

    def listing(self):
        found = []
        for tool, table in self.places():
            lines = self.saved(tool, table)
            hooked = [line for line in lines if line.startswith("-A %s " % self.hooks[table])]
            place = self.place(lines, table)
            found += [line for line in lines if line.startswith(":") or self.is_own(line.split()[1])]
            # An accept ahead of the jump lets packets past our chain, so it counts as a change to it.
            found += [line for line in hooked[: place - 1] if line.endswith("-j ACCEPT")]
            found += [line for line in lines if line in self.jumps(table)]
        named = set(MATCH_SET.findall("\n".join(found)))
        sets = self.own_sets() if named else {}
        found += [line for name in sorted(named) for line in sets.get(name, [])]
        return "\n".join(found) or None

    def places(self):
        return [(tool, table) for tool in self.tools for table in sorted(self.hooks)]

    def place(self, saved, table):
        """The number of the rule that calls our chain; 1 where there is none."""
        hooked = [line for line in saved if line.startswith("-A %s " % self.hooks[table])]
        jump = "-A %s -j %s" % (self.hooks[table], self.chain)
        return hooked.index(jump) + 1 if jump in hooked else 1

    def unhook(self, saved, table):
        """Commands that delete the jumps to our chain, from whichever hook."""
        return ["-D" + line[2:] for line in saved if line in self.jumps(table)]

    def restore(self, tool, text, *options):
        code, dummy, error = self.module.run_command(self.restoring(tool) + list(options), data=text)
        if code:
            self.module.fail_json(msg="%s-restore refused the ruleset: %s" % (tool, error.strip()))

    def load(self, files, *options):
        if self.sets_path in files and not options:
            command = [self.ipset, "restore", "-exist"]
            self.module.run_command(command, data=files[self.sets_path], check_rc=True)
        for tool in self.tools:
            text = "".join(self.replacement(tool, table, files[self.paths[tool]]) for table in sorted(self.hooks))
            self.restore(tool, text, *options)

    def replacement(self, tool, table, text):
        """One table of the text, and the commands that take away what the kernel holds of ours in it."""
        head, found, rest = text.partition("*%s\n" % table)
        saved = self.saved(tool, table)
        if not found:
            return self.removal(table, self.unhook(saved, table), self.chains(saved)) if self.chains(saved) else ""
        text = rest.partition("COMMIT\n")[0]
        hook = "-I %s 1" % self.hooks[table]
        text = text.replace(hook, "\n".join(self.unhook(saved, table) + [hook]), 1)
        # Chains that the new ruleset has no more: emptied before, deleted once nothing jumps there.
        gone = [chain for chain in self.chains(saved) if ":%s " % chain not in text]
        emptied, deleted = ("".join("-%s %s\n" % (verb, chain) for chain in gone) for verb in "FX")
        return "*%s\n" % table + emptied + text + deleted + "COMMIT\n"

    def check(self, files):
        """Fail where the ruleset could not be loaded."""
        # The sets are not there yet: they are made when it is loaded, and not to find out whether it could be.
        self.load(dict((path, MATCH_SET.sub("", files[path])) for path in files), "--test")

    def sources(self):
        return sorted(self.paths.values())

    def unload(self, clean=True):
        """Take our chains out of the kernel.

        :arg clean: whether the sets go, too; the way back needs them.
        """
        for tool, table in self.places():
            saved = self.saved(tool, table)
            if self.chains(saved):
                self.restore(tool, self.removal(table, self.unhook(saved, table), self.chains(saved)))
        if clean:
            self.clean()

    def clean(self):
        """Remove our sets that no rule names any more; the kernel keeps the others."""
        for name in sorted(self.own_sets()):
            self.module.run_command([self.ipset, "destroy", name])

    @staticmethod
    def removal(table, unhook, chains):
        lines = unhook + ["-F " + chain for chain in chains] + ["-X " + chain for chain in chains]
        return "\n".join(["*" + table] + lines + ["COMMIT", ""])

    def held(self, table, saved):
        """What the kernel holds of ours in the table, as iptables-restore reads it."""
        rules = [line for line in saved if line.startswith("-A ") and self.is_own(line.split()[1])]
        lines = [":%s - [0:0]" % chain for chain in self.chains(saved)] + rules
        lines += ["-I %s 1 -j %s" % (line.split()[1], self.chain) for line in saved if line in self.jumps(table)]
        return "\n".join(["*" + table] + lines + ["COMMIT", ""])

    def way_back(self, folder, source):
        """Return the files, by path, and the shell commands that bring back what the kernel holds now.

        :arg source: the texts it was loaded from, by path; None where it has been changed since.
        """
        files, commands = {}, []
        for tool in self.tools:
            path = os.path.join(folder, os.path.basename(self.paths[tool]) + ".before")
            saved = dict((table, self.saved(tool, table)) for table in self.hooks)
            text = (
                source[self.paths[tool]]
                if source
                else "".join(self.held(table, saved[table]) for table in sorted(saved))
            )
            plain = path + ".plain"
            files[plain] = text
            for table in sorted(self.hooks):
                # Others may have put rules of theirs ahead of the jump since it was loaded.
                hook = "-I %s %%d -j %s" % (self.hooks[table], self.chain)
                text = text.replace(hook % 1, hook % self.place(saved[table], table))
                own = "%s-save -t %s | sed -n 's/^:\\(%s\\(_[^ ]*\\)\\{0,1\\}\\) .*/\\1/p'" % (tool, table, self.chain)
                command = self.tool(tool, table)
                commands += [
                    "while %s -D %s -j %s 2>/dev/null; do :; done" % (command, self.hooks[table], self.chain),
                    "for chain in $(%s); do %s -F $chain; done" % (own, command),
                    "for chain in $(%s); do %s -X $chain; done" % (own, command),
                ]
            files[path] = text
            restore = " ".join(self.restoring(tool))
            commands.append("%s %s || %s %s" % (restore, path, restore, plain))
        return files, "\n".join(commands)


class Boot(object):
    """Loading at boot, by systemd or by SysV init."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.unit = "xensec-firewall-%s" % name
        self.systemd = os.path.isdir(SYSTEMD_RUNNING)

    def file(self):
        if self.systemd:
            return os.path.join(SYSTEMD_UNITS, self.unit + ".service")
        return os.path.join(INIT_SCRIPTS, self.unit)

    def text(self, commands):
        if self.systemd:
            lines = [verb + command for verb in ("ExecStart=", "ExecReload=") for command in commands]
            return UNIT.format(name=self.name, folder=CONFIGURATION, commands="\n".join(lines))
        lines = [
            "    " + (command[1:] + " 2>/dev/null" if command.startswith("-") else command) for command in commands
        ]
        return INIT_SCRIPT.format(name=self.name, unit=self.unit, commands="\n".join(lines))

    def enabled(self):
        if self.systemd:
            return os.path.islink(os.path.join(SYSTEMD_UNITS, "sysinit.target.wants", self.unit + ".service"))
        links = os.listdir(INIT_LINKS) if os.path.isdir(INIT_LINKS) else []
        return any(re.match(r"S\d+%s\Z" % self.unit, link) for link in links)

    def enable(self, start):
        if self.systemd:
            self.module.run_command(["systemctl", "daemon-reload"], check_rc=True)
            # Active, it is loaded again after whatever flushes all rules; see PartOf= above.
            self.module.run_command(["systemctl", "enable"] + ["--now"] * start + [self.unit], check_rc=True)
        else:
            self.module.run_command(["update-rc.d", self.unit, "defaults"], check_rc=True)

    def remove(self):
        if self.systemd:
            self.module.run_command(["systemctl", "disable", "--now", self.unit])
            if os.path.exists(self.file()):
                os.unlink(self.file())
            self.module.run_command(["systemctl", "daemon-reload"])
            # A failure would be remembered beyond its unit.
            self.module.run_command(["systemctl", "reset-failed", self.unit + ".service"])
        else:
            if os.path.exists(self.file()):
                os.unlink(self.file())
            self.module.run_command(["update-rc.d", "-f", self.unit, "remove"])
