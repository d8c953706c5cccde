# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a host's units, and stop, disable and mask some of them, under systemd, SysV init or OpenRC."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import signal

from ansible_collections.xensec.hardening.plugins.module_utils import sockets, units
from ansible_collections.xensec.hardening.plugins.module_utils.record import write_atomically

SYSTEMD_RUNS = "/run/systemd/system"
OPENRC_RUNS = "/run/openrc"
SYSTEM_UNITS = "/etc/systemd/system"
INIT_FOLDER = "/etc/init.d"
RUNLEVELS = "/etc/rc[2345S].d/S[0-9][0-9]*"
# Files that are no init scripts.
NO_SCRIPTS = ("README", "functions", "functions.sh", "skeleton", "halt.local", "rc", "rcS")
BUS_FOLDERS = tuple(
    root + "/dbus-1/system-services" for root in ("/etc", "/run", "/usr/local/share", "/usr/share", "/usr/lib", "/lib")
)
# The first of these that every version of the bus looks into.
OWN_BUS_FOLDER = "/usr/local/share/dbus-1/system-services"
BUS = "org.freedesktop.DBus"
OWN = "# Written by xensec.hardening: "
DROPIN = "xensec-services.conf"
DROPIN_TEXT = (
    OWN + "nothing that Dom0 needs depends on this unit.\n"
    "# A unit whose own file is in /etc cannot be masked; this keeps it from starting.\n[Unit]\nAssertPathExists=!/\n"
)
BUS_TEXT = (
    OWN + "nothing that Dom0 needs depends on this service.\n[D-BUS Service]\nName=%s\nExec=/bin/false\nUser=root\n"
)
MOUNTS = ("/proc/mounts", "/etc/fstab")
# Programs that may listen on the loopback for somebody who is logged in.
SSHD = re.compile(r"/(?:sshd|sshd-session|dropbear)$")
ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime")


class Operations(object):
    """What is to be done to bring units down and keep them there; lists of names."""

    def __init__(self):
        self.stop = []
        self.disable = []
        self.mask = []
        # Units whose own file is in /etc, by a drop-in; services of the bus, by a file that goes before theirs.
        self.block = []
        self.bus = []

    def __bool__(self):
        return bool(self.stop or self.disable or self.mask or self.block or self.bus)

    __nonzero__ = __bool__


class Init(object):
    """What the three have in common.

    :arg module: the AnsibleModule, for running commands.
    """

    # Whether it can mask, and has timers.
    masks = False
    timers = False
    bus_pids = {}

    def __init__(self, module):
        self.module = module
        self.problems = []

    def run(self, program, *arguments):
        """Run a command; what it says when it fails is kept, since looking at the result decides."""
        path = self.module.get_bin_path(program, required=True, opt_dirs=["/sbin", "/usr/sbin"])
        code, output, error = self.module.run_command([path] + list(arguments))
        if code:
            self.problems.append("%s %s: %s" % (program, " ".join(arguments[:3]), (error or output).strip()[-500:]))
        return output

    def is_enabled(self, unit):
        return unit.state in ENABLED

    def plan(self, found, verdicts, mask):
        """Return the Operations that make what goes go; none where it is gone."""
        wanted = Operations()
        for unit in found:
            if unit.name not in verdicts or verdicts[unit.name].stays:
                continue
            if unit.active:
                wanted.stop.append(unit.name)
            if unit.per_connection or unit.name.endswith(".dbus"):
                if unit.name.endswith(".dbus") and mask and not unit.blocked and not goes_first(unit):
                    wanted.bus.append(unit.name)
                continue
            if self.is_enabled(unit):
                wanted.disable.append(unit.name)
            if mask and self.masks and unit.path and not unit.blocked and unit.state != "masked":
                own = os.path.join(SYSTEM_UNITS, unit.name)
                real = os.path.isfile(own) and not os.path.islink(own)
                (wanted.block if real else wanted.mask).append(unit.name)
        return wanted

    def files(self, wanted):
        """Return {path: text} of the files that the operations write."""
        texts = dict((os.path.join(SYSTEM_UNITS, name + ".d", DROPIN), DROPIN_TEXT) for name in wanted.block)
        for name in wanted.bus:
            bus_name = units.stem(name)
            texts[os.path.join(OWN_BUS_FOLDER, bus_name + ".service")] = BUS_TEXT % bus_name
        return texts

    def owner(self, pid):
        raise NotImplementedError

    def read_bus(self, with_systemd):
        """Return the units of what the bus starts by itself; their processes are theirs, not the bus's."""
        found = bus_services(with_systemd)
        self.bus_pids = dict((pid, name) for name, pids in bus_processes(found).items() for pid in pids)
        for unit in found:
            unit.active = unit.name in self.bus_pids.values()
        return found

    def owners(self, pid):
        """Return the names of the units that a process belongs to."""
        return [self.bus_pids[pid]] if pid in self.bus_pids else self.owner(pid)

    def bring_back(self, units_then, given):
        """Give units their links and files back, and start those that ran.

        :arg units_then: the Former.
        :arg given: the Undo of the files.
        """
        units_then.relink()
        given.apply()
        self.bring_back_links(units_then, given)
        bus = [name for name in units_then.start if name.endswith(".dbus")]
        for name in bus if self.module.get_bin_path("dbus-send") else []:
            call = ["--system", "--print-reply", "--dest=" + BUS, "/", BUS + ".StartServiceByName"]
            self.run("dbus-send", *(call + ["string:" + units.stem(name), "uint32:0"]))
        self.start([name for name in units_then.start if name not in bus])

    def bring_back_links(self, units_then, given):
        """Have the init read its links and files again."""

    def not_running(self, names):
        """Return those of the names that do not run, and are not done either."""
        found = dict((unit.name, unit) for unit in self.read()) if names else {}
        return [name for name in names if name not in found or not found[name].active]

    def busy(self):
        """Return the names of the units that have processes of running guests."""
        return set(name for pid in sockets.pids() if guest_process(pid) for name in self.owners(pid))

    def control(self):
        """Return the names of the units that this process comes from: sshd's, above all."""
        return set(name for pid in sockets.ancestors(os.getpid()) for name in self.owners(pid))


def guest_process(pid):
    """Whether a process is a guest's: its device model or disks, or the xl that waits for its end."""
    command = sockets.command_line(pid)
    return (
        bool(command)
        and re.match(r"(?:qemu-(?:dm|system|xen)|tapdisk|blktap|xl$)", os.path.basename(command[0])) is not None
    )


def describe_listeners(host, verdicts, kernel_ports):
    """Return the listening sockets, each with whose it is, and whether that stays."""
    described = []
    for item in sockets.listening():
        names = host.listener_units(item)
        pid = ([pid for pid in item["pids"] if pid != 1] or item["pids"] or [None])[0]
        program = sockets.program(pid) if pid else ""
        known = [verdicts[name].stays for name in names if name in verdicts]
        if not item["pids"]:
            stays = "%s/%d" % (item["protocol"], item["port"]) in kernel_ports
        elif known:
            stays = all(known) and not any(name.startswith("user@") for name in names)
        else:
            loopback = item["address"].startswith("127.") or item["address"] == "::1"
            stays = guest_process(pid) or (loopback and SSHD.search(program) is not None)
        described.append(
            {"socket": item["socket"], "pid": pid, "process": program, "units": names, "stays": stays, "package": ""}
        )
    return described


def filesystems():
    """Return the types of what is mounted, and of what is to be at boot."""
    lines = [line.split() for path in MOUNTS for line in sockets.read(path).splitlines()]
    return set(words[2] for words in lines if len(words) > 2 and not words[0].startswith("#"))


def write_files(texts, mode=0o644):
    for path in sorted(texts):
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
        write_atomically(path, texts[path].encode("utf-8"), mode)


# --- the bus --------------------------------------------------------------------------------------------------


def bus_services(with_systemd):
    """Return the services that the bus starts by itself: a Unit for each, named after the bus name, with .dbus.

    Those that the bus has systemd start are units already. Under other inits it starts all of them itself.
    """
    found = {}
    for path in [path for folder in BUS_FOLDERS for path in sorted(glob.glob(os.path.join(folder, "*.service")))]:
        text = sockets.read(path)
        keys = dict(re.findall(r"^(Name|Exec|SystemdService)\s*=\s*(\S.*?)\s*$", text, re.M))
        name = keys.get("Name", "") + ".dbus"
        if OWN in text:
            found[name] = units.Unit(name, state="masked", path=path, blocked=True)
            continue
        if "Name" not in keys or keys.get("Exec", "/bin/false") == "/bin/false":
            continue
        if with_systemd and "SystemdService" in keys:
            continue
        unit = found.setdefault(name, units.Unit(name, state="static", path=path))
        # The first file of a name counts; what ours stands in front of may still run.
        unit.commands = unit.commands or keys["Exec"]
    return [found[name] for name in sorted(found)]


def goes_first(unit):
    """Whether the file of a service of the bus counts before one of ours, or is where ours would be."""
    return os.path.dirname(unit.path) in BUS_FOLDERS[: BUS_FOLDERS.index(OWN_BUS_FOLDER) + 1] and not unit.blocked


def bus_processes(found):
    """Return {name: pids} of the processes that run exactly what the bus would start."""
    commands = dict((tuple(unit.commands.split()), unit.name) for unit in found if unit.commands)
    running = {}
    if commands:
        for pid in sockets.pids():
            words = sockets.command_line(pid)
            for command, name in commands.items():
                # An interpreter may come first.
                if command and tuple(words[-len(command) :]) == command and len(words) - len(command) <= 1:
                    running.setdefault(name, []).append(pid)
    return running


def stop_bus_services(found, names):
    for pids in bus_processes([unit for unit in found if unit.name in names]).values():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                pass


# --- systemd --------------------------------------------------------------------------------------------------


def unit_files(folders):
    """Return the names of the unit files in these folders; systemd takes no others for them (unit_file_get_list)."""
    return set(
        name
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if units.NAME.match(name) and not os.path.isdir(os.path.join(folder, name))
    )


class Systemd(Init):
    masks = True
    timers = True

    def ask(self, *arguments):
        """Run systemctl; a busy manager may need a second time to answer."""
        known = len(self.problems)
        output = self.run("systemctl", *arguments)
        if len(self.problems) > known:
            del self.problems[known:]
            output = self.run("systemctl", *arguments)
        return output

    def read(self):
        self.problems = []
        # Of every file that it lists systemd looks for the links, which takes longer than all else; what can be shown says
        # so by itself.
        listed = self.ask("list-unit-files", "--no-legend", "--no-pager", "--full", "--all", "--", "*@.*")
        templates = units.parse_unit_files(listed)
        folders = units.parse_folders(self.ask("show", "--no-pager", "--property=UnitPath"))
        shown = units.KINDS + (".target", ".mount", ".automount", ".swap")
        names = [name for name in sorted(unit_files(folders)) if name.endswith(shown) and "@." not in name]
        # The pattern means what is loaded; the names, what is only installed.
        asked = ["show", "--no-pager", "--property=" + ",".join(units.PROPERTIES), "--", "*"] + names
        blocks = units.parse_show(self.ask(*asked))
        told = set(name for block in blocks for name in block.get("Names", "").split() + [block["Id"]])
        missing = [name for name in names if name not in told]
        if missing or not names or not templates:
            # To decide on half of the units is to pull things from under the other half.
            self.module.fail_json(
                msg="systemctl did not tell of every unit (%s), so nothing was decided: see whether systemd answers on "
                "this host, and run this again" % ("; ".join(self.problems) or ", ".join(missing[:5]) or "none at all")
            )
        self.problems = []
        found = units.build_units(templates, blocks, DROPIN) + self.read_bus(True)
        for unit in found:
            if unit.source.startswith(INIT_FOLDER) and unit.state == "generated":
                script = os.path.basename(unit.source)
                unit.state = "enabled" if script in enabled_scripts() else "disabled"
        self.root = sockets.cgroup(1)
        self.socket_units = [unit for unit in found if unit.name.endswith(".socket") and unit.active]
        return found

    def owner(self, pid):
        return sockets.unit_path(sockets.cgroup(pid), self.root)[:1]

    def apply(self, found, wanted):
        first = [name for name in wanted.stop if name.endswith((".socket", ".timer", ".path"))]
        then = [name for name in wanted.stop if name.endswith(".service")]
        # What would start a service again goes first. Masking comes last: a masked unit has no way left to stop cleanly.
        for action, names in (("stop", first), ("stop", then), ("disable", wanted.disable)):
            if names:
                self.run("systemctl", action, "--", *names)
        stop_bus_services(found, wanted.stop)
        write_files(self.files(wanted))
        if wanted.mask:
            self.run("systemctl", "mask", "--", *wanted.mask)
        elif wanted.block:
            self.run("systemctl", "daemon-reload")
        if wanted.bus:
            self.run("systemctl", "reload", "dbus.service")

    def revive(self, names, action):
        """Start or enable again what stays, where it went down with something else."""
        self.run("systemctl", action, "--", *names)

    def bring_back_links(self, units_then, given):
        for action, names in (("unmask", units_then.unmask), ("enable", units_then.enable)):
            if names:
                self.run("systemctl", action, "--", *names)
        if units_then.touched or given.paths:
            self.run("systemctl", "daemon-reload")
        if any(os.path.dirname(path) == OWN_BUS_FOLDER for path in given.paths):
            self.run("systemctl", "reload", "dbus.service")

    def start(self, names):
        if names:
            self.run("systemctl", "start", "--", *names)

    def not_running(self, names):
        # A service that does one thing and ends is not active, and has not failed.
        left = Init.not_running(self, names)
        states = self.run("systemctl", "is-failed", "--", *left).split() if left else []
        return [
            name
            for number, name in enumerate(left)
            if states[number : number + 1] == ["failed"] or not name.endswith(".service")
        ]

    def listener_units(self, listener):
        """Return the names of the units that have a listening socket open; of one that only systemd has, its socket unit."""
        names = [self.owners(pid) for pid in listener["pids"] if pid != 1]
        if names or not listener["pids"]:
            return sorted(set(name for item in names for name in item))
        address, port = listener["address"], str(listener["port"])
        found = []
        for unit in self.socket_units:
            for listens in unit.listens:
                host, dummy, number = listens.rpartition(":")
                if number == port and host.strip("[]") in (address, "", "*", "::", "0.0.0.0"):
                    found.append(unit.name)
        return sorted(set(found))


# --- init scripts ---------------------------------------------------------------------------------------------


def init_scripts():
    found = {}
    for name in sorted(os.listdir(INIT_FOLDER)):
        path = os.path.join(INIT_FOLDER, name)
        if name not in NO_SCRIPTS and not name.startswith(".") and os.path.isfile(path) and os.access(path, os.X_OK):
            found[name] = sockets.read(path)
    return found


def enabled_scripts():
    return set(os.path.basename(path)[3:] for path in glob.glob(RUNLEVELS))


class Scripts(Init):
    """What SysV init and OpenRC have in common: programs that belong to the script that names them."""

    def owner(self, pid):
        if pid == 1:
            return []
        for path in [sockets.program(pid)] + sockets.command_line(pid)[:2]:
            name = os.path.basename(path)
            if not path.startswith("/") or re.match(r"(?:sh|bash|dash|python[0-9.]*|perl[0-9.]*)$", name):
                continue
            # /sbin and /usr/sbin may be the same folder.
            wanted = r"(?<![\w.-])(?:/usr)?" + re.escape(re.sub(r"^/usr(?=/)", "", path)) + r"(?![\w./-])"
            named = [script + ".service" for script, text in self.scripts.items() if re.search(wanted, text)]
            if named or name in self.scripts:
                return sorted(named) or [name + ".service"]
        return []

    def listener_units(self, listener):
        return sorted(set(name for pid in listener["pids"] for name in self.owners(pid)))

    def apply(self, found, wanted):
        services = [units.stem(name) for name in wanted.stop if name.endswith(".service")]
        # In the reverse of the order in which they are started.
        for name in sorted(services, key=self.start_order, reverse=True):
            self.run("service" if isinstance(self, SysV) else "rc-service", name, "stop")
        stop_bus_services(found, wanted.stop)
        for name in wanted.disable:
            self.switch_off(units.stem(name))
        write_files(self.files(wanted))

    def start_order(self, name):
        links = [os.path.basename(path) for path in glob.glob(RUNLEVELS)]
        return ([link for link in sorted(links) if link[3:] == name] or [""])[0], name

    def start(self, names):
        for name in sorted(names, key=self.start_order):
            self.revive([name], "start")

    def bring_back_links(self, units_then, given):
        """What runs at boot is in the links alone."""
        for name in units_then.enable:
            if self.module.get_bin_path("update-rc.d", opt_dirs=["/sbin", "/usr/sbin"]):
                self.run("update-rc.d", units.stem(name), "enable")
            elif isinstance(self, OpenRC):
                self.run("rc-update", "add", units.stem(name))
            else:
                self.run("chkconfig", units.stem(name), "on")

    def revive(self, names, action):
        for name in names:
            if action == "start":
                self.run("service" if isinstance(self, SysV) else "rc-service", units.stem(name), "start")


class SysV(Scripts):
    def read(self):
        self.scripts = init_scripts()
        running = units.parse_status_all(self.run("service", "--status-all"))
        self.problems = []
        silent = [name for name in running if running[name] is None]
        if silent:
            # Scripts that cannot tell: what runs of the programs they name.
            alive = set(units.stem(name) for pid in sockets.pids() for name in self.owner(pid))
            running.update((name, name in alive) for name in silent)
        return units.build_init_scripts(self.scripts, running, enabled_scripts()) + self.read_bus(False)

    def switch_off(self, name):
        if self.module.get_bin_path("update-rc.d", opt_dirs=["/sbin", "/usr/sbin"]):
            self.run("update-rc.d", name, "disable")
        else:
            self.run("chkconfig", name, "off")


class OpenRC(Scripts):
    def read(self):
        self.scripts = init_scripts()
        levels = units.parse_rc_update(self.run("rc-update", "show"))
        running = units.parse_rc_status(self.run("rc-status", "--servicelist"))
        return units.build_openrc(self.scripts, running, levels) + self.read_bus(False)

    def switch_off(self, name):
        self.run("rc-update", "--all", "delete", name)


def detect(module):
    """Return the Init of the host, or fail the module."""
    if os.path.isdir(SYSTEMD_RUNS):
        return Systemd(module)
    if os.path.isdir(OPENRC_RUNS) and module.get_bin_path("rc-update", opt_dirs=["/sbin", "/usr/sbin"]):
        return OpenRC(module)
    if os.path.isdir(INIT_FOLDER) and module.get_bin_path("service", opt_dirs=["/sbin", "/usr/sbin"]):
        return SysV(module)
    module.fail_json(
        msg="neither systemd, nor OpenRC, nor SysV init with its program 'service' runs this host, so nothing was "
        "changed: stop what Dom0 does not need by hand, and leave out the role dom0_services"
    )
