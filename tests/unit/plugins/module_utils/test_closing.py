# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account files: what is taken away, and that what is given back is what was there."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import accounts, closing, files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def u(text):
    """The text as the module has it, on Python 2 as well."""
    return text if str is not bytes else text.decode("latin-1")


PASSWD = u("""root:x:0:0:root:/root:/bin/bash
sync:x:4:65534:sync:/bin:/bin/sync
alice:x:1000:1000:Alice, room 5,,:/home/alice:/bin/bash
alice:x:1001:1000:the same name again:/home/alice:/bin/sh
old:$1$ab$cdef:1002:1002::/home/old:/bin/sh
\xc3\xb6dd.n+$:x:1003:1003:\xff:/home/odd name:

+@staff::::::
# a comment
short:x:1
""")
SHADOW = u("""root:$6$root:19000:0:99999:7:::
alice:$6$alice:19000:0:99999:7:::
bob:!$6$bob:19000:0:99999:7:::
empty::19000:0:99999:7:::
\xc3\xb6dd.n+$:$6$odd:19000:0:99999:7::20000:""")
GROUP = u("sudo:x:27:alice,bob,carol\nalice:x:1000:\ndocker:x:99:alice\n")
GSHADOW = u("sudo:*:alice:alice,bob,carol\nalice:!::\ndocker:!::alice\n")
ALL = {"do": set(["password", "expire", "shell"]), "groups": set(["sudo", "docker"])}


@pytest.fixture
def etc(tmpdir, monkeypatch):
    folder = tmpdir.ensure("etc", dir=True)
    monkeypatch.setattr(accounts, "ETC", str(folder))
    monkeypatch.setattr(closing, "NOLOGINS", ("/usr/sbin/nologin",))
    for name, text in (("passwd", PASSWD), ("shadow", SHADOW), ("group", GROUP), ("gshadow", GSHADOW)):
        folder.join(name).write_binary(text.encode("latin-1"))
    return folder


def content(etc):
    return dict((name, etc.join(name).read_binary()) for name in closing.FILES)


def close(plan):
    edits = closing.edit(plan)
    closing.write(dict((name, edits[name][1]) for name in edits))
    return dict((name, edits[name][2]) for name in edits)


def test_closed_lines_change_in_what_lets_in_and_nothing_else(etc):
    close({"alice": ALL, "old": ALL, u("\xc3\xb6dd.n+$"): ALL, "empty": ALL})
    passwd = etc.join("passwd").read_binary().decode("latin-1").split("\n")
    assert passwd[2] == "alice:x:1000:1000:Alice, room 5,,:/home/alice:/usr/sbin/nologin"
    assert passwd[3].endswith(":/usr/sbin/nologin")
    assert passwd[4] == "old:!$1$ab$cdef:1002:1002::/home/old:/usr/sbin/nologin"
    assert passwd[5] == u("\xc3\xb6dd.n+$:x:1003:1003:\xff:/home/odd name:/usr/sbin/nologin")
    assert passwd[:2] + passwd[6:] == PASSWD.split("\n")[:2] + PASSWD.split("\n")[6:]
    shadow = etc.join("shadow").read_binary().decode("latin-1").split("\n")
    assert shadow[1] == "alice:!$6$alice:19000:0:99999:7::1:"
    assert shadow[2] == "bob:!$6$bob:19000:0:99999:7:::"
    assert shadow[3] == "empty:!:19000:0:99999:7::1:"
    assert shadow[4] == u("\xc3\xb6dd.n+$:!$6$odd:19000:0:99999:7::1:")
    assert etc.join("group").read() == "sudo:x:27:bob,carol\nalice:x:1000:\ndocker:x:99:\n"
    assert etc.join("gshadow").read() == "sudo:*::bob,carol\nalice:!::\ndocker:!::\n"


def test_mode_and_owner_stay(etc):
    etc.join("shadow").chmod(0o640)
    close({"alice": ALL})
    assert os.stat(str(etc.join("shadow"))).st_mode & 0o7777 == 0o640


def test_closing_twice_changes_nothing(etc):
    close({"alice": ALL})
    assert closing.edit({"alice": ALL}) == {}


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(st.sampled_from(["alice", "old", "bob", "empty", u("\xc3\xb6dd.n+$"), "nobody"]), unique=True))
def test_what_is_given_back_is_what_was_there(etc, names):
    before = content(etc)
    pairs = close(dict((name, ALL) for name in names))
    closing.write(closing.reopen(pairs))
    assert content(etc) == before


def test_two_closings_are_given_back_one_after_the_other(etc):
    before = content(etc)
    first, second = close({"alice": ALL}), close({"bob": ALL})
    closing.write(closing.reopen(second))
    closing.write(closing.reopen(first))
    assert content(etc) == before


def test_what_others_changed_since_is_kept(etc):
    pairs = close({"alice": ALL})
    for name, old, new in (
        ("passwd", b"Alice, room 5", b"Alice, room 6"),
        ("shadow", b":19000:", b":19500:"),
        ("group", b"bob,carol", b"carol,dora"),
    ):
        etc.join(name).write_binary(etc.join(name).read_binary().replace(old, new))
    closing.write(closing.reopen(pairs))
    assert b"alice:x:1000:1000:Alice, room 6,,:/home/alice:/bin/bash\n" in etc.join("passwd").read_binary()
    assert b"alice:$6$alice:19500:0:99999:7:::\n" in etc.join("shadow").read_binary()
    assert "sudo:x:27:carol,dora,alice\n" in etc.join("group").read()


def test_an_account_that_is_gone_stays_gone(etc):
    pairs = close({"alice": ALL})
    kept = b"".join(line for line in etc.join("passwd").read_binary().splitlines(True) if not line.startswith(b"alice"))
    etc.join("passwd").write_binary(kept)
    closing.write(closing.reopen(pairs))
    assert etc.join("passwd").read_binary() == kept


def test_a_lock_that_another_holds_is_waited_for_and_then_reported(etc, monkeypatch):
    monkeypatch.setattr(closing, "LOCK_PATIENCE", 0.2)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with closing.locked():
            os.write(ready[1], b"x")
            os.read(done[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        with pytest.raises(closing.Busy), closing.locked():
            pass
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
    with closing.locked():
        pass


def test_accounts_are_read_as_they_are(etc):
    found = dict((account.name, account) for account in accounts.local_accounts())
    assert sorted(found) == sorted(["root", "sync", "alice", "old", u("\xc3\xb6dd.n+$")])
    assert found["alice"].uid == 1000
    assert found["old"].has_password and found["alice"].has_password
    assert not found["sync"].has_password and not found["sync"].has_shell
    assert found[u("\xc3\xb6dd.n+$")].has_shell
    assert not found[u("\xc3\xb6dd.n+$")].expired or accounts.today() >= 20000
    assert accounts.shown(u("\xc3\xb6")) == ("\xf6" if str is not bytes else "\xc3\xb6")


def test_a_block_goes_to_the_top_and_leaves_no_trace():
    data = b"\n# no end of line"
    once = files.with_block(data, b"one\n")
    assert once.startswith(files.BEGIN + b"one\n") and once.endswith(data)
    assert files.with_block(once, b"two\n") == files.with_block(data, b"two\n")
    assert files.without_block(once) == data
    assert files.without_block(data) == data


class Owner(object):
    def __init__(self, home):
        self.name, self.uid, self.gid, self.home = "alice", os.getuid(), os.getgid(), str(home)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO000000000000000000000000000000000000000000 a\n"


@pytest.mark.parametrize(
    "text, mode, usable, present",
    [
        (KEY, 0o600, True, True),
        ("# " + KEY, 0o600, False, True),
        ("", 0o600, False, False),
        ('command="/bin/true" ' + KEY, 0o600, False, True),
        ('from="192.0.2.0/24",no-pty ' + KEY, 0o600, True, True),
        (KEY, 0o622, False, True),
        ("nonsense\n", 0o600, False, True),
    ],
)
def test_a_key_counts_where_sshd_would_take_it(tmpdir, text, mode, usable, present):
    folder = tmpdir.ensure(".ssh", dir=True)
    folder.join("authorized_keys").write(text)
    folder.join("authorized_keys").chmod(mode)
    folder.chmod(0o700)
    tmpdir.chmod(0o755)
    assert accounts.has_usable_key(Owner(tmpdir)) == usable
    assert accounts.has_key(Owner(tmpdir)) == present


def test_where_keys_are_looked_for():
    paths = accounts.key_paths(Owner("/home/a"), ["%h/.k/%u", "/etc/keys/%u%%", "none", ".ssh/x"])
    assert paths == [b"/home/a/.k/alice", b"/etc/keys/alice%", b"/home/a/.ssh/x"]
    assert accounts.key_paths(Owner(""), [".ssh/x"]) == []


def test_a_pipe_or_something_endless_is_no_file_of_keys(tmpdir):
    os.mkfifo(str(tmpdir.join("pipe")))
    assert accounts.read_small(str(tmpdir.join("pipe")).encode()) is None
    assert accounts.read_small(b"/dev/zero") is None


def test_a_file_taken_comes_back_as_it_was(tmpdir):
    path, link = tmpdir.join("keys"), tmpdir.join("link")
    path.write_binary(b"\x00\xff key\n")
    path.chmod(0o640)
    os.utime(str(path), (1000, 2000))
    link.mksymlinkto("nowhere")
    for one in (path, link):
        taken = closing.take(Owner(tmpdir), str(one).encode(), True)
        os.unlink(str(one))
        assert closing.give_back(taken)
        assert not closing.give_back(taken), "what has come since is not overwritten"
    assert path.read_binary() == b"\x00\xff key\n"
    assert (os.stat(str(path)).st_mode & 0o7777, os.stat(str(path)).st_mtime) == (0o640, 2000)
    assert os.readlink(str(link)) == "nowhere"


def test_a_file_that_is_somebody_elses_is_not_taken(tmpdir):
    path = tmpdir.ensure("keys")
    owner = Owner(tmpdir)
    owner.uid += 1
    assert closing.take(owner, str(path).encode(), True) is None
