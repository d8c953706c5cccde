# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks as an operator writes them, read strictly: a slip is refused, never guessed at.

Every function raises ValueError with a complete message: the bad value, what is wrong with it, the remedy.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

FAMILIES = {"ipv4": 4, "ipv6": 6}
BROADEST = {4: 16, 6: 32}
LIKELY = {4: 24, 6: 64}

# Networks no peer is in, by what they are (RFC 6890, RFC 5771, RFC 4291).
SPECIAL: dict[str, tuple[Network, ...]] = {
    "the unspecified address": (ipaddress.IPv4Network("0.0.0.0/8"), ipaddress.IPv6Network("::/128")),
    "loopback": (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128")),
    "multicast": (ipaddress.IPv4Network("224.0.0.0/4"), ipaddress.IPv6Network("ff00::/8")),
}


def require_list(value: object) -> list[object]:
    """Return value if it is a list."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is {type(value).__name__}, not a list: write it as [{value!r}]")
    return list(value)


def require_flag(name: str, value: object) -> bool:
    """Return value if it is a boolean: the text "false" would otherwise count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not a boolean: write true or false, without quotes")
    return value


def _interface(value: object) -> Interface:
    """Return what value says, host bits and all."""
    if not isinstance(value, str):
        raise ValueError(
            f"{value!r} is {type(value).__name__}, not a string: "
            "write an address or network in quotes, as in '192.0.2.0/24' or '2001:db8::/64'"
        )
    address, slash, prefix = value.partition("/")
    if "%" in address:
        raise ValueError(f"{value!r} has a zone: leave out {address[address.index('%') :]!r}")
    if slash and not (prefix.isascii() and prefix.isdigit()):
        raise ValueError(f"{value!r} has no prefix length: write a number after the slash, as in /24 or /64")
    try:
        interface = ipaddress.ip_interface(str(value))
    except ValueError:
        raise ValueError(
            f"{value!r} is neither an address nor a network: "
            "write it as in 192.0.2.1, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/64"
        ) from None
    if isinstance(interface, ipaddress.IPv6Interface) and interface.ip.ipv4_mapped is not None:
        prefix_length = max(interface.network.prefixlen - 96, 0)
        remedy = f"{interface.ip.ipv4_mapped}/{prefix_length or 32}"
        raise ValueError(f"{value!r} is IPv4 in IPv6 notation, which matches no packet: write {remedy}")
    return interface


def _network(interface: Interface, value: object) -> Network:
    """Return interface as a network, refusing host bits."""
    network: Network = interface.network
    if interface.ip == network.network_address:
        return network
    version = interface.version
    prefix = network.prefixlen if network.prefixlen >= BROADEST[version] else LIKELY[version]
    likely = ipaddress.ip_network(f"{interface.ip}/{prefix}", strict=False)
    raise ValueError(
        f"{value!r} has host bits set: as written it would admit {network.num_addresses:,} addresses "
        f"({network}). For the one host write {interface.ip}/{interface.max_prefixlen}, "
        f"for its network {likely}"
    )


def parse_network(value: object) -> Network:
    """Return the address or network value says; an address is a network of one.

    Refused are host bits, netmasks, zones, IPv4-mapped IPv6 and what is no address at all.
    """
    return _network(_interface(value), value)


def parse_address(value: object) -> Address:
    """Return the one address value says, without a prefix length."""
    interface = _interface(value)
    if "/" in str(value):
        raise ValueError(f"{value!r} is a network where one address is wanted: write {interface.ip}")
    return interface.ip


def _refuse_special(network: Network, value: object) -> None:
    for kind, specials in SPECIAL.items():
        for special in specials:
            if network.version == special.version and network.overlaps(special):
                relation = "is" if network.prefixlen >= special.prefixlen else "contains"
                raise ValueError(
                    f"{value!r} {relation} {kind} ({special}), which is no peer's address: "
                    "write the networks the peers are in"
                )


def check_network(
    value: object, *, family: str | None = None, allow_broad: bool = False, allow_any: bool = False
) -> Network:
    """Return the network value says, if it is one a peer can be in and no broader than it should be.

    :arg family: ``ipv4`` or ``ipv6``: refuse the other one.
    :arg allow_broad: admit prefixes shorter than /16 (IPv4) or /32 (IPv6).
    :arg allow_any: admit 0.0.0.0/0 and ::/0.
    """
    interface = _interface(value)
    if family is not None and interface.version != FAMILIES[family]:
        raise ValueError(f"{value!r} is IPv{interface.version}, but only {family} is meant here: take it out")
    # Where the address itself is special, advice about its prefix length would lead nowhere.
    if int(interface.ip) or interface.network.prefixlen:
        _refuse_special(ipaddress.ip_network(interface.ip), value)
    network = _network(interface, value)
    if network.prefixlen == 0:
        if allow_any:
            return network
        raise ValueError(f"{value!r} admits everybody: list the networks meant, or set allow_any=true")
    if network.prefixlen < network.max_prefixlen:
        _refuse_special(network, value)
    if network.prefixlen < BROADEST[network.version] and not allow_broad:
        raise ValueError(
            f"{value!r} is broader than /{BROADEST[network.version]}: it admits {network.num_addresses:,} "
            "addresses. List the networks that are meant, or set allow_broad=true"
        )
    return network


def check_networks(
    values: object, *, family: str | None = None, allow_broad: bool = False, allow_any: bool = False
) -> list[Network]:
    """Return the networks of a list in its order, refusing what check_network does, and overlaps."""
    if family is not None and family not in FAMILIES:
        raise ValueError(f"family={family!r} is not known: write ipv4 or ipv6, or leave it out")
    given = require_list(values)
    networks = [check_network(value, family=family, allow_broad=allow_broad, allow_any=allow_any) for value in given]
    pairs = list(zip(networks, given, strict=True))
    pairs.sort(key=lambda pair: (pair[0].version, int(pair[0].network_address), pair[0].prefixlen))
    # Networks nest or are apart: if any two overlap, so do two neighbours in this order.
    for index in range(1, len(pairs)):
        (outer, outer_text), (inner, inner_text) = pairs[index - 1], pairs[index]
        if outer == inner:
            raise ValueError(f"{outer_text!r} and {inner_text!r} are the same network: take one out")
        if outer.version == inner.version and outer.overlaps(inner):
            raise ValueError(f"{inner_text!r} lies within {outer_text!r}: take out the one that is not meant")
    return networks
