# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import subprocess

import pytest
from ansible.module_utils import basic
from ansible_collections.xensec.hardening.plugins.module_utils import former, inits, record, sockets
from ansible_collections.xensec.hardening.plugins.modules import service_allowlist
from harness import ModuleFailed, run

KEEP = [
    {"patterns": ["ssh", "xen*", "systemd-*", "dbus"], "reason": "needed", "protected": True, "preset": False},
    {"patterns": ["logger"], "reason": "logs", "preset": True},
]
BASE = {"keep": KEEP}


class Host(object):
    """A host with systemd, as systemctl and /proc show it. It does what it is told, and writes down what that was."""

    def __init__(self, folder):
        self.folder = folder
        self.proc = folder.mkdir("proc")
        self.proc.mkdir("net")
        self.etc = folder.mkdir("etc")
        self.lib = folder.mkdir("lib")
        # What systemd takes for no unit.
        for name in (".hidden.service", ".#mail.service", "mail.service~", "mail.service.dpkg-old", "one two.service"):
            self.lib.ensure(name)
        self.lib.mkdir("folder.service")
        self.units = {}
        self.commands = []
        self.refuses = ()
        self.broken = 0
        self.process(1, "/sbin/init", "/init.scope")

    def unit(self, name, state="enabled", active=True, **properties):
        self.units[name] = dict(
            {"Names": name, "Id": name, "LoadState": "loaded", "UnitFileState": state}, **properties
        )
        self.units[name]["ActiveState"] = "active" if active else "inactive"
        self.units[name].setdefault("FragmentPath", "/lib/systemd/system/" + name)

    def process(self, pid, program, group, ports=()):
        folder = self.proc.mkdir(str(pid))
        folder.join("cmdline").write(program.replace(" ", "\0") + "\0")
        folder.join("cgroup").write("0::%s\n" % group)
        folder.join("status").write("Name:\tx\nPPid:\t1\n")
        os.symlink(program.split()[0], str(folder.join("exe")))
        folder.mkdir("fd")
        for port in ports:
            os.symlink("socket:[%d]" % (pid * 10), str(folder.join("fd", str(port))))
            with open(str(self.proc.join("net", "tcp")), "a") as stream:
                if not stream.tell():
                    stream.write("head\n")
                line = "0: 00000000:%04X 00000000:0000 0A 0:0 0:0 0 0 0 %d 1\n"
                stream.write(line % (port, pid * 10))

    def tell_files(self, words):
        """What systemctl says of the files of units, and where it has them from."""
        if words[0] == "show":
            for name in self.units:
                self.lib.ensure(name)
            return 0, "UnitPath=%s %s/missing %s\n" % (self.etc.join("system"), self.folder, self.lib), ""
        if self.broken:
            self.broken -= 1
            return 1, "", "Failed to list unit files: Connection timed out"
        assert words[-2:] == ["--", "*@.*"]
        found = ["getty@.service enabled"] + [name + " static" for name in sorted(self.units) if "@." in name]
        return 0, "\n".join(found), ""

    def run_command(self, module, command, **more):
        program, words = os.path.basename(command[0]), command[1:]
        if program == "dpkg-query":
            return 0, "lab-package: %s\n" % command[-1], ""
        assert program == "systemctl"
        action = words[0]
        if action == "list-unit-files" or words[-1] == "--property=UnitPath":
            return self.tell_files(words)
        if action == "show":
            asked = words[words.index("--") + 1 :]
            assert asked[0] == "*"
            assert set(asked[1:]) <= set(self.units)
            for name in self.units:
                dropin = self.etc.join("system", name + ".d", "xensec-services.conf")
                self.units[name]["DropInPaths"] = str(dropin) if dropin.check() else ""
            blocks = [self.units[name] for name in sorted(self.units) if "@." not in name]
            return 0, "\n".join("".join("%s=%s\n" % item for item in sorted(block.items())) for block in blocks), ""
        names = [word for word in words[1:] if word != "--"]
        self.commands.append((action, names))
        if action == "daemon-reload":
            self.reload()
        if action == "is-failed":
            return 0, "".join("failed\n" if name in self.refuses else "inactive\n" for name in names), ""
        for name in names:
            if action == "stop" and name not in self.refuses:
                self.units[name]["ActiveState"] = "inactive"
            if action == "start" and name not in self.refuses:
                self.units[name]["ActiveState"] = "active"
            if action in ("disable", "mask"):
                self.unlink(name, action)
                self.units[name]["UnitFileState"] = action + ("d" if action == "disable" else "ed")
        return 0, "", ""

    def links(self):
        found = {}
        for path in self.etc.join("system").visit():
            if path.check(link=1):
                found[path.relto(self.etc)] = os.readlink(str(path))
        return found

    def unlink(self, name, action):
        """What systemctl does to the links."""
        link = self.etc.join("system", "multi-user.target.wants", name)
        if action == "disable" and link.check(link=1):
            link.remove()
        if action == "mask" and not self.etc.join("system", name).check(link=1):
            os.symlink("/dev/null", str(self.etc.join("system", name)))

    def reload(self):
        for name in self.units:
            if self.etc.join("system", name).check(link=1):
                self.units[name]["UnitFileState"] = "masked"
            elif self.etc.join("system", "multi-user.target.wants", name).check(link=1):
                self.units[name]["UnitFileState"] = "enabled"
            elif self.units[name]["UnitFileState"] == "masked":
                self.units[name]["UnitFileState"] = "disabled"

    def stops(self):
        return [name for action, names in self.commands if action == "stop" for name in names]


@pytest.fixture
def host(tmpdir, monkeypatch):
    made = Host(tmpdir)
    made.unit("ssh.service", Names="ssh.service sshd.service")
    made.unit("xendomains.service")
    made.unit("mail.service")
    made.unit("cups.service", TriggeredBy="cups.socket")
    made.unit("cups.socket", Triggers="cups.service", Listen="0.0.0.0:631 (Stream)")
    made.unit("odd.service", state="static", active=False)
    monkeypatch.setattr(sockets, "PROC", str(made.proc))
    monkeypatch.setattr(inits, "SYSTEMD_RUNS", str(tmpdir))
    monkeypatch.setattr(inits, "SYSTEM_UNITS", str(made.etc.mkdir("system")))
    monkeypatch.setattr(former, "LINK_FOLDERS", (str(made.etc.join("system")), str(made.etc.join("system", "*.wants"))))
    monkeypatch.setattr(inits, "BUS_FOLDERS", (str(made.etc.mkdir("own-bus")), str(made.etc.mkdir("bus"))))
    monkeypatch.setattr(inits, "OWN_BUS_FOLDER", str(made.etc.join("own-bus")))
    monkeypatch.setattr(record, "RECORD_ROOT", str(tmpdir.join("record")))
    monkeypatch.setattr(service_allowlist, "PRESET", str(made.etc.join("preset", "00-xensec.preset")))
    monkeypatch.setattr(service_allowlist, "POLICY", str(made.etc.join("policy-rc.d")))
    monkeypatch.setattr(inits, "MOUNTS", ())
    monkeypatch.setattr(service_allowlist, "PATIENCE", 0.6)

    def run_command(module, command, **more):
        return made.run_command(module, command, **more)

    monkeypatch.setattr(basic.AnsibleModule, "run_command", run_command)
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda module, name, *args, **more: "/bin/" + name)
    return made


def recorded(host):
    return json.loads(host.folder.join("record", "service_allowlist.json").read())


def test_the_rest_is_stopped_disabled_and_masked_and_nothing_else(host):
    result = run(service_allowlist.main, BASE)
    assert result["changed"]
    # Sockets go before the services that they would start; one command for each step.
    assert host.commands == [
        ("stop", ["cups.socket"]),
        ("stop", ["cups.service", "mail.service"]),
        ("disable", ["cups.service", "cups.socket", "mail.service"]),
        ("mask", ["cups.service", "cups.socket", "mail.service", "odd.service"]),
    ]
    assert sorted(host.stops()) == result["stopped"]
    assert result["services"]["xendomains.service"] == {
        "stays": True,
        "protected": True,
        "reason": "needed",
        "active": True,
        "state": "enabled",
    }


def test_a_second_run_changes_nothing(host):
    run(service_allowlist.main, BASE)
    host.commands = []
    result = run(service_allowlist.main, BASE)
    assert (result["changed"], host.commands, "diff" in result) == (False, [], False)


@pytest.mark.parametrize("action", ["mask", "disable"])
def test_check_mode_predicts_and_changes_nothing(host, action):
    args = dict(BASE, action=action)
    predicted = run(service_allowlist.main, args, check=True)
    assert host.commands == []
    assert not host.folder.join("record").check()
    assert not host.etc.join("preset").check()
    real = run(service_allowlist.main, args)
    for key in ("changed", "stopped", "disabled", "masked", "blocked", "diff"):
        assert predicted[key] == real[key]
    assert any(header["before_header"] == "units" for header in real["diff"])


def test_disable_masks_nothing(host):
    result = run(service_allowlist.main, dict(BASE, action="disable"))
    assert result["masked"] == []
    assert "mask" not in [action for action, _names in host.commands]


def test_report_changes_nothing_and_tells_all(host):
    result = run(service_allowlist.main, dict(BASE, action="report"))
    assert (result["changed"], result["stopped"], host.commands) == (False, [], [])
    assert not result["services"]["mail.service"]["stays"]


def test_what_was_found_is_recorded_once(host):
    run(service_allowlist.main, BASE)
    state = recorded(host)["state"]
    mail = {"active": True, "state": "enabled", "names": ["mail.service"], "links": {}}
    assert state["unit mail.service"] == mail
    assert state["unit odd.service"] == {"active": False, "state": "static", "names": ["odd.service"], "links": {}}
    assert "unit ssh.service" not in state
    host.unit("mail.service", state="disabled")
    run(service_allowlist.main, BASE)
    assert recorded(host)["state"]["unit mail.service"] == mail


def test_a_record_that_cannot_be_written_stops_it_all(host, monkeypatch):
    monkeypatch.setattr(record, "RECORD_ROOT", str(host.folder.join("record.json").ensure()))
    with pytest.raises(ModuleFailed, match="nothing was changed"):
        run(service_allowlist.main, BASE)
    assert host.commands == []


@pytest.mark.parametrize("stop", ["xendomains", "ssh", "sshd.service"])
def test_stopping_what_is_protected_is_an_error_before_anything_changes(host, stop):
    with pytest.raises(ModuleFailed, match="never stopped"):
        run(service_allowlist.main, dict(BASE, stop=[stop]))
    assert host.commands == []


def test_what_this_run_comes_in_through_stays(host, monkeypatch):
    host.unit("odd-way-in.service")
    host.process(500, "/usr/sbin/odd", "/system.slice/odd-way-in.service")
    monkeypatch.setattr(inits.os, "getpid", lambda: 500)
    result = run(service_allowlist.main, BASE)
    assert result["services"]["odd-way-in.service"]["reason"] == "this run comes in through it"
    assert "odd-way-in.service" not in host.stops()


@pytest.mark.parametrize("command", ["/usr/lib/xen/bin/qemu-system-i386 -xen-domid 3", "/usr/sbin/xl create a"])
def test_what_has_processes_of_guests_stays(host, command):
    host.unit("guest.service")
    host.process(600, command, "/system.slice/guest.service")
    run(service_allowlist.main, BASE)
    assert "guest.service" not in host.stops()


def test_a_unit_of_etc_is_kept_from_starting_by_a_drop_in(host):
    host.unit("own.service", FragmentPath=str(host.etc.join("system", "own.service").ensure()))
    result = run(service_allowlist.main, BASE)
    assert result["blocked"] == ["own.service"]
    assert "own.service" not in result["masked"]
    dropin = host.etc.join("system", "own.service.d", "xensec-services.conf")
    assert "AssertPathExists=!/\n" in dropin.read()
    assert not run(service_allowlist.main, BASE)["changed"]


def test_what_the_bus_starts_by_itself_is_answered_by_a_file_before_it(host):
    text = "[D-BUS Service]\nName=org.example.%s\nExec=%s\nUser=root\n%s"
    host.etc.join("bus", "a.service").write(text % ("Alone", "/usr/bin/alone --bus", ""))
    host.etc.join("bus", "b.service").write(text % ("Unit", "/bin/false", "SystemdService=mail.service\n"))
    result = run(service_allowlist.main, BASE)
    assert result["blocked"] == ["org.example.Alone.dbus"]
    assert "Exec=/bin/false" in host.etc.join("own-bus", "org.example.Alone.service").read()
    assert ("reload", ["dbus.service"]) in host.commands
    assert not run(service_allowlist.main, BASE)["changed"]


def test_a_file_of_the_operators_own_is_not_overwritten(host):
    own = host.etc.join("own-bus", "org.example.Alone.service")
    own.write("[D-BUS Service]\nName=org.example.Alone\nExec=/usr/bin/alone\n")
    before = own.read()
    assert run(service_allowlist.main, BASE)["blocked"] == []
    assert own.read() == before
    assert not run(service_allowlist.main, BASE)["changed"]


def test_a_service_of_the_bus_can_be_kept(host):
    host.etc.join("bus", "a.service").write("[D-BUS Service]\nName=org.example.Alone\nExec=/usr/bin/alone\n")
    keep = KEEP + [{"patterns": ["org.example.*"], "reason": "wanted"}]
    assert run(service_allowlist.main, {"keep": keep})["blocked"] == []


def test_the_preset_starts_what_stays_and_nothing_new(host):
    run(service_allowlist.main, BASE)
    lines = host.etc.join("preset", "00-xensec.preset").read().splitlines()
    assert "enable ssh.service" in lines and "enable logger.*" in lines
    assert "enable mail.service" not in lines
    assert lines[-4:] == ["disable *.service", "disable *.socket", "disable *.timer", "disable *.path"]


asks_a_policy = pytest.mark.skipif(
    not os.path.exists("/usr/sbin/invoke-rc.d"), reason="only Debian asks a policy before it starts services"
)
# What the collection's other roles write, and how: enabled, started by a socket, linked by hand, for a moment.
OWN = {"patterns": ["xensec-*"], "reason": "ours", "protected": True, "preset": True}
OWN_UNITS = (
    ("xensec-firewall-dom0.service", {"Names": "xensec-firewall-dom0.service xensec-other.service"}),
    ("xensec-relocation.socket", {}),
    ("xensec-relocation@.service", {"state": "static", "active": False}),
    ("xensec-relocation@1-192.0.2.1:8002-192.0.2.2:1.service", {"state": "static"}),
    ("xensec-rollback-dom0-boot.service", {"state": "static", "active": False}),
    ("xensec-rollback-dom0.timer", {"state": "transient", "Transient": "yes"}),
)


def texts(host):
    return dict((path.basename, path.read()) for path in host.etc.visit() if path.check(file=1))


def test_what_is_covered_is_named_once_whether_it_is_there_or_not(host):
    args = {"keep": [OWN] + KEEP}
    assert run(service_allowlist.main, args)["changed"]
    before = texts(host)
    assert before["00-xensec.preset"].count("xensec-") == before["00-xensec.preset"].count("enable xensec-*.*\n") == 1
    for name, facts in OWN_UNITS:
        host.unit(name, **facts)
    host.unit("logger.service")
    result = run(service_allowlist.main, args)
    assert (result["changed"], texts(host)) == (False, before)
    assert result["services"]["xensec-relocation.socket"]["stays"]


def test_what_is_to_be_stopped_is_started_by_no_pattern(host):
    """Also where it is not there yet, and what is kept has a pattern that means it."""
    run(service_allowlist.main, {"keep": KEEP, "stop": ["logger"]})
    lines = host.etc.join("preset", "00-xensec.preset").read().splitlines()
    assert lines.index("disable logger.*") < lines.index("enable logger.*")


@asks_a_policy
def test_the_policy_lets_nothing_start_that_is_to_be_stopped(host):
    run(service_allowlist.main, {"keep": KEEP, "stop": ["logger"]})
    policy = str(host.etc.join("policy-rc.d"))
    for words, code in ((["logger", "start"], 101), (["logger.service", "restart"], 101), (["ssh", "start"], 0)):
        assert subprocess.call(["/bin/sh", policy] + words) == code, words


@asks_a_policy
def test_the_policy_lets_our_own_be_started_before_it_is_there(host):
    run(service_allowlist.main, {"keep": [OWN] + KEEP})
    policy = str(host.etc.join("policy-rc.d"))
    for name, _facts in OWN_UNITS:
        assert subprocess.call(["/bin/sh", policy, name.replace("@.", "@x."), "start"]) == 0, name
    # As a package's scripts say it, and as init scripts are called.
    for name, code in (("xensec-firewall-dom0", 0), ("xensecond", 101), ("my-xensec-x", 101)):
        assert subprocess.call(["/bin/sh", policy, "--quiet", name, "restart"]) == code, name


@pytest.mark.parametrize(
    "pattern, left",
    [
        ("a*", []),
        ("a@*.service", ["ab.service"]),
        # These mean the template, and one instance of it, but not all of them.
        ("a@?.service", ["a@*.service", "ab.service"]),
        ("a@.service", ["a@*.service", "ab.service"]),
        ("a[!x]*", ["a@*.service", "ab.service"]),
    ],
)
def test_a_name_is_left_out_where_a_pattern_means_all_of_it(pattern, left):
    assert service_allowlist.uncovered({"ab.service", "a@*.service"}, [pattern]) == left


@asks_a_policy
def test_the_policy_lets_packages_start_what_stays_alone(host):
    host.unit("getty@.service", state="enabled", active=False)
    run(service_allowlist.main, BASE)
    policy = str(host.etc.join("policy-rc.d"))
    for words, code in (
        (["ssh", "restart"], 0),
        (["--quiet", "sshd.service", "start"], 0),
        (["logger.service", "start"], 0),
        (["getty@tty1.service", "start"], 0),
        (["newcomer.service", "start"], 101),
        (["--quiet", "newcomer", "restart", "2"], 101),
        (["newcomer", "stop"], 0),
    ):
        assert subprocess.call(["/bin/sh", policy] + words) == code, words
    # What is there for a moment only does not change it.
    before = host.etc.join("policy-rc.d").read()
    host.unit("run-r1.service", state="transient", Transient="yes")
    host.unit("systemd-x@1.service", state="static")
    assert not run(service_allowlist.main, BASE)["changed"]
    assert host.etc.join("policy-rc.d").read() == before


def test_a_policy_of_somebody_else_is_left_alone(host):
    host.etc.join("policy-rc.d").write("#!/bin/sh\nexit 0\n")
    run(service_allowlist.main, BASE)
    assert host.etc.join("policy-rc.d").read() == "#!/bin/sh\nexit 0\n"


def test_a_listener_of_no_service_is_a_stray(host):
    host.process(700, "/usr/sbin/sshd -D", "/system.slice/ssh.service", ports=[22])
    host.process(800, "/usr/bin/python3 x", "/system.slice/run-1.service", ports=[7200])
    result = run(service_allowlist.main, BASE)
    assert [(item["socket"], item["stays"]) for item in result["listeners"]] == [
        ("tcp/0.0.0.0:22", True),
        ("tcp/0.0.0.0:7200", False),
    ]
    (stray,) = result["strays"]
    for words in ("tcp/0.0.0.0:7200", "process 800, /usr/bin/python3", "unit: run-1.service", "package: lab-package"):
        assert words in stray


def test_ports_of_the_kernel_are_strays_unless_they_are_listed(host):
    host.proc.join("net", "udp").write("head\n0: 00000000:1F90 00000000:0000 07 0:0 0:0 0 0 0 4711 1\n")
    (stray,) = run(service_allowlist.main, BASE)["strays"]
    assert "udp/0.0.0.0:8080: the kernel itself" in stray
    assert run(service_allowlist.main, dict(BASE, kernel_ports=["udp/8080"]))["strays"] == []


def test_what_would_not_stop_is_an_error(host):
    host.refuses = ("mail.service",)
    with pytest.raises(ModuleFailed, match="would not go: mail.service"):
        run(service_allowlist.main, BASE)


def test_what_stays_and_went_down_with_something_is_started_again(host):
    original = host.run_command

    def run_command(module, command, **more):
        if command[1] == "disable":
            host.units["ssh.service"]["ActiveState"] = "inactive"
        return original(module, command, **more)

    host.run_command = run_command
    run(service_allowlist.main, BASE)
    assert ("start", ["ssh.service"]) in host.commands


def test_systemd_that_does_not_answer_once_is_asked_again(host):
    host.broken = 1
    assert run(service_allowlist.main, BASE)["changed"]


def test_systemd_that_does_not_answer_is_an_error(host):
    host.broken = 2
    with pytest.raises(ModuleFailed, match="did not tell of every unit .*timed out"):
        run(service_allowlist.main, BASE)
    assert host.commands == []


# SysV init.

HEADER = "### BEGIN INIT INFO\n# Provides: %s\n# Required-Start: %s\n# Default-Start: 2\n### END INIT INFO\nDAEMON=%s\n"


def test_sysv(host, monkeypatch):
    scripts = host.folder.mkdir("init.d")
    for name, needs, daemon in (
        ("ssh", "keys", "/usr/sbin/sshd"),
        ("keys", "", "/bin/keys"),
        ("exim4", "", "/usr/sbin/exim4"),
        ("xendomains", "", "/usr/sbin/none"),
    ):
        scripts.join(name).write(HEADER % (name, needs, daemon))
        scripts.join(name).chmod(0o755)
    runlevel = host.folder.mkdir("rc2.d")
    for name in ("S01ssh", "S02exim4", "S03xendomains"):
        runlevel.join(name).write("")
    running = {"ssh": "+", "exim4": "+", "keys": "-", "xendomains": "-"}

    def run_command(module, command, **more):
        program = os.path.basename(command[0])
        if command[1:] == ["--status-all"]:
            return 0, "".join(" [ %s ]  %s\n" % (running[name], name) for name in sorted(running)), ""
        host.commands.append((program, command[1:]))
        if program == "service":
            running[command[1]] = "-"
        if program == "update-rc.d":
            runlevel.join("S02" + command[1]).rename(runlevel.join("K01" + command[1]))
        return 0, "", ""

    host.run_command = run_command
    monkeypatch.setattr(inits, "SYSTEMD_RUNS", str(host.folder.join("none")))
    monkeypatch.setattr(inits, "OPENRC_RUNS", str(host.folder.join("none")))
    monkeypatch.setattr(inits, "INIT_FOLDER", str(scripts))
    monkeypatch.setattr(inits, "RUNLEVELS", str(runlevel) + "/S[0-9][0-9]*")
    host.process(700, "/usr/sbin/sshd -D", "/", ports=[22])
    result = run(service_allowlist.main, BASE)
    assert host.commands == [("service", ["exim4", "stop"]), ("update-rc.d", ["exim4", "disable"])]
    assert result["services"]["keys.service"]["reason"] == "required by ssh.service"
    assert result["listeners"][0]["units"] == ["ssh.service"]
    assert result["strays"] == []
    assert not host.etc.join("preset").check()
    host.commands = []
    assert not run(service_allowlist.main, BASE)["changed"]
    assert host.commands == []


def test_openrc(host, monkeypatch):
    """Over what its tools print: it was not run on a real OpenRC."""
    scripts = host.folder.mkdir("init.d")
    for name in ("sshd", "net", "nginx"):
        scripts.join(name).write("depend() {\n\tneed %s\n}\n/usr/sbin/%s\n" % ("net" if name != "net" else "", name))
        scripts.join(name).chmod(0o755)
    levels, running = {"sshd": "default", "nginx": "default"}, {"sshd", "net", "nginx"}

    def run_command(module, command, **more):
        program, words = os.path.basename(command[0]), command[1:]
        if words == ["show"]:
            return 0, "".join(" %s | %s\n" % (name, levels.get(name, "")) for name in ("sshd", "net", "nginx")), ""
        if words == ["--servicelist"]:
            return 0, "".join(" %s  [  started  ]\n" % name for name in sorted(running)), ""
        host.commands.append((program, words))
        running.discard(words[0])
        levels.pop(words[-1], None)
        return 0, "", ""

    host.run_command = run_command
    monkeypatch.setattr(inits, "SYSTEMD_RUNS", str(host.folder.join("none")))
    monkeypatch.setattr(inits, "OPENRC_RUNS", str(host.folder))
    monkeypatch.setattr(inits, "INIT_FOLDER", str(scripts))
    keep = [{"patterns": ["sshd"], "reason": "needed", "protected": True}]
    result = run(service_allowlist.main, {"keep": keep, "preset": False})
    assert host.commands == [("rc-service", ["nginx", "stop"]), ("rc-update", ["--all", "delete", "nginx"])]
    assert result["services"]["net.service"]["reason"] == "required by sshd.service"
    assert not run(service_allowlist.main, {"keep": keep, "preset": False})["changed"]


def test_a_host_of_no_known_init_is_refused(host, monkeypatch):
    for name in ("SYSTEMD_RUNS", "OPENRC_RUNS", "INIT_FOLDER"):
        monkeypatch.setattr(inits, name, str(host.folder.join("none")))
    with pytest.raises(ModuleFailed, match="nothing was changed"):
        run(service_allowlist.main, BASE)


# Packages.

PURGE = dict(BASE, purge_packages=["cups", "lighttpd", "gone"])


@pytest.mark.parametrize(
    "simulated, error",
    [
        ("Purg cups [2]\nPurg lighttpd [1]\n", None),
        ("Purg cups [2]\nRemv openssh-server [1]\n", "would also remove openssh"),
    ],
)
def test_purging(host, simulated, error):
    original = host.run_command

    def run_command(module, command, **more):
        program = os.path.basename(command[0])
        if program == "dpkg-query" and command[1] == "-W":
            return 0, "cups installed\nlighttpd installed\ngone not-installed\n", ""
        if program == "apt-get":
            if "-s" in command:
                return 0, simulated, ""
            host.commands.append(("apt-get", command[1:]))
            return 0, "", ""
        return original(module, command, **more)

    host.run_command = run_command
    if error:
        with pytest.raises(ModuleFailed, match=error):
            run(service_allowlist.main, PURGE)
        assert host.commands == []
    else:
        assert run(service_allowlist.main, PURGE)["purged"] == ["cups", "lighttpd"]
        assert host.commands[-1] == ("apt-get", ["-y", "-q", "purge", "cups", "lighttpd"])


@pytest.fixture
def linked(host):
    """The host with what enables its units, and one unit that runs though it is disabled."""
    wants = host.etc.join("system").mkdir("multi-user.target.wants")
    for name in ("mail.service", "cups.service"):
        os.symlink("/lib/systemd/system/" + name, str(wants.join(name)))
    host.unit("by-hand.service", state="disabled")
    host.unit("masked.service", state="masked", active=False, LoadState="loaded")
    os.symlink("/dev/null", str(host.etc.join("system", "masked.service")))
    return host


def restore(check=False, **more):
    return run(service_allowlist.main, dict(more, state="restored"), check=check)


def test_a_restore_gives_back_links_states_and_files(linked):
    links, active = linked.links(), dict((name, unit["ActiveState"]) for name, unit in linked.units.items())
    run(service_allowlist.main, BASE)
    assert linked.links() != links
    predicted = restore(check=True)
    result = restore()
    assert result == predicted
    assert result["changed"] and result["left"] == []
    assert result["started"] == ["by-hand.service", "cups.service", "cups.socket", "mail.service"]
    assert linked.links() == links
    assert dict((name, unit["ActiveState"]) for name, unit in linked.units.items()) == active
    assert not linked.etc.join("preset").check() and not linked.etc.join("policy-rc.d").check()
    assert [path.basename for path in linked.folder.join("record").listdir()] == ["service_allowlist.json.restored"]
    assert not restore()["changed"]


def test_a_restore_after_a_run_that_was_killed_halfway(linked, monkeypatch):
    links = linked.links()

    def killed(systemd, found, wanted):
        systemd.run("systemctl", "disable", "--", "mail.service")
        raise KeyboardInterrupt

    monkeypatch.setattr(inits.Systemd, "apply", killed)
    with pytest.raises(KeyboardInterrupt):
        run(service_allowlist.main, BASE)
    assert linked.links() != links
    result = restore()
    assert result["left"] == [] and result["started"] == []
    assert linked.links() == links


def test_a_unit_that_somebody_enabled_since_is_left(linked):
    run(service_allowlist.main, BASE)
    os.unlink(str(linked.etc.join("system", "mail.service")))
    other = linked.etc.join("system").mkdir("graphical.target.wants").join("mail.service")
    os.symlink("/lib/systemd/system/mail.service", str(other))
    result = restore()
    assert result["left"] == ["mail.service has been enabled since, by %s" % other]
    assert "mail.service" not in result["started"] and other.check(link=1)
    assert linked.folder.join("record", "service_allowlist.json").check()
    assert restore(force=True)["left"] == []
    assert not other.check(link=1)
    assert not linked.folder.join("record", "service_allowlist.json").check()


def test_a_unit_that_does_not_start_again_is_named(linked):
    run(service_allowlist.main, BASE)
    linked.refuses = ("mail.service",)
    result = restore()
    assert result["left"] == ["mail.service did not start again: see what its log says"]
    assert linked.units["cups.service"]["ActiveState"] == "active"


def test_a_record_without_links_restores_by_command(linked):
    """As the release before records of version 2 wrote it."""
    linked.units["mail.service"].update(UnitFileState="masked", ActiveState="inactive")
    text = '{"files": {}, "state": {"unit mail.service": {"active": true, "state": "enabled"}}, "version": 1}'
    linked.folder.ensure("record", "service_allowlist.json").write(text)
    assert restore()["changed"]
    assert linked.commands == [
        ("unmask", ["mail.service"]),
        ("enable", ["mail.service"]),
        ("daemon-reload", []),
        ("start", ["mail.service"]),
    ]
