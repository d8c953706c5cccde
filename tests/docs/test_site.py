# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site as nox -s docs has just built it: whole, and of use without a server and without a network."""

from __future__ import annotations

import functools
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("XENSEC_SITE", ROOT / ".cache/docs/html"))
PAGES = sorted(SITE.rglob("*.html"))


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(found["href"])


@functools.cache
def read(path: Path) -> Page:
    return Page(path)


@functools.cache
def exists(path: Path) -> bool:
    return path.is_file()


def test_there_is_a_page_for_every_guide_role_module_and_filter() -> None:
    names = {str(path.relative_to(SITE)) for path in PAGES}
    guides = {str(path.relative_to(ROOT / "docs").with_suffix(".html")) for path in ROOT.glob("docs/**/*.md")}
    kinds = {"role": "roles/*", "module": "plugins/modules/*.py", "filter": "plugins/filter/*.py"}
    reference = {f"reference/{path.stem}_{kind}.html" for kind, found in kinds.items() for path in ROOT.glob(found)}
    assert names >= guides | reference


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(SITE)))
def test_links_of_a_page_lead_somewhere(path: Path) -> None:
    for link in read(path).links:
        if re.match(r"[a-z]+:", link):
            assert re.match(r"https://[\w.-]+(/|$)", link), link
            continue
        target, _dummy, anchor = link.partition("#")
        found = (path.parent / unquote(target)).resolve() if target else path
        assert exists(found), link
        assert not anchor or anchor in read(found).anchors, link


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in PAGES:
        for resource in read(path).loaded:
            assert not re.match(r"[a-z]+:|//", resource) or resource.startswith("data:"), f"{path}: {resource}"
            assert resource.startswith("data:") or exists((path.parent / resource.partition("?")[0]).resolve()), (
                resource
            )
    for path in SITE.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", path.read_text()), path


def test_the_search_needs_no_server() -> None:
    """A browser gives a page that it read from a file no other file, but by a script."""
    index = (SITE / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex(") and "xend_relocation_scenario" in index
    assert any(resource.startswith("searchindex.js") for resource in read(SITE / "search.html").loaded)


def test_a_variable_leads_to_its_description() -> None:
    wanted = "../reference/xend_relocation_role.html#parameter-main--xend_relocation_interface"
    assert wanted in read(SITE / "scenarios/isolated_management.html").links
