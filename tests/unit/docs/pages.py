# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages as their readers see them: links, headings, code blocks; and what of the collection they may name."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]
ROLES = sorted(path.name for path in ROOT.glob("roles/*"))
SPECS = {
    role: yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    for role in ROLES
}
OPTIONS: dict[str, dict[str, Any]] = {
    name: option
    for entries in SPECS.values()
    for entry in entries.values()
    for name, option in (entry.get("options") or {}).items()
}
NAMES = {
    path.stem
    for pattern in ("playbooks/*.yml", "plugins/modules/*.py", "plugins/filter/*.py")
    for path in ROOT.glob(pattern)
} | set(ROLES)


@dataclass
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Page:
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    blocks: list[Block] = field(default_factory=list)
    code: list[str] = field(default_factory=list)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def plain(token: Token) -> str:
    return "".join(child.content for child in token.children or [] if child.type in ("text", "code_inline"))


@functools.cache
def read(path: Path) -> Page:
    page, heading = Page(), False
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        if token.type in ("fence", "code_block"):
            page.blocks.append(Block(path, (token.map or [0])[0] + 1, token.info.strip() or "sh", token.content))
        elif token.type == "inline":
            if heading:
                page.anchors.add(slug(plain(token)))
            for child in token.children or []:
                if child.type in ("link_open", "image"):
                    page.links.append(str(child.attrs.get("href") or child.attrs.get("src")))
                elif child.type == "code_inline":
                    page.code.append(child.content)
        heading = token.type == "heading_open"
    return page


def blocks(*languages: str) -> list[Block]:
    return [block for path in PAGES for block in read(path).blocks if block.language in languages]
