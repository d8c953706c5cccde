# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit's page in a browser: what it shows, that nothing is amiss, and that hosts have no say in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audit_sample as sample
import browser
import pytest
from ansible_collections.xensec.hardening.plugins.plugin_utils.audit_page import audit_page
from selenium.webdriver import Chrome

pytestmark = pytest.mark.skipif(bool(browser.MISSING), reason=browser.MISSING)

# What is drawn, which a grid or a map without its style would not be.
COLOUR = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with browser.browser() as opened:
        yield opened


def show(driver: Chrome, folder: Path, report: dict[str, Any], scheme: str = "light", media: str = "") -> None:
    page = folder / "report.html"
    page.write_text(audit_page(report), encoding="utf-8")
    browser.look(driver, scheme, media)
    driver.get(page.as_uri())


def count(driver: Chrome, selector: str) -> int:
    """How many of these can be seen."""
    return int(
        driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].filter((item) => item.checkVisibility()).length",
            selector,
        )
    )


def complaints(driver: Chrome) -> list[Any]:
    return [entry for entry in driver.get_log("browser") if "favicon" not in entry["message"]]


def test_grid_map_findings_and_drift_are_there(driver: Chrome, tmp_path: Path) -> None:
    show(driver, tmp_path, sample.troubled())
    assert complaints(driver) == []
    assert count(driver, "#grid .row") == 46
    assert count(driver, "#grid td.fail") == 25
    assert count(driver, "#grid td.unreachable") == 46
    assert count(driver, "#map .arc.unplanned_open") == count(driver, "#map .arc.unplanned_refused") == 1
    assert count(driver, "#map .arc.open") == 5
    assert count(driver, ".finding") == 18
    assert count(driver, "#drift tr.worse") > 3 and count(driver, "#drift tr.better") > 3
    box = driver.execute_script(
        "const b = document.getElementById('map').getBoundingClientRect(); return b.width * b.height"
    )
    assert box > 1000 * 300
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    driver.execute_script("scrollTo(0, 2500)")
    assert driver.execute_script("return document.querySelector('nav').getBoundingClientRect().top") == 0


def test_light_dark_and_print_differ_and_keep_their_colours(driver: Chrome, tmp_path: Path) -> None:
    seen = {}
    for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
        show(driver, tmp_path, sample.troubled(), scheme, media)
        seen[scheme, media] = [
            driver.execute_script(COLOUR, *what)
            for what in (("body", "backgroundColor"), ("body", "color"), ("#grid td.fail", "backgroundColor"))
        ]
        assert driver.execute_script(COLOUR, "#grid td.fail", "backgroundColor") != "rgba(0, 0, 0, 0)"
        assert driver.execute_script(COLOUR, "#map .arc.open", "stroke") not in ("none", "rgb(0, 0, 0)")
        assert complaints(driver) == []
    assert seen["light", ""] != seen["dark", ""]
    # Paper is white, whatever the screen is.
    assert seen["dark", "print"][:2] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert count(driver, "nav") == 0
    # Nothing stays folded away on paper.
    assert count(driver, "#holding tbody tr") == 28 and count(driver, ".finding dl") == 18


@pytest.mark.parametrize(
    "text", ["<script>document.title = 'taken'</script>", '"><img src=x onerror="document.title = \'taken\'">']
)
def test_a_unit_by_the_name_of_a_script_does_no_harm(driver: Chrome, tmp_path: Path, text: str) -> None:
    hosts = sample.cluster(2)
    hosts["node1"]["dom0_audit_results"][12].update(status="fail", evidence=[f"{text}.service", text])
    show(driver, tmp_path, sample.report(hosts))
    assert driver.title == "Dom0 audit: 1 of 46 controls does not hold"
    assert driver.execute_script("return document.scripts.length") == 1
    assert f"{text}.service" in driver.execute_script("return document.querySelector('.finding pre').textContent")
    assert complaints(driver) == []


def test_a_script_that_got_in_all_the_same_would_not_run(driver: Chrome, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    text = audit_page(sample.report(sample.cluster(1)))
    page.write_text(text.replace("</main>", "<script>document.title = 'taken'</script></main>"), encoding="utf-8")
    driver.get(page.as_uri())
    assert driver.title == "Dom0 audit: Every control holds"
    assert any("Content Security Policy" in entry["message"] for entry in complaints(driver))


def test_the_filter_leaves_what_was_asked_for(driver: Chrome, tmp_path: Path) -> None:
    show(driver, tmp_path, sample.troubled())
    field = driver.find_element("id", "filter")
    field.send_keys("VNC")
    assert count(driver, "#grid .row") == 2
    assert count(driver, ".finding") == 1
    field.clear()
    field.send_keys("node2")
    assert count(driver, "#grid thead .col") == 1
    assert count(driver, "#grid .row") == 46
    field.clear()
    field.send_keys(" ")
    driver.find_element("id", "only").click()
    assert count(driver, "#grid .row") == 18
    assert complaints(driver) == []


def test_many_nodes_stay_readable(driver: Chrome, tmp_path: Path) -> None:
    show(driver, tmp_path, sample.report(sample.cluster(40, 20)))
    assert count(driver, "#grid .row") == 46 and count(driver, "#grid.dense .col") == 41
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    # The names of controls and hosts stay while the grid is scrolled.
    driver.execute_script("document.querySelector('.scroll').scrollTo(600, 300)")
    left, head = driver.execute_script(
        "const box = document.querySelector('.scroll').getBoundingClientRect();"
        "return [document.querySelectorAll('#grid .row .control')[30].getBoundingClientRect().left - box.left,"
        "document.querySelector('#grid .col').getBoundingClientRect().top - box.top]"
    )
    assert abs(left) < 3 and abs(head) < 3
    assert count(driver, "#map .share") == 5
    assert complaints(driver) == []
