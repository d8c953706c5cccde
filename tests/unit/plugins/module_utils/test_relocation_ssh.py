# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of relocation over ssh; above all the forced command, run as it is, with whatever a caller may ask for."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import itertools
import os
import re
import struct
import subprocess

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import relocation_ssh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA%02d"
# What xl sends (tools/xl/xl_migrate.c), in words of its own.
GRAMMAR = re.compile(r"xl( -t)?( -T)?( -v{1,4})? migrate-receive( -e)?( -d)?( -p)?".encode("ascii"))
ALL = [
    "xl" + "".join(words)
    for words in itertools.product(
        ["", " -t"],
        ["", " -T"],
        ["", " -v", " -vv", " -vvv", " -vvvv"],
        [" migrate-receive"],
        ["", " -e"],
        ["", " -d"],
        ["", " -p"],
    )
]


def wanted(**more):
    peers = [
        {"name": "node2", "names": ["node2", "n2"], "address": "192.0.2.12", "keys": [KEY % 1], "host_keys": [KEY % 2]}
    ]
    values = {"purpose": "migrate", "address": "192.0.2.11", "port": 8002, "forward_to": "127.0.0.1:8002"}
    return dict(values, generation=1, peers=peers, **more)


def texts(held=(1,), retire=False, locked=False, xl="/usr/sbin/xl", **more):
    programs = {"sshd": "/usr/sbin/sshd", "xl": xl, "locked": locked}
    return dict((path, text) for path, text, dummy in relocation_ssh.texts(wanted(**more), programs, held, retire))


def content(name, **more):
    return texts(**more)[os.path.join(relocation_ssh.FOLDER, name)]


class Receiver(object):
    """The forced command with a stand-in for xl that writes down what it was called with."""

    def __init__(self, folder):
        self.said = os.path.join(folder, "said")
        xl = os.path.join(folder, "xl")
        self.script = os.path.join(folder, "receive")
        with open(xl, "w") as stream:
            stream.write('#!/bin/sh\nfor word; do echo "$word"; done >%s\n' % self.said)
        with open(self.script, "w") as stream:
            stream.write(content("receive", xl=xl).replace("logger ", ": "))
        os.chmod(xl, 0o755)

    def ask(self, command):
        """Return (status, stdout, what xl was called with or None), for bytes or None for no command at all."""
        if os.path.exists(self.said):
            os.unlink(self.said)
        environment = {b"SSH_CONNECTION": b"192.0.2.12 5 192.0.2.11 8002"}
        if command is not None:
            environment[b"SSH_ORIGINAL_COMMAND"] = command
        if str is bytes:
            environment = dict((str(key), value) for key, value in environment.items())
        process = subprocess.Popen(
            ["/bin/sh", self.script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
        )
        output, errors = process.communicate()
        words = None
        if os.path.exists(self.said):
            with open(self.said) as stream:
                words = ["xl"] + stream.read().split("\n")[:-1]
        else:
            assert errors == b"xensec: refused, this key is for xl migrate alone\n"
        return process.returncode, output, words


@pytest.fixture(scope="module")
def receiver(tmpdir_factory):
    return Receiver(str(tmpdir_factory.mktemp("receiver")))


@pytest.mark.parametrize("command", ALL)
def test_everything_that_xl_sends_runs_as_it_was_sent(receiver, command):
    assert GRAMMAR.match(command.encode("ascii"))
    assert receiver.ask(command.encode("ascii")) == (0, b"", command.split(" "))


def test_there_are_160_commands():
    assert len(set(ALL)) == 160


HOSTILE = [
    None,
    b"",
    b"\n",
    b"xl",
    b"xl list",
    b"xl migrate-receive ",
    b" xl migrate-receive",
    b"xl  migrate-receive",
    b"xl\tmigrate-receive",
    b"xl migrate-receive\n",
    b"\nxl migrate-receive",
    b"xl migrate-receive\nid",
    b"xl migrate-receive\rid",
    b"xl migrate-receive;id",
    b"xl migrate-receive && id",
    b"xl migrate-receive | id",
    b"xl migrate-receive > /tmp/x",
    b"xl migrate-receive $(id)",
    b"xl migrate-receive `id`",
    b"$(id)",
    b"xl -t -t migrate-receive",
    b"xl -T -t migrate-receive",
    b"xl -vvvvv migrate-receive",
    b"xl -v -v migrate-receive",
    b"xl -f migrate-receive",
    b"xl migrate-receive -d -e",
    b"xl migrate-receive -p -d",
    # Remus, and COLO with a script of the caller's choosing.
    b"xl migrate-receive -r",
    b"xl migrate-receive -e -r",
    b"xl migrate-receive --colo",
    b"xl migrate-receive --colo --coloft-script /tmp/x",
    b"xl migrate-receive -e -d -p -r --userspace-colo-proxy",
    b"/usr/sbin/xl migrate-receive",
    b"xl migrate-receive *",
    b"xl ? migrate-receive",
    b"xl [-]t migrate-receive",
    b"xl migrate-receive \\",
    b"XL migrate-receive",
    b"xl migrate-receive\xff",
    b"\xff\xfe",
    "xl\u00a0migrate-receive".encode("utf-8") if str is not bytes else b"xl\xc2\xa0migrate-receive",
    b"-c id",
    b"xl migrate-receive " + b"-e" * 60000,
]


@pytest.mark.parametrize("command", HOSTILE, ids=[repr(command)[:40] for command in HOSTILE])
def test_nothing_else_runs(receiver, command):
    assert receiver.ask(command) == (126, b"", None)


def test_a_megabyte_does_not_even_reach_the_command(receiver):
    # The kernel takes 128 KiB for one variable; sshd's shell then fails, and with it the session.
    with pytest.raises(OSError) as caught:
        receiver.ask(b"xl migrate-receive " + b"x" * 1000000)
    assert caught.value.errno == errno.E2BIG


PIECES = [b"xl", b"-t", b"-T", b"-v", b"-vv", b"-vvvv", b"migrate-receive", b"-e", b"-d", b"-p", b"-r", b"--colo"]
PIECES += [b" ", b" ", b" ", b"\n", b"\t", b";", b"$(id)", b"`id`", b"|", b"&", b"*", b"\\", b"'", b'"', b"\xff", b"#"]
NOISE = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join) | st.binary(max_size=60)
NEAR = st.tuples(st.sampled_from(ALL), st.integers(0, 40), st.integers(0, 3), st.binary(max_size=2)).map(
    lambda item: item[0].encode("ascii")[: item[1]] + item[3] + item[0].encode("ascii")[item[1] + item[2] :]
)


@settings(max_examples=250, deadline=None, suppress_health_check=HealthCheck.all() if str is bytes else ())
@given(NOISE | NEAR)
def test_fuzzed_commands_run_if_they_are_in_the_grammar_and_only_then(receiver, command):
    # A C string ends at a zero byte, so sshd can hand none on.
    command = command.replace(b"\0", b"")
    found = GRAMMAR.match(command)
    if found and found.group(0) == command:
        assert receiver.ask(command) == (0, b"", command.decode("ascii").split(" "))
    else:
        assert receiver.ask(command) == (126, b"", None)


def test_xl_gets_an_environment_of_its_own():
    assert 'exec env -i PATH="$PATH" HOME=/root LC_ALL=C /usr/sbin/xl $t' in content("receive")


def test_a_refusal_is_logged_with_what_can_be_printed(tmpdir):
    logged = tmpdir.join("logged")
    script = tmpdir.join("receive")
    tmpdir.join("logger").write('#!/bin/sh\nfor word; do echo "$word"; done >%s\n' % logged)
    tmpdir.join("logger").chmod(0o755)
    text = content("receive").replace("PATH=/usr/sbin", "PATH=%s:/usr/sbin" % tmpdir, 1)
    script.write(text)
    environment = {"SSH_ORIGINAL_COMMAND": "id\n\x1b[31m" + "x" * 300, "SSH_CONNECTION": "192.0.2.12 5 192.0.2.11 8002"}
    assert subprocess.call(["/bin/sh", str(script)], env=environment, stderr=subprocess.PIPE) == 126
    assert logged.read().splitlines() == [
        "-p",
        "auth.warning",
        "-t",
        "xensec-relocation",
        "--",
        "refused from 192.0.2.12: id??[31m" + "x" * 192,
    ]


def test_a_forward_runs_nothing_and_leads_to_one_port(tmpdir):
    script = tmpdir.join("receive")
    script.write(content("receive", purpose="forward"))
    environment = {"SSH_ORIGINAL_COMMAND": "xl migrate-receive"}
    assert subprocess.call(["/bin/sh", str(script)], env=environment, stderr=subprocess.PIPE) == 126
    config = content("sshd_config", purpose="forward").splitlines()
    assert "AllowTcpForwarding local" in config
    assert "PermitOpen 127.0.0.1:8002" in config
    line = content("authorized_keys", purpose="forward").splitlines()[-1]
    assert line.startswith('restrict,port-forwarding,permitopen="127.0.0.1:8002",command=')
    assert relocation_ssh.CLIENT not in texts(purpose="forward")


def test_a_key_is_let_in_from_its_owners_address_with_nothing_but_the_command():
    assert content("authorized_keys").splitlines()[1:] == [
        'restrict,command="/etc/xensec/relocation/receive",from="192.0.2.12" %s node2' % (KEY % 1)
    ]
    assert content("known_hosts").splitlines()[1:] == ["xensec-relocation-192.0.2.12 %s" % (KEY % 2)]


def test_the_server_listens_on_one_address_and_takes_keys_alone():
    unit = texts()[relocation_ssh.UNIT].splitlines()
    assert [line for line in unit if line.startswith("Listen")] == ["ListenStream=192.0.2.11:8002"]
    config = content("sshd_config").splitlines()
    for line in (
        "AuthenticationMethods publickey",
        "DisableForwarding yes",
        "ForceCommand /etc/xensec/relocation/receive",
        "PermitRootLogin forced-commands-only",
        "PermitTTY no",
        "AllowUsers root",
        "UsePAM no",
    ):
        assert line in config
    assert not any(line.startswith("Subsystem") for line in config)
    assert "UsePAM yes" in content("sshd_config", locked=True).splitlines()


@pytest.mark.parametrize(
    ("shadow", "locked"),
    [("root:!:1::::::\n", True), ("a:!:\nroot:*:1:\n", False), ("root:$y$!:1:\n", False), ("", False)],
)
def test_an_account_counts_as_locked_as_for_sshd(shadow, locked):
    assert relocation_ssh.locked(shadow) == locked


def test_the_elder_generation_is_shown_and_all_are_offered_until_they_retire():
    both = {"held": (2, 1), "retire": False}
    assert "HostKey /etc/xensec/relocation/keys/1/host_ed25519" in content("sshd_config", **both)
    offered = [line.split()[1] for line in content("ssh_config", **both).splitlines() if "IdentityFile" in line]
    assert offered == ["/etc/xensec/relocation/keys/%d/id_ed25519" % number for number in (2, 1)]
    one = {"held": (2, 1), "retire": True}
    assert "keys/1/" in content("sshd_config", **one)
    assert "keys/2/" not in content("ssh_config", **one)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('XENDOMAINS_MIGRATE=""\n', 'XENDOMAINS_MIGRATE=""\n'),
        ("A=1\n  XENDOMAINS_MIGRATE='--live a' # why\nB=\xe9\n", 'A=1\n  XENDOMAINS_MIGRATE="" # why\nB=\xe9\n'),
        ("export XENDOMAINS_MIGRATE=a\\ 'b'\"c\"; C=1\n", 'export XENDOMAINS_MIGRATE=""; C=1\n'),
        ("#XENDOMAINS_MIGRATE=a\nXENDOMAINS_MIGRATE=\n", "#XENDOMAINS_MIGRATE=a\nXENDOMAINS_MIGRATE=\n"),
        ("XENDOMAINS_MIGRATE=a\nXENDOMAINS_MIGRATE=b", 'XENDOMAINS_MIGRATE=""\nXENDOMAINS_MIGRATE=""'),
        ("XENDOMAINS_MIGRATE_X=a\n", "XENDOMAINS_MIGRATE_X=a\n"),
    ],
)
def test_xendomains_moves_nothing(text, after):
    assert relocation_ssh.without_migration(text) == after


@pytest.mark.parametrize(
    "text", ['XENDOMAINS_MIGRATE="a\nb"\n', "XENDOMAINS_MIGRATE='a\n", "XENDOMAINS_MIGRATE=a\\\nb\n"]
)
def test_a_value_over_several_lines_is_refused(text):
    with pytest.raises(ValueError, match="several lines"):
        relocation_ssh.without_migration(text)


@pytest.mark.parametrize(
    ("text", "included"),
    [
        ("Include /etc/ssh/ssh_config.d/*.conf\nHost *\n", True),
        ("  include\t/etc/ssh/ssh_config.d/*\n", True),
        ("Host *\n  Include /etc/ssh/ssh_config.d/*.conf\n", False),
        ("# Include /etc/ssh/ssh_config.d/*.conf\n", False),
        ("", False),
    ],
)
def test_the_client_has_to_read_the_folder(text, included):
    assert relocation_ssh.includes_client(text) == included


def private_key(blob):
    """A private key in OpenSSH's format as far as its public half, which is not encrypted."""

    def string(value):
        return struct.pack(">I", len(value)) + value

    data = b"openssh-key-v1\0" + string(b"none") + string(b"none") + string(b"") + struct.pack(">I", 1) + string(blob)
    text = base64.b64encode(data + string(b"secret")).decode("ascii")
    return "-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n" % text


def test_roots_own_keys_are_found_with_and_without_their_public_half(tmpdir, monkeypatch):
    monkeypatch.setattr(relocation_ssh, "SYSTEM_SERVER", (str(tmpdir.join("sshd_config")),))
    tmpdir.join("sshd_config").write("#AuthorizedKeysFile none\nAuthorizedKeysFile .ssh/authorized_keys %h/more\n")
    folder = tmpdir.mkdir(".ssh")
    folder.join("id_rsa.pub").write("ssh-rsa AAAAB3Nza root@here\n")
    blob = struct.pack(">I", 11) + b"ssh-ed25519" + b"\0" * 32
    folder.join("alone").write(private_key(blob))
    folder.join("broken").write("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    folder.join("known_hosts").write("a ssh-rsa AAAAB3Nza\n")
    folder.join("authorized_keys").write(
        "# ssh-rsa AAAAcomment\n\nssh-rsa AAAAone\n"
        'command="echo a b",from="10.0.0.1" ssh-ed25519 AAAAtwo root@peer  of old\n'
    )
    tmpdir.join("more").write("ecdsa-sha2-nistp256 AAAAthree=\n")
    found = relocation_ssh.root_keys(str(tmpdir))
    assert found["own"] == sorted(["ssh-rsa AAAAB3Nza", "ssh-ed25519 " + base64.b64encode(blob).decode("ascii")])
    path, more = str(folder.join("authorized_keys")), str(tmpdir.join("more"))
    assert found["admitted"] == [
        {"key": "ssh-rsa AAAAone", "path": path, "line": 3, "comment": ""},
        {"key": "ssh-ed25519 AAAAtwo", "path": path, "line": 4, "comment": "root@peer  of old"},
        {"key": "ecdsa-sha2-nistp256 AAAAthree=", "path": more, "line": 1, "comment": ""},
    ]
