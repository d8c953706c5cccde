# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.xensec.hardening.plugins.filter.strict_networks import FilterModule
from ansible_collections.xensec.hardening.plugins.plugin_utils.networks import parse_address
from hypothesis import given
from hypothesis import strategies as st

strict_networks = FilterModule().filters()["strict_networks"]

REFUSED = [
    # The example of the wiki page "Securing Xen".
    (["192.168.1.1/8"], ["192.168.1.1/8", "16,777,216", "192.0.0.0/8", "192.168.1.1/32", "192.168.1.0/24"]),
    (["192.168.1.1/20"], ["4,096", "192.168.1.1/32", "192.168.0.0/20"]),
    (["192.168.1.1/16"], ["192.168.1.1/32", "its network 192.168.0.0/16"]),
    (["192.168.1.1/0"], ["4,294,967,296", "192.168.1.1/32", "192.168.1.0/24"]),
    (["2001:db8::1/16"], ["2001:db8::1/128", "2001:db8::/64"]),
    (["2001:db8::1/48"], ["2001:db8::1/128", "2001:db8::/48"]),
    ("192.0.2.0/24", ["'192.0.2.0/24'", "not a list", "['192.0.2.0/24']"]),
    (None, ["None", "not a list"]),
    ({"192.0.2.1": 1}, ["not a list"]),
    ([10], ["10 is int", "not a string"]),
    ([None], ["None", "not a string"]),
    ([""], ["'' is neither"]),
    (["node1"], ["'node1' is neither"]),
    (["192.0.2.256"], ["'192.0.2.256' is neither"]),
    (["192.0.2.1/33"], ["'192.0.2.1/33' is neither"]),
    (["192.0.2.1/-1"], ["prefix length"]),
    (["192.0.2.1/"], ["prefix length"]),
    (["192.0.2.0/24 "], ["prefix length"]),
    (["192.0.2.0/\u0662\u0664"], ["prefix length"]),
    (["192.0.2.0/24/24"], ["prefix length"]),
    (["192.0.2.0/255.255.255.0"], ["prefix length"]),
    (["192.0.2.0/0.0.0.255"], ["prefix length"]),
    (["192.0.2.010"], ["neither"]),
    ([" 192.0.2.1"], ["neither"]),
    (["192.0.2.1\n"], ["neither"]),
    (["fe80::1%eth0"], ["fe80::1%eth0", "zone"]),
    (["0.0.0.0"], ["0.0.0.0", "unspecified"]),
    (["0.0.0.0/8"], ["unspecified"]),
    (["0.0.0.0/1"], ["unspecified"]),
    (["::"], ["unspecified"]),
    (["::/1"], ["unspecified"]),
    (["::/64"], ["unspecified"]),
    (["127.200.0.1"], ["loopback"]),
    (["127.0.0.1"], ["127.0.0.1", "loopback"]),
    (["127.0.0.1/8"], ["loopback"]),
    (["127.0.0.1/0"], ["loopback"]),
    (["127.0.0.0/8"], ["loopback"]),
    (["::1"], ["loopback"]),
    (["224.0.0.0/24"], ["multicast"]),
    (["239.1.2.3"], ["multicast"]),
    (["ff02::1"], ["multicast"]),
    (["ff00::/8"], ["multicast"]),
    (["192.0.2.0/24", "192.0.2.0/24"], ["'192.0.2.0/24' and '192.0.2.0/24'", "same"]),
    (["2001:db8::1", "192.0.2.1", "2001:0db8::1/128"], ["'2001:db8::1'", "'2001:0db8::1/128'", "same"]),
    (["192.0.2.5", "198.51.100.0/24", "192.0.2.0/24"], ["'192.0.2.5' lies within '192.0.2.0/24'"]),
    (["10.0.0.0/8"], ["10.0.0.0/8", "/16", "16,777,216", "allow_broad=true"]),
    (["10.0.0.0/15"], ["/16"]),
    (["2001:db8::/31"], ["/32", "allow_broad=true"]),
    (["0.0.0.0/0"], ["everybody", "allow_any=true"]),
    (["::/0"], ["everybody", "allow_any=true"]),
    (["::ffff:192.0.2.5"], ["IPv4", "write 192.0.2.5/32"]),
    (["::ffff:192.0.2.0/120"], ["write 192.0.2.0/24"]),
    (["::ffff:c000:205"], ["write 192.0.2.5/32"]),
]


@pytest.mark.parametrize(("value", "words"), REFUSED)
def test_refused_with_the_value_and_the_remedy(value: object, words: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        strict_networks(value)
    for word in ["strict_networks", *words]:
        assert word in str(caught.value)


REFUSED_OPTIONS = [
    (["0.0.0.0/0"], {"allow_broad": True}, "allow_any"),
    (["::/0"], {"allow_broad": True}, "allow_any"),
    (["10.0.0.0/8"], {"allow_any": True}, "allow_broad"),
    (["0.0.0.0/1"], {"allow_broad": True, "allow_any": True}, "unspecified"),
    (["64.0.0.0/2"], {"allow_broad": True}, "contains loopback"),
    (["192.0.2.1"], {"family": "ipv6"}, "IPv4"),
    (["2001:db8::1"], {"family": "ipv4"}, "IPv6"),
    (["192.0.2.1"], {"family": "inet"}, "ipv4 or ipv6"),
    (["10.0.0.0/8"], {"allow_broad": "false"}, "allow_broad='false'"),
    (["0.0.0.0/0"], {"allow_any": 1}, "allow_any=1"),
    (["0.0.0.0/0", "192.0.2.1"], {"allow_any": True}, "lies within"),
]


@pytest.mark.parametrize(("value", "options", "word"), REFUSED_OPTIONS)
def test_options_do_not_open_more_than_they_say(value: list[str], options: dict[str, object], word: str) -> None:
    with pytest.raises(AnsibleFilterError, match=word):
        strict_networks(value, **options)


ACCEPTED = [
    ([], {}, []),
    (["192.0.2.5"], {}, ["192.0.2.5/32"]),
    (
        ["2001:DB8:0:0::/64", "192.0.2.0/24", "10.0.0.0/16"],
        {},
        ["2001:db8::/64", "192.0.2.0/24", "10.0.0.0/16"],
    ),
    (["192.0.2.0/25", "192.0.2.128/25"], {}, ["192.0.2.0/25", "192.0.2.128/25"]),
    (["fe80::1", "fd00::/32"], {}, ["fe80::1/128", "fd00::/32"]),
    (["10.0.0.0/8", "2000::/3"], {"allow_broad": True}, ["10.0.0.0/8", "2000::/3"]),
    (["0.0.0.0/0", "::/0"], {"allow_any": True}, ["0.0.0.0/0", "::/0"]),
    (["192.0.2.5"], {"family": "ipv4"}, ["192.0.2.5/32"]),
    (["2001:db8::5"], {"family": "ipv6"}, ["2001:db8::5/128"]),
]


@pytest.mark.parametrize(("value", "options", "expected"), ACCEPTED)
def test_accepted_in_the_order_given(value: list[str], options: dict[str, object], expected: list[str]) -> None:
    assert strict_networks(value, **options) == expected


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network:
    # A small space, so that lists hold overlaps as well as none.
    prefix = draw(st.integers(24, 32))
    return ipaddress.IPv4Network((0xC0000200 | draw(st.integers(0, 511)), prefix), strict=False)


@given(st.lists(networks(), max_size=6))
def test_a_list_passes_exactly_when_no_two_overlap(drawn: list[ipaddress.IPv4Network]) -> None:
    overlap = any(a.overlaps(b) for index, a in enumerate(drawn) for b in drawn[:index])
    texts = [str(network) for network in drawn]
    if overlap:
        with pytest.raises(AnsibleFilterError):
            strict_networks(texts)
    else:
        assert strict_networks(texts) == texts


@given(st.ip_addresses(), st.integers(0, 128))
def test_no_remedy_is_refused_for_host_bits(address: ipaddress.IPv4Address, prefix: int) -> None:
    text = f"{address}/{min(prefix, address.max_prefixlen)}"
    try:
        strict_networks([text])
    except AnsibleFilterError as error:
        if "For the one host write" in str(error):
            host, network = str(error).rpartition("write ")[2].split(", for its network ")
            assert strict_networks([host]) == [host]
            assert ipaddress.ip_address(address) in ipaddress.ip_network(network)


@pytest.mark.parametrize(("value", "word"), [("192.0.2.0/24", "192.0.2.0"), ("node1", "neither"), (5, "not a string")])
def test_an_address_is_one_address(value: object, word: str) -> None:
    assert str(parse_address("2001:DB8::1")) == "2001:db8::1"
    with pytest.raises(ValueError, match=word):
        parse_address(value)
