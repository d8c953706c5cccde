# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import audit_facts, relocation_ssh, sockets
from ansible_collections.xensec.hardening.plugins.module_utils.reader import Unreadable
from hypothesis import given
from hypothesis import strategies as st


class Reader(object):
    def __init__(self, **answers):
        self.answers = answers

    def get_bin_path(self, name, required=False, opt_dirs=None):
        return "/usr/sbin/" + name if name in self.answers else None

    def run_command(self, command):
        return self.answers[os.path.basename(command[0])]

    def fail_json(self, msg):
        raise Unreadable(msg)


# xend's configuration.


@pytest.fixture
def xend(tmpdir, monkeypatch):
    path = tmpdir.join("xend-config.sxp")
    monkeypatch.setattr(audit_facts, "XEND_CONFIG", str(path))
    monkeypatch.setattr(sockets, "listening", lambda: [])

    def read(text=None, pids=()):
        if text is not None:
            path.write_binary(text.encode("latin-1"))
        return audit_facts.xend(Reader(), list(pids))

    return read


def test_without_a_file_xend_has_its_defaults(xend):
    found = xend()
    assert found["configured"] is False
    assert found["options"]["xend-relocation-server"] is False
    assert found["options"]["vnc-listen"] == "127.0.0.1"
    assert found["hosts_allow"]["empty"] is True
    assert found["vncpasswd"] == "empty"
    assert found["xen_api"] == [{"listener": "unix", "tcp": False, "address": "", "authenticates": True}]


def test_options_as_xend_reads_them(xend):
    found = xend(
        "(xend-http-server Yes)\n(xend-relocation-server on)\n(xend-relocation-port ' 9002 ')\n"
        "(xend-tcp-xmlrpc-server maybe)\n(xend-relocation-address 127.0.0.1)\n(xend-address)\n# (vnc-listen '0.0.0.0')\n"
    )
    options = found["options"]
    assert options["xend-http-server"] is True
    assert options["xend-relocation-port"] == 9002
    # It does not start with this one, so nobody can say what it does.
    assert options["xend-tcp-xmlrpc-server"] is None
    assert options["xend-address"] == ""
    assert options["vnc-listen"] == "127.0.0.1"
    assert found["relocation"]["configured"] == ["127.0.0.1:9002"]


def test_the_first_entry_counts_and_the_others_are_named(xend):
    found = xend("(xend-relocation-hosts-allow '')\n(xend-relocation-hosts-allow '^localhost$')\n")
    assert found["hosts_allow"]["patterns"] == [""]
    assert found["repeated"] == ["xend-relocation-hosts-allow"]


@pytest.mark.parametrize("password, state", [("(vncpasswd 'pa55word')", "set"), ("(vncpasswd '')", "empty")])
def test_a_password_is_never_told(xend, password, state):
    found = xend(password)
    assert found["vncpasswd"] == state
    assert "pa55word" not in json.dumps(found)


def test_a_file_that_xend_cannot_read_is_an_error_without_a_secret(xend):
    with pytest.raises(Unreadable) as error:
        xend("(vncpasswd 'pa55word)\n")
    assert "line 1" in str(error.value)
    assert "pa55word" not in str(error.value)


def test_who_may_read_it(xend, tmpdir):
    xend("(loglevel INFO)")
    path = tmpdir.join("xend-config.sxp")
    for mode, open_to_all in ((0o640, False), (0o644, True)):
        path.chmod(mode)
        assert xend()["readable_by_all"] is open_to_all


def test_the_sockets_that_xend_has_are_told_from_those_of_others(xend, monkeypatch):
    def socket(address, *pids):
        return {"protocol": "tcp", "address": address, "port": 8002, "pids": list(pids)}

    monkeypatch.setattr(sockets, "listening", lambda: [socket("127.0.0.1", 400, 401), socket("10.0.0.1", 1)])
    found = xend("(xend-relocation-server yes)(xend-relocation-address localhost)", pids=[401])
    assert found["running"] is True
    assert found["relocation"] == {"configured": ["127.0.0.1:8002"], "listening": ["127.0.0.1:8002"]}


@pytest.mark.parametrize(
    "text, kind",
    [("", "every"), ("10.0.0.1", "literal"), ("eth1", "name"), ("be0", "name"), ("::1", "name"), ("1.2.3", "name")],
)
def test_kinds_of_relocation_addresses(text, kind):
    assert audit_facts.address_kind(text) == kind


HOSTS = [
    # (list, admits everybody, has the empty pattern, open at the end, by name, broken)
    ("", True, True, [], [], []),
    ("^10\\.0\\.0\\.5$", False, False, [], [], []),
    ("^10\\.0\\.0\\.5$ ^10\\.0\\.0\\.6$", False, False, [], [], []),
    ("^10\\.0\\.0\\.5$  ^10\\.0\\.0\\.6$", True, True, [], [], []),
    (" ^10\\.0\\.0\\.5$", True, True, [], [], []),
    ("^10\\.0\\.0\\.5$ ", True, True, [], [], []),
    # A tab does not separate.
    ("^10\\.0\\.0\\.5$\t", False, False, ["^10\\.0\\.0\\.5$\t"], [], []),
    ("10.0.0.1", False, False, ["10.0.0.1"], [], []),
    (".*", True, False, [".*"], [], []),
    (".*$", True, False, [], [], []),
    ("^[0-9.]+$ ^.*\\.example$", True, False, [], ["^.*\\.example$"], []),
    ("^localhost$", False, False, [], ["^localhost$"], []),
    ("^\\d+$", False, False, [], [], []),
    ("^10\\0\\0\\5$ (", False, False, ["("], [], ["("]),
]


@pytest.mark.parametrize("text, everybody, empty, open_ended, names, broken", HOSTS)
def test_hosts_that_may_relocate(text, everybody, empty, open_ended, names, broken):
    found = audit_facts.hosts_allow(text)
    assert (found["admits_everybody"], found["empty"]) == (everybody, empty)
    assert (found["open_ended"], found["names"]) == (open_ended, names)
    assert [item for item in found["broken"] if item == "("] == broken


@given(st.text(max_size=20))
def test_any_list_of_hosts_is_read(text):
    found = audit_facts.hosts_allow(text)
    assert found["empty"] == ("" in text.split(" "))


@pytest.mark.parametrize(
    "value, expected",
    [
        ([["9363"]], [("9363", True, "", False)]),
        ([["9363", "pam"]], [("9363", True, "", True)]),
        ([["127.0.0.1:9363", "none"]], [("127.0.0.1:9363", True, "127.0.0.1", False)]),
        ([["unix"]], [("unix", False, "", True)]),
        ([["unix", "none"], ["9363", "pam", "^localhost$"]], [("unix", False, "", True), ("9363", True, "", True)]),
        (["9363"], [("9363", True, "", False)]),
        ([[]], [("", True, "", False)]),
        ("9363", []),
    ],
)
def test_the_xen_api(value, expected):
    found = audit_facts.xen_api(value)
    assert [(one["listener"], one["tcp"], one["address"], one["authenticates"]) for one in found] == expected


@pytest.mark.parametrize(
    "text, value",
    [
        ("", ""),
        ('XENDOMAINS_MIGRATE=""\n', ""),
        ("XENDOMAINS_MIGRATE=\n", ""),
        ('XENDOMAINS_MIGRATE="--live node1"\n', "--live node1"),
        ("# XENDOMAINS_MIGRATE=node1\n", ""),
        ("XENDOMAINS_MIGRATE=a\nXENDOMAINS_MIGRATE=''\n", ""),
    ],
)
def test_where_guests_go_at_shut_down(tmpdir, monkeypatch, text, value):
    path = tmpdir.join("xendomains")
    path.write(text)
    monkeypatch.setattr(audit_facts, "XENDOMAINS", (str(path),))
    assert audit_facts.xendomains(Reader()) == {"migrate": value}


# Guests' consoles.

CONSOLES = [
    ("memory = 512\n", []),
    # No guest's configuration.
    ("vnc = 1\nvnclisten = '0.0.0.0'\n", []),
    ("memory = 512\nvnc = 1\n", [("vnc", "127.0.0.1", False, False)]),
    ("memory = 512\nvnc = 0\n", []),
    ("memory = 512\nvnc = 1\nvnclisten = '0.0.0.0'\n", [("vnc", "0.0.0.0", False, True)]),
    ("memory = 512\nvnclisten = \"0.0.0.0:5\"\nvncpasswd='x'", [("vnc", "0.0.0.0", True, True)]),
    ("memory = 512\n# vnclisten = '0.0.0.0'\n", []),
    ("memory = 512\nvnclisten = '::1'\n", [("vnc", "::1", False, False)]),
    (
        "memory = 512\nvfb = [ 'type=vnc,vncunused=1,vnclisten=0.0.0.0,vncpasswd=pa55word' ]\n",
        [("vnc", "0.0.0.0", True, True)],
    ),
    ("memory = 512\nvfb = [\n  'type=vnc',\n  'type=sdl' ]\n", [("vnc", "127.0.0.1", False, False)]),
    # SPICE binds to every address unless it is told otherwise.
    ("memory = 512\nspice = 1\nspiceport = 6000\n", [("spice", "", False, True)]),
    ("memory = 512\nspice = 1\nspicehost = '127.0.0.1'\nspicepasswd = 'x'\n", [("spice", "127.0.0.1", True, False)]),
    ("memory = 512\nspice = 1\nspicedisable_ticketing = 1\nspicepasswd = 'x'\n", [("spice", "", False, True)]),
]


def told(consoles):
    return [(one["kind"], one["listen"], one["password"], one["exposed"]) for one in consoles]


@pytest.mark.parametrize("text, expected", CONSOLES)
def test_consoles_that_are_configured(text, expected):
    found = audit_facts.configured_consoles(text, "/etc/xen/web.cfg", "127.0.0.1")
    assert told(found) == expected
    assert "pa55word" not in json.dumps(found)


def test_a_console_without_an_address_is_where_xend_puts_it():
    assert told(audit_facts.configured_consoles("memory = 1\nvnc = 1\n", "x", "0.0.0.0")) == [
        ("vnc", "0.0.0.0", False, True)
    ]


RUNNING = [
    {
        "domid": 3,
        "config": {
            "c_info": {"name": "web"},
            "b_info": {
                "type.hvm": {
                    "vnc": {"enable": "True", "listen": "0.0.0.0", "passwd": "pa55word"},
                    "spice": {"enable": "True", "host": None},
                }
            },
            "vfbs": [{"vnc": {"enable": "False", "listen": "0.0.0.0"}}, {"vnc": {"listen": "127.0.0.1"}}],
        },
    },
    {"domid": 4, "config": {"c_info": {"name": "db"}, "b_info": {"type.hvm": {"spice": {"enable": "False"}}}}},
]


@pytest.fixture
def guests(tmpdir, monkeypatch):
    monkeypatch.setattr(audit_facts, "GUESTS", (str(tmpdir.mkdir("xen").join("*")),))
    monkeypatch.setattr(audit_facts, "CAPABILITIES", str(tmpdir.join("capabilities")))
    tmpdir.join("capabilities").write("control_d\n")
    return tmpdir


def test_consoles_of_guests_that_run(guests):
    guests.join("xen", "web.cfg").write("name = 'web'\nmemory = 512\nvnc = 1\n")
    os.symlink(str(guests.join("xen", "web.cfg")), str(guests.join("xen", "zlink")))
    found = audit_facts.consoles(Reader(xl=(0, json.dumps(RUNNING), "")), "127.0.0.1")
    assert [(one["guest"], one["source"] == "running") for one in found] == [("web", False)] + [("web", True)] * 3
    assert told(found[1:]) == [
        ("spice", "", False, True),
        ("vnc", "0.0.0.0", True, True),
        ("vnc", "127.0.0.1", False, False),
    ]
    assert "pa55word" not in json.dumps(found)


@pytest.mark.parametrize("answer", [(1, "", "cannot open libxl"), (0, "not JSON", "")])
def test_guests_that_cannot_be_asked_are_an_error(guests, answer):
    with pytest.raises(Unreadable):
        audit_facts.consoles(Reader(xl=answer), "127.0.0.1")


def test_where_xen_does_not_run_no_guest_does(guests):
    guests.join("capabilities").remove()
    assert audit_facts.consoles(Reader(xl=(1, "", "no")), "127.0.0.1") == []


# Keys.

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE4V2iKbDfTpAI75YwObW1iUjWxbW3UQTJe/UGUv+Gz5"


@pytest.mark.parametrize(
    "line, forced, source",
    [
        (KEY + " me", False, False),
        ('command="/bin/true" ' + KEY, True, False),
        ('restrict,command="/bin/true",from="10.0.0.1" ' + KEY, True, True),
        ('from="10.0.0.0/8" ' + KEY, False, True),
    ],
)
def test_keys_and_what_they_are_bound_to(tmpdir, monkeypatch, line, forced, source):
    monkeypatch.setattr(relocation_ssh, "FOLDER", str(tmpdir))
    tmpdir.join("authorized_keys").write("# command=\n\n%s\n" % line)
    (found,) = audit_facts.relocation_keys(Reader())
    assert (found["line"], found["forced"], found["from"]) == (3, forced, source)
    assert found["fingerprint"] == "SHA256:SzSyVg/jJti93hIVjRgkWIMnCB2nGIGnF5vxJWJyluc"
    assert KEY.split()[1] not in json.dumps(found)


def test_a_key_that_is_no_base64_has_no_fingerprint():
    assert audit_facts.fingerprint("ssh-ed25519 AAAAC") == "unreadable"
