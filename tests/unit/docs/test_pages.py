# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say can be done as they say it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible_collections.xensec.hardening.plugins.module_utils import firewall
from ansible_collections.xensec.hardening.plugins.module_utils.record import Record
from pages import NAMES, OPTIONS, PAGES, ROLES, ROOT, SPECS, Block, blocks, read

GROUPS = {"xen_nodes", "xen_gateways", "xen_probes"}
INVENTORY, PLAYBOOK, TASKS, VARIABLES, CONTROLS, OTHER = (
    "inventory",
    "playbook",
    "tasks",
    "variables",
    "controls",
    "other",
)
VARIABLE = re.compile(rf"\b(?:{'|'.join(ROLES)})_[a-z0-9_]*[a-z0-9]")
YAML_BLOCKS = blocks("yaml")
DRAWINGS = sorted(ROOT.glob("docs/images/*.svg"))


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


def kind(content: Any) -> str:
    if isinstance(content, list):
        if all("expression" in item for item in content):
            return CONTROLS
        return (
            PLAYBOOK if all("hosts" in item or "ansible.builtin.import_playbook" in item for item in content) else TASKS
        )
    if set(content) <= GROUPS:
        return INVENTORY
    return VARIABLES if set(content) <= set(OPTIONS) else OTHER


def of_kind(*kinds: str) -> list[Block]:
    return [block for block in YAML_BLOCKS if kind(yaml.safe_load(block.text)) in kinds]


def run(*command: str) -> str:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in read(path).links:
        target, _dummy, anchor = link.partition("#")
        if ":" in target:
            assert re.fullmatch(r"https://[\w.-]+(/\S*)?", link), f"{name(path)}: {link}"
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.is_relative_to(ROOT) and found.exists(), f"{name(path)}: {link} leads nowhere"
        assert not anchor or anchor in read(found).anchors, f"{name(path)}: {target} has no heading #{anchor}"


def test_the_start_page_leads_to_every_other() -> None:
    linked = {(ROOT / "docs" / link).resolve() for link in read(ROOT / "docs/index.md").links}
    assert linked == set(ROOT.glob("docs/**/*.md")) - {ROOT / "docs/index.md"}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_what_is_named_exists(path: Path) -> None:
    text = path.read_text()
    results = {
        register
        for tasks in ROOT.glob("roles/*/tasks/*.yml")
        for register in re.findall(r"(?m)^ *register: (\w+)", tasks.read_text())
    }
    assert set(VARIABLE.findall(text)) <= set(OPTIONS) | NAMES | results | {"dom0_firewall_register"}
    assert set(re.findall(r"\bxensec\.hardening\.(\w+)", text)) <= NAMES


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_what_is_to_be_typed_exists(path: Path) -> None:
    page = read(path)
    lines = [line.strip() for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
    targets = set(re.findall(r"(?m)^([a-z][\w-]*):", (ROOT / "Makefile").read_text()))
    targets |= {f"molecule-{folder.parent.name}" for folder in ROOT.glob("molecule/*/molecule.yml")} | {"molecule-NAME"}
    playbooks = {path.stem for path in ROOT.glob("playbooks/*.yml")}
    for line in [*lines, *page.code]:
        made = re.match(r"make((?: +[\w-]+)*)(?= *(?:$|#| [A-Z]+=))", line)
        if made:
            assert set(made[1].split()) <= targets, f"{name(path)}: {line}"
        for played in re.findall(r"ansible-playbook\b.*?\bxensec\.hardening\.(\w+)", line):
            assert played in playbooks, f"{name(path)}: {line}"


@pytest.mark.parametrize("variable", sorted(OPTIONS))
def test_every_variable_has_its_place(variable: str) -> None:
    assert any(re.search(rf"\b{variable}\b", path.read_text()) for path in ROOT.glob("docs/**/*.md")), (
        f"no page of docs/ says when one would set {variable}"
    )


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_examples_are_yaml_that_the_roles_take(block: Block) -> None:
    found: dict[str, Any] = {}

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            found.update({key: value for key, value in node.items() if VARIABLE.fullmatch(str(key))})
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
            collect(child)

    collect(yaml.safe_load(block.text))
    for variable, value in found.items():
        if "{{" not in str(value):
            spec = {variable: {**specification(OPTIONS[variable]), "required": True}}
            assert not ArgumentSpecValidator(spec).validate({variable: value}).error_messages


def specification(option: dict[str, Any]) -> dict[str, Any]:
    words = ("type", "elements", "choices", "default", "required")
    found: dict[str, Any] = {word: option[word] for word in words if word in option and word != "default"}
    if "options" in option:
        found["options"] = {key: specification(inner) for key, inner in option["options"].items()}
    return found


def test_playbooks_and_tasks_are_taken_by_ansible(tmp_path: Path) -> None:
    written = []
    for number, block in enumerate(of_kind(PLAYBOOK, TASKS)):
        content = yaml.safe_load(block.text)
        if kind(content) == TASKS:
            content = [{"hosts": "all", "gather_facts": False, "tasks": content}]
        written.append(tmp_path / f"{number}-{block.page.stem}-{block.line}.yml")
        written[-1].write_text(yaml.safe_dump(content))
    assert len(written) > 5
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({group: {"hosts": {f"{group}1": {}}} for group in GROUPS}))
    run("ansible-playbook", "--syntax-check", "-i", str(inventory), *map(str, written))


def test_inventories_load(tmp_path: Path) -> None:
    # What ansible-inventory does, without a start of Ansible for each.
    examples = of_kind(INVENTORY)
    assert len(examples) > 5
    for number, block in enumerate(examples):
        content = yaml.safe_load(block.text)
        for group in content.values():
            # An example may leave out the hosts; the variables are what it shows then.
            group.setdefault("hosts", {f"host{number}": {}})
        source = tmp_path / f"{number}.yml"
        source.write_text(yaml.safe_dump(content))
        inventory = InventoryManager(loader=DataLoader(), sources=[str(source)])
        assert set(inventory.groups) == {"all", "ungrouped", *content}, block
        for group, given in content.items():
            assert {host.name for host in inventory.groups[group].hosts} == set(given["hosts"]), block
            assert inventory.groups[group].vars.items() >= given.get("vars", {}).items(), block


def test_each_kind_of_example_is_known() -> None:
    # What is not Ansible's own is of Molecule or of ansible-builder.
    others = [block for block in of_kind(OTHER) if not re.search(r"^provisioner:|base_image:", block.text, re.M)]
    assert [str(block) for block in others] == []


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_drawings_are_whole_and_need_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    drawing = ElementTree.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    assert drawing.tag == f"{svg}svg" and drawing.findtext(f"{svg}title") and drawing.findtext(f"{svg}desc")
    assert not re.search(r"<script|<image|href=|@import|url\((?!#)", text)
    assert "prefers-color-scheme: dark" in text
    width, height = map(float, drawing.attrib["viewBox"].split()[2:])
    for element in drawing.iter(f"{svg}rect"):
        left, top = float(element.attrib["x"]), float(element.attrib["y"])
        assert left + float(element.attrib["width"]) <= width and top + float(element.attrib["height"]) <= height
    assert any(path.name in link for page in PAGES for link in read(page).links), f"no page shows {path.name}"


def commands_of(heading_text: str) -> str:
    """The shell block of the page for who is locked out that has this in it."""
    (found,) = [
        block.text
        for block in read(ROOT / "docs/locked-out.md").blocks
        if block.language == "sh" and heading_text in block.text
    ]
    return found


def in_namespace(*scripts: str) -> str:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("not root, or no unshare, so no network namespace can be made")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", "\n".join(scripts)],
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_is_locked_out_deletes_our_tables_and_no_other() -> None:
    if not shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("nft is not installed")
    ours = firewall.Nftables(None, "dom0", "nft", "INPUT").tables
    made = "\n".join(f"nft add table {table}" for table in [*ours, "inet others"])
    assert in_namespace(made, commands_of("nft delete"), "nft list tables").split("\n") == ["table inet others", ""]


def test_who_is_locked_out_takes_out_our_jump_and_no_other() -> None:
    if not shutil.which("iptables", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("iptables is not installed")
    made = """
for tool in iptables ip6tables; do
    for chain in XENSEC_DOM0 OTHERS; do $tool -N $chain; $tool -I INPUT 1 -j $chain; done
done"""
    shown = in_namespace(made, commands_of("-D INPUT"), "iptables -S INPUT; ip6tables -S INPUT")
    assert shown == "-P INPUT ACCEPT\n-A INPUT -j OTHERS\n" * 2


def test_what_was_there_before_can_be_read_from_the_record(tmp_path: Path) -> None:
    original = tmp_path / "xend-config.sxp"
    original.write_bytes(b"(xend-relocation-server yes)\n\xff")
    record = Record("xend_config", root=str(tmp_path / "xensec"))
    record.keep(files=[str(original)])
    command = commands_of("base64").replace("/etc/xen/xend-config.sxp", str(original))
    command = command.replace("/var/lib/xensec", str(tmp_path / "xensec"))
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout == original.read_bytes()


def test_the_records_that_are_listed_are_those_there_are() -> None:
    listed = set(re.findall(r"`(\w+)\.json`", (ROOT / "docs/locked-out.md").read_text()))
    written = set()
    for path in ROOT.glob("plugins/modules/*.py"):
        written |= set(re.findall(r"\bRecord\(\"(\w+)\"", path.read_text()))
    names = {"firewall_": ("dom0", "perimeter", "relocation"), "sysctl_": ("users", "perimeter")}
    whole = {start + end for start, ends in names.items() for end in ends}
    assert listed == {found for found in written if not found.endswith("_")} | whole


def test_every_entry_point_is_told_of() -> None:
    text = "\n".join(path.read_text() for path in PAGES)
    for role, entries in SPECS.items():
        for entry in set(entries) - {"main"}:
            assert re.search(rf"(tasks_from: |`){entry}\b", text), f"no page tells of {entry} of {role}"
