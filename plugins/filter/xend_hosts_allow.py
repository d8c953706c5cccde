# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: xend_hosts_allow
short_description: Turn addresses and networks into xend's list of hosts allowed to relocate guests here
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Returns the value of C(xend-relocation-hosts-allow),
    one regular expression per entry, separated by single spaces.
    Each expression matches the addresses of its entry, and nothing else.
  - The string is not escaped for C(xend-config.sxp); whoever writes the file does that.
  - xend tries the same expressions on the name that reverse DNS gives for a peer.
    Whoever controls the reverse zone of an address can give it a name that looks like one of these addresses,
    and is let in. So a node needs a firewall of its own in front of the port as well.
options:
  _input:
    description:
      - IPv4 addresses and networks with a prefix length from 1 to 32; with O(allow_names), host names too.
      - An empty list is refused, as xend lets everybody in when the string is empty.
        IPv6 is refused, as xend's relocation sockets are IPv4 only.
    type: list
    elements: str
    required: true
  allow_names:
    description:
      - Admit host names. They trust whoever controls reverse DNS for any address, so prefer addresses.
      - The expression is in lower case and without a trailing dot, and so must the name in reverse DNS be
        for xend to match it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Two peers and a small network
  ansible.builtin.set_fact:
    hosts_allow: "{{ ['192.0.2.5', '192.0.2.64/30'] | xensec.hardening.xend_hosts_allow }}"
  # ^192\.0\.2\.5$ ^192\.0\.2\.(6[4-7])$
"""

RETURN = r"""
_value:
  description: The regular expressions, separated by single spaces.
  type: str
"""

import ipaddress
import re
from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import (
    parse_network,
    require_flag,
    require_list,
)

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = re.compile(rf"(?:{LABEL}\.)*(?!\d+$){LABEL}", re.ASCII)
NAME_LENGTH = 253


def _digit(first: int, last: int) -> str:
    return str(first) if first == last else f"[{first}-{last}]"


def _numbers(first: int, last: int) -> list[str]:
    """Return expressions that together match the numbers from first to last, without leading zeros."""
    if last < 10:
        return [_digit(first, last)]
    # Runs of tens that share the range of their last digit: [first ten, last ten, first digit, last digit].
    runs: list[list[int]] = []
    for ten in range(first // 10, last // 10 + 1):
        low, high = max(first - ten * 10, 0), min(last - ten * 10, 9)
        # Ten 0 is written as nothing, so it stays by itself.
        if runs and runs[-1][0] != 0 and runs[-1][2:] == [low, high]:
            runs[-1][1] = ten
        else:
            runs.append([ten, ten, low, high])
    found = []
    for first_ten, last_ten, low, high in runs:
        heads = _numbers(first_ten, last_ten) if first_ten else [""]
        found += [head + _digit(low, high) for head in heads]
    return found


def _network_pattern(network: ipaddress.IPv4Network) -> str:
    octets = []
    for first, last in zip(network.network_address.packed, network.broadcast_address.packed, strict=True):
        octets.append(str(first) if first == last else f"({'|'.join(_numbers(first, last))})")
    return "^" + r"\.".join(octets) + "$"


def _pattern(value: object, allow_names: bool) -> str:
    if isinstance(value, str) and NAME.fullmatch(value):
        if not allow_names:
            raise ValueError(
                f"{value!r} is a name, and a name trusts whoever controls reverse DNS: "
                "write the host's address, or set allow_names=true"
            )
        if len(value) > NAME_LENGTH:
            raise ValueError(f"{value!r} is longer than the {NAME_LENGTH} characters of a host name: write the address")
        return "^" + value.lower().replace(".", r"\.") + "$"
    network = parse_network(value)
    if not isinstance(network, ipaddress.IPv4Network):
        raise ValueError(
            f"{value!r} is IPv6, and xend's relocation sockets are IPv4 only: write the host's IPv4 address"
        )
    if network.prefixlen == 0:
        raise ValueError(f"{value!r} admits everybody: list the peers' addresses or networks")
    return _network_pattern(network)


def xend_hosts_allow(value: object, allow_names: object = False) -> str:
    try:
        names = require_flag("allow_names", allow_names)
        patterns = [_pattern(entry, names) for entry in require_list(value)]
        if not patterns:
            raise ValueError("[] is empty, and then xend admits everybody: list the peers or turn relocation off")
    except ValueError as error:
        raise AnsibleFilterError(f"xend_hosts_allow: {error}") from error
    return " ".join(dict.fromkeys(patterns))


class FilterModule:
    """The filter, as Ansible looks it up."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"xend_hosts_allow": xend_hosts_allow}
