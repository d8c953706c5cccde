# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.xend_hosts_allow import FilterModule
from hypothesis import given
from hypothesis import strategies as st

xend_hosts_allow = FilterModule().filters()["xend_hosts_allow"]

# What stands in a pattern: nothing that ends or escapes anything in xend's file besides the backslash of \.
ADDRESS_PATTERN = re.compile(r"\^[0-9(|)?\[\]\\.-]+\$")
NAME_PATTERN = re.compile(r"\^[a-z0-9-]+(\\\.[a-z0-9-]+)*\$")


def admits(value: str, peer: str) -> bool:
    """Say whether xend, splitting at each space and matching each piece, lets peer in."""
    return any(re.match(piece, peer) for piece in value.split(" "))


PATTERNS = [
    (["192.0.2.5"], r"^192\.0\.2\.5$"),
    (["192.0.2.5/32", "192.0.2.6"], r"^192\.0\.2\.5$ ^192\.0\.2\.6$"),
    (["192.0.2.5", "192.0.2.5/32"], r"^192\.0\.2\.5$"),
    (["192.0.2.64/30"], r"^192\.0\.2\.(6[4-7])$"),
    (["192.0.2.8/30"], r"^192\.0\.2\.([8-9]|1[0-1])$"),
    (["192.0.2.96/27"], r"^192\.0\.2\.(9[6-9]|1[0-1][0-9]|12[0-7])$"),
    (["192.0.2.0/24"], r"^192\.0\.2\.([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"),
    (["127.0.0.1"], r"^127\.0\.0\.1$"),
]


@pytest.mark.parametrize(("value", "expected"), PATTERNS)
def test_patterns(value: list[str], expected: str) -> None:
    assert xend_hosts_allow(value) == expected


@pytest.mark.parametrize("length", range(9))
def test_every_block_of_the_last_octet(length: int) -> None:
    for first in range(0, 256, 2**length):
        pattern = xend_hosts_allow([f"10.0.0.{first}/{32 - length}"])
        admitted = [last for last in range(1000) if admits(pattern, f"10.0.0.{last}")]
        assert admitted == list(range(first, first + 2**length))
        assert not admits(pattern, f"10.0.0.0{first}")


ipv4_networks = st.builds(
    lambda address, prefix: ipaddress.IPv4Network((address, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)


@given(ipv4_networks, st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_the_pattern_agrees_with_the_network(network: ipaddress.IPv4Network, others: list[int]) -> None:
    pattern = xend_hosts_allow([str(network)])
    assert ADDRESS_PATTERN.fullmatch(pattern)
    first, last = int(network[0]), int(network[-1])
    edges = [first - 1, first, (first + last) // 2, last, last + 1]
    # An address that differs in one bit only is the nearest miss.
    flipped = [first ^ (1 << bit) for bit in range(32)]
    for number in [*edges, *flipped, *others]:
        if 0 <= number < 2**32:
            address = ipaddress.IPv4Address(number)
            assert admits(pattern, str(address)) == (address in network), address


@given(ipv4_networks, st.integers(0, 2**32 - 1), st.text(min_size=1, max_size=3).filter(lambda t: t != "\n"))
def test_nothing_longer_is_admitted(network: ipaddress.IPv4Network, offset: int, text: str) -> None:
    pattern = xend_hosts_allow([str(network)])
    address = str(network[offset % network.num_addresses])
    assert admits(pattern, address)
    octets = address.split(".")
    for more in [address + ".evil.example", address + ".", "x" + address, "x." + address, ""]:
        assert not admits(pattern, more)
    for more in [address + text, text + address]:
        assert admits(pattern, more) == _in_network(more, network)
    # The dots are dots.
    assert not admits(pattern, "x".join(octets))


def _in_network(text: str, network: ipaddress.IPv4Network) -> bool:
    try:
        return ipaddress.IPv4Address(text) in network
    except ValueError:
        return False


@given(st.lists(ipv4_networks, min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_a_list_admits_the_union(networks: list[ipaddress.IPv4Network], number: int) -> None:
    value = xend_hosts_allow([str(network) for network in networks])
    assert "" not in value.split(" ")
    assert not re.search(r"[^\S ]", value)
    for address in [ipaddress.IPv4Address(number), networks[-1][0]]:
        assert admits(value, str(address)) == any(address in network for network in networks)


REFUSED = [
    ([], ["empty", "everybody"]),
    ("192.0.2.5", ["not a list"]),
    (None, ["not a list"]),
    ([5], ["not a string"]),
    ([""], ["''"]),
    (["192.0.2.5 192.0.2.6"], ["neither"]),
    (["192.0.2.5\n"], ["neither"]),
    (["0.0.0.0/0"], ["everybody"]),
    (["192.168.1.1/8"], ["16,777,216", "192.168.1.1/32", "192.168.1.0/24"]),
    (["192.0.2.256"], ["neither"]),
    (["192.0.2.*"], ["neither"]),
    (["2001:db8::1"], ["2001:db8::1", "IPv4 only"]),
    (["::ffff:192.0.2.5"], ["192.0.2.5/32"]),
    (["node1.example.org"], ["node1.example.org", "reverse DNS", "allow_names=true"]),
]


@pytest.mark.parametrize(("value", "words"), REFUSED)
def test_refused_with_the_value_and_the_remedy(value: object, words: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        xend_hosts_allow(value)
    for word in ["xend_hosts_allow", *words]:
        assert word in str(caught.value)


NAMES = [
    ("name.example.org", r"^name\.example\.org$"),
    ("Name.Example.ORG", r"^name\.example\.org$"),
    ("node-1", r"^node-1$"),
    ("3com.example.4a", r"^3com\.example\.4a$"),
    ("a" * 63 + ".org", "^" + "a" * 63 + r"\.org$"),
    (".".join(["a" * 63] * 3 + ["b" * 61]), "^" + r"\.".join(["a" * 63] * 3 + ["b" * 61]) + "$"),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_names(name: str, expected: str) -> None:
    assert xend_hosts_allow([name], allow_names=True) == expected
    assert admits(expected, name.lower())
    assert not admits(expected, name.lower() + ".example.net")
    assert "." not in name or not admits(expected, name.lower().replace(".", "x"))


@pytest.mark.parametrize(
    "name",
    [
        "node1.example.org.",
        ".example.org",
        "node1..org",
        "-node.org",
        "node-.org",
        "no_de.org",
        "node.*",
        "node 1",
        "node1.org\n",
        "n\u00f6de.org",
        "\u212aelvin.org",
        "node.123",
        "123",
        "192.0.2.256",
        "a" * 64 + ".org",
        ".".join(["a" * 63] * 3 + ["b" * 62]),
        "",
    ],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(AnsibleFilterError):
        xend_hosts_allow([name], allow_names=True)


def test_flag_is_no_text() -> None:
    with pytest.raises(AnsibleFilterError, match="allow_names='no'"):
        xend_hosts_allow(["node1"], allow_names="no")


@given(st.text(alphabet="ab1.-*+?()[]\\^$| \n", max_size=12))
def test_whatever_the_name_the_pattern_is_safe(name: str) -> None:
    try:
        pattern = xend_hosts_allow([name], allow_names=True)
    except AnsibleFilterError:
        return
    assert NAME_PATTERN.fullmatch(pattern)
    assert admits(pattern, name)
