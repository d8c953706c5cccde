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
    assert described.pop("mtime_ns", 1234567890 * 10**9) == 1234567890 * 10**9
    described.pop("xattrs", None)
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
    assert content == {"version": 2, "files": {}, "state": {"a": ["b", {"c": 1}]}, "written": {}, "folders": []}


@pytest.mark.parametrize("text", ['{"version": 3}', '{"version": "2"}', "[]"])
def test_refuses_a_version_it_does_not_know(tmpdir, text):
    tmpdir.join("m.json").write(text)
    with pytest.raises(ValueError, match="release") as caught:
        record.Record("m", root=str(tmpdir))
    assert str(tmpdir.join("m.json")) in str(caught.value)
    assert tmpdir.join("m.json").read() == text


@pytest.mark.parametrize("version", ['"version": 1, ', ""])
def test_reads_records_of_former_versions_and_adds_to_them(tmpdir, version):
    path = tmpdir.join("file")
    path.write("new")
    old = '{%s"files": {"%s": {"content": "b2xk", "gid": 0, "mode": 420, "mtime": 1.5, "uid": 0}}, "state": {"a": 1}}'
    tmpdir.join("m.json").write(old % (version, path))
    kept = record.Record("m", root=str(tmpdir))
    assert kept.original(str(path)) == b"old" and kept.state("a") == 1
    # It has no digests, so it cannot tell whose work the file is.
    assert not kept.is_foreign(str(path), record.digest(b"anything"))
    kept.keep(state={"a": 2, "b": 3}, writes={str(path): b"newer"})
    again = record.Record("m", root=str(tmpdir))
    assert again.original(str(path)) == b"old" and again.state("a") == 1 and again.state("b") == 3
    assert again.is_foreign(str(path), record.digest(b"anything"))


def test_knows_its_own_work_from_that_of_others(tmpdir):
    path = tmpdir.join("file")
    kept = record.Record("m", root=str(tmpdir))
    for data in (b"one", b"two", None):
        kept.keep(writes={str(path): data})
    again = record.Record("m", root=str(tmpdir))
    assert again.file(str(path)) == {"absent": True}
    for data in (b"one", b"two", None):
        assert not again.is_foreign(str(path), record.digest(data))
    assert again.is_foreign(str(path), record.digest(b"three"))


def test_knows_which_folders_were_not_there(tmpdir):
    kept = record.Record("m", root=str(tmpdir))
    kept.keep(writes={str(tmpdir.join("a", "b", "file")): b""})
    assert kept.folders() == [str(tmpdir.join("a", "b")), str(tmpdir.join("a"))]


@pytest.mark.parametrize("forget", [False, True])
def test_a_change_after_the_end_begins_a_new_record(tmpdir, forget):
    root = tmpdir.join("state")
    kept = record.Record("m", root=str(root))
    kept.keep(state={"a": 1})
    kept.close(forget)
    assert not kept.exists()
    assert root.check() != forget
    if not forget:
        assert root.listdir() == [root.join("m.json.restored")]
    kept.keep(state={"a": 2})
    again = record.Record("m", root=str(root))
    assert again.state("a") == 2
    again.close(True)
    assert not root.check()


def test_what_a_killed_run_left_of_a_file_is_swept_away(tmpdir):
    tmpdir.join(".xensec-half").write("ha")
    record.write_atomically(str(tmpdir.join("file")), b"whole", 0o600)
    assert tmpdir.listdir() == [tmpdir.join("file")]


def test_refuses_what_is_no_json(tmpdir):
    tmpdir.join("m.json").write('{"version": 1, "fil')
    with pytest.raises(ValueError):
        record.Record("m", root=str(tmpdir))


def test_what_an_undo_has_kept_goes_when_a_later_one_asks(tmpdir):
    root = tmpdir.join("state")
    path = tmpdir.join("file")
    path.write("original")
    kept = record.Record("module", root=str(root))
    kept.keep(files=[str(path)])
    root.ensure("rollback", dir=True)
    kept.close()
    assert root.join("module.json.restored").check()
    kept.close(forget=True)
    assert not root.check()
