# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the role xend_relocation, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import (
    check_networks,
    require_flag,
    require_list,
)
from ansible_collections.xensec.hardening.plugins.plugin_utils.relocation_xend import OTHER_LISTENERS

SCENARIOS = ("isolated_management", "firewalled_subnet", "untrusted_subnet", "secure_tunnel")
# What xend and its relocation over SSL listen on unless told otherwise (tools/python/xen/xend/XendOptions.py).
DEFAULT_PORTS = (8002, 8003)


@dataclass(frozen=True)
class Settings:
    """The role's variables, checked."""

    scenario: str
    toolstack: str
    interface: str
    address: str
    networks: tuple[str, ...]
    peers: tuple[str, ...]
    port: int
    ssl_port: int
    ssl: bool
    keep_listeners: tuple[str, ...]
    key_generation: int
    allow_root_keys: bool
    control_port: int

    @classmethod
    def check(cls, raw: Mapping[str, Any]) -> Settings:
        if raw["scenario"] not in SCENARIOS:
            raise ValueError(
                f"xend_relocation_scenario is {raw['scenario']!r}: set it to one of {', '.join(SCENARIOS)}"
            )
        keep_listeners = tuple(str(item) for item in check_list("keep_listeners", raw))
        unknown = set(keep_listeners) - set(OTHER_LISTENERS)
        if unknown:
            raise ValueError(
                f"xend_relocation_keep_listeners names {sorted(unknown)[0]!r}: there are {', '.join(OTHER_LISTENERS)}"
            )
        settings = cls(
            scenario=str(raw["scenario"]),
            toolstack=str(raw["toolstack"]),
            interface=str(raw["interface"] or ""),
            address=str(raw["address"] or ""),
            networks=check_relocation_networks(raw),
            peers=tuple(str(peer) for peer in check_list("peers", raw)),
            port=int(raw["port"]),
            ssl_port=int(raw["ssl_port"]),
            ssl=require_flag("xend_relocation_ssl", raw["ssl"]),
            keep_listeners=keep_listeners,
            key_generation=int(raw["key_generation"]),
            allow_root_keys=require_flag("xend_relocation_allow_root_keys", raw["allow_root_keys"]),
            control_port=int(raw["control_port"] or 22),
        )
        settings.check_ports()
        if settings.key_generation < 1:
            raise ValueError(
                f"xend_relocation_key_generation is {settings.key_generation}: it counts from 1, and grows by one when "
                "the keys are to be replaced"
            )
        if settings.ssl and settings.scenario == "secure_tunnel":
            raise ValueError(
                "xend_relocation_ssl goes past the tunnel of the scenario secure_tunnel, and verifies nobody: "
                "set it to false"
            )
        return settings

    def check_ports(self) -> None:
        if self.control_port in DEFAULT_PORTS:
            raise ValueError(
                f"Ansible itself connects to port {self.control_port}, one of xend's own, which are always guarded: "
                "that would lock you out, move sshd and ansible_port to another"
            )
        ports = {"xend_relocation_port": self.port, "xend_relocation_ssl_port": self.ssl_port}
        for name, port in ports.items():
            if not 1 <= port <= 65535:
                raise ValueError(
                    f"{name} is {port}: a TCP port is a number from 1 to 65535 (xend's own is 8002 or 8003)"
                )
            if port == self.control_port:
                raise ValueError(
                    f"{name} is {port}, the port Ansible itself connects to: guarding it would lock you out, choose another"
                )
        if self.port == self.ssl_port:
            raise ValueError(
                f"xend_relocation_port and xend_relocation_ssl_port are both {self.port}: give them two ports"
            )

    @property
    def guarded_ports(self) -> list[int]:
        return sorted({*DEFAULT_PORTS, self.port, self.ssl_port})


def check_list(name: str, raw: Mapping[str, Any]) -> list[object]:
    try:
        return require_list(raw[name])
    except ValueError as error:
        raise ValueError(f"xend_relocation_{name}: {error}") from None


def check_relocation_networks(raw: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(str(item) for item in check_networks(raw["networks"], family="ipv4"))
    except ValueError as error:
        # Here is no option to admit a network that is too broad.
        remedy = str(error).partition(", or set allow_")[0]
        raise ValueError(f"xend_relocation_networks: {remedy}") from None
