# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: strict_networks
short_description: Check a list of networks for the slips that open a firewall
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Returns the networks normalised, in the order given, or fails with the value that is wrong and its remedy.
  - Refuses what is no address or network,
    host bits (to a firewall V(192.168.1.1/8) means all of V(192.0.0.0/8)),
    netmasks, zones, IPv4-mapped IPv6, the unspecified address, loopback, multicast,
    a network listed twice or lying within another, and networks broader than /16 (IPv4) or /32 (IPv6).
options:
  _input:
    description: Addresses and networks, IPv4 or IPv6. An address is a network of one.
    type: list
    elements: str
    required: true
  family:
    description: Refuse networks that are not of this family. Without it both are welcome.
    type: str
    choices: [ipv4, ipv6]
  allow_broad:
    description: Admit networks broader than /16 (IPv4) or /32 (IPv6).
    type: bool
    default: false
  allow_any:
    description: Admit V(0.0.0.0/0) and V(::/0), which are refused otherwise, whatever O(allow_broad) says.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The networks that may connect
  ansible.builtin.set_fact:
    peers: "{{ ['192.0.2.0/24', '2001:db8::5'] | xensec.hardening.strict_networks }}"
  # ['192.0.2.0/24', '2001:db8::5/128']

- name: A slip fails here, not in production
  ansible.builtin.set_fact:
    peers: "{{ ['192.168.1.1/8'] | xensec.hardening.strict_networks(family='ipv4') }}"
  # '192.168.1.1/8' has host bits set: as written it would admit 16,777,216 addresses (192.0.0.0/8).
  # For the one host write 192.168.1.1/32, for its network 192.168.1.0/24
"""

RETURN = r"""
_value:
  description: The networks, each with its prefix length.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import check_networks, require_flag


def strict_networks(
    value: object, family: str | None = None, allow_broad: object = False, allow_any: object = False
) -> list[str]:
    try:
        networks = check_networks(
            value,
            family=family,
            allow_broad=require_flag("allow_broad", allow_broad),
            allow_any=require_flag("allow_any", allow_any),
        )
    except ValueError as error:
        raise AnsibleFilterError(f"strict_networks: {error}") from error
    return [str(network) for network in networks]


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"strict_networks": strict_networks}
