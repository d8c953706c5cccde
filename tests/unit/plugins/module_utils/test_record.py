# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import json
import os
import stat

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import record


def mode_of(path):
    return stat.S_IMODE(os.stat(str(path)).st_mode)


@pytest.mark.parametrize("before", [None, b"old and longer than the new"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_writes_atomically(tmpdir, before, mode):
    path = tmpdir.join("file")
    if before is not None:
        path.write_binary(before)
    record.write_atomically(str(path), b"new\x00\xff\n", mode)
    assert path.read_binary() == b"new\x00\xff\n"
    assert mode_of(path) == mode
    assert tmpdir.listdir() == [path]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmpdir, monkeypatch):
    path = tmpdir.join("file")
    path.write("old")

    def fail(*given):
        raise OSError("no")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no"):
        record.write_atomically(str(path), b"new", 0o600)
    assert path.read() == "old"
    assert tmpdir.listdir() == [path]


def test_describes_a_file(tmpdir):
    path = tmpdir.join("file")
    path.write_binary(b"\x00\xffdata\n")
    os.chmod(str(path), 0o4640)
    path.setmtime(1234567890)
    described = record.describe_file(str(path))
    assert base64.b64decode(described.pop("content")) == b"\x00\xffdata\n"
    assert described == {
        "mode": 0o4640,
        "uid": os.getuid(),
        "gid": os.stat(str(path)).st_gid,
        "mtime": 1234567890,
    }


def test_describes_a_link_not_what_it_leads_to(tmpdir):
    link = tmpdir.join("link")
    link.mksymlinkto("/nowhere/at/all")
    described = record.describe_file(str(link))
    assert described["link"] == "/nowhere/at/all"
    assert "content" not in described and "absent" not in described


@pytest.mark.parametrize("name", ["none", "file/none"])
def test_describes_an_absent_file(tmpdir, name):
    tmpdir.join("file").write("")
    assert record.describe_file(str(tmpdir.join(name))) == {"absent": True}


def test_other_errors_are_not_absence(tmpdir):
    with pytest.raises(OSError, match="name too long|File name"):
        record.describe_file(str(tmpdir.join("x" * 300)))


def test_keeps_the_first_of_everything(tmpdir):
    root, path = tmpdir.join("a", "state"), tmpdir.join("file")
    path.write("one")
    first = record.Record("some_module", root=str(root))
    assert first.file(str(path)) is None and first.state("service") is None
    first.keep(files=[str(path)], state={"service": "running"})
    kept = first.file(str(path))
    assert base64.b64decode(kept["content"]) == b"one"

    path.write("two")
    other = tmpdir.join("other")
    again = record.Record("some_module", root=str(root))
    again.keep(files=[str(path), str(other)], state={"service": "stopped", "mode": None})
    for read in (again, record.Record("some_module", root=str(root))):
        assert read.file(str(path)) == kept
        assert read.file(str(other)) == {"absent": True}
        assert read.state("service") == "running" and read.state("mode") is None
    assert mode_of(root) == 0o700 and mode_of(root.join("some_module.json")) == 0o600
    assert root.listdir() == [root.join("some_module.json")]


def test_a_kept_null_stays_null(tmpdir):
    record.Record("m", root=str(tmpdir)).keep(state={"key": None})
    again = record.Record("m", root=str(tmpdir))
    again.keep(state={"key": "later"})
    assert again.state("key") is None


def test_nothing_to_keep_writes_nothing(tmpdir):
    root = tmpdir.join("state")
    record.Record("m", root=str(root)).keep()
    assert not root.check()
    kept = record.Record("m", root=str(root))
    kept.keep(state={"a": 1})
    os.unlink(kept.path)
    kept.keep(state={"a": 2})
    assert not os.path.exists(kept.path)


def test_is_on_disk_as_versioned_json(tmpdir):
    kept = record.Record("m", root=str(tmpdir))
    kept.keep(state={"a": ["b", {"c": 1}]})
    with open(kept.path, "rb") as stream:
        content = json.loads(stream.read().decode("utf-8"))
    assert content == {"version": 1, "files": {}, "state": {"a": ["b", {"c": 1}]}}


@pytest.mark.parametrize("text", ['{"version": 2}', "{}"])
def test_refuses_a_version_it_does_not_know(tmpdir, text):
    tmpdir.join("m.json").write(text)
    with pytest.raises(ValueError, match="release") as caught:
        record.Record("m", root=str(tmpdir))
    assert str(tmpdir.join("m.json")) in str(caught.value)
    assert tmpdir.join("m.json").read() == text


def test_refuses_what_is_no_json(tmpdir):
    tmpdir.join("m.json").write('{"version": 1, "fil')
    with pytest.raises(ValueError):
        record.Record("m", root=str(tmpdir))
