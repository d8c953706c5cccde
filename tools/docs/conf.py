# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site out of docs/ and the generated reference; nox -s docs runs it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx

GALAXY = yaml.safe_load((Path(__file__).parents[2] / "galaxy.yml").read_text())
project = f"{GALAXY['namespace']}.{GALAXY['name']}"
author = ", ".join(GALAXY["authors"])
project_copyright = f"2026 {author}"
release = version = GALAXY["version"]

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# One anchor scheme in the site and where the sources are read as they are.
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# The site has to be whole without a network: no font, script or image from elsewhere.
html_theme_options = {"navigation_with_keys": True}
templates_path: list[str] = []
pygments_style = "friendly"
pygments_dark_style = "github-dark"


ROLES = Path(__file__).parents[2] / "roles"
# The page of the reference and the anchor for every variable of a role.
VARIABLES = {
    variable: f"reference/{specs.parts[-3]}_role.html#parameter-{entry}--{variable}"
    for specs in ROLES.glob("*/meta/argument_specs.yml")
    # Of several entry points that take it, the first one has it: main.
    for entry, spec in reversed(yaml.safe_load(specs.read_text())["argument_specs"].items())
    for variable in spec.get("options", {})
}
# What the generated reference refers to in Ansible's own documentation.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
ANSIBLE_LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def navigate(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the navigation out of the start page: its headings are the captions, its lists the pages.

    The start page stays plain Markdown in this way, and no page is in one of them and not in the other.
    """
    if docname != "index":
        # The theme has a table of contents of its own.
        source[0] = source[0].replace(".. contents::\n   :local:\n   :depth: 2\n", "")
        return
    trees: list[tuple[str, list[str]]] = []
    for section in re.split(r"(?m)^## ", source[0])[1:]:
        pages = re.findall(r"(?m)^- \[([^\]]+)\]\(([\w/-]+)\.md\)", section)
        trees.append((section.splitlines()[0], [f"{title} <{page}>" for title, page in pages]))
    for kind in ("role", "module", "filter"):
        names = [path.stem for path in sorted(Path(app.srcdir, "reference").glob(f"*_{kind}.rst"))]
        entries = [f"{name.removesuffix('_' + kind)} <reference/{name}>" for name in names]
        trees.append((f"Reference: {kind}s", entries))
    for caption, entries in trees:
        if entries:
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f':caption: "{caption}"', "", *entries, "```", ""])


def link_variables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Have a role's variable lead to its description wherever a guide names it."""
    if docname.startswith("reference/"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        page = VARIABLES.get(literal.astext().partition(":")[0])
        if page and not isinstance(literal.parent, nodes.reference):
            link = nodes.reference(refuri=app.builder.get_relative_uri(docname, "index").replace("index.html", page))
            literal.replace_self(link)
            link += literal


def refer_to_ansible(
    app: Sphinx, env: object, node: nodes.Element, content: nodes.TextElement
) -> nodes.reference | None:
    page = ANSIBLE_LABELS.get(node["reftarget"])
    return nodes.reference("", "", content, internal=False, refuri=ANSIBLE + page) if page else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", navigate)
    app.connect("doctree-resolved", link_variables)
    app.connect("missing-reference", refer_to_ansible)
