# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket
import sys

import pytest
from ansible.module_utils import basic
from ansible_collections.xensec.hardening.plugins.module_utils import (
    accounts,
    audit_facts,
    control,
    sessions,
    sockets,
    sshd,
)
from ansible_collections.xensec.hardening.plugins.module_utils.reader import Reader, Unreadable
from ansible_collections.xensec.hardening.plugins.modules import dom0_info
from harness import ModuleFailed, run
from hypothesis import given
from hypothesis import strategies as st

NO_ROUTES = {"-4": "", "-6": ""}


class Host(object):
    """A host as /proc, /sys and ip show it."""

    def __init__(self, folder):
        self.proc = folder.mkdir("proc")
        self.network = folder.mkdir("net")
        self.etc = folder.mkdir("etc")
        self.proc.mkdir("net")
        self.proc.join("version").write("Linux\n")
        # A file among the folders: what the bonding driver has there.
        self.network.join("bonding_masters").write("\n")
        self.programs = {"ip": "/sbin/ip"}
        self.addresses = ""
        self.routes = dict(NO_ROUTES)
        self.no_ipv6 = False
        self.counters = {}
        self.interface("lo", state="unknown")

    def run_command(self, module, command, **more):
        if command[0] != "/sbin/ip":
            return (0, self.counters[" ".join(command)], "") if " ".join(command) in self.counters else (1, "", "none")
        if command[1:] == ["-o", "address", "show"]:
            return 0, self.addresses, ""
        assert command[2:] == ["-o", "route", "show"]
        if command[1] == "-6" and self.no_ipv6:
            return 2, "", "RTNETLINK answers: Operation not supported\n"
        return 0, self.routes[command[1]], ""

    def interface(self, name, state="up", bridge=None):
        folder = self.network.mkdir(name)
        folder.join("operstate").write(state + "\n")
        if bridge:
            port = folder.mkdir("brport")
            os.symlink(str(self.network.join(bridge)), str(port.join("bridge")))
            self.network.join(bridge).ensure("brif", name)

    def bridge(self, name, *ports, **more):
        self.interface(name, **more)
        self.network.join(name).ensure("brif", dir=True)
        for port in ports:
            self.interface(port, bridge=name)

    def process(self, pid, *words, **more):
        folder = self.proc.mkdir(str(pid))
        folder.join("cmdline").write("".join(word + "\0" for word in words))
        folder.join("comm").write(more.get("comm", "python") + "\n")
        for number, inode in enumerate(more.get("sockets", [])):
            os.symlink("socket:[%s]" % inode, str(folder.ensure("fd", dir=True).join(str(number + 3))))

    def tcp(self, table, *lines):
        heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
        self.proc.join("net", table).write("\n".join((heading,) + lines) + "\n")

    def read(self, subset, check=False):
        result = run(dom0_info.main, {"gather_subset": [subset]}, check=check)
        assert not result["changed"]
        assert sorted(result) == sorted(["changed", "invocation", "platform", subset])
        return result[subset]


@pytest.fixture
def host(tmpdir, monkeypatch):
    made = Host(tmpdir)
    monkeypatch.setattr(dom0_info, "PROC", str(made.proc))
    monkeypatch.setattr(control, "PROC", str(made.proc))
    monkeypatch.setattr(sockets, "PROC", str(made.proc))
    monkeypatch.setattr(dom0_info, "NETWORK", str(made.network))
    files = (str(made.etc.join("xend-config.sxp")), str(made.etc.join("xend")))
    monkeypatch.setattr(dom0_info, "XEND_FILES", files)
    monkeypatch.setattr(dom0_info, "UFW_CONFIGURATION", str(made.etc.join("ufw.conf")))

    def get_bin_path(module, name, required=False, opt_dirs=None):
        if required and name not in made.programs:
            module.fail_json(msg="Failed to find required executable %s" % name)
        return made.programs.get(name)

    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", get_bin_path)
    monkeypatch.setattr(
        basic.AnsibleModule, "run_command", lambda module, command, **more: made.run_command(module, command)
    )
    return made


# The platform.

OS_RELEASE = """
PRETTY_NAME="Oracle VM Server 3.4"
NAME='Oracle'
ID="ol"
ID_LIKE="fedora RHEL"
"""
PLATFORMS = [
    ({"os-release": OS_RELEASE}, {"id": "ol", "like": ["fedora", "rhel"], "name": "Oracle VM Server 3.4"}),
    ({"os-release": "ID=debian\n"}, {"id": "debian", "like": [], "name": "debian"}),
    # The etc one is an administrator's, and comes first.
    ({"os-release": "ID=a\n", "usr-os-release": "ID=b\n"}, {"id": "a", "like": [], "name": "a"}),
    ({"os-release": "NAME=x\n", "usr-os-release": "ID=b\n"}, {"id": "b", "like": [], "name": "b"}),
    ({"debian_version": "6.0.10\n"}, {"id": "debian", "like": [], "name": "debian 6.0.10"}),
    (
        {"redhat-release": "CentOS release 5.11 (Final)\n"},
        {"id": "rhel", "like": [], "name": "rhel CentOS release 5.11 (Final)"},
    ),
    ({}, {"id": "", "like": [], "name": ""}),
]


@pytest.mark.parametrize("files, expected", PLATFORMS)
def test_platform(host, monkeypatch, files, expected):
    for name, text in files.items():
        host.etc.join(name).write(text)
    monkeypatch.setattr(
        dom0_info, "OS_RELEASE", [str(host.etc.join(name)) for name in ("os-release", "usr-os-release")]
    )
    olds = [(str(host.etc.join(os.path.basename(path))), name) for path, name in dom0_info.OLD_RELEASES]
    monkeypatch.setattr(dom0_info, "OLD_RELEASES", olds)
    assert run(dom0_info.main, {"gather_subset": ["control"]})["platform"] == expected


# The tool stack.

TOOLSTACKS = [
    # (xend's files, xl, command line of a process, what it is)
    ([], False, [], "none"),
    (["xend-config.sxp"], False, [], "xend"),
    (["xend"], False, [], "xend"),
    ([], True, [], "xl"),
    (["xend-config.sxp", "xend"], True, [], "xl"),
    (["xend-config.sxp"], True, ["/usr/bin/python", "/usr/sbin/xend", "start"], "both"),
    (["xend"], False, ["/usr/bin/python", "/usr/sbin/xend", "start"], "xend"),
    (["xend"], True, ["/usr/bin/python2.7", "-E", "-u", "/usr/lib/xen-4.1/bin/xend", "start"], "both"),
    (["xend"], True, ["/usr/sbin/xend"], "both"),
    # Words that are about xend are not xend.
    (["xend"], True, ["vi", "/usr/sbin/xend"], "xl"),
    (["xend"], True, ["/bin/sh", "/etc/init.d/xend", "status"], "xl"),
    (["xend"], True, ["grep", "xend"], "xl"),
    (["xend"], True, ["python", "-c", "import sys", "xend"], "xl"),
    (["xend"], True, ["python"], "xl"),
    (["xend"], True, ["python", "-"], "xl"),
    (["xend"], True, ["/usr/sbin/xenstored"], "xl"),
    (["xend"], True, ["/usr/sbin/xend-watch"], "xl"),
]


@pytest.mark.parametrize("files, xl, words, detected", TOOLSTACKS)
def test_toolstack(host, files, xl, words, detected):
    for name in files:
        host.etc.join(name).write("")
    if xl:
        host.programs["xl"] = "/usr/sbin/xl"
    # A kernel thread has no command line, and a process may be gone by now.
    host.process(2)
    host.proc.mkdir("3")
    if words:
        host.process(412, *words)
    found = host.read("toolstack")
    assert found["detected"] == detected
    expected = ["%s is there" % host.etc.join(name) for name in files] + ["/usr/sbin/xl is there"] * xl
    if words and detected in ("both", "xend"):
        expected.append("xend runs as process 412")
    assert found["evidence"] == (expected or ["neither xend nor xl was found"])


# The interfaces. Lines of ip are as iproute2 6.1 prints them; older ones and busybox differ in the name alone.

ADDRESSES = [
    (
        "2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever\n"
        "2: eth0    inet 192.0.2.2/24 scope global secondary eth0\\       valid_lft forever preferred_lft forever\n"
        "2: eth0    inet 203.0.113.1/30 scope global eth0:0\\       valid_lft forever preferred_lft forever\n"
        "2: eth0    inet6 2001:db8::1/64 scope global dynamic mngtmpaddr \\       valid_lft 2591sec\n"
        "2: eth0    inet6 fe80::9cfa:b6ff:feca:e822/64 scope link \\       valid_lft forever\n",
        ["192.0.2.1/24", "192.0.2.2/24", "203.0.113.1/30"],
        ["2001:db8::1/64"],
    ),
    # The prefix is that of the network the peer is in.
    (
        "2: eth0    inet 198.51.100.1 peer 198.51.100.2/32 scope global eth0\\       valid_lft forever\n"
        "2: eth0    inet6 2001:db8:1::1 peer 2001:db8:1::2/126 scope global nodad \\       valid_lft forever\n",
        ["198.51.100.1/32"],
        ["2001:db8:1::1/126"],
    ),
    # What begins alike is another interface; what is not there any more is left out.
    (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n"
        "3: eth00    inet 192.0.2.3/24 scope global eth00\\       valid_lft forever\n"
        "12: eth0    inet6 2001:db8::12/128 scope global tentative \\       valid_lft forever\n",
        [],
        ["2001:db8::12/128"],
    ),
    # Old versions of ip show the link as well, and then more than an address follows.
    (
        "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue qlen 1000\\    link/ether 02:00:00:00:00:01\n"
        "2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\n",
        ["192.0.2.1/24"],
        [],
    ),
    ("", [], []),
]


def texts(items):
    return ["%s/%d" % (item["address"], item["prefix"]) for item in items]


@pytest.mark.parametrize("lines, ipv4, ipv6", ADDRESSES)
def test_addresses(host, lines, ipv4, ipv6):
    host.interface("eth0")
    host.addresses = lines
    found = host.read("interfaces")
    assert list(found) == ["eth0"]
    assert texts(found["eth0"]["ipv4"]) == ipv4
    assert texts(found["eth0"]["ipv6"]) == ipv6


@pytest.mark.parametrize(
    "name, shown",
    [
        ("eth0.5", "eth0.5"),
        ("eth0.5", "eth0.5@eth0"),
        ("vlan5", "vlan5@bond0"),
        ("a@b", "a@b"),
        ("xenbr-mgmt_0", "xenbr-mgmt_0"),
    ],
)
def test_names(host, name, shown):
    host.interface(name)
    host.addresses = "7: %s    inet 192.0.2.1/24 scope global eth0.5\\       valid_lft forever\n" % shown
    host.routes["-4"] = "default via 192.0.2.254 dev %s \n" % name
    found = host.read("interfaces")
    assert list(found) == [name]
    assert texts(found[name]["ipv4"]) == ["192.0.2.1/24"]
    assert found[name]["default_route"]


ROUTES = [
    ("default via 192.0.2.254 dev eth0 \n", "", ["eth0"]),
    ("default via 192.0.2.254 dev eth1 proto dhcp metric 100 \ndefault dev ppp0 scope link \n", "", ["eth1", "ppp0"]),
    ("", "default via fe80::1 dev eth1 proto ra metric 1024 expires 1790sec pref medium\n", ["eth1"]),
    ("default via inet6 fe80::1 dev eth0 \n", "", ["eth0"]),
    (
        "default proto static \\\tnexthop via 192.0.2.9 dev eth0 weight 1 \\\tnexthop via 198.51.100.2 dev eth1 weight 1 \n",
        "",
        ["eth0", "eth1"],
    ),
    ("unreachable default metric 100 \n", "unreachable default dev lo metric 4294967295 error -101 pref medium\n", []),
    ("", "", []),
]


@pytest.mark.parametrize("ipv4, ipv6, expected", ROUTES)
def test_default_routes(host, ipv4, ipv6, expected):
    for name in ("eth0", "eth1", "ppp0"):
        host.interface(name)
    host.routes = {"-4": ipv4, "-6": ipv6}
    found = host.read("interfaces")
    assert [name for name in sorted(found) if found[name]["default_route"]] == expected


def test_a_kernel_without_ipv6(host):
    host.interface("eth0")
    host.no_ipv6 = True
    host.routes["-4"] = "default via 192.0.2.254 dev eth0 \n"
    assert host.read("interfaces")["eth0"]["default_route"]


def test_networks_routed_through_an_interface(host):
    for name in ("eth0", "eth1"):
        host.interface(name)
    host.routes["-4"] = (
        "default via 192.0.2.254 dev eth0 \n"
        "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1 \n"
        "10.0.0.0/8 proto static \\\tnexthop via 192.0.2.9 dev eth0 weight 1 \\\tnexthop via 198.51.100.2 dev eth1 \n"
        "203.0.113.9 via 192.0.2.3 dev eth1 \n"
        "blackhole 198.18.0.0/15 \nunreachable 198.19.0.0/16 dev lo \n"
    )
    host.routes["-6"] = (
        "2001:db8::/64 dev eth0 proto kernel metric 256 pref medium\nfe80::/64 dev eth0 proto kernel metric 256\n"
        "ff00::/8 dev eth0 table local\nunicast 2001:db8:9::/48 via fe80::1 dev eth1\n"
    )
    found = host.read("interfaces")
    assert found["eth0"]["routes"] == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/64"]
    assert found["eth1"]["routes"] == ["10.0.0.0/8", "2001:db8:9::/48", "203.0.113.9/32"]


def test_too_many_routes_are_none(host, monkeypatch):
    monkeypatch.setattr(dom0_info, "MOST_ROUTES", 2)
    for name in ("eth0", "eth1"):
        host.interface(name)
    host.routes["-4"] = "".join(
        "10.%d.0.0/16 via 192.0.2.9 dev %s \n" % pair for pair in [(1, "eth0"), (2, "eth0"), (3, "eth0"), (4, "eth1")]
    )
    found = host.read("interfaces")
    assert found["eth0"]["routes"] is None
    assert found["eth1"]["routes"] == ["10.4.0.0/16"]


@pytest.mark.parametrize("every, own, expected", [("0", "1", 1), ("2", "1", 2), ("1", None, 1), (None, None, 0)])
def test_the_larger_of_the_two_reverse_path_settings(host, every, own, expected):
    host.interface("eth0")
    for name, value in (("all", every), ("eth0", own)):
        if value:
            host.proc.join("sys", "net", "ipv4", "conf", name, "rp_filter").write(value + "\n", ensure=True)
    assert host.read("interfaces")["eth0"]["rp_filter"] == expected


@pytest.mark.parametrize(
    "state, up",
    [("up", True), ("unknown", True), ("down", False), ("lowerlayerdown", False), ("dormant", False)],
)
def test_up(host, state, up):
    host.interface("eth0", state=state)
    assert host.read("interfaces")["eth0"]["up"] is up


BRIDGES = [
    (["eth0"], False),
    (["eth0", "vif1.0"], True),
    (["vif12.3-emu"], True),
    (["tap1.0"], True),
    ([], False),
    (["veth0", "vnet0"], False),
]


@pytest.mark.parametrize("ports, guests", BRIDGES)
def test_bridges(host, ports, guests):
    host.bridge("xenbr0", *ports)
    host.interface("eth9")
    found = host.read("interfaces")
    assert found["xenbr0"]["guests"] is guests
    assert found["xenbr0"]["bridge"] is None
    for port in ports:
        assert found[port]["bridge"] == "xenbr0"
        assert found[port]["guests"] is False
    assert (found["eth9"]["bridge"], found["eth9"]["guests"]) == (None, False)


def test_a_host_without_ip_is_refused(host):
    del host.programs["ip"]
    with pytest.raises(ModuleFailed, match="ip"):
        host.read("interfaces")


# The listeners.

LITTLE = sys.byteorder == "little"
DECODED = [
    ("00000000", "00000000", "0.0.0.0"),
    ("0100007F", "7F000001", "127.0.0.1"),
    ("0B0200C0", "C000020B", "192.0.2.11"),
    ("0" * 32, "0" * 32, "::"),
    ("00000000000000000000000001000000", "00000000000000000000000000000001", "::1"),
    ("B80D0120000000000000000001000000", "20010DB8000000000000000000000001", "2001:db8::1"),
    ("0000000000000000FFFF00000B0200C0", "00000000000000000000FFFFC000020B", "::ffff:192.0.2.11"),
]


@pytest.mark.parametrize("little, big, expected", DECODED)
def test_decode_address(little, big, expected):
    assert sockets.decode_address(little if LITTLE else big) == expected


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_decode_address_is_the_inverse_of_what_the_kernel_does(packed):
    step = -1 if LITTLE else 1
    octets = bytearray(packed)
    text = "".join("%02X" % octet for at in range(0, len(octets), 4) for octet in octets[at : at + 4][::step])
    family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
    assert socket.inet_pton(family, sockets.decode_address(text)) == packed


def line(number, local, state, inode):
    address = DECODED[number][0 if LITTLE else 1]
    peer = "0" * len(address)
    rest = "00000000:00000000 00:00000000 00000000     0        0 %d 1 00000000fc2d9aef 100 0 0 10 0" % inode
    return "   0: %s:%s %s:0000 %s %s" % (address, local, peer, state, rest)


def test_listeners(host):
    host.process(412, "python", "/usr/sbin/xend", sockets=["700", "701"])
    host.process(413, "/usr/sbin/sshd", comm="sshd", sockets=["702"])
    host.process(414, "gone")
    host.tcp(
        "tcp",
        line(2, "1F42", "0A", 700),
        line(2, "1F42", "01", 703),  # established
        line(0, "0016", "0A", 702),
        line(1, "1F40", "0A", 799),  # nobody's, as far as this process may see
        "   9: truncated",
    )
    host.tcp("tcp6", line(3, "0016", "0A", 702), line(5, "1F42", "0A", 701), line(5, "1F42", "06", 0))
    found = host.read("listeners")
    columns = ["port", "address", "socket", "pid", "process"]
    assert [tuple(item[column] for column in columns) for item in found] == [
        (22, "0.0.0.0", "0.0.0.0:22", 413, "sshd"),
        (22, "::", "[::]:22", 413, "sshd"),
        (8000, "127.0.0.1", "127.0.0.1:8000", None, None),
        (8002, "192.0.2.11", "192.0.2.11:8002", 412, "python"),
        (8002, "2001:db8::1", "[2001:db8::1]:8002", 412, "python"),
    ]


def test_no_listeners_without_ipv6(host):
    host.tcp("tcp")
    assert host.read("listeners") == []


def test_a_real_listener_is_found():
    server = socket.socket()
    try:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        found = run(dom0_info.main, {"gather_subset": ["listeners"]})["listeners"]
    finally:
        server.close()
    (entry,) = [item for item in found if item["port"] == port]
    assert entry["socket"] == "127.0.0.1:%d" % port
    assert entry["pid"] == os.getpid()


# Whence Ansible comes, and who else is in charge.

CONTROL = [
    # (environment of this process, of its parent, of the one above, what it is)
    ("SSH_CONNECTION=192.0.2.1 50022 192.0.2.11 22", "", "", ("192.0.2.1", 22)),
    ("PATH=/bin", "A=1\0SSH_CONNECTION=2001:db8::1 50022 2001:db8::11 2222\0B=2", "", ("2001:db8::1", 2222)),
    ("", "", "SSH_CONNECTION=192.0.2.1 50022 192.0.2.11 22", ("192.0.2.1", 22)),
    # The nearest counts: it may have come over several hosts.
    ("", "SSH_CONNECTION=192.0.2.1 1 192.0.2.11 22", "SSH_CONNECTION=192.0.2.2 1 192.0.2.11 22", ("192.0.2.1", 22)),
    ("SSH_CONNECTION=fe80::1%eth0 50022 fe80::2%eth0 22", "", "", ("fe80::1", 22)),
    ("SSH_CONNECTION=::ffff:192.0.2.1 50022 ::ffff:192.0.2.11 22", "", "", ("192.0.2.1", 22)),
    ("SSH_CONNECTION=::ffff:0:1 50022 ::1 22", "", "", ("::ffff:0:1", 22)),
    ("MY_SSH_CONNECTION=192.0.2.1 50022 192.0.2.11 22", "SSH_CONNECTION=", "SSH_CONNECTION=UNKNOWN", None),
    ("", "", "", None),
]


@pytest.mark.parametrize("own, parent, above, expected", CONTROL)
def test_control(host, monkeypatch, own, parent, above, expected):
    monkeypatch.setattr(control.os, "getpid", lambda: 300)
    for pid, ppid, environment in (
        (300, 200, own),
        (200, 100, parent),
        (100, 1, above),
        (1, 0, "SSH_CONNECTION=a b c 1"),
    ):
        folder = host.proc.mkdir(str(pid))
        folder.join("environ").write(environment + "\0")
        folder.join("status").write("Name:\tx\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n" % (pid, ppid))
    found = host.read("control")
    assert found == (expected and {"address": expected[0], "port": expected[1]})


MANAGERS = [
    ([], None, []),
    (["/usr/bin/python3", "-s", "/usr/sbin/firewalld", "--nofork", "--nopid"], "ENABLED=no\n", ["firewalld"]),
    (["systemctl", "status", "firewalld"], "# ENABLED=yes\nENABLED=no\n", []),
    ([], "# ufw\nENABLED=yes\nLOGLEVEL=low\n", ["ufw"]),
    (["/usr/sbin/firewalld"], "ENABLED='yes'\n", ["firewalld", "ufw"]),
]


@pytest.mark.parametrize("words, ufw, expected", MANAGERS)
def test_firewall_managers(host, words, ufw, expected):
    if words:
        host.process(500, *words)
    if ufw is not None:
        host.etc.join("ufw.conf").write(ufw)
    assert host.read("firewall_managers") == expected


# What a perimeter has stopped.

NFT_COUNTERS = """\
table inet xensec_perimeter {
\tcounter spoofed_cluster {
\t\tpackets 12 bytes 720
\t}
\tcounter spoofed_bogon {
\t\tpackets 0 bytes 0
\t}
}
"""
SAVED = """\
*raw
:XENSEC_PERIMETER_OUTSIDE - [0:0]
[9:900] -A PREROUTING -j XENSEC_PERIMETER
[3:120] -A XENSEC_PERIMETER_OUTSIDE -s 10.0.0.0/24 -m comment --comment spoofed_cluster -j DROP
[4:160] -A XENSEC_PERIMETER_OUTSIDE -s 10.0.1.0/24 -m comment --comment "spoofed_cluster" -j DROP
[7:700] -A OTHER -m comment --comment spoofed_cluster -j DROP
COMMIT
"""


def test_counters_of_nftables(host):
    host.programs["nft"] = "/sbin/nft"
    host.counters["/sbin/nft list counters table inet xensec_perimeter"] = NFT_COUNTERS
    assert host.read("perimeter") == {
        "spoofed_cluster": {"packets": 12, "bytes": 720},
        "spoofed_bogon": {"packets": 0, "bytes": 0},
    }


def test_counters_of_iptables_are_added_up_over_rules_and_families(host):
    host.programs.update({"iptables-save": "/sbin/iptables-save", "ip6tables-save": "/sbin/ip6tables-save"})
    host.counters["/sbin/iptables-save -c -t raw"] = SAVED
    host.counters["/sbin/ip6tables-save -c -t raw"] = SAVED
    assert host.read("perimeter") == {"spoofed_cluster": {"packets": 14, "bytes": 560}}


def test_without_a_perimeter_there_are_no_counters(host):
    assert host.read("perimeter") == {}


# Accounts.

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO000000000000000000000000000000000000000000 a\n"


@pytest.fixture
def login(tmpdir, monkeypatch):
    """Account files, a home with a key, PAM files and an sshd that says what it would do."""
    etc, home = tmpdir.ensure("accounts", dir=True), tmpdir.ensure("home", dir=True)
    home.chmod(0o755)
    key = home.ensure(".ssh", "authorized_keys")
    home.join(".ssh").chmod(0o700)
    key.write(KEY)
    key.chmod(0o600)
    etc.join("passwd").write(
        "root:x:0:0::%s:/bin/bash\nops:x:1000:27::/nonexistent:/bin/bash\nbob:x:1001:1001::/nonexistent:/bin/sh\n"
        % home
    )
    etc.join("shadow").write("root:*:1::::::\nops:$6$secret:1::::::\nbob:$6$secret:1:::::10:\n")
    etc.join("group").write("sudo:x:27:bob\n")
    monkeypatch.setattr(accounts, "ETC", str(etc))
    monkeypatch.setattr(sessions, "UNIT_FOLDERS", ())
    monkeypatch.setattr(sshd, "CONFIG", str(etc.join("sshd_config")))
    monkeypatch.setattr(sshd, "RUNTIME", str(etc.join("run")))
    monkeypatch.setattr(dom0_info, "PAM", str(etc.ensure("pam.d", dir=True)))
    monkeypatch.setattr(dom0_info, "control_login", lambda: {"account": "ops", "uid": 1000, "become": "sudo"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "acting_as", accounts.contextlib.contextmanager(lambda account: iter([None])))
    monkeypatch.setattr(basic.AnsibleModule, "get_bin_path", lambda module, name, *more, **options: name)
    monkeypatch.setattr(
        basic.AnsibleModule,
        "run_command",
        lambda module, command, **options: (
            0,
            "AuthorizedKeysFile %s\npermitrootlogin yes\nauthorizedkeyscommand none\n"
            % ("none" if "user=ops" in command[3] else ".ssh/authorized_keys"),
            "",
        ),
    )
    return etc


def read_accounts(**more):
    return run(dom0_info.main, dict({"gather_subset": ["accounts"]}, **more))["accounts"]


def test_accounts_without_their_secrets(login):
    found = read_accounts(account_names=["ops", "no-such-account"])
    assert sorted(found["users"]) == ["bob", "ops", "root"]
    assert found["users"]["root"]["key"] and not found["users"]["root"]["password"]
    assert found["users"]["ops"]["administrator"] and found["users"]["bob"]["administrator"]
    assert found["users"]["bob"]["expired"] and not found["users"]["ops"]["expired"]
    assert found["login"]["become"] == "sudo"
    assert found["sshd"]["settings"]["permitrootlogin"] == ["yes"] and not found["sshd"]["keys_elsewhere"]
    assert "secret" not in str(found) and "AAAAC3" not in str(found)


def test_only_root_may_read_accounts(login, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ModuleFailed, match="become: true"):
        read_accounts()


def test_services_of_pam_that_go_past_the_common_files(login):
    assert read_accounts()["pam"] == {"common": False, "unguarded": []}
    for name, text in (
        ("common-auth", ""),
        ("common-account", "account required pam_unix.so\n"),
        ("su", "@include common-account\n"),
        ("su-l", "account include su\n"),
        ("vsftpd", "account required pam_unix.so\n"),
        ("mixed", "account required pam_nologin.so\n@include common-account\n"),
    ):
        login.join("pam.d", name).write(text)
    assert read_accounts()["pam"] == {"common": True, "unguarded": ["vsftpd"]}


# The module.


@pytest.mark.parametrize("check", [False, True])
def test_everything_is_read_unless_told_otherwise(host, check):
    host.tcp("tcp")
    result = run(dom0_info.main, {}, check=check)
    subsets = ["control", "firewall_managers", "interfaces", "listeners", "relocation", "root_keys", "toolstack"]
    assert sorted(set(result) - {"invocation", "platform"}) == ["changed"] + subsets
    assert not result["changed"]


def test_an_unknown_subset_is_refused(host):
    with pytest.raises(ModuleFailed, match="routes"):
        run(dom0_info.main, {"gather_subset": ["routes"]})


# What an audit looks at.


@pytest.fixture
def audited(host, tmpdir, monkeypatch):
    monkeypatch.setattr(Reader, "bounded", lambda self, command, data, limit: host.run_command(None, command))
    monkeypatch.setattr(dom0_info, "RUNTIME", str(tmpdir.join("run-sshd")))
    monkeypatch.setattr(audit_facts, "NETWORK", str(host.network))

    def read(check=False, **more):
        return run(dom0_info.main, dict({"gather_subset": ["audit"]}, **more), check=check)

    return read


def test_an_audit_reads_everything_and_what_it_cannot_is_null_and_explained(audited, monkeypatch):
    monkeypatch.setattr(dom0_info.os, "geteuid", lambda: 1000)
    found = audited()
    for name in ("toolstack", "interfaces", "listeners", "relocation", "root_keys", "perimeter"):
        assert found[name] is not None
    reasons = dict((item["fact"], item["reason"]) for item in found["unread"])
    assert found["accounts"] is None
    assert "only root" in reasons["accounts"]
    # There is neither nft, nor iptables, nor sshd, nor a policy to judge services by.
    for name in ("firewall", "ssh", "services", "sockets"):
        assert found["audit"][name] is None
        assert reasons["audit." + name]
    assert found["audit"]["bridges"] == {}


def test_an_audit_is_the_same_in_check_mode(audited):
    first, second = audited(), audited(check=True)
    assert first == second
    assert not first["changed"]


def test_a_command_that_fails_is_that_of_one_fact(audited, host):
    host.programs["nft"] = "/usr/sbin/nft"
    host.counters["/usr/sbin/nft list ruleset"] = "table inet a {\n}\n"
    host.programs.pop("ip")
    found = audited()
    assert found["interfaces"] is None
    assert [item["reason"] for item in found["unread"] if item["fact"] == "interfaces"] == [
        "the program ip is not here"
    ]
    assert found["audit"]["firewall"]["input"]["ipv4"] == "accept"


def test_the_folder_that_was_made_to_ask_sshd_goes_again(audited, tmpdir, monkeypatch):
    folder = tmpdir.join("run-sshd")

    def ask(module):
        folder.ensure(dir=True)
        raise Unreadable("no")

    monkeypatch.setattr(dom0_info, "accounts", ask)
    audited()
    assert not folder.check()
    folder.ensure(dir=True)
    audited()
    assert folder.check()


def test_without_an_audit_what_cannot_be_read_fails(host):
    host.programs.pop("ip")
    with pytest.raises(ModuleFailed):
        host.read("interfaces")
