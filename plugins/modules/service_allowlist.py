#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: service_allowlist
short_description: Keep the services that a policy needs, and stop, disable and mask the others
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Reads every service, socket, timer and path of systemd, or every service of SysV init or OpenRC, and works out what has
    to stay, which is what the policy names and all that it requires, wants, triggers, or is triggered by.
  - The rest is stopped, disabled and masked, sockets, timers and paths before the services they would start. So are
    services that the message bus starts by itself.
  - Some units stay whatever the policy says. These are the ones this very run comes in through, those that have processes
    of running guests or commands that act on guests, and those whose order makes them part of the early boot or of the
    network's set-up.
  - Mounts, swaps, targets, slices, scopes, devices, templates and transient units are left alone, and so is what they
    require.
  - What it found of a unit is recorded below C(/var/lib/xensec) before the unit is first changed.
  - After that it looks at every listening socket, TCP and UDP, and returns those that belong to no unit that stays.
extends_documentation_fragment:
  - xensec.hardening.undo
  - xensec.hardening.planned
options:
  state:
    description:
      - V(present) stops, disables and masks what is not kept.
      - V(restored) puts back what was recorded before. The units are unmasked, enabled and disabled by the very links they
        had, and those that ran are started. Purged packages do not come back, which is warned about.
    type: str
    choices: [present, restored]
    default: present
  keep:
    description:
      - What stays, and why. A pattern without a suffix such as C(.socket) means the units of every kind with that name.
      - Needed for O(state=present).
    type: list
    elements: dict
    suboptions: &entry
      patterns:
        description: Names of units, or shell patterns for them.
        type: list
        elements: str
        required: true
      reason:
        description: Why these stay; it is returned with each of them.
        type: str
        required: true
      protected:
        description: Whether it is an error to ask for one of them in O(stop).
        type: bool
        default: false
      unless:
        description: Patterns for units that are not meant, although O(keep[].patterns) has them.
        type: list
        elements: str
        default: []
      filesystems:
        description: It only counts where a file system of one of these types is mounted, or listed in C(/etc/fstab).
        type: list
        elements: str
        default: []
      preset:
        description: Whether one that is installed later may start by itself.
        type: bool
        default: false
  keep_without_timers:
    description: In the form of O(keep), what stays as well where the init has no timers, as SysV init and OpenRC have none.
    type: list
    elements: dict
    default: []
    suboptions: *entry
  wanted:
    description: Patterns in O(keep) that were given by hand. One that means no unit is warned of.
    type: list
    elements: str
    default: []
  stop:
    description: Patterns for what goes although O(keep) has it. For what is protected that is an error.
    type: list
    elements: str
    default: []
  action:
    description:
      - What is done to the rest. V(mask) stops, disables and masks it; V(disable) leaves it startable by hand, and by
        whatever else asks for it; V(report) changes nothing.
      - SysV init and OpenRC know no masks, so V(mask) is as V(disable) there.
    type: str
    choices: [mask, disable, report]
    default: mask
  preset:
    description:
      - Whether to keep newly installed services from starting by themselves, by a systemd preset and, on Debian, by
        C(/usr/sbin/policy-rc.d) unless there is one already.
    type: bool
    default: true
  kernel_ports:
    description: Ports that the kernel itself listens on, such as V(tcp/7789), which belong to no process.
    type: list
    elements: str
    default: []
  purge_packages:
    description:
      - Debian packages to remove with their configuration, in the end. It is an error, before anything is changed, if
        further packages would go with them, or if one of them has a unit that stays.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Predicts what would be done, and changes nothing.
  diff_mode:
    support: full
    description: Shows each unit that changes, before and after, and the files it writes.
  platform:
    support: full
    platforms: linux
    description: systemd 215 or later, SysV init or OpenRC.
"""

EXAMPLES = r"""
- name: Keep ssh and what it needs, and show what else runs
  xensec.hardening.service_allowlist:
    keep:
      - patterns: [ssh, sshd, "getty*", "systemd-*", dbus, "udev*"]
        reason: needed
        protected: true
    action: report
  register: services
"""

RETURN = r"""
services:
  description: Every unit that was decided on.
  returned: for O(state=present)
  type: dict
  contains:
    stays:
      description: Whether it stays.
      type: bool
    reason:
      description: Why it stays or goes.
      type: str
    protected:
      description: Whether it stays whatever the policy says.
      type: bool
    active:
      description: Whether it ran before this run.
      type: bool
    state:
      description: The state of its unit file before this run, in systemd's words.
      type: str
  sample:
    ssh.service: {stays: true, reason: the operator's way in, protected: true, active: true, state: enabled}
    rpcbind.socket: {stays: false, reason: nothing that stays needs it, protected: false, active: true, state: enabled}
started:
  description: The units that were started again.
  returned: for O(state=restored)
  type: list
  elements: str
left:
  description: What was left as it is, because somebody has changed it since, or would not start.
  returned: for O(state=restored)
  type: list
  elements: str
stopped:
  description: The units that were stopped, in check mode those that would be. No other stop is issued.
  returned: for O(state=present)
  type: list
  elements: str
disabled:
  description: The units that were disabled.
  returned: for O(state=present)
  type: list
  elements: str
masked:
  description: The units that were masked.
  returned: for O(state=present)
  type: list
  elements: str
blocked:
  description:
    - Units whose own file is in C(/etc/systemd/system), which cannot be masked; a drop-in keeps them from starting.
    - Services that only the message bus knows of, by their bus name with C(.dbus); a file that goes before theirs keeps
      the bus from starting them.
  returned: for O(state=present)
  type: list
  elements: str
purged:
  description: The packages that were removed.
  returned: for O(state=present)
  type: list
  elements: str
listeners:
  description: What listens afterwards, in check mode and with O(action=report) now.
  returned: for O(state=present)
  type: list
  elements: dict
  contains:
    socket:
      description: Protocol, address and port.
      type: str
    process:
      description: The program, empty for the kernel's own sockets.
      type: str
    pid:
      description: Its process.
      type: int
    units:
      description: The units it belongs to.
      type: list
      elements: str
    package:
      description: The package of the program, where it belongs to no unit that stays.
      type: str
    stays:
      description: Whether it belongs to a unit that stays.
      type: bool
strays:
  description: >-
    Those of the listeners that belong to no unit that stays, in words. In check mode, those that no stop would end.
  returned: for O(state=present)
  type: list
  elements: str
"""

import fnmatch
import glob
import os
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xensec.hardening.plugins.module_utils import contents, former, inits, record, undo, units
from ansible_collections.xensec.hardening.plugins.module_utils.changes import carry_out

PRESET = "/etc/systemd/system-preset/00-xensec.preset"
POLICY = "/usr/sbin/policy-rc.d"
# What Debian's insserv works out from the links.
INIT_ORDER = "/etc/init.d/.depend.*"
# How long services may take to be gone, in seconds, beyond what stopping them waited for.
PATIENCE = 10
POLICY_TEXT = """\
#!/bin/sh
{own}installing a package starts no service that Dom0 does not need.
# What it knows is what stayed when the role dom0_services ran last, and what may be installed later.
[ "$1" = --quiet ] && shift
case "$1" in
{stopped}{names}) exit 0 ;;
esac
case " $2 " in
*start* | *reload*) exit 101 ;;
esac
exit 0
"""


def later(entries):
    """Return the patterns for what may start by itself when it is installed later, each with its kind or without."""
    return [name for entry in entries if entry["preset"] for name in entry["patterns"]]


def with_kind(pattern):
    return pattern if pattern.endswith(units.KINDS) else pattern + ".*"


def both_ways(patterns):
    """Return the patterns with their kind and without, as packages' scripts name services in both ways."""
    return set(patterns).union(with_kind(pattern) for pattern in patterns)


def uncovered(names, patterns):
    """Return the names that no pattern means; the others would only say when they were there and when not.

    A name of instances has a star itself. Patterns of stars alone mean all that it does when they mean it.
    """
    stars = [pattern for pattern in patterns if "?" not in pattern and "[" not in pattern]
    return [name for name in sorted(names) if not any(fnmatch.fnmatchcase(name, pattern) for pattern in stars)]


def preset_text(found, verdicts, entries, stop):
    """Return a preset that keeps what is enabled and stays, and starts nothing else that is new."""
    names = [
        unit.name
        for unit in found
        if unit.state in ("enabled", "generated")
        and unit.name.endswith(units.KINDS)
        and (unit.name not in verdicts or verdicts[unit.name].stays)
    ]
    patterns = [with_kind(pattern) for pattern in later(entries)]
    # The first line that means a unit counts; nothing that is to be stopped is among what stays.
    lines = ["disable " + with_kind(pattern) for pattern in stop]
    lines += ["enable " + name for name in uncovered(names, patterns) + patterns]
    head = inits.OWN + "what stays is enabled, and nothing that is new starts by itself.\n"
    kinds = [kind for kind in units.KINDS if kind != ".dbus"]
    return head + "".join(line + "\n" for line in lines + ["disable *" + kind for kind in kinds])


def alternatives(names):
    """Return a shell's pattern for any of the names: they have letters, digits and wildcards; a backslash is itself."""
    return " | \\\n    ".join(sorted(name.replace("\\", "\\\\") for name in names))


def policy_text(host, found, verdicts, entries, stop):
    """Return Debian's policy for starting services while packages are installed."""
    names = set()
    for unit in found:
        if unit.transient or unit.name in verdicts and not verdicts[unit.name].stays:
            continue
        if "@." in unit.name:
            names.add(unit.name.replace("@.", "@*."))
        elif "@" not in unit.name or host.is_enabled(unit):
            # Other instances come and go, and so would the text.
            names.update(unit.names)
    names = set(name for name in names if name.endswith((".service", ".socket", ".timer", ".path")))
    names |= set(units.stem(name) for name in names)
    patterns = both_ways(later(entries))
    names = patterns.union(uncovered(names, patterns))
    stopped = alternatives(both_ways(stop)) + ") ;;\n" if stop else ""
    return POLICY_TEXT.format(own=inits.OWN, names=alternatives(names), stopped=stopped)


def hold_new(host, found, verdicts, entries, stop, warnings):
    """Return {path: text} of the files that keep what is installed later from starting by itself."""
    texts = {}
    if host.masks:
        texts[PRESET] = preset_text(found, verdicts, entries, stop)
    if os.path.exists("/usr/sbin/invoke-rc.d"):
        present = contents.read(POLICY)
        if present and inits.OWN not in present:
            warnings.append(
                "%s is not ours and was left alone: it decides whether a package that is installed later starts its "
                "services" % POLICY
            )
        else:
            texts[POLICY] = policy_text(host, found, verdicts, entries, stop)
    return texts


# --- what listens ---------------------------------------------------------------------------------------------


def package_of(module, path):
    """Return the package that a file is of, or the empty string."""
    for command in (["dpkg-query", "-S"], ["rpm", "-qf", "--qf", "%{NAME}"]):
        program = module.get_bin_path(command[0])
        if not program or not path:
            continue
        # A package may know the file by its name from before /bin and /usr/bin became one.
        for name in (path, re.sub(r"^/usr(?=/)", "", path)):
            code, output, dummy = module.run_command([program] + command[1:] + [name])
            if code == 0:
                return output.split(": ")[0].strip()
    return ""


def in_words(item):
    if item["pid"] is None:
        whose = "the kernel itself, for no process; if it is to be, add it to the kernel ports"
    else:
        whose = "process %d, %s" % (item["pid"], item["process"] or "of unknown program")
    of = ", ".join(item["units"]) or "none"
    return "%s: %s (unit: %s, package: %s)" % (item["socket"], whose, of, item["package"] or "none")


def find_strays(module, host, verdicts, going):
    """Return (what listens, the strays in words). One that is gone a moment later was nobody's service.

    :arg going: whether what is to go still runs, in check mode and for reports.
    """
    ports = module.params["kernel_ports"]
    found = inits.describe_listeners(host, verdicts, ports)

    def strays(items):
        return [
            item
            for item in items
            if not item["stays"]
            and not (going and any(name in verdicts and not verdicts[name].stays for name in item["units"]))
        ]

    deadline = time.time() + (0 if going else PATIENCE)
    while strays(found) and time.time() < deadline:
        time.sleep(0.5)
        found = inits.describe_listeners(host, verdicts, ports)
    for item in strays(found):
        item["package"] = package_of(module, item["process"])
    return found, [in_words(item) for item in strays(found)]


# --- packages -------------------------------------------------------------------------------------------------


def check_purge(module, found, verdicts):
    """Return the packages that are there to be purged; fail where more would go, or one that has a unit that stays."""
    wanted = module.params["purge_packages"]
    if not wanted:
        return []
    apt = module.get_bin_path("apt-get")
    query = module.get_bin_path("dpkg-query")
    if not apt or not query:
        module.fail_json(
            msg="packages can only be purged with apt, which is not here: empty the list of packages to purge"
        )
    listed = module.run_command([query, "-W", "-f", "${Package} ${db:Status-Status}\n"] + wanted)[1]
    present = [line.split()[0] for line in listed.splitlines() if not line.endswith((" not-installed", " "))]
    if not present:
        return []
    code, simulated, error = module.run_command([apt, "-s", "-q", "purge"] + present)
    if code:
        module.fail_json(msg="apt-get cannot tell what purging %s would do: %s" % (" ".join(present), error.strip()))
    going = set(re.findall(r"^(?:Purg|Remv) ([^\s:]+)", simulated, re.M))
    more = sorted(going - set(wanted))
    if more:
        module.fail_json(
            msg="purging %s would also remove %s: add these to the list if they may go, or take out what they need"
            % (" ".join(present), " ".join(more))
        )
    for unit in found:
        # A stem of the file's name is enough of a reason to ask for the package.
        if unit.name in verdicts and verdicts[unit.name].stays and unit.path:
            known = [contents.read("/var/lib/dpkg/info/%s.list" % name).splitlines() for name in present]
            short = re.sub(r"^/usr(?=/)", "", unit.path)
            if any(unit.path in lines or short in lines for lines in known):
                module.fail_json(
                    msg="purging %s would remove %s, which stays (%s): take its package out of the list"
                    % (" ".join(present), unit.name, verdicts[unit.name].reason)
                )
    return present


def purge(module, packages):
    command = [module.get_bin_path("apt-get", required=True), "-y", "-q", "purge"] + packages
    code, output, error = module.run_command(command, environ_update={"DEBIAN_FRONTEND": "noninteractive"})
    if code:
        module.fail_json(msg="purging %s failed: %s" % (" ".join(packages), (error or output).strip()[-1000:]))


# --- all of it ------------------------------------------------------------------------------------------------


def changed_files(texts):
    return dict((path, text) for path, text in texts.items() if contents.read(path) != text)


def settle(module, host, verdicts, before, mask):
    """Wait until what goes is gone and see that what stays stayed; try once more where it is not so."""
    warnings = []
    deadline = time.time() + PATIENCE
    retried = False
    while True:
        found = host.read()
        left = host.plan(found, verdicts, mask)
        if not left:
            break
        if time.time() > deadline:
            if retried:
                names = sorted(set(left.stop + left.disable + left.mask + left.block + left.bus))
                module.fail_json(
                    msg="these would not go: %s. %s"
                    % (", ".join(names), "; ".join(host.problems) or "Nothing was said"),
                )
            host.problems = []
            host.apply(found, left)
            retried, deadline = True, time.time() + PATIENCE
        time.sleep(0.5)
    now = dict((unit.name, unit) for unit in found)
    for action, lost in (
        (
            "enable",
            [unit.name for unit in before if host.is_enabled(unit) and not host.is_enabled(now.get(unit.name, unit))],
        ),
        (
            "start",
            [
                unit.name
                for unit in before
                if unit.active and host.is_enabled(unit) and not now.get(unit.name, unit).active
            ],
        ),
    ):
        lost = [name for name in lost if name in verdicts and verdicts[name].stays]
        if lost:
            host.revive(lost, action)
            warnings.append(
                "%s stays, but went down with something else: it was made to %s again" % (", ".join(lost), action)
            )
    return warnings


def keep_record(host, found, wanted, texts, packages):
    touched = set(wanted.stop + wanted.disable + wanted.mask + wanted.block + wanted.bus)
    links = former.all_links() if touched else {}
    state = dict(("unit " + unit.name, former.describe(unit, links)) for unit in found if unit.name in touched)
    state.update(("purged " + name, True) for name in packages)
    record.Record("service_allowlist", root=record.RECORD_ROOT).keep(
        files=[] if host.masks else glob.glob(INIT_ORDER),
        state=state,
        writes=dict((path, texts[path].encode("utf-8")) for path in texts),
    )


def restored(module, host):
    """Put back what was recorded; return the result."""
    params, kept = module.params, record.Record("service_allowlist", root=record.RECORD_ROOT)
    if not kept.exists():
        if params["forget"] and not module.check_mode:
            kept.close(forget=True)
        return {"changed": False, "started": [], "left": []}
    state = kept.content("state")
    recorded = dict((key[len("unit ") :], value) for key, value in state.items() if key.startswith("unit "))
    purged = sorted(key[len("purged ") :] for key in state if key.startswith("purged "))
    given = undo.Undo(kept, params["force"])
    units_then = former.Former(recorded, dict((unit.name, unit) for unit in host.read()), params["force"])
    result = {"changed": bool(given.paths or units_then.touched), "started": units_then.start}
    result["left"] = given.left + units_then.left
    result["warnings"] = ["these packages were purged, and do not come back: %s" % ", ".join(purged)] if purged else []
    if module._diff and result["changed"]:
        headers = {"before_header": "units", "after_header": "units"}
        changes = dict(headers, before=units_then.in_words(True), after=units_then.in_words(False))
        result["diff"] = [changes] * bool(units_then.touched) + given.diff()
    if not module.check_mode:
        host.bring_back(units_then, given)
        result["left"] += [
            "%s did not start again: see what its log says" % name for name in host.not_running(units_then.start)
        ]
        given.tidy()
        if not result["left"]:
            kept.close(params["forget"])
    result["warnings"] += undo.warnings(result["left"])
    return result


def diff(found, wanted, texts):
    """Return the units that change, and the files, before and after."""
    before, after = [], []
    for unit in found:
        name = unit.name
        if name not in wanted.stop + wanted.disable + wanted.mask + wanted.block + wanted.bus:
            continue
        state = unit.state or "no file"
        before.append("%s: %s, %s\n" % (name, "active" if unit.active else "inactive", state))
        if name in wanted.mask:
            state = "masked"
        elif name in wanted.block + wanted.bus:
            state = "blocked"
        elif name in wanted.disable:
            state = "disabled"
        after.append("%s: inactive, %s\n" % (name, state))
    result = []
    if before:
        result.append(
            {"before_header": "units", "after_header": "units", "before": "".join(before), "after": "".join(after)}
        )
    for path in sorted(texts):
        result.append(
            {"before_header": path, "after_header": path, "before": contents.read(path), "after": texts[path]}
        )
    return result


def entry_spec():
    return {
        "type": "list",
        "elements": "dict",
        "options": {
            "patterns": {"type": "list", "elements": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "protected": {"type": "bool", "default": False},
            "unless": {"type": "list", "elements": "str", "default": []},
            "filesystems": {"type": "list", "elements": "str", "default": []},
            "preset": {"type": "bool", "default": False},
        },
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            # For the action plugin.
            "warnings": {"type": "list", "elements": "str", "default": []},
            "keep": entry_spec(),
            "keep_without_timers": dict(entry_spec(), default=[]),
            "wanted": {"type": "list", "elements": "str", "default": []},
            "stop": {"type": "list", "elements": "str", "default": []},
            "action": {"type": "str", "choices": ["mask", "disable", "report"], "default": "mask"},
            "preset": {"type": "bool", "default": True},
            "kernel_ports": {"type": "list", "elements": "str", "default": []},
            "purge_packages": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "present", ["keep"])],
        supports_check_mode=True,
    )
    module.run_command_environ_update = {
        "LANG": "C",
        "LC_ALL": "C",
        "SYSTEMD_COLORS": "0",
        "SYSTEMD_PAGER": "",
        # Seconds that systemctl waits for an answer; it takes 25 by itself, too few for a busy host.
        "SYSTEMD_BUS_TIMEOUT": "120",
    }
    work = restored if module.params["state"] == "restored" else present
    carry_out(module, lambda: work(module, inits.detect(module)))


def present(module, host):
    """Keep what the policy needs, and have the rest gone; return the result."""
    params = module.params
    mask, report = params["action"] == "mask", params["action"] == "report"
    entries = params["keep"] + ([] if host.timers else params["keep_without_timers"])
    found = host.read()
    warnings = units.unmatched(params["wanted"], found, "the list of what is to be kept")
    warnings += units.unmatched(params["stop"], found, "the list of what is to be stopped")
    try:
        verdicts = units.decide(
            found, {"keep": entries, "stop": params["stop"]}, host.control(), host.busy(), inits.filesystems()
        )
    except units.PolicyError as error:
        module.fail_json(msg="%s. Nothing was changed" % error)
    warnings += [
        "the bus can still start %s: remove %s by hand" % (units.stem(unit.name), unit.path)
        for unit in found
        if mask and unit.name.endswith(".dbus") and not verdicts[unit.name].stays and inits.goes_first(unit)
    ]
    wanted = host.plan(found, verdicts, mask)
    texts = changed_files(host.files(wanted))
    if params["preset"] and not report:
        texts.update(changed_files(hold_new(host, found, verdicts, entries, params["stop"], warnings)))
    packages = [] if report else check_purge(module, found, verdicts)

    changed = bool(wanted or texts or packages) and not report
    result = {
        "changed": changed,
        "services": dict(
            (
                unit.name,
                {
                    "stays": verdicts[unit.name].stays,
                    "reason": verdicts[unit.name].reason,
                    "protected": verdicts[unit.name].protected,
                    "active": unit.active,
                    "state": unit.state,
                },
            )
            for unit in found
            if unit.name in verdicts
        ),
        "stopped": wanted.stop,
        "disabled": wanted.disable,
        "masked": wanted.mask,
        "blocked": wanted.block + wanted.bus,
        "purged": packages,
    }
    if report:
        result.update((key, []) for key in ("stopped", "disabled", "masked", "blocked", "purged"))
    if module._diff and changed:
        result["diff"] = diff(found, wanted, texts)
    act = changed and not module.check_mode
    if act:
        try:
            keep_record(host, found, wanted, texts, packages)
        except (IOError, OSError, ValueError) as error:
            module.fail_json(msg="what was found could not be recorded, so nothing was changed: %s" % error)
        inits.write_files(dict((path, texts[path]) for path in texts if path == PRESET))
        inits.write_files(dict((path, texts[path]) for path in texts if path == POLICY), 0o755)
        if wanted:
            host.apply(found, wanted)
            warnings += settle(module, host, verdicts, found, mask)
        if packages:
            purge(module, packages)
    result["listeners"], result["strays"] = find_strays(module, host, verdicts, going=not act and bool(wanted))
    return dict(result, warnings=warnings)


if __name__ == "__main__":
    main()
