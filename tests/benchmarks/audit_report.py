# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit's report of many nodes costs: to put together, to draw, to keep, and to open in Chromium.

The nodes are simulated: each has two networks, and tried every relocation port of every other.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/unit"), str(ROOT / "tests/unit/plugins/plugin_utils")]

# Makes the checkout importable as the collection.
importlib.import_module("conftest")

import audit_sample  # noqa: E402
import browser  # noqa: E402
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_junit import audit_junit  # noqa: E402
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_page import audit_page  # noqa: E402

LOADED = """
const done = arguments[0];
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
"""


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, the seconds it took, and those that the processor worked on it."""
    started, worked = time.monotonic(), time.process_time()
    result = work()
    return result, time.monotonic() - started, time.process_time() - worked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=200)
    arguments = parser.parse_args()
    hosts = audit_sample.cluster(arguments.nodes, 20)
    audit_sample.answer(hosts, "outsider", "192.0.2.1", 8002, "open")
    before = audit_sample.report(audit_sample.cluster(arguments.nodes, 18, 8))
    report, took, worked = timed(lambda: audit_sample.report(hosts, previous=before))
    print(
        f"report of {arguments.nodes} nodes, {len(report['controls'])} controls, "
        f"{report['summary']['paths']['tried']} paths"
    )
    rows = [("put together, with what has changed", took, worked, len(json.dumps(report)))]
    page, took, worked = timed(lambda: audit_page(report))
    rows.append(("drawn as a page", took, worked, len(page.encode())))
    xml, took, worked = timed(lambda: audit_junit(report))
    rows.append(("written for CI", took, worked, len(xml.encode())))
    for name, took, worked, size in rows:
        print(f"  {name:40} {took:6.1f} s ({worked:.1f} s of processor) {size / 1e6:7.2f} MB")
    if browser.MISSING:
        print(f"  {browser.MISSING}")
        return 0
    with tempfile.TemporaryDirectory() as folder, browser.browser() as driver:
        path = Path(folder, "report.html")
        path.write_text(page, encoding="utf-8")
        driver.get("about:blank")
        seconds = []
        for _round in range(3):
            driver.get(path.as_uri())
            seconds.append(driver.execute_async_script(LOADED) / 1000)
        print(f"  {'opened in Chromium, until it is drawn':40} {min(seconds):6.1f} s at best of {len(seconds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
