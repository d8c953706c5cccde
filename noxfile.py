# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that need no lab: nox -l lists them; make test runs them all."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import nox
import yaml

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
# What nox itself runs from has everything requirements-dev.txt pins.
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "sanity", "unit", "unit_hosts", "unit_cores", "docs", "galaxy"]

# The last releases for the Pythons of old hosts.
HOST_PYTHONS = {
    "2.7": ["pytest==4.6.11", "hypothesis==4.57.1"],
    "3.6": ["pytest==7.0.1", "hypothesis==6.31.6"],
}
# The last ansible-core that manages such hosts sends them these module_utils.
HOST_ANSIBLE = "ansible-core==2.16.14"
HOST_TESTS = ["tests/unit/plugins/modules", "tests/unit/plugins/module_utils"]
# What the kernel answers is the same for each Python, and half of these tests ask it: the controller's Python asks it all.
SOME_TESTS = {"2.7": "not nftables and not drift", "3.6": "not legacy and not drift"}

# The ansible-cores that a controller may have, with the Pythons to try them on; and the one that nox itself runs from.
CORES: dict[str, list[str]] = yaml.safe_load((ROOT / "molecule/matrix/lab/cores.yml").read_text())
DEFAULT_CORE = ".".join(installed_version("ansible-core").split(".")[:2])
OTHER_CORES = [core for core in CORES if core != DEFAULT_CORE]
# What a controller runs; the browser is not the core's.
CORE_TESTS = [
    *("tests/unit/plugins/filter", "tests/unit/plugins/plugin_utils"),
    "--ignore=tests/unit/plugins/plugin_utils/test_audit_page_browser.py",
]
# They look at style, or at Pythons, take longest, and tell least of whether the collection works with a core.
LEFT_OUT = ["compile", "import", "pep8", "pylint", "shellcheck", "yamllint"]


def real_pythons() -> dict[str, str]:
    """PATH with pyenv's Pythons in place of its shims: a shim is found, and then leads nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != str(pyenv / "shims")]
    return {"PATH": os.pathsep.join([*folders, *map(str, sorted(pyenv.glob("versions/*/bin")))])}


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, and ansible-lint with the production profile."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run(
        "mypy",
        "--explicit-package-bases",
        # Reached through their collection's name as well; module_utils stay untyped, for Python 2.7.
        "--follow-imports=silent",
        "--untyped-calls-exclude=ansible_collections.xensec.hardening.plugins.module_utils",
        "plugins/plugin_utils",
        "plugins/filter",
        "molecule/shared/lab/lab.py",
        "molecule/shared/lab/xen.py",
        env={"MYPYPATH": f"{CACHE / 'collections'}:{ROOT / 'molecule/shared/lab'}"},
    )
    session.run("yamllint", "--strict", ".")
    session.run("antsibull-changelog", "lint")
    # Without it ansible-lint looks for the collection where some other run may have installed it, or nowhere.
    session.run(
        *("ansible-lint", "--offline", "--strict", "--profile=production"),
        env={"ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections")},
    )


@nox.session
@nox.parametrize("core", [DEFAULT_CORE, *OTHER_CORES])
def sanity(session: nox.Session, core: str) -> None:
    """ansible-test's sanity tests by each core, of the tree as it would be committed; all on all with -- all."""
    programs = Path(sys.executable).parent if core == DEFAULT_CORE else core_programs(session, core)
    if not programs:
        session.skip(no_python(core))
    left_out = [] if core == DEFAULT_CORE or "all" in session.posargs else LEFT_OUT
    if left_out:
        session.log(f"left to ansible-core {DEFAULT_CORE}, and to make matrix, to save time: {', '.join(left_out)}")
    folder = CACHE / f"sanity-{core}"
    tree = folder / "ansible_collections" / "xensec" / "hardening"
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    # ansible-test looks at what git knows, and would find the checkout around this copy.
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    subprocess.run(["git", "-C", str(tree), "add", "--all"], check=True)
    bootstrap_pip(programs)
    session.chdir(tree)
    pythons = real_pythons()
    session.run(
        *(str(programs / "ansible-test"), "sanity", "--venv", "--color", "no"),
        *(f"--skip-test={test}" for test in left_out),
        env={"PATH": f"{programs}{os.pathsep}{pythons['PATH']}"},
        external=True,
    )


def bootstrap_pip(programs: Path) -> None:
    """Spare ansible-test a download: it only wants pip in its virtual environments, and Python ships that."""
    (source,) = programs.parent.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py")
    versions = re.findall(r"\bpip='([\d.]+)'", source.read_text())
    cache = Path.home() / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        path = cache / f"get_pip_{version.replace('.', '_')}.py"
        if not path.exists():
            path.write_text("import ensurepip\nensurepip.bootstrap(default_pip=True)\n")


@nox.session
def unit(session: nox.Session) -> None:
    """Unit tests on the controller's Python."""
    session.run("pytest", *session.posargs)


@nox.session
@nox.parametrize("version", list(HOST_PYTHONS))
def unit_hosts(session: nox.Session, version: str) -> None:
    """Unit tests of what runs on the hosts, on the Pythons of old hosts."""
    python = find_python(version)
    if not python:
        session.skip(f"Python {version} is not installed here, so the modules were not tried on it")
    folder, core = CACHE / f"python{version}", CACHE / HOST_ANSIBLE
    if not core.exists():
        making = CACHE / "ansible-core.new"
        shutil.rmtree(making, ignore_errors=True)
        session.run(
            *("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--ignore-requires-python", "--target", str(making), HOST_ANSIBLE),
        )
        making.rename(core)
    if not (folder / "ready").exists():
        # The last virtualenv that still makes environments for Python 2.7 and 3.6.
        session.run("python", "-m", "venv", str(CACHE / "virtualenv"))
        session.run(str(CACHE / "virtualenv/bin/pip"), "install", "--quiet", "virtualenv==20.21.1", external=True)
        session.run(
            *(str(CACHE / "virtualenv/bin/python"), "-m", "virtualenv", "--quiet", "-p", python, str(folder)),
            external=True,
        )
        session.run(str(folder / "bin/pip"), "install", "--quiet", *HOST_PYTHONS[version], external=True)
        (folder / "ready").touch()
    chosen = ["-k", SOME_TESTS[version]] if version in SOME_TESTS else []
    if chosen:
        session.log(f"left to the controller's Python, to save time: all but -k '{SOME_TESTS[version]}'")
    session.run(
        *(str(folder / "bin/python"), "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull),
        *("--rootdir", str(ROOT), "-q", "-ra", *chosen, *HOST_TESTS),
        env={"PYTHONPATH": str(core)},
        external=True,
    )


@nox.session
def cores(session: nox.Session) -> None:
    """Every ansible-core in a virtual environment of its own, for the scenario matrix."""
    for core in CORES:
        if not core_programs(session, core):
            session.log(no_python(core))


@nox.session
@nox.parametrize("core", OTHER_CORES)
def unit_cores(session: nox.Session, core: str) -> None:
    """Unit tests of what a controller runs, on the other cores; on all their Pythons, all of the tests, with -- all."""
    everything = "all" in session.posargs
    left_out = [] if everything else ["-m", "not hypothesis"]
    if left_out:
        session.log(
            f"tests with generated input are left to ansible-core {DEFAULT_CORE}, and to make matrix, to save time"
        )
    pythons = {version: find_python(version) for version in CORES[core]}
    found = {version: python for version, python in pythons.items() if python}
    if not found:
        session.skip(no_python(core))
    for index, (version, python) in enumerate(list(found.items())[: None if everything else 1]):
        # The first is the one that core_programs makes.
        programs = environment(session, f"core-{core}", python, version if index else "venv")
        session.run(
            *(str(programs / "python"), "-m", "pytest", "-p", "no:cacheprovider", *left_out, *CORE_TESTS),
            env={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            external=True,
        )
    missing = [version for version, python in pythons.items() if not python]
    if everything and missing:
        session.log(f"not run on Python {', '.join(missing)}, which is not here")


def first(core: str) -> str | None:
    """The first of the Pythons for an ansible-core that is here."""
    return next(filter(None, map(find_python, CORES[core])), None)


def core_programs(session: nox.Session, core: str) -> Path | None:
    """Where the programs of an ansible-core are, in a virtual environment of the first of its Pythons that is here."""
    python = first(core)
    return environment(session, f"core-{core}", python) if python else None


def no_python(core: str) -> str:
    return f"ansible-core {core} was not tried: it is to run on Python {', '.join(CORES[core])}, and none is here"


def find_python(version: str) -> str | None:
    """A Python of this version that really runs: a shim may be on PATH and lead nowhere."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))]
    for candidate in filter(None, candidates):
        if not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode:
            return candidate
    return None


def environment(session: nox.Session, name: str, python: str = "python", folder: str = "venv") -> Path:
    """A virtual environment with what requirements-NAME.txt pins. Return where its programs are."""
    made, requirements = CACHE / name / folder, ROOT / f"requirements-{name}.txt"
    installed = made / "installed"
    made.parent.mkdir(parents=True, exist_ok=True)
    # Checks that run side by side may want the same one.
    with (made.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_text() != requirements.read_text():
            session.run(python, "-m", "venv", "--clear", str(made), external=True)
            pip = (str(made / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet")
            session.run(*pip, "install", "--requirement", str(requirements), external=True, silent=True)
            installed.write_text(requirements.read_text())
    return made / "bin"


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site to be read from the file system, and whether it holds together."""
    programs = environment(session, "docs")
    tree, site = CACHE / "docs/tree", CACHE / "docs/html"
    for folder in (tree, site):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", tree / "docs")
    # Where the guides link to a file of the collection, the site has it to download.
    for folder in ("playbooks", "plugins", "roles"):
        (tree / folder).symlink_to(ROOT / folder)
    (tree / "docs/reference").mkdir()
    session.run(
        *(str(programs / "antsibull-docs"), "--config-file", "tools/docs/antsibull-docs.cfg", "collection"),
        *("--use-current", "--squash-hierarchy", "--no-breadcrumbs", "--fail-on-error", "--cleanup", "everything"),
        *("--no-add-antsibull-docs-version", "--dest-dir", str(tree / "docs/reference"), "xensec.hardening"),
        env={"ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections"), "PATH": f"{programs}:{os.environ['PATH']}"},
        external=True,
    )
    session.run(
        *(str(programs / "sphinx-build"), "--quiet", "--fail-on-warning", "--keep-going", "--jobs", "2"),
        *("--conf-dir", "tools/docs", "--doctree-dir", str(CACHE / "docs/doctrees"), str(tree / "docs"), str(site)),
        external=True,
    )
    session.run("pytest", "tests/docs", env={"XENSEC_SITE": str(site)})
    session.log(f"open {site.relative_to(ROOT)}/index.html in a browser; it needs no server and no network")


@nox.session
def galaxy(session: nox.Session) -> None:
    """What Galaxy would say to the collection as it is built, its warnings taken for errors."""
    programs = environment(session, "galaxy")
    built = CACHE / "galaxy/built"
    shutil.rmtree(built, ignore_errors=True)
    session.run("ansible-galaxy", "collection", "build", "--output-path", str(built))
    (artifact,) = built.glob("*.tar.gz")
    session.chdir(built)
    said = session.run(
        *(str(programs / "python"), "-m", "galaxy_importer.main", str(artifact)),
        env={
            "GALAXY_IMPORTER_CONFIG": str(ROOT / "tools/galaxy-importer.cfg"),
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
        external=True,
        silent=True,
    )
    session.log(said)
    complaints = re.findall(r"(?m)^(?:WARNING|ERROR|CRITICAL).*", str(said))
    if complaints or "Importer processing completed successfully" not in str(said):
        session.error(f"galaxy-importer has {len(complaints)} complaints: " + "; ".join(complaints))
