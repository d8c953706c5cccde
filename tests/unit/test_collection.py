# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it is published: what is in it, and whether its parts agree with each other."""

from __future__ import annotations

import ast
import fnmatch
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(ROOT.glob("roles/*"))
MODULES = sorted(ROOT.glob("plugins/modules/*.py"))
FILTERS = sorted(ROOT.glob("plugins/filter/*.py"))
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
# What a user needs, by rule: from these folders files of these kinds, and these files.
FOLDERS = {
    "changelogs": (".yaml", ".yml"),
    "docs": (".md", ".svg", ".png"),
    "meta": (".yml",),
    "playbooks": (".yml",),
    "plugins": (".py", ".yml", ".j2", ".css", ".js"),
    "roles": (".yml", ".yaml", ".md", ".json"),
}
FILES = {"README.md", "CHANGELOG.md", "LICENSE", "REUSE.toml", "requirements.txt", "bindep.txt"}
MADE = {"MANIFEST.json", "FILES.json"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[str]:
    """The files of the checkout, as they would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()})


def wanted(path: str) -> bool:
    folder, _dummy, rest = path.partition("/")
    return path in FILES or bool(rest and path.endswith(FOLDERS.get(folder, ())) and folder in FOLDERS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of what ansible-galaxy packs."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(folder), str(ROOT)],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder)},
        capture_output=True,
        check=True,
    )
    (artifact,) = folder.glob("*.tar.gz")
    assert artifact.name == f"{GALAXY['namespace']}-{GALAXY['name']}-{GALAXY['version']}.tar.gz"
    with tarfile.open(artifact) as archive:
        listed = json.load(archive.extractfile("FILES.json"))["files"]  # type: ignore[arg-type]
        members = {member.name for member in archive.getmembers() if member.isfile()}
    assert members - MADE == {item["name"] for item in listed if item["ftype"] == "file"}
    return members - MADE


def test_what_is_published_is_what_a_user_needs_and_nothing_else(built: set[str]) -> None:
    assert built == {path for path in tracked() if wanted(path)}


def test_a_user_gets_every_part(built: set[str]) -> None:
    assert built >= FILES | {name(path) for path in [*MODULES, *FILTERS]}
    assert built >= {f"{name(role)}/{part}" for role in ROLES for part in ("meta/argument_specs.yml", "README.md")}
    assert built >= {"meta/runtime.yml", "meta/execution-environment.yml", "docs/index.md", "playbooks/harden.yml"}
    assert not [path for path in built if re.search(r"(^|/)\.|__pycache__|^(tests|molecule|tools)/", path)]


def test_the_version_is_semantic_and_the_metadata_points_to_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", GALAXY["version"])
    assert (ROOT / GALAXY["readme"]).exists() and (ROOT / GALAXY["license_file"]).exists()
    assert all(GALAXY[key].startswith(GALAXY["repository"]) for key in ("documentation", "homepage", "issues"))
    for dependency, bounds in GALAXY["dependencies"].items():
        assert re.search(r">=\d+\.\d+\.\d+", bounds), f"{dependency} has no lower bound"


def test_one_ansible_core_is_required_everywhere() -> None:
    required = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert required == ">=2.16.0"
    for role in ROLES:
        about = yaml.safe_load((role / "meta/main.yml").read_text())
        assert about["galaxy_info"]["min_ansible_version"] == "2.16", role.name
        assert about["galaxy_info"]["description"] and about["dependencies"] == [], role.name


def test_the_execution_environment_names_files_that_are_there_and_all_that_is_imported() -> None:
    dependencies = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text())["dependencies"]
    assert all((ROOT / file).exists() for file in dependencies.values())
    listed = {
        re.split(r"[<>=!~ ;\[]", line)[0].lower()
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    # What ansible-core itself needs is there with it.
    known = set(sys.stdlib_module_names) | {"ansible", "ansible_collections", "jinja2", "markupsafe", "yaml"}
    imported = {
        module.partition(".")[0]
        for folder in ("filter", "action", "plugin_utils")
        for path in ROOT.glob(f"plugins/{folder}/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in (
            [item.name for item in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - known == listed
    uses_jmespath = any("json_query" in path.read_text() for path in ROOT.glob("[rp]*/**/*.yml"))
    assert not uses_jmespath or "jmespath" in listed


def specs(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_defaults_and_specs_of_a_role_agree(role: Path) -> None:
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    options = {option: spec for entry in specs(role).values() for option, spec in entry.get("options", {}).items()}
    assert all(option.startswith(role.name + "_") for option in options)
    assert set(defaults) <= set(options), "a default that is not in the specs"
    main = specs(role)["main"]["options"]
    required = {option for option, spec in main.items() if spec.get("required")}
    assert set(main) - set(defaults) == required, "neither required nor with a default"
    for option, value in defaults.items():
        spec = options[option]
        if "{{" in str(value):
            # Worked out at run time: what the specs have for it then is what holds in the end, or nothing.
            continue
        assert spec.get("default") == value and type(spec.get("default")) is type(value), option
        valid = ArgumentSpecValidator(
            {option: {key: spec[key] for key in ("type", "elements", "choices") if key in spec}}
        )
        assert not valid.validate({option: value}).error_messages, option


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_entry_point_is_in_the_specs_and_says_what_it_is(role: Path) -> None:
    # A task file that another one imports is a part of it, unless it is called from elsewhere as well.
    texts = [path.read_text() for path in role.glob("tasks/**/*.yml")]
    parts = {
        match for text in texts for match in re.findall(r"(?:import|include)_tasks:\s*(?:file:\s*)?([\w-]+)\.yml", text)
    }
    called = {
        match
        for path in [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("docs/**/*.md")]
        for match in re.findall(rf"name: xensec\.hardening\.{role.name}\s+tasks_from: ([\w-]+)", path.read_text())
    }
    entries = {path.stem for path in role.glob("tasks/*.yml")}
    assert set(specs(role)) == (entries - parts) | called | {"main"}
    for entry, spec in specs(role).items():
        assert spec["short_description"] and spec["description"] and spec["author"] and spec["version_added"], entry
        assert all(option["description"] and option["type"] for option in spec.get("options", {}).values()), entry


def documentation(path: Path) -> dict[str, Any]:
    """The documentation of a plugin, by variable."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            variable = node.targets[0].id
            if variable in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
                found[variable] = yaml.safe_load(ast.literal_eval(node.value))
    return found


@pytest.mark.parametrize("path", [*MODULES, *FILTERS], ids=name)
def test_every_plugin_is_documented_with_examples_and_return_values(path: Path) -> None:
    found = documentation(path)
    about, examples, returned = found["DOCUMENTATION"], found["EXAMPLES"], found["RETURN"]
    assert about.get("module", about.get("name")) == path.stem
    assert about["short_description"] and about["description"] and about["author"] and about["version_added"]
    assert f"xensec.hardening.{path.stem}" in str(examples), "no example uses it by its full name"
    assert all(value["description"] and value["type"] for value in returned.values())
    if path in MODULES:
        assert {"check_mode", "diff_mode", "platform"} <= set(about["attributes"])
        assert all(attribute["support"] for attribute in about["attributes"].values())
        assert all(value["returned"] for value in returned.values())
        assert ("supports_check_mode=True" in path.read_text()) == (
            about["attributes"]["check_mode"]["support"] == "full"
        )


def test_every_file_says_under_which_license_it_is() -> None:
    """Code in its own head; data, prose and settings there, or in REUSE.toml as the REUSE specification has it."""
    annotations = tomllib.loads((ROOT / "REUSE.toml").read_text())["annotations"]
    assert {item["SPDX-License-Identifier"] for item in annotations} == {"GPL-3.0-or-later"}
    patterns = [pattern for item in annotations for pattern in item["path"]]
    without = []
    for path in tracked():
        head = (ROOT / path).read_bytes()[:600]
        said = b"SPDX-License-Identifier: GPL-3.0-or-later" in head
        is_code = path.endswith((".py", ".svg", ".css", ".js")) or head.startswith(b"#!") or path == "Makefile"
        is_code = is_code and not path.startswith(".ci/")
        covered = any(fnmatch.fnmatch(path, pattern.replace("**", "*")) for pattern in patterns)
        if path != "LICENSE" and not said and (is_code or not covered):
            without.append(path)
    assert without == []


def test_the_changelog_is_made_of_fragments_that_name_what_exists() -> None:
    names = {path.stem for pattern in ("plugins/*/*.py", "playbooks/*.yml") for path in ROOT.glob(pattern)}
    names |= {role.name for role in ROLES} | {"collection", "documentation"}
    for fragment in ROOT.glob("changelogs/fragments/*.yml"):
        for entries in yaml.safe_load(fragment.read_text()).values():
            for entry in entries:
                subjects = entry.partition(" - ")[0]
                assert set(re.split(r", ", subjects)) <= names, f"{fragment.name}: {subjects}"
