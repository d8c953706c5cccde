# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role did: what is down stays down when it is poked, guests were not touched, all is on record."""

import json
import time

import pytest
from labtest import ADDRESSES, LAB, NODES
from servicetest import ACTIVE, ENABLED, SYSTEMD_NODES, record


@pytest.fixture(params=SYSTEMD_NODES)
def systemd(request, machines):
    return request.param, machines[request.param]


def poke_bus(node, name):
    return node.run(f"dbus-send --system --print-reply --reply-timeout=5000 --dest={name} / org.example.Poke")


def test_what_is_started_on_demand_stays_down_when_it_is_poked(systemd, machines):
    name, node = systemd
    node.check_output("rm -f /run/lab-*.started; touch /run/lab-poke")
    address = ADDRESSES[name]["management"]["ipv4"]
    for port in (7100, 7102):
        assert machines["outsider"].run(f"nc -z -w 2 {address} {port}").rc != 0
    for bus_name in ("org.example.Lab", "org.example.Alone", "org.freedesktop.Avahi"):
        assert poke_bus(node, bus_name).rc != 0
    for unit in ("lab-own.service", "cups.socket", "lab-many@7104.service"):
        assert node.run(f"systemctl start {unit}").rc != 0
    # The timer would have come twice by then.
    time.sleep(11)
    assert node.run("ls /run/lab-*.started").rc != 0
    assert "22" in node.check_output("ss -Hltn")
    assert "71" not in node.check_output("ss -Hltn | awk '{print $4}'")


def test_the_bus_of_sysv_starts_nothing_either(machines):
    node = machines["node4"]
    node.check_output("rm -f /run/lab-*.started")
    assert poke_bus(node, "org.example.Alone").rc != 0
    assert node.run("ls /run/lab-*.started").rc != 0


def test_the_bus_still_starts_what_stays(systemd):
    """The pokes above fail because of us, and not because the bus starts nothing."""
    node = systemd[1]
    assert "string" in node.check_output(
        "dbus-send --system --print-reply --dest=org.freedesktop.hostname1 /org/freedesktop/hostname1 "
        "org.freedesktop.DBus.Properties.Get string:org.freedesktop.hostname1 string:Hostname"
    )


def test_guests_were_never_touched(systemd):
    """Their process is the first one, and the command that would stop one never ran."""
    node = systemd[1]
    called = node.check_output("cat /run/xl.called").splitlines()
    # At boot Xen's own script asks which guests there are.
    assert [words for words in called if words != "list"] == ["create /etc/xen/a"]
    assert node.check_output("systemctl show --value -p NRestarts,SubState lab-guest.service").split() == [
        "0",
        "running",
    ]


def test_every_stop_was_of_a_unit_that_goes(systemd):
    """systemd's own journal has every stop it was asked for, whoever asked."""
    node = systemd[1]
    lines = node.check_output("journalctl -b -o json MESSAGE_ID=de5b426a63be47a7b6ac3eaac82e2f6f").splitlines()
    # What users' own managers stop has another key.
    stopped = {entry["UNIT"] for entry in map(json.loads, lines) if "UNIT" in entry}
    # Those of logging in and out, and of the unit that a later test starts.
    stopped = {unit for unit in stopped if not unit.startswith(("user@", "user-runtime-dir@", "session-"))}
    stopped = {unit for unit in stopped if unit.endswith((".service", ".socket", ".timer", ".path"))}
    recorded = {key.partition(" ")[2] for key in record(node)["state"]}
    assert stopped <= recorded
    assert not recorded & (ACTIVE["node1"] | ENABLED)


def test_what_was_found_is_recorded(machines):
    def found(node, unit):
        entry = record(machines[node])["state"][f"unit {unit}"]
        return entry["active"], entry["state"]

    for name in SYSTEMD_NODES:
        assert found(name, "rpcbind.socket") == (True, "enabled")
        assert found(name, "lab-own.service") == (True, "enabled")
        assert found(name, "lab-bus.service") == (False, "static")
        assert record(machines[name])["state"]["unit org.example.Alone.dbus"]["active"] is True
    assert found("node4", "exim4.service") == (True, "enabled")


@pytest.mark.parametrize("name", NODES)
def test_check_mode_had_predicted_it(machines, name):
    predicted = json.loads((LAB / f"{name}.json").read_text())
    names = {unit for key in ("stopped", "disabled", "masked", "blocked") for unit in predicted[key]}
    done = {key.partition(" ")[2] for key in record(machines[name])["state"]}
    assert done - {"lab-newcomer.service"} == names
    assert predicted["changed"] is True
