# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter, UserDict
from typing import Any

import pytest
from ansible_collections.xensec.hardening.plugins.plugin_utils.hosts import looked_up


class Counted(UserDict[str, Any]):
    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.looks: Counter[str] = Counter()

    def __getitem__(self, key: str) -> Any:
        self.looks[key] += 1
        return super().__getitem__(key)


def test_each_host_and_each_of_its_variables_is_looked_up_once() -> None:
    own = Counted({"plan": {"ports": [8002]}, "other": None})
    hosts = Counted({"xen1": own})
    found = looked_up(hosts)
    for _round in range(3):
        assert found["xen1"]["plan"] == {"ports": [8002]}
        assert found["xen1"].get("other") is None
        assert "plan" in found["xen1"]
    assert hosts.looks == {"xen1": 1}
    assert own.looks == {"plan": 1, "other": 1}


def test_what_was_looked_up_before_is_not_looked_up() -> None:
    hosts = Counted({"xen1": {"plan": "new"}, "xen2": {"plan": "other"}})
    found = looked_up(hosts, {"xen1": {"plan": "old"}})
    assert (found["xen1"]["plan"], found["xen2"]["plan"]) == ("old", "other")
    assert hosts.looks == {"xen2": 1}


def test_what_is_not_there_is_not() -> None:
    found = looked_up({"xen1": {}})
    assert "xen2" not in found
    assert found["xen1"].get("plan") is None
    with pytest.raises(KeyError):
        found["xen2"]
    with pytest.raises(KeyError):
        found["xen1"]["plan"]
    assert (list(found), len(found), list(found["xen1"])) == (["xen1"], 1, [])
