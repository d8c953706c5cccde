# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat

import pytest
from ansible_collections.xensec.hardening.plugins.module_utils import files, record, undo


@pytest.fixture
def kept(tmpdir):
    return record.Record("m", root=str(tmpdir.join("state")))


def change(kept, path, data, mode=0o644):
    """Write as a module does."""
    kept.keep(writes={str(path): data})
    if data is None:
        files.remove(str(path))
    else:
        files.rewrite(str(path), data, mode)


def test_gives_back_content_mode_time_and_lists(tmpdir, kept):
    path = tmpdir.join("file")
    path.write("old")
    os.chmod(str(path), 0o604)
    if hasattr(os, "setxattr"):
        os.setxattr(str(path), "user.lab", b"list")
    path.setmtime(1234567890)
    before = record.describe_file(str(path))
    change(kept, path, b"new")
    os.chmod(str(path), 0o640)
    given = undo.Undo(kept)
    assert given.paths == [str(path)] and given.left == []
    given.apply()
    assert record.describe_file(str(path)) == before
    assert undo.Undo(kept).paths == []


def test_gives_back_a_link_and_removes_what_was_not_there_with_its_folders(tmpdir, kept):
    link, new = tmpdir.join("link"), tmpdir.join("a", "b", "file")
    link.mksymlinkto("/nowhere")
    kept.keep(writes={str(link): b"text", str(new): b"text"})
    link.remove()
    link.write("text")
    new.write("text", ensure=True)
    tmpdir.join("a", "b", ".xensec-half").write("te")
    given = undo.Undo(kept)
    given.apply()
    given.tidy()
    assert os.readlink(str(link)) == "/nowhere"
    assert not tmpdir.join("a").check()


def test_a_folder_that_others_use_stays(tmpdir, kept):
    change(kept, tmpdir.join("a", "file"), b"text")
    tmpdir.join("a", "other").write("")
    given = undo.Undo(kept)
    given.apply()
    given.tidy()
    assert tmpdir.join("a").listdir() == [tmpdir.join("a", "other")]


@pytest.mark.parametrize("edit", ["changed", "removed"])
def test_what_somebody_has_changed_since_is_left_unless_forced(tmpdir, kept, edit):
    path = tmpdir.join("file")
    path.write("old")
    change(kept, path, b"new")
    change(kept, path, b"newer")
    path.write("theirs") if edit == "changed" else path.remove()
    given = undo.Undo(kept)
    assert given.paths == [] and given.left == ["%s has been changed since" % path]
    assert "force" in undo.warnings(given.left)[0]
    undo.Undo(kept, force=True).apply()
    assert path.read() == "old"


def test_a_run_that_was_killed_before_it_wrote_has_changed_nothing(tmpdir, kept):
    path = tmpdir.join("file")
    path.write("old")
    kept.keep(writes={str(path): b"new"})
    given = undo.Undo(kept)
    assert given.paths == [] and given.left == []


def test_every_step_of_ours_is_known_as_ours(tmpdir, kept):
    path = tmpdir.join("file")
    for data in (b"one", b"two", None):
        change(kept, path, data)
        given = undo.Undo(kept)
        assert given.left == [] and len(given.paths) == (data is not None)


def test_a_mode_of_others_alone_comes_back(tmpdir, kept):
    path = tmpdir.join("file")
    path.write("old")
    os.chmod(str(path), 0o600)
    kept.keep(files=[str(path)])
    os.chmod(str(path), 0o666)
    undo.Undo(kept).apply()
    assert stat.S_IMODE(os.stat(str(path)).st_mode) == 0o600
