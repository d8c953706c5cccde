# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ratios with their spread, as a table for the terminal and as a picture for the documentation."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parents[1] / "docs" / "images"


@dataclass(frozen=True)
class Ratio:
    """One line: what was measured, its ratio to the base of the same round, and what else there is to say of it."""

    name: str
    median: float
    lowest: float
    highest: float
    more: str = ""


def ratios(measured: Mapping[str, Sequence[float]], base: str, more: Mapping[str, str] | None = None) -> list[Ratio]:
    """What was measured round by round, each round in relation to the base of that round."""
    found = []
    for name, values in measured.items():
        parts = sorted(value / one for value, one in zip(values, measured[base], strict=True))
        found.append(Ratio(name, statistics.median(parts), parts[0], parts[-1], (more or {}).get(name, "")))
    return found


def table(heading: str, lines: Iterable[Ratio]) -> None:
    print(f"{heading:66} {'median':>7} {'lowest':>7} {'highest':>7}")
    for line in lines:
        print(f"  {line.name:64} {line.median:7.2f} {line.lowest:7.2f} {line.highest:7.2f}  {line.more}".rstrip())


def draw(name: str, heading: str, lines: Sequence[Ratio]) -> None:
    """Have the picture docs/images/bench-NAME.svg show these lines."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    picture = environment.get_template("figure.svg.j2").render(
        heading=heading, lines=lines, most=max(line.highest for line in lines)
    )
    path = IMAGES / f"bench-{name}.svg"
    path.write_text(picture + "\n")
    print(f"  drawn in {path.relative_to(HERE.parents[1])}")
