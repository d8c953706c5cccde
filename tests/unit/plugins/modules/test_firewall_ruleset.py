# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against real packet filters, each test in a network namespace of its own.

Where none can be made (it takes root), a stand-in for nft is all there is, and the others are skipped.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import ctypes
import fcntl
import json
import os
import re
import stat
import subprocess
import threading

import pytest
from ansible.module_utils import basic
from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible_collections.xensec.hardening.plugins.module_utils import firewall, transaction
from ansible_collections.xensec.hardening.plugins.modules import firewall_ruleset
from harness import ModuleFailed, run

CLONE_NEWNET = 0x40000000
NFTABLES = """
# The ports of relocation { and a brace that is no brace
define ports = { 8002, 8003 }
table inet xensec_test {
  set peers {
    type ipv4_addr; flags interval
    elements = { 192.0.2.12, 198.51.100.0/24 }
  }
  chain input {
    type filter hook input priority -5; policy accept;
    iifname "eth0" ip saddr @peers tcp dport $ports accept comment "caf\xc3\xa9; } and table ip nat {"
    tcp dport { 8002, 8003 } reject with tcp reset
  }
}
table bridge xensec_test {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "vif*" drop
  }
}
"""
if not isinstance(NFTABLES, bytes):
    NFTABLES = NFTABLES.encode("latin-1").decode("utf-8")
OTHER_NFTABLES = """
table  inet xensec_test{
  chain input { type filter hook input priority -5; policy accept; tcp dport 8002 drop; }
}
"""
REJECT = "-A XENSEC_TEST -p tcp -m multiport --dports 8002,8003 -j REJECT --reject-with tcp-reset"
RULES = {
    "name": "test",
    "nftables": NFTABLES,
    "iptables": ["-A XENSEC_TEST -s 192.0.2.12/32 -p tcp -m multiport --dports 8002 -j RETURN", REJECT + "\n"],
    "ip6tables": [REJECT],
}
OTHER_RULES = {"nftables": OTHER_NFTABLES, "iptables": [REJECT], "ip6tables": ["-A XENSEC_TEST -p tcp -j DROP"]}


def find(name):
    """Return the path of a program, or None."""
    for folder in os.environ["PATH"].split(os.pathsep) + firewall.SBIN:
        if os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    return None


def execute(command, data=None):
    """Return what run_command does, without the time that takes."""
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    written = [to_native(part) for part in running.communicate(to_bytes((data or "") + "\n"))]
    return running.returncode, written[0], written[1]


class StandIn(object):
    """What nft makes of the few commands that the module gives it."""

    def __init__(self):
        self.tables = {}

    def __call__(self, options, data):
        if options == ["--help"]:
            return 0, "", ""
        if options == ["list", "tables"]:
            return 0, "".join("table %s\n" % name for name in sorted(self.tables)), ""
        if options[:3] == ["-s", "list", "table"]:
            name = " ".join(options[3:])
            return (0, self.tables[name], "") if name in self.tables else (1, "", "No such file or directory\n")
        assert options[-2] == "-f"
        if options[-1] != "-":
            with open(options[-1], "rb") as stream:
                data = stream.read()
        data = to_native(data)
        if "bogus" in data:
            return 1, "", "syntax error, unexpected bogus\n"
        if "-c" not in options:
            pattern = r"(?ms)^(delete )?table +(\w+ \w+)(?:\s*(\{.*?^\}))?$"
            for delete, name, body in re.findall(pattern, data):
                if delete:
                    self.tables.pop(name, None)
                elif body:
                    self.tables[name] = "table %s %s\n" % (name, body)
        return 0, "", ""


class Host(object):
    """A host with its own files and packet filter; its init is told what to do, and does it."""

    def __init__(self, root, kind):
        self.root, self.kind = root, kind
        self.backend = "iptables" if kind in ("iptables", "legacy") else "nftables"
        self.units = root.ensure("units", dir=True)
        self.rc = root.ensure("rcS.d", dir=True)
        self.init = root.ensure("init.d", dir=True)
        self.state = root.join("state")
        self.configuration = root.join("xensec", "firewall")
        self.registrations = root.join("xensec", "firewall.d")
        self.run_folder = root.join("run")
        self.running = root.ensure("systemd", dir=True)
        self.programs = {}
        self.stand_in = None
        self.commands = []
        self.active = set()

    def use_programs(self):
        if self.kind == "stand-in":
            self.stand_in = StandIn()
            self.programs["nft"] = "/sbin/nft"
            return
        for name in ("nft", "iptables", "ip6tables"):
            self.programs[name] = find(name)
        if self.kind == "legacy":
            multi = find("xtables-legacy-multi")
            for tool in ("iptables", "ip6tables"):
                for name in (tool, tool + "-save", tool + "-restore"):
                    if multi:
                        os.symlink(multi, str(self.root.dirpath().ensure("bin", dir=True).join(name)))
                self.programs[tool] = multi and str(self.root.dirpath("bin", tool))
        needed = "nft" if self.kind == "nftables" else "iptables"
        if not self.programs[needed]:
            pytest.skip("%s is not installed" % self.kind)

    def run_command(self, module, command, **more):
        self.commands.append(" ".join(command))
        if command[0] == "systemctl":
            return self.systemctl(command[1:])
        if command[0] == "update-rc.d":
            return self.update_rc(command[1:])
        if self.stand_in:
            return self.stand_in(command[1:], more.get("data"))
        code, output, errors = execute(command, more.get("data"))
        assert code == 0 or not more.get("check_rc"), errors
        return code, output, errors

    def systemctl(self, words):
        if words[0] in ("enable", "disable"):
            unit = self.units.join(words[-1] + ".service")
            assert unit.check()
            link = self.units.ensure("sysinit.target.wants", dir=True).join(unit.basename)
            if words[0] == "enable" and not link.check(link=1):
                os.symlink(str(unit), str(link))
            elif words[0] == "disable" and link.check(link=1):
                os.unlink(str(link))
            if words[:2] == ["enable", "--now"] and words[-1] not in self.active:
                self.start(words[-1])
                self.active.add(words[-1])
            if words[0] == "disable":
                self.active.discard(words[-1])
        return 0, "", ""

    def start(self, name="xensec-firewall-test"):
        """Do what the boot does."""
        unit = self.units.join(name + ".service")
        if not self.running.check():
            assert self.call("sh", str(self.init.join(name)), "stop") == ""
            assert self.call("sh", str(self.init.join(name)), "start") == ""
            return
        for command in re.findall(r"^ExecStart=(.*)$", unit.read(), re.M):
            words = command.lstrip("-").split()
            code, _output, errors = self.stand_in(words[1:], None) if self.stand_in else execute(words)
            assert code == 0 or command.startswith("-"), errors

    def update_rc(self, words):
        name = words[1] if words[0] == "-f" else words[0]
        for link in self.rc.listdir():
            if link.basename.endswith(name):
                os.unlink(str(link))
        if words[-1] == "defaults":
            os.symlink(str(self.init.join(name)), str(self.rc.join("S05" + name)))
        return 0, "", ""

    def call(self, name, *options, **more):
        """Do something to the packet filter as somebody else would."""
        command = [self.programs.get(name) or name] + list(options)
        code, output, errors = execute(command, more.get("data"))
        assert code == 0, errors
        return output + errors

    def kernel(self):
        """All that the packet filter holds."""
        if self.stand_in:
            return dict(self.stand_in.tables)
        held = {}
        if self.programs["nft"]:
            held["nft"] = self.call("nft", "-s", "list", "ruleset")
        for tool in ("iptables", "ip6tables"):
            if self.kind == "legacy":
                saved = self.call(self.programs[tool] + "-save", "-t", "filter").splitlines()
                held[tool] = "\n".join(line.split(" [")[0] for line in saved if not line.startswith("#"))
        return held

    def files(self):
        """All files and links, by name."""
        found = {}
        for folder, _folders, names in os.walk(str(self.root)):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, str(self.root))
                if os.path.islink(path):
                    found[key] = os.readlink(path)
                    continue
                with open(path, "rb") as stream:
                    found[key] = stream.read()
        return found

    def ours(self):
        """What the packet filter holds of the ruleset, as one text."""
        if self.stand_in:
            return "".join(self.stand_in.tables.values())
        if self.backend == "nftables":
            tables = self.call("nft", "list", "tables").replace("table ", "").splitlines()
            return "".join(self.call("nft", "list", "table", *t.split()) for t in tables if "xensec_" in t)
        return "".join(
            line + "\n"
            for tool in ("iptables", "ip6tables")
            for line in self.call(tool, "-S").splitlines()
            if "XENSEC_TEST" in line
        )

    def snapshot(self):
        return self.kernel(), self.files()

    def run(self, check=False, **args):
        args.setdefault("backend", self.backend)
        if args.get("state") not in ("absent", "restored"):
            args = dict(RULES, **args)
        return run(firewall_ruleset.main, dict(args, name="test"), check=check)

    def converge(self, **args):
        """Run it in check mode, in earnest, and again; return the result that counts."""
        before = self.snapshot()
        predicted = self.run(check=True, **args)
        assert self.snapshot() == before
        result = self.run(**args)
        assert result == predicted
        after = self.snapshot()
        for check in (True, False):
            again = self.run(check=check, **args)
            assert not again["changed"] and again["reasons"] == []
        assert self.snapshot() == after
        return result

    def refused(self, words, **args):
        """Run it both ways; it must fail alike, and leave everything alone."""
        before = self.snapshot()
        messages = []
        for check in (True, False):
            with pytest.raises(ModuleFailed) as caught:
                self.run(check=check, **args)
            messages.append(str(caught.value))
        assert self.snapshot() == before
        assert messages[0] == messages[1]
        for word in words:
            assert word in messages[0]


@pytest.fixture
def namespace():
    """A network namespace of this test's own, that its subprocesses are in, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET):
            problem = os.strerror(ctypes.get_errno())
            pytest.skip("no network namespace can be made here: %s (it takes root)" % problem)
        yield
        assert libc.setns(home, CLONE_NEWNET) == 0
    finally:
        os.close(home)


def as_method(function):
    def method(module, command, **more):
        return function(module, command, **more)

    return method


def make_host(request, kind):
    root = request.getfixturevalue("tmpdir").mkdir("host")
    monkeypatch = request.getfixturevalue("monkeypatch")
    made = Host(root, kind)
    if kind != "stand-in":
        request.getfixturevalue("namespace")
        # The lock of iptables is for the whole machine otherwise.
        monkeypatch.setenv("XTABLES_LOCKFILE", str(request.getfixturevalue("tmpdir").join("lock")))
    made.use_programs()
    for module, name, path in [
        (firewall, "CONFIGURATION", made.configuration),
        (firewall, "SYSTEMD_RUNNING", made.running),
        (firewall, "SYSTEMD_UNITS", made.units),
        (firewall, "INIT_SCRIPTS", made.init),
        (firewall, "INIT_LINKS", made.rc),
        (firewall_ruleset, "STATE_FOLDER", made.state),
        (firewall_ruleset, "REGISTRATIONS", made.registrations),
        (firewall_ruleset, "FOLDER", made.run_folder),
        (transaction, "FOLDER", made.run_folder),
    ]:
        monkeypatch.setattr(module, name, str(path))
    monkeypatch.setattr(
        basic.AnsibleModule, "get_bin_path", lambda module, name, *rest, **more: made.programs.get(name)
    )
    # A method of the class, so that its first argument is the module.
    monkeypatch.setattr(basic.AnsibleModule, "run_command", as_method(made.run_command))
    return made


@pytest.fixture(params=["stand-in", "nftables", "iptables", "legacy"])
def host(request):
    return make_host(request, request.param)


@pytest.fixture
def pretend(request):
    return make_host(request, "stand-in")


@pytest.fixture
def nft(request):
    return make_host(request, "nftables")


@pytest.fixture(params=["iptables", "legacy"])
def iptables(request):
    return make_host(request, request.param)


# What it does.


def test_loaded_now_and_at_boot_and_only_once(host):
    assert host.ours() == ""
    result = host.converge()
    assert result["changed"] and result["backend"] == host.backend
    assert result["reasons"][:2] == ["the ruleset differs", "it is not loaded at boot"]
    assert "8002" in host.ours() and "reject" in host.ours().lower()
    for path in host.configuration.listdir():
        assert stat.S_IMODE(os.stat(str(path)).st_mode) == 0o600
    unit = host.units.join("sysinit.target.wants", "xensec-firewall-test.service").read()
    assert str(host.configuration) in unit
    assert "\nBefore=network-pre.target" in unit
    # What flushes everything when it starts has to do so first.
    assert re.search(r"^After=.*\bnftables\.service\b", unit, re.M)
    for part in result["diff"]:
        assert part["before"] == "" and "8002" in part["after"]


def test_a_changed_ruleset_replaces_the_old_one(host):
    host.converge()
    first = host.ours()
    result = host.converge(**OTHER_RULES)
    assert result["reasons"][0] == "the ruleset differs"
    assert "it is not loaded at boot" not in result["reasons"]
    assert host.ours() != first
    for mark in ("192.0.2.12", "vif", "8003"):
        assert host.backend == "iptables" or mark not in host.ours()
    assert any("192.0.2.12" in part["before"] and "192.0.2.12" not in part["after"] for part in result["diff"])
    assert host.converge()["changed"]
    assert host.ours() == first


def test_absent_removes_everything(host):
    assert not host.converge(state="absent")["changed"]
    host.converge()
    files = host.files()
    result = host.converge(state="absent")
    assert result["changed"] and result["backend"] == host.backend
    assert host.ours() == ""
    # The record of what was there before stays.
    assert set(host.files()) == {"state/firewall_test.json"} < set(files)
    assert all("8002" in part["before"] and part["after"] == "" for part in result["diff"])
    assert host.converge()["changed"]
    assert host.files() == files


def test_what_was_there_before_is_recorded_once(pretend):
    pretend.configuration.ensure(dir=True)
    path = pretend.configuration.join("test.nft")
    path.write("# somebody's\n")
    pretend.converge()
    pretend.converge(**OTHER_RULES)
    kept = json.loads(pretend.state.join("firewall_test.json").read())["files"]
    assert base64.b64decode(kept[str(path)]["content"]) == b"# somebody's\n"
    assert kept[str(pretend.units.join("xensec-firewall-test.service"))] == {"absent": True}


FOREIGN_NFT = """
table inet xensec_test2 { chain input { type filter hook input priority 0; tcp dport 22 accept; }; }
table ip nat { chain prerouting { type nat hook prerouting priority 0; }; }
table bridge xensec { set s { type ether_addr; }; }
"""
FOREIGN_IPTABLES = """*filter
:FORWARD DROP [0:0]
:XENSEC_TEST2 - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A INPUT -j XENSEC_TEST2
-A FORWARD -m physdev --physdev-in vif1.0 -j ACCEPT
-A XENSEC_TEST2 -s 192.0.2.1/32 -j DROP
COMMIT
"""


@pytest.mark.parametrize("kind", ["nftables", "iptables", "legacy"])
@pytest.mark.parametrize("hook", ["INPUT", "FORWARD"])
def test_nothing_of_others_is_touched(request, kind, hook):
    host = make_host(request, kind)
    if kind == "nftables":
        host.call("nft", "-f", "-", data=FOREIGN_NFT)
    else:
        for tool in ("iptables", "ip6tables"):
            text = FOREIGN_IPTABLES if tool == "iptables" else FOREIGN_IPTABLES.replace("192.0.2.1/32", "2001:db8::1")
            host.call(host.programs[tool] + "-restore", data=text)
    bare = host.kernel()
    host.converge(hook=hook)
    held = host.kernel()
    host.converge(hook=hook, **OTHER_RULES)
    host.converge(hook=hook)
    assert host.kernel() == held
    for part in sorted(bare):
        assert set(bare[part].splitlines()) <= set(held[part].splitlines())
    # Without naming the hook, too.
    host.converge(state="absent")
    assert host.kernel() == bare


# Drift is found, and repaired.

FILE_DRIFTS = [
    ("xensec/firewall/test.nft", "edit", "the ruleset differs"),
    ("xensec/firewall/test.nft", "remove", "the ruleset differs"),
    ("state/firewall_test.loaded", "remove", "the kernel holds another ruleset than was loaded"),
    ("units/xensec-firewall-test.service", "edit", "it is not loaded at boot"),
    ("units/xensec-firewall-test.service", "remove", "it is not loaded at boot"),
    ("units/sysinit.target.wants/xensec-firewall-test.service", "remove", "it is not loaded at boot"),
]


@pytest.mark.parametrize("path, change, reason", FILE_DRIFTS)
def test_drift_of_files(pretend, path, change, reason):
    pretend.converge()
    before = pretend.snapshot()
    if change == "edit":
        pretend.root.join(path).write("# edited\n", "a")
    else:
        os.unlink(str(pretend.root.join(path)))
    assert pretend.converge()["reasons"] == [reason]
    assert pretend.snapshot() == before


NFT_DRIFTS = [
    "delete table inet xensec_test",
    "delete table bridge xensec_test",
    "flush ruleset",
    "flush chain inet xensec_test input",
    "insert rule inet xensec_test input accept",
    "add rule bridge xensec_test input accept",
    "add element inet xensec_test peers { 203.0.113.1 }",
    "delete element inet xensec_test peers { 192.0.2.12 }",
    "add chain inet xensec_test another",
    "chain inet xensec_test input { policy drop; }",
]


@pytest.mark.parametrize("drift", NFT_DRIFTS)
def test_drift_of_nftables(nft, drift):
    nft.converge()
    before = nft.snapshot()
    nft.call("nft", drift)
    assert nft.snapshot() != before
    assert nft.converge()["reasons"] == ["the kernel holds another ruleset than was loaded"]
    assert nft.snapshot() == before


IPTABLES_DRIFTS = [
    ["-D", "INPUT", "-j", "XENSEC_TEST"],
    ["-A", "INPUT", "-j", "XENSEC_TEST"],
    ["-A", "FORWARD", "-j", "XENSEC_TEST"],
    ["-F", "INPUT"],
    ["-F"],
    ["-F", "XENSEC_TEST"],
    ["-A", "XENSEC_TEST", "-j", "ACCEPT"],
    ["-D", "XENSEC_TEST", "1"],
]


@pytest.mark.parametrize("number", range(len(IPTABLES_DRIFTS)))
def test_drift_of_iptables(iptables, number):
    drift, tool = IPTABLES_DRIFTS[number], ["iptables", "ip6tables"][number % 2]
    iptables.converge()
    before = iptables.ours(), iptables.files()
    iptables.call(tool, *drift)
    assert iptables.ours() != before[0]
    assert iptables.converge()["reasons"] == ["the kernel holds another ruleset than was loaded"]
    assert (iptables.ours(), iptables.files()) == before


@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
def test_an_accept_ahead_of_the_chain_is_put_behind_it(iptables, tool):
    iptables.converge()
    iptables.call(tool, "-A", "INPUT", "-s", "::/0" if "6" in tool else "0.0.0.0/0", "-j", "ACCEPT")
    assert not iptables.run()["changed"]
    iptables.call(tool, "-I", "INPUT", "1", "-p", "tcp", "-j", "ACCEPT")
    assert iptables.converge()["changed"]
    assert iptables.call(tool, "-S", "INPUT").splitlines()[1:] == [
        "-A INPUT -j XENSEC_TEST",
        "-A INPUT -p tcp -j ACCEPT",
        "-A INPUT -j ACCEPT",
    ]


def test_rules_of_others_that_come_and_go_are_no_drift(iptables):
    iptables.converge()
    for rule in (["INPUT", "-p", "udp", "-j", "DROP"], ["FORWARD", "-j", "ACCEPT"]):
        iptables.call("iptables", "-I", *rule)
        assert not iptables.run()["changed"]
        iptables.call("iptables", "-D", *rule)
        assert not iptables.run()["changed"]


def test_another_hook_moves_the_jump(iptables):
    iptables.converge(hook="INPUT")
    iptables.converge(hook="FORWARD")
    for tool in ("iptables", "ip6tables"):
        assert "XENSEC" not in iptables.call(tool, "-S", "INPUT")
        assert iptables.call(tool, "-S", "FORWARD").count("XENSEC") == 1


RAW_RULES = {
    "hook": "FORWARD",
    "iptables": [
        REJECT,
        "-t raw -A XENSEC_TEST -i eth9 -g XENSEC_TEST_OUTSIDE",
        "-t raw -A XENSEC_TEST_OUTSIDE -s 192.0.2.0/24 -m comment --comment spoofed -j DROP",
    ],
    "ip6tables": [REJECT, "-t raw -A XENSEC_TEST -s 2001:db8::/32 -j DROP"],
}


def raw(host, tool="iptables"):
    return [line for line in host.call(tool, "-t", "raw", "-S").splitlines() if "XENSEC" in line]


@pytest.mark.parametrize("kind", ["iptables", "legacy"])
def test_rules_of_the_table_raw_come_and_go_with_the_others(request, kind):
    host = make_host(request, kind)
    for tool in ("iptables", "ip6tables"):
        host.call(tool, "-t", "raw", "-A", "PREROUTING", "-i", "eth8", "-j", "ACCEPT")
    host.converge(**RAW_RULES)
    held = [raw(host), raw(host, "ip6tables"), host.ours()]
    assert held[0] == [
        "-N XENSEC_TEST",
        "-N XENSEC_TEST_OUTSIDE",
        "-A PREROUTING -j XENSEC_TEST",
        "-A XENSEC_TEST -i eth9 -g XENSEC_TEST_OUTSIDE",
        "-A XENSEC_TEST_OUTSIDE -s 192.0.2.0/24 -m comment --comment spoofed -j DROP",
    ]
    # Started again, and after somebody has emptied the table, it is the same.
    host.start()
    assert [raw(host), raw(host, "ip6tables"), host.ours()] == held
    host.call("iptables", "-t", "raw", "-F", "XENSEC_TEST")
    assert host.converge(**RAW_RULES)["reasons"] == ["the kernel holds another ruleset than was loaded"]
    assert [raw(host), raw(host, "ip6tables"), host.ours()] == held
    # A ruleset that has none there any more takes them away.
    host.converge(hook="FORWARD")
    assert raw(host) == raw(host, "ip6tables") == []
    host.converge(**RAW_RULES)
    host.converge(state="absent")
    assert raw(host) == raw(host, "ip6tables") == [] and host.ours() == ""
    assert "-A PREROUTING -i eth8 -j ACCEPT" in host.call("iptables", "-t", "raw", "-S")


def test_the_table_raw_is_for_what_is_forwarded(pretend):
    pretend.programs = {"iptables": "/sbin/iptables", "ip6tables": "/sbin/ip6tables"}
    rule = "-t raw -A XENSEC_TEST -j DROP"
    pretend.refused(["'%s' is not a rule" % rule], backend="iptables", iptables=[rule], hook="INPUT")


# The backend.


@pytest.mark.parametrize("first, second", [("nftables", "iptables"), ("iptables", "nftables")])
def test_another_backend_takes_over_without_a_gap(nft, first, second):
    if not nft.programs["iptables"]:
        pytest.skip("iptables is not installed")
    nft.converge(backend=first)
    del nft.commands[:]
    result = nft.converge(backend=second)
    assert result["reasons"][0] == "the backend was %s" % first
    left = nft.call("nft", "list", "ruleset")
    assert ("inet xensec_test" in left, "XENSEC_TEST" in left) == (second == "nftables", second == "iptables")
    files = [path.basename for path in nft.configuration.listdir()]
    assert ("test.nft" in files, "test.iptables" in files) == (second == "nftables", second == "iptables")
    changes = [
        "iptables" if "tables-restore " in command else "nftables"
        for command in nft.commands
        if not re.search(" (?:--test|--help|-c)\\b", command) and ("restore" in command or command.endswith("-f -"))
    ]
    assert changes[0] == second and changes[-1] == first
    nft.converge(state="absent")
    left = nft.call("nft", "list", "ruleset")
    assert "inet xensec_test" not in left and "XENSEC_TEST" not in left


def test_a_refused_ruleset_does_not_take_the_other_backends_away(nft):
    if not nft.programs["iptables"]:
        pytest.skip("iptables is not installed")
    nft.converge(backend="nftables")
    nft.refused(["restore refused"], backend="iptables", iptables=["-A XENSEC_TEST -p tcp --bogus -j DROP"])
    nft.converge(backend="iptables")
    nft.refused(["nft refused"], backend="nftables", nftables="table inet xensec_test { bogus }")


AUTO = [
    ("/sbin/nft", "/sbin/iptables", "nftables"),
    (None, "/sbin/iptables", "iptables"),
    ("/sbin/nft", None, "nftables"),
]


@pytest.mark.parametrize("nft_path, iptables_path, expected", AUTO)
def test_auto_takes_what_is_there(pretend, monkeypatch, nft_path, iptables_path, expected):
    pretend.programs = {"nft": nft_path, "iptables": iptables_path}
    stand_in = pretend.stand_in
    monkeypatch.setattr(
        pretend,
        "stand_in",
        lambda options, data: (0, "", "") if options == ["-t", "filter"] else stand_in(options, data),
    )
    monkeypatch.setattr(firewall.Iptables, "check", lambda self, files: None)
    assert pretend.run(check=True, backend="auto")["backend"] == expected


def test_nft_that_does_not_work_is_not_taken(pretend, monkeypatch):
    monkeypatch.setattr(pretend, "stand_in", lambda options, data: (1, "", "Operation not supported"))
    with pytest.raises(ModuleFailed, match="backend=auto.*install the package nftables"):
        pretend.run(backend="auto")


@pytest.mark.parametrize("backend", ["nftables", "iptables", "auto"])
def test_a_host_without_packet_filter_is_refused(pretend, backend):
    pretend.programs.clear()
    pretend.refused(["backend=%s" % backend, "install the package"], backend=backend)


@pytest.mark.parametrize("state", ["present", "restored"])
@pytest.mark.parametrize("failing", [["list", "tables"], ["-s", "list", "table", "inet", "xensec_test"]])
def test_an_nft_that_does_not_work_is_not_taken_for_an_old_kernel(nft, monkeypatch, state, failing):
    """Of a kernel that has no nftables the iptables of today would know nothing either."""
    if not nft.programs["iptables"]:
        pytest.skip("iptables is not installed")
    nft.run()
    works = basic.AnsibleModule.run_command

    def fails(module, command, **more):
        if command[1 : len(failing) + 1] != failing:
            return works(module, command, **more)
        if more.get("check_rc"):
            module.fail_json(msg="it does not work now")
        return 1, "", "it does not work now"

    monkeypatch.setattr(basic.AnsibleModule, "run_command", fails)
    nft.refused(["it does not work now"], state=state, backend="auto")


def test_without_ipv6_only_iptables_is_used(iptables, monkeypatch):
    monkeypatch.setattr(firewall, "IPV6", "/nowhere")
    iptables.converge()
    names = sorted(path.basename for path in iptables.configuration.listdir())
    assert names == ["test.iptables", "test.json"]
    assert "XENSEC" not in iptables.call("ip6tables", "-S")
    assert not any("ip6tables" in command for command in iptables.commands)


# The boot.


# Some versions wait without being asked to; those of Debian 11 do not.
IMPATIENT = """\
#!/bin/sh
case "$*" in
*--wait=*) ;;
*) flock --nonblock "$XTABLES_LOCKFILE" true || {{ echo "Another app is holding the xtables lock" >&2; exit 4; }} ;;
esac
exec {multi} {name} "$@"
"""


def forget(host):
    """Lose what the packet filter holds."""
    if host.backend == "nftables":
        host.call("nft", "flush", "ruleset")
    else:
        for tool in ("iptables", "ip6tables"):
            host.call(tool, "-F")
            host.call(tool, "-X", "XENSEC_TEST")
    assert host.ours() == ""


def reboot(host):
    """Lose what the packet filter holds, and bring it back by the unit's or the script's commands."""
    forget(host)
    host.start()


@pytest.mark.parametrize("init", ["systemd", "sysv"])
@pytest.mark.parametrize("kind", ["nftables", "iptables", "legacy"])
def test_the_boot_loads_what_the_module_loaded(request, kind, init):
    host = make_host(request, kind)
    if init == "sysv":
        host.running.remove()
    host.converge()
    held = host.ours()
    reboot(host)
    assert host.ours() == held
    assert not host.run()["changed"]
    # Started again, as by an operator, it loads the same, and leaves alone what is there besides.
    foreign = ("nft", "table inet foreign") if kind == "nftables" else ("iptables", "-N", "FOREIGN")
    host.call(*foreign)
    host.start()
    assert "foreign" in repr(host.kernel()).lower()
    assert host.ours() == held
    assert not host.run()["changed"]


@pytest.mark.parametrize("init", ["systemd", "sysv"])
def test_the_boot_waits_for_another_iptables(request, init):
    """An init that starts several scripts at a time starts those of two rulesets together."""
    host = make_host(request, "legacy")
    if init == "sysv":
        host.running.remove()
    for path in host.root.dirpath("bin").listdir():
        program = os.path.realpath(str(path))
        path.remove()
        path.write(IMPATIENT.format(multi=program, name=path.basename))
        path.chmod(0o755)
    host.converge()
    held = host.ours()
    forget(host)
    with open(os.environ["XTABLES_LOCKFILE"]) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        another = threading.Timer(0.7, fcntl.flock, [lock, fcntl.LOCK_UN])
        another.start()
        host.start()
        another.join()
    assert host.ours() == held


def test_an_iptables_that_cannot_wait_is_not_asked_to(iptables, monkeypatch):
    real = iptables.run_command

    def without_help(module, command, **more):
        return (2, "", "no such option") if command[1:] == ["--help"] else real(module, command, **more)

    monkeypatch.setattr(basic.AnsibleModule, "run_command", as_method(without_help))
    iptables.converge()
    assert not any("--wait" in command for command in iptables.commands)


def test_system_v_init(pretend):
    pretend.running.remove()
    pretend.converge()
    script = pretend.init.join("xensec-firewall-test")
    assert stat.S_IMODE(os.stat(str(script)).st_mode) == 0o755
    assert "# Default-Start:     S\n" in script.read()
    link = pretend.rc.join("S05xensec-firewall-test")
    # As update-rc.d leaves it for a script that is switched off.
    os.rename(str(link), str(pretend.rc.join("K05xensec-firewall-test")))
    assert pretend.converge()["reasons"] == ["it is not loaded at boot"]
    assert link.check()
    pretend.converge(state="absent")
    assert not script.check() and not link.check(link=1)


def test_a_ruleset_with_a_longer_name_does_not_count(pretend):
    pretend.running.remove()
    pretend.rc.join("S05my-xensec-firewall-test").write("")
    pretend.rc.join("S05xensec-firewall-test_2").write("")
    assert "it is not loaded at boot" in pretend.run(check=True)["reasons"]


def test_system_v_init_without_links(pretend):
    pretend.running.remove()
    pretend.rc.remove()
    assert "it is not loaded at boot" in pretend.run(check=True)["reasons"]


# What it refuses.

TABLE = "table inet xensec_test { chain c { accept; }; }\n"
FOREIGN = [
    ("", "declares no table"),
    ("# table inet xensec_test {}\n", "declares no table"),
    ("define x = { 1, 2 }\n", "declares no table"),
    ("table inet filter { }\n", "declares table inet filter"),
    (TABLE + "table ip nat { chain c { accept; }; }\n", "declares table ip nat"),
    (TABLE + "table nat { chain c { accept; }; }\n", "declares table nat"),
    ("table ip xensec_test { }\n", "declares table ip xensec_test"),
    ("table inet xensec_test2 { }\n", "declares table inet xensec_test2"),
    (TABLE.strip() + "; table ip nat { }\n", "declares table ip nat"),
    ("table\tip\tnat\n{\n}\n" + TABLE, "declares table ip nat"),
    ("add table ip nat { }\n" + TABLE, "has 'add'"),
    ("flush ruleset\n" + TABLE, "has 'flush ruleset'"),
    (TABLE + "delete table ip nat\n", "has 'delete table ip nat'"),
    (TABLE.strip() + "; flush table ip nat\n", "has 'flush table ip nat'"),
    (TABLE + "table ip nat\n", "has 'table ip nat'"),
    ("add rule ip filter input accept\n" + TABLE, "has 'add rule ip filter input accept'"),
    ('include "/etc/nftables.conf"\n' + TABLE, "has 'include"),
    ("define x = 1; flush ruleset\n" + TABLE, "has 'flush ruleset'"),
    ('# "\nflush ruleset # "\n' + TABLE, "has 'flush ruleset'"),
    (TABLE + "}", "has '}'"),
    ("table inet xensec_test {", "has 'table inet xensec_test {'"),
]


@pytest.mark.parametrize("text, problem", FOREIGN)
def test_only_its_own_tables_may_be_declared(pretend, text, problem):
    pretend.refused([problem, "inet xensec_test and bridge xensec_test"], nftables=text)


@pytest.mark.parametrize("kind", ["stand-in", "nftables"])
def test_a_ruleset_that_nft_refuses_changes_nothing(request, kind):
    host = make_host(request, kind)
    bogus = "table inet xensec_test { chain c { bogus } }\n"
    host.refused(["nft refused the ruleset, nothing was changed", "bogus"], nftables=bogus)
    host.converge()
    host.refused(["nft refused the ruleset, nothing was changed", "bogus"], nftables=bogus)


BAD_RULES = [
    ({"iptables": [], "ip6tables": []}, ["there is no rule for iptables", "-A XENSEC_TEST"]),
    ({"iptables": ["-A XENSEC_TEST -j DROP\nCOMMIT\n*nat"]}, ["DROP", "is not a rule of the chain XENSEC_TEST"]),
    ({"iptables": ["-p tcp -j DROP"]}, ["'-p tcp -j DROP' is not a rule"]),
    ({"iptables": ["-A INPUT -j DROP"]}, ["'-A INPUT -j DROP' is not a rule"]),
    ({"iptables": ["-A XENSEC_TEST2 -j DROP"]}, ["'-A XENSEC_TEST2 -j DROP' is not a rule"]),
    ({"iptables": ["-I XENSEC_TEST -j DROP"]}, ["'-I XENSEC_TEST -j DROP' is not a rule"]),
    ({"iptables": ["COMMIT"]}, ["'COMMIT' is not a rule"]),
    ({"ip6tables": [" "]}, ["'' is not a rule"]),
]


@pytest.mark.parametrize("args, words", BAD_RULES)
def test_rules_of_other_chains_are_refused(pretend, args, words):
    pretend.programs = {"iptables": "/sbin/iptables", "ip6tables": "/sbin/ip6tables"}
    pretend.refused(words, backend="iptables", **args)
    assert pretend.commands == []


REFUSED_RULES = [
    ({"iptables": ["-A XENSEC_TEST -p tcp --bogus -j DROP"]}, ["iptables-restore refused", "bogus"]),
    ({"ip6tables": ["-A XENSEC_TEST -s 192.0.2.1 -j DROP"]}, ["ip6tables-restore refused", "192.0.2.1"]),
]


@pytest.mark.parametrize("args, words", REFUSED_RULES)
def test_rules_that_iptables_refuses_change_nothing(iptables, args, words):
    for tool in ("iptables", "ip6tables"):
        # So that the table is there, as it will be from the first command on.
        iptables.call(tool, "-A", "INPUT", "-j", "ACCEPT")
    iptables.refused(words, **args)
    iptables.converge()
    iptables.refused(words, **args)


@pytest.mark.parametrize("name", ["", "Test", "1a", "a-b", "a_b", "a b", "a.b", "../a", "a" * 13, "test\n"])
def test_names_that_no_chain_can_have_are_refused(pretend, name):
    with pytest.raises(ModuleFailed, match="lower-case") as caught:
        run(firewall_ruleset.main, dict(RULES, name=name))
    assert repr(name)[-3:] in str(caught.value)
    assert pretend.commands == []


def test_the_longest_name_fits(iptables):
    name = "a23456789012"
    rule = "-A XENSEC_%s -p tcp -j DROP" % name.upper()
    args = {"name": name, "backend": "iptables", "iptables": [rule], "ip6tables": [rule]}
    assert run(firewall_ruleset.main, args)["changed"]
    assert not run(firewall_ruleset.main, args)["changed"]
    assert "-N XENSEC_" + name.upper() in iptables.call("iptables", "-S")


# --- the transaction ------------------------------------------------------------------------------------------


def take_back(host):
    """Do what the host's own timer does."""
    return host.call("sh", str(host.run_folder.join("firewall-test.rollback")))


@pytest.fixture
def no_timer(monkeypatch):
    """The timer is never started, so that each test says when it fires."""
    monkeypatch.setattr(transaction.Transaction, "arm_systemd", lambda self, timeout: None)
    monkeypatch.setattr(transaction.Transaction, "arm_process", lambda self, timeout: None)


@pytest.fixture(params=["nftables", "iptables", "legacy"])
def armed(request, no_timer):
    return make_host(request, request.param)


def load(host, **args):
    return host.run(step="load", confirm_timeout=30, **args)


def test_a_loaded_change_is_not_permanent_before_it_is_confirmed(armed):
    before = armed.files()
    result = load(armed)
    assert result["pending"] and result["changed"] and result["confirm_timeout"] == 30
    assert "8002" in armed.ours()
    changed = {path for path in armed.files() if before.get(path) != armed.files()[path]}
    assert {path.split(os.sep)[0] for path in changed} == {"state", "run"}
    confirmed = armed.run(step="confirm", confirm_timeout=30)
    assert confirmed["changed"] and "pending" not in confirmed
    assert not armed.run()["changed"]
    left = [path.basename for path in armed.run_folder.listdir()] if armed.run_folder.check() else []
    assert not left, "the timer would find nothing to do"


@pytest.mark.parametrize("first", [None, OTHER_RULES])
def test_an_unconfirmed_change_is_taken_back_whole(armed, first):
    if first:
        armed.run(**first)
    before = rules_of_all(armed)
    load(armed)
    assert rules_of_all(armed) != before
    take_back(armed)
    assert rules_of_all(armed) == before
    assert armed.run(step="status")["undone"]
    with pytest.raises(ModuleFailed) as caught:
        armed.run(step="confirm", confirm_timeout=30)
    assert "too late" in str(caught.value)
    assert rules_of_all(armed) == before
    # The next try is as good as the first.
    assert load(armed)["pending"]
    armed.run(step="confirm", confirm_timeout=30)
    assert not armed.run()["changed"]


def rules_of_all(host):
    """What the packet filter holds, chain by chain: the order of chains in a listing means nothing."""
    if host.backend == "nftables":
        return host.kernel()
    lines = [tool + line for tool in ("iptables", "ip6tables") for line in host.call(tool, "-S").splitlines()]
    return sorted(lines, key=lambda line: line.split()[:2])


def test_a_change_behind_the_modules_back_is_what_comes_back(armed):
    """Not what the files say: somebody may have let himself in by hand."""
    armed.run(**OTHER_RULES)
    if armed.backend == "nftables":
        armed.call("nft", "add", "chain", "inet", "xensec_test", "by_hand")
    else:
        armed.call("iptables", "-N", "XENSEC_TEST_BY_HAND")
    load(armed)
    take_back(armed)
    assert "by_hand" in json.dumps(armed.kernel()).lower()


def test_a_second_run_waits_for_the_first(armed):
    load(armed)
    held = armed.kernel()
    with pytest.raises(ModuleFailed) as caught:
        load(armed, **OTHER_RULES)
    assert "wait" in str(caught.value) and "run this again" in str(caught.value)
    assert armed.kernel() == held


def test_check_mode_arms_nothing(armed):
    before = armed.snapshot()
    result = armed.run(check=True, step="load", confirm_timeout=30)
    assert result["changed"] and "pending" not in result
    assert armed.snapshot() == before


def test_a_host_that_cannot_arm_is_left_alone(pretend, monkeypatch):
    monkeypatch.setattr(transaction, "SYSTEMD", str(pretend.running))
    systemctl = pretend.run_command

    def failing(module, command, **more):
        return (1, "", "no bus\n") if command[0] == "systemd-run" else systemctl(module, command, **more)

    monkeypatch.setattr(basic.AnsibleModule, "run_command", as_method(failing))
    with pytest.raises(ModuleFailed) as caught:
        load(pretend)
    assert "nothing was changed" in str(caught.value)
    assert pretend.stand_in.tables == {}
    assert not pretend.run_folder.join("firewall-test.armed").check()


@pytest.mark.parametrize("seconds", [9, 3601, -1])
def test_times_that_prove_nothing_are_refused(pretend, seconds):
    pretend.refused(["confirm_timeout=%d" % seconds, "10 to 3600"], confirm_timeout=seconds)


# --- what other roles register --------------------------------------------------------------------------------

DOM0 = {
    "nftables": """
table inet xensec_dom0 {
  chain registered {
  }
  chain input {
    type filter hook input priority 0; policy accept;
    jump registered
    tcp dport 1-65535 reject with tcp reset
  }
}
""",
    "iptables": ["# registered", "-A XENSEC_DOM0 -p tcp -j REJECT --reject-with tcp-reset"],
    "ip6tables": ["# registered", "-A XENSEC_DOM0 -p tcp -j REJECT --reject-with tcp-reset"],
}
AGENT = {
    "nftables": ["tcp dport 9100 accept"],
    "iptables": ["-A XENSEC_DOM0 -p tcp -m multiport --dports 9100 -j RETURN"],
    "ip6tables": [],
}
OTHER_AGENT = {
    "nftables": ["tcp dport 9200 accept"],
    "iptables": ["-A XENSEC_DOM0 -p tcp -m multiport --dports 9200 -j RETURN"],
    "ip6tables": [],
}


def register(host, name, rules, check=False):
    args = {"name": name, "backend": host.backend, "registers": rules, "state": "present" if rules else "absent"}
    return run(firewall_ruleset.main, args, check=check)


def dom0(host):
    return run(firewall_ruleset.main, dict(DOM0, name="dom0", backend=host.backend))


def held(host):
    if host.stand_in:
        return host.stand_in.tables.get("inet xensec_dom0", "")
    if host.backend == "nftables":
        return host.call("nft", "list", "table", "inet", "xensec_dom0")
    return host.call("iptables", "-S", "XENSEC_DOM0")


def test_the_order_of_roles_does_not_matter(host):
    register(host, "agent", AGENT)
    dom0(host)
    register(host, "other", OTHER_AGENT)
    one = host.configuration.join("dom0.%s" % ("nft" if host.backend == "nftables" else "iptables")).read()
    register(host, "other", None)
    register(host, "agent", None)
    register(host, "other", OTHER_AGENT)
    register(host, "agent", AGENT)
    assert one == host.configuration.join("dom0.%s" % ("nft" if host.backend == "nftables" else "iptables")).read()
    if not host.stand_in:
        # The admission comes before the rejection.
        assert held(host).index("9100") < held(host).lower().rindex("reject")
    assert "9100" in one and "9200" in one
    for again in (register(host, "agent", AGENT), dom0(host)):
        assert not again["changed"]


def test_what_is_taken_back_is_gone(host):
    register(host, "agent", AGENT)
    dom0(host)
    before = host.snapshot()
    assert register(host, "agent", None, check=True)["changed"]
    assert host.snapshot() == before
    assert register(host, "agent", None)["changed"]
    if not host.stand_in:
        assert "9100" not in held(host)
    assert not register(host, "agent", None)["changed"]


def test_nothing_is_registered_while_a_change_waits_for_its_confirmation(pretend, no_timer):
    dom0(pretend)
    changed = dict(DOM0, nftables=DOM0["nftables"].replace("65535", "65534"))
    run(firewall_ruleset.main, dict(changed, name="dom0", backend="nftables", step="load", confirm_timeout=30))
    with pytest.raises(ModuleFailed) as caught:
        register(pretend, "agent", AGENT)
    assert "waits for its confirmation: run this again in" in str(caught.value)


def test_a_restore_leaves_nothing_but_the_record(host):
    before = host.snapshot()
    host.converge()
    predicted = host.run(check=True, state="restored")
    result = host.run(state="restored")
    assert result == predicted and result["changed"] and result["left"] == []
    assert host.ours() == ""
    assert host.kernel() == before[0] or "XENSEC" not in str(host.kernel())
    files = [name for name in host.files() if name not in before[1]]
    assert [os.path.basename(name) for name in files] == ["firewall_test.json.restored"]
    assert not host.run(state="restored")["changed"]


def test_a_restore_after_a_run_that_was_killed_before_its_confirmation(armed):
    before = armed.kernel()
    load(armed)
    assert armed.kernel() != before
    armed.run(state="restored", step="load", confirm_timeout=30)
    assert "XENSEC" not in str(armed.ours()) and armed.ours() == ""
    assert not armed.run(state="restored")["changed"]


def test_a_restore_is_a_transaction_that_the_host_takes_back(armed):
    armed.run()
    held = sorted(armed.ours().splitlines())
    result = armed.run(state="restored", step="load", confirm_timeout=30)
    assert result["pending"] and armed.ours() == ""
    armed.call("sh", str(armed.run_folder.join("firewall-test.rollback")))
    assert sorted(armed.ours().splitlines()) == held
    result = armed.run(state="restored", step="load", confirm_timeout=30)
    assert result["pending"]
    assert armed.run(state="restored", step="confirm")["changed"]
    assert armed.ours() == ""
    assert not armed.run(state="restored")["changed"]
    assert not armed.run_folder.check() or not armed.run_folder.listdir()


def test_a_ruleset_that_somebody_edited_is_left_on_disk(pretend):
    pretend.converge()
    path = pretend.configuration.join("test.nft")
    path.write_binary(path.read_binary() + b"# mine\n")
    result = pretend.run(state="restored")
    assert result["left"] == ["%s has been changed since" % path]
    assert pretend.ours() == "" and path.check()
    assert not pretend.run(state="restored")["changed"]
    assert pretend.run(state="restored", force=True)["changed"]
    assert not path.check()
