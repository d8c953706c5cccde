# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a host's units stay and which go: the policy's patterns, and everything that what they keep depends on.

Pure functions over what was read, the same for systemd, SysV init and OpenRC: no command is run in here.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import difflib
import fnmatch
import re

# What this decides on. Mounts, targets, slices, scopes and devices are left alone, but what they need stays.
KINDS = (".service", ".socket", ".timer", ".path", ".dbus")
# What systemd takes for a unit's name (unit_name_is_valid), those of hidden files left out.
NAME = re.compile(r"[A-Za-z0-9_:\\-][A-Za-z0-9_:.\\@-]*\.[a-z]+$")
NETWORK_TARGETS = {"network-pre.target", "network.target", "network-online.target"}
BOOT_TARGETS = {
    "sysinit.target",
    "local-fs-pre.target",
    "local-fs.target",
    "swap.target",
    "cryptsetup-pre.target",
    "cryptsetup.target",
}
# Targets that say how far the boot has come (systemd.special). What they want is what happens to be enabled.
MILESTONE_NAMES = """
    basic default emergency first-boot-complete getty getty-pre graphical halt initrd integritysetup kexec multi-user
    nss-lookup nss-user-lookup paths poweroff reboot remote-cryptsetup remote-fs remote-fs-pre rescue rpcbind
    shutdown sleep slices sockets time-set time-sync timers umount veritysetup
"""
MILESTONES = NETWORK_TARGETS | BOOT_TARGETS | set(name + ".target" for name in MILESTONE_NAMES.split())
# A command that acts on guests: stopping a unit that has one may stop a guest.
GUEST_COMMAND = re.compile(
    r"(?:^|[/\s;=\"'])(?:xl|xm|virsh|xe)[\s;]+"
    r"(?:[^;\n]*?\b)?(?:create|start|restore|resume|save|shutdown|reboot|destroy|migrate|pause|unpause|vm-\w+)\b"
)
MEANINGS = {}


class Unit(object):
    """What was read of one unit.

    C(hard) has what it cannot do without, C(soft) what it asks for, C(triggers) what starts it or is started by it.
    C(state) is what systemd calls the unit file's state, in its words under other inits, too.
    """

    def __init__(self, name, **facts):
        self.name = name
        self.names = [name]
        self.active = False
        self.state = ""
        self.hard = []
        self.soft = []
        self.triggers = []
        self.before = []
        self.after = []
        self.wanted_by = []
        self.path = ""
        self.source = ""
        self.commands = ""
        self.transient = False
        self.blocked = False
        # Made for one connection each, by a socket that stays or goes itself.
        self.per_connection = False
        self.listens = []
        self.__dict__.update(facts)

    @property
    def decided(self):
        return self.name.endswith(KINDS) and not self.transient and "@." not in self.name


class Verdict(object):
    """What becomes of one unit: C(stays), and why; C(protected) where no setting changes that."""

    def __init__(self, stays, reason, protected=False):
        self.stays = stays
        self.reason = reason
        self.protected = protected


class PolicyError(Exception):
    """The policy asks for what must not be."""


def stem(name):
    base, dot, kind = name.rpartition(".")
    return base if dot + kind in KINDS else name


def meaning(patterns):
    """Return the names that patterns have as they are, and one expression for those with wildcards, or None.

    A host has hundreds of units and of patterns, so a list of patterns is worked out once.
    """
    key = tuple(patterns)
    if key not in MEANINGS:
        wild = [pattern for pattern in key if set("*?[").intersection(pattern)]
        expression = re.compile("|".join(fnmatch.translate(pattern) for pattern in wild)) if wild else None
        MEANINGS[key] = (frozenset(key).difference(wild), expression)
    return MEANINGS[key]


def matches(patterns, names):
    """Whether one of the patterns means one of a unit's names: C(cups) means cups.service, cups.socket and cups.path."""
    plain, expression = meaning(patterns)
    forms = [form for name in names for form in (name, stem(name))]
    return not plain.isdisjoint(forms) or bool(expression and any(expression.match(form) for form in forms))


def matches_unit(entry, unit):
    """Whether an entry of the policy means this unit, by any of its names."""
    return not matches(entry.get("unless") or (), unit.names) and matches(entry["patterns"], unit.names)


def structure(unit):
    """Return why a unit is needed to come up again, or to leave the guests alone, whatever its name; or None."""
    if unit.name.endswith((".service", ".socket")):
        if NETWORK_TARGETS.intersection(unit.before) or "network-pre.target" in unit.after:
            return "sets up the network, by its order"
        if "network-online.target" in unit.wanted_by:
            return "sets up the network, as network-online.target wants it"
        if BOOT_TARGETS.intersection(unit.before):
            return "part of the early boot, by its order"
    if GUEST_COMMAND.search(unit.commands):
        return "its commands act on guests"
    return None


class Closure(object):
    """What stays, grown from its roots along the dependencies."""

    def __init__(self, units, stopped):
        self.units = units
        self.by_name = dict((name, unit) for unit in units for name in unit.names)
        self.stopped = stopped
        self.verdicts = {}

    def keep(self, roots):
        """Keep units, given as (unit, reason, protected), with all that they need.

        What was kept before may become protected. A unit that is a root itself has its own reason.
        """
        todo = [root for root in roots if self.decide(*root)]
        todo = [needed for unit, dummy, protected in todo for needed in self.needs(unit, protected)]
        while todo:
            unit, reason, protected = todo.pop(0)
            if self.decide(unit, reason, protected):
                todo.extend(self.needs(unit, protected))

    def decide(self, unit, reason, protected):
        """Note that a unit stays. Return whether that is news."""
        known = self.verdicts.get(unit.name)
        if known and (known.protected or not protected):
            return False
        self.verdicts[unit.name] = Verdict(True, reason, protected)
        return True

    def roots_of(self, unit):
        """Return what a unit that is not decided on cannot do without; a mount or swap also has what it asks for."""
        if unit.name.endswith((".mount", ".swap", ".automount")):
            return [(unit, "not decided on", True)]
        names = [name for name in unit.hard if name in self.by_name and name not in MILESTONES]
        return [(self.by_name[name], "required by " + unit.name, True) for name in names]

    def needs(self, unit, protected):
        """Yield (unit, reason, protected) for what a unit that stays depends on."""
        for word, names, firm in (
            ("required by ", unit.hard, True),
            ("starts, or is started by, ", unit.triggers, True),
            ("wanted by ", unit.soft, False),
        ):
            if unit.name in MILESTONES and not firm:
                continue
            for name in names:
                needed = self.by_name.get(name)
                if not needed or needed is unit or (name in MILESTONES):
                    continue
                if not firm and needed.decided and self.stopped(needed):
                    continue
                yield needed, word + unit.name, protected and firm


def decide(units, policy, control=(), busy=(), filesystems=()):
    """Return a Verdict for each unit that can be decided on, by name.

    :arg units: the list of Unit.
    :arg policy: C(keep), a list of entries with patterns and reason, maybe protected, unless (patterns) and
        filesystems; C(stop), a list of patterns.
    :arg control: names of the units that this very run comes in through.
    :arg busy: names of the units that have processes of running guests.
    :arg filesystems: the types of the file systems that are mounted, or are to be at boot.
    :raises PolicyError: something protected, or needed by what is kept, is to be stopped.
    """
    entries = [
        entry
        for entry in policy["keep"]
        if not entry.get("filesystems") or set(entry["filesystems"]) & set(filesystems)
    ]

    def stopped(unit):
        return matches(policy["stop"], unit.names)

    closure = Closure(units, stopped)
    roots, left_alone = [], []
    for unit in units:
        if unit.decided:
            reason = protection(unit, entries, control, busy)
            roots += [(unit, reason, True)] if reason else []
        elif unit.active:
            # Left alone itself, but what it cannot do without must not be pulled from under it.
            left_alone += closure.roots_of(unit)
    closure.keep(roots)
    closure.keep(left_alone)
    for unit in units:
        verdict = closure.verdicts.get(unit.name)
        if verdict and unit.decided and stopped(unit):
            raise PolicyError(
                "%s is never stopped (%s): take it out of the list of what is to be stopped"
                % (unit.name, verdict.reason)
            )
    closure.keep(
        [
            (unit, entry["reason"], False)
            for entry in entries
            for unit in units
            if unit.decided and not entry.get("protected") and matches_unit(entry, unit) and not stopped(unit)
        ]
    )
    verdicts = {}
    for unit in units:
        if not unit.decided:
            continue
        verdict = closure.verdicts.get(unit.name)
        if verdict and stopped(unit):
            raise PolicyError(
                "%s cannot be stopped while it is %s: stop both, or keep both" % (unit.name, verdict.reason)
            )
        verdicts[unit.name] = verdict or Verdict(
            False, "it is to be stopped" if stopped(unit) else "nothing that stays needs it"
        )
    return verdicts


def protection(unit, entries, control, busy):
    """Return why a unit must stay whatever the configuration says, or None."""
    if unit.name in control:
        return "this run comes in through it"
    if unit.name in busy:
        return "has processes of running guests"
    for entry in entries:
        if entry.get("protected") and matches_unit(entry, unit):
            return entry["reason"]
    return structure(unit)


def unmatched(patterns, units, what):
    """Return a warning for each pattern that means no unit, with those it may have meant."""
    names = set(name for unit in units if unit.name.endswith(KINDS) for name in unit.names)
    names |= set(stem(name) for name in names)
    warnings = []
    for pattern in patterns:
        if matches([pattern], names):
            continue
        close = difflib.get_close_matches(pattern, sorted(names), 3)
        hint = "did you mean %s?" % ", ".join(close) if close else "there is nothing like it"
        warnings.append("%s has %r, which means no unit of this host: %s" % (what, str(pattern), hint))
    return warnings


# --- what systemctl prints ------------------------------------------------------------------------------------

COMMANDS = ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost")
# Those that take a line for each of their values.
REPEATED = ("Listen",) + COMMANDS
PROPERTY_NAMES = """
    Id Names LoadState ActiveState UnitFileState FragmentPath SourcePath DropInPaths Transient Requires Requisite BindsTo
    PartOf Wants Upholds OnFailure Triggers TriggeredBy Before After WantedBy RequiredBy Accept
"""
PROPERTIES = tuple(PROPERTY_NAMES.split()) + REPEATED
ACTIVE = ("active", "activating", "reloading", "deactivating", "refreshing", "maintenance")


def parse_unit_files(text):
    """Return {name: state} from C(systemctl list-unit-files)."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and "." in words[0]:
            found[words[0]] = words[1]
    return found


def parse_folders(text):
    """Return the folders that systemd takes unit files from, of C(systemctl show)."""
    return [word for line in text.splitlines() if line.startswith("UnitPath=") for word in line[9:].split()]


def parse_show(text):
    """Return a list of {property: value} from C(systemctl show) of many units."""
    blocks, block = [], {}
    for line in text.splitlines() + [""]:
        if not line:
            if block.get("Id"):
                blocks.append(block)
            block = {}
            continue
        key, equals, value = line.partition("=")
        if not equals:
            continue
        if key in REPEATED and key in block:
            value = block[key] + "\n" + value
        block[key] = value
    return blocks


def build_units(files, blocks, own_dropin=""):
    """Return the units from what show said, each once, however many names it was asked by, and the templates.

    :arg files: {name: state} of unit files, of which the templates are taken: they cannot be shown.

    A unit that was there when its name was read and is gone now is none; one that still runs without its file is.
    """
    found = {}
    for block in blocks:
        unit = build_unit(block, own_dropin)
        if unit and unit.name not in found:
            found[unit.name] = unit
    for name in sorted(files):
        # Nothing of a template runs but its instances.
        if "@." in name and name not in found:
            found[name] = Unit(name, state=files[name])
    accepting = set(stem(block["Id"]) for block in blocks if block.get("Accept") == "yes")
    for unit in found.values():
        prefix, at, instance = stem(unit.name).partition("@")
        unit.per_connection = bool(at and instance) and prefix in accepting and unit.name.endswith(".service")
    return [found[name] for name in sorted(found)]


def build_unit(block, own_dropin):
    def words(*keys):
        return [word for key in keys for word in block.get(key, "").split()]

    active = block.get("ActiveState") in ACTIVE
    state = block.get("UnitFileState", "")
    if block.get("LoadState") == "not-found" and not active:
        return None
    if block.get("LoadState") == "masked" and not state.startswith("masked"):
        state = "masked"
    return Unit(
        block["Id"],
        names=sorted(set(words("Names")) | set([block["Id"]])),
        active=active,
        state=state,
        hard=words("Requires", "Requisite", "BindsTo", "PartOf"),
        soft=words("Wants", "Upholds", "OnFailure"),
        triggers=words("Triggers", "TriggeredBy"),
        before=words("Before"),
        after=words("After"),
        wanted_by=words("WantedBy", "RequiredBy"),
        path=block.get("FragmentPath", ""),
        source=block.get("SourcePath", ""),
        transient=block.get("Transient") == "yes",
        commands="\n".join(block.get(key, "") for key in COMMANDS),
        blocked=bool(own_dropin) and any(path.endswith("/" + own_dropin) for path in words("DropInPaths")),
        listens=[line.split(" ")[0] for line in block.get("Listen", "").splitlines()],
    )


# --- init scripts ---------------------------------------------------------------------------------------------

LSB = re.compile(r"^### BEGIN INIT INFO\s*$(.*?)^### END INIT INFO", re.M | re.S)
FIELD = re.compile(r"^#\s*([A-Za-z-]+):[ \t]*(.*(?:\n#(?:\t|  ).*)*)", re.M)


def parse_lsb(text):
    """Return {keyword: words} of an init script's LSB header, the keywords in lower case."""
    header = LSB.search(text)
    return (
        dict((key.lower(), value.replace("#", " ").split()) for key, value in FIELD.findall(header.group(1)))
        if header
        else {}
    )


def parse_status_all(text):
    """Return {name: runs} from C(service --status-all); None where the script cannot tell."""
    marks = {"+": True, "-": False}
    return dict((name, marks.get(mark)) for mark, name in re.findall(r"^ \[ (.) \]\s+(\S+)", text, re.M))


def build_init_scripts(scripts, running, enabled):
    """Return the units of SysV init.

    :arg scripts: {name: text} of /etc/init.d.
    :arg running: {name: bool}.
    :arg enabled: the names that some runlevel starts.
    """
    headers = dict((name, parse_lsb(text)) for name, text in scripts.items())
    provides = {}
    for name in sorted(headers):
        for facility in headers[name].get("provides", []) + [name]:
            provides.setdefault(facility, name + ".service")
    # Other facilities of $ are milestones, as targets are.
    provides["$portmap"] = provides.get("rpcbind", provides.get("portmap"))
    found = []
    for name in sorted(headers):
        header = headers[name]
        found.append(
            Unit(
                name + ".service",
                active=bool(running.get(name)),
                state="enabled" if name in enabled else "disabled",
                hard=[provides[word] for word in header.get("required-start", []) if provides.get(word)],
                soft=[
                    provides[word] for word in header.get("should-start", []) if word[0] != "$" and provides.get(word)
                ],
                before=["sysinit.target"] if is_boot_script(name, header) else [],
                path="/etc/init.d/" + name,
                commands=scripts[name],
            )
        )
    return found


def is_boot_script(name, header):
    """Whether a script belongs to the start of the system itself. Debian starts these daemons as early, too."""
    return "S" in header.get("default-start", []) and name not in ("rpcbind", "portmap", "nfs-common", "x11-common")


def parse_openrc_need(text):
    """Return (needed, used) of an OpenRC script's depend()."""
    body = re.search(r"^\s*depend\s*\(\)\s*\{(.*?)^\}", text, re.M | re.S)
    lines = [line.split() for line in body.group(1).splitlines()] if body else []
    return tuple(
        [word for line in lines if line[:1] == [key] for word in line[1:] if not word.startswith(("$", "-", "#"))]
        for key in ("need", "use")
    )


def parse_rc_update(text):
    """Return {name: runlevels} from C(rc-update show)."""
    found = {}
    for line in text.splitlines():
        name, divider, levels = line.partition("|")
        if divider and name.strip():
            found[name.strip()] = levels.split()
    return found


def parse_rc_status(text):
    """Return the names of what runs from C(rc-status --servicelist)."""
    return set(re.findall(r"^\s*(?:\*\s*)?(\S+)\s+\[\s*started\b", text, re.M))


def build_openrc(scripts, running, levels):
    """Return the units of OpenRC: scripts {name: text}, the names that run, and {name: runlevels}."""
    found = []
    for name in sorted(scripts):
        needed, used = parse_openrc_need(scripts[name])
        found.append(
            Unit(
                name + ".service",
                active=name in running,
                state="enabled" if levels.get(name) else "disabled",
                hard=[word + ".service" for word in needed],
                soft=[word + ".service" for word in used],
                before=["sysinit.target"] if {"sysinit", "boot"} & set(levels.get(name, ())) else [],
                path="/etc/init.d/" + name,
                commands=scripts[name],
            )
        )
    return found
