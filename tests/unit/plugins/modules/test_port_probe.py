# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import contextlib
import errno
import json
import resource
import socket
import struct
import time

import pytest
from ansible_collections.xensec.hardening.plugins.modules import port_probe
from harness import ModuleFailed, run
from hypothesis import given
from hypothesis import strategies as st

# Received by raw sockets from a router that rejects with admin-prohibited (Linux 6.18, nftables).
RECEIVED4 = binascii.unhexlify(
    "45c000580f8b00004001e55ac00002fec0000201030da9c600000000"
    "4500003c7edf40003f06d0a2c0000201c6336405b78e03e93f9561d500000000a002faf0ec6800000204"
    "05b40402080a66cff04c000000000103030a"
)
RECEIVED6 = binascii.unhexlify(
    "0101d15400000000600174140028063f20010db8000100000000000000000001"
    "20010db800020000000000000000000590ce03e976533bc500000000a002fd205ba90000"
    "020405a00402080af4ef4e62000000000103030a"
)
TARGET4 = socket.inet_pton(socket.AF_INET, "198.51.100.5")
TARGET6 = socket.inet_pton(socket.AF_INET6, "2001:db8:2::5")
TCP = struct.pack("!HHI", 40000, 8002, 7)  # source port, port, sequence number


def ipv4_header(protocol, words=5, fragment=0, version=4, target=TARGET4):
    first = struct.pack("!BBHHHBBH", version << 4 | words, 0, 100, 1, fragment, 64, protocol, 0)
    return first + b"\x0a\0\0\1" + target + b"\x01" * 4 * (words - 5)


def icmp4(kind=3, code=13, outer=None, original=None, tcp=TCP):
    message = struct.pack("!BBHI", kind, code, 0, 0)
    outer = ipv4_header(1) if outer is None else outer
    return outer + message + (ipv4_header(6) if original is None else original) + tcp


def icmp6(kind=1, code=1, version=6, following=6, tcp=TCP):
    original = struct.pack("!IHBB", version << 28, 40, following, 64) + b"\x20" * 16 + TARGET6
    return struct.pack("!BBHI", kind, code, 0, 0) + original + tcp


def test_messages_as_received():
    assert port_probe.parse_icmp4(RECEIVED4) == (TARGET4, 1001, 46990, "icmp-admin-prohibited")
    assert port_probe.parse_icmp6(RECEIVED6) == (TARGET6, 1001, 37070, "icmp6-admin-prohibited")


@pytest.mark.parametrize(
    "packet, reason",
    [
        (icmp4(code=0), "icmp-net-unreachable"),
        (icmp4(code=1), "icmp-host-unreachable"),
        (icmp4(code=3), "icmp-port-unreachable"),
        (icmp4(code=9), "icmp-net-prohibited"),
        (icmp4(code=10), "icmp-host-prohibited"),
        (icmp4(outer=ipv4_header(1, words=15)), "icmp-admin-prohibited"),
        (icmp4(original=ipv4_header(6, words=7)), "icmp-admin-prohibited"),
        (icmp4(original=ipv4_header(6, fragment=0x4000)), "icmp-admin-prohibited"),
        (icmp4(tcp=struct.pack("!HH", 40000, 8002)), "icmp-admin-prohibited"),
    ],
)
def test_icmp_messages(packet, reason):
    assert port_probe.parse_icmp4(packet) == (TARGET4, 8002, 40000, reason)


@pytest.mark.parametrize("code, reason", sorted(port_probe.ICMP6.items()))
def test_icmp6_messages(code, reason):
    assert port_probe.parse_icmp6(icmp6(code=code)) == (TARGET6, 8002, 40000, reason)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        icmp4(kind=11),  # time exceeded
        icmp4(kind=0),  # an echo reply
        icmp4(code=4),  # fragmentation needed: the attempt goes on
        icmp4(code=16),
        icmp4(original=ipv4_header(17)),
        icmp4(original=ipv4_header(6, fragment=1)),
        icmp4(original=ipv4_header(6, version=6)),
        icmp4(original=ipv4_header(6, words=4)),
        icmp4(outer=ipv4_header(6)),
        icmp4(tcp=b"\x01\x02\x03"),
    ],
)
def test_icmp_that_is_about_no_attempt(packet):
    assert port_probe.parse_icmp4(packet) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        icmp6(kind=3),  # time exceeded
        icmp6(kind=2),  # packet too big
        icmp6(kind=129),  # an echo reply
        icmp6(code=7),
        icmp6(following=43),  # a routing header
        icmp6(following=17),
        icmp6(version=4),
        icmp6(tcp=b"\x01\x02\x03"),
    ],
)
def test_icmp6_that_is_about_no_attempt(packet):
    assert port_probe.parse_icmp6(packet) is None


@pytest.mark.parametrize("parse, packet", [(port_probe.parse_icmp4, RECEIVED4), (port_probe.parse_icmp6, RECEIVED6)])
def test_a_message_cut_short_is_understood_or_ignored(parse, packet):
    results = [parse(packet[:length]) for length in range(len(packet) + 1)]
    first = results.index(parse(packet))
    assert results == [None] * first + [parse(packet)] * (len(packet) + 1 - first)


@given(st.binary(max_size=120))
def test_noise_is_ignored(noise):
    for parse, packet in ((port_probe.parse_icmp4, RECEIVED4), (port_probe.parse_icmp6, RECEIVED6)):
        parse(noise)
        parse(packet[:20] + noise)
        parse(noise + packet[len(noise) :])


@pytest.mark.parametrize(
    "text, family, interface",
    [
        ("192.0.2.5", socket.AF_INET, ""),
        ("2001:DB8::5", socket.AF_INET6, ""),
        ("fe80::1%eth0", socket.AF_INET6, "eth0"),
        ("febf::1%br0.5", socket.AF_INET6, "br0.5"),
    ],
)
def test_addresses(text, family, interface):
    packed = socket.inet_pton(family, text.partition("%")[0])
    assert port_probe.parse_address(text) == (family, packed, interface)


@pytest.mark.parametrize(
    "text, words",
    [
        ("node1", "'node1' is no literal"),
        ("", "no literal"),
        ("192.0.2", "no literal"),
        ("192.0.2.5/24", "no literal"),
        ("192.0.2.5 ", "no literal"),
        ("192.0.2.5\0", "no literal"),
        ("[::1]", "no literal"),
        ("fe80::1", "fe80::1%eth0"),
        ("fe80::1%", "fe80::1%eth0"),
        ("2001:db8::5%eth0", "leave out '%eth0'"),
        ("fec0::1%eth0", "leave out '%eth0'"),
        ("192.0.2.5%eth0", "leave out '%eth0'"),
        ("0.0.0.0", "no host"),
        ("::", "no host"),
        ("::ffff:192.0.2.5", "write 192.0.2.5"),
    ],
)
def test_addresses_that_are_none(text, words):
    with pytest.raises(ValueError) as caught:
        port_probe.parse_address(text)
    assert words in str(caught.value)


def listener(heard=None, denied=False):
    icmp = port_probe.IcmpListener([])
    icmp.heard = heard or {}
    icmp.denied = denied
    return icmp


HEARD = (TARGET4, 8002, 40000)
BY_ROUTER = "192.0.2.254"


@pytest.mark.parametrize(
    "error, heard, denied, state, reason",
    [
        (0, None, False, "open", None),
        (0, "icmp-port-unreachable", False, "open", None),
        (errno.ECONNREFUSED, None, False, "rejected", "tcp-reset"),
        (errno.ECONNREFUSED, None, True, "rejected", "unknown"),
        (errno.ECONNREFUSED, "icmp-port-unreachable", False, "rejected", "icmp-port-unreachable"),
        (errno.EHOSTUNREACH, "icmp-admin-prohibited", False, "rejected", "icmp-admin-prohibited"),
        (errno.EHOSTUNREACH, "icmp-host-prohibited", False, "rejected", "icmp-host-prohibited"),
        (errno.ENETUNREACH, "icmp-net-prohibited", False, "rejected", "icmp-net-prohibited"),
        (errno.EHOSTUNREACH, "icmp-host-unreachable", False, "unreachable", "icmp-host-unreachable"),
        (errno.ENETUNREACH, "icmp-net-unreachable", False, "unreachable", "icmp-net-unreachable"),
        (errno.ENOPROTOOPT, "icmp-protocol-unreachable", False, "unreachable", "icmp-protocol-unreachable"),
        (errno.EHOSTUNREACH, None, False, "unreachable", None),
        (errno.EHOSTUNREACH, None, True, "unreachable", "unknown"),
        (errno.ENETUNREACH, None, False, "unreachable", None),
        (errno.EAFNOSUPPORT, None, False, "unreachable", None),
        (errno.EACCES, None, False, "unreachable", None),
        (port_probe.TIMED_OUT, None, False, "filtered", None),
        (port_probe.TIMED_OUT, None, True, "filtered", None),
        (port_probe.TIMED_OUT, "icmp-admin-prohibited", False, "rejected", "icmp-admin-prohibited"),
    ],
)
def test_judgement(error, heard, denied, state, reason):
    attempt = port_probe.Attempt("198.51.100.5", 8002)
    attempt.source_port = 40000
    attempt.error = error
    result = port_probe.judge(attempt, listener({HEARD: (heard, BY_ROUTER)} if heard else {}, denied), 2.0)
    assert (result["state"], result["reason"]) == (state, reason)
    assert (BY_ROUTER in result["detail"]) == (heard is not None and error != 0)


@pytest.mark.parametrize(
    "code, state",
    [
        (0, "unreachable"),
        (1, "rejected"),
        (2, "unreachable"),
        (3, "unreachable"),
        (4, "rejected"),
        (5, "rejected"),
        (6, "rejected"),
    ],
)
def test_icmp6_judgement(code, state):
    attempt = port_probe.Attempt("2001:db8:2::5", 8002)
    attempt.source_port = 40000
    attempt.error = errno.EHOSTUNREACH
    parsed = port_probe.parse_icmp6(icmp6(code=code))
    result = port_probe.judge(attempt, listener({parsed[:3]: (parsed[3], BY_ROUTER)}), 2.0)
    assert result["state"] == state
    assert result["reason"] == port_probe.ICMP6[code]


def test_prohibited_over_ipv6_is_known_without_icmp():
    attempt = port_probe.Attempt("2001:db8:2::5", 8002)
    attempt.error = errno.EACCES
    result = port_probe.judge(attempt, listener(denied=True), 2.0)
    assert (result["state"], result["reason"]) == ("rejected", "unknown")


@pytest.mark.parametrize("other", [(TARGET4, 8003, 40000), (TARGET4, 8002, 40001), (b"\xc6\x33\x64\x06", 8002, 40000)])
def test_a_message_about_another_attempt_is_not_taken(other):
    attempt = port_probe.Attempt("198.51.100.5", 8002)
    attempt.source_port = 40000
    attempt.error = errno.ECONNREFUSED
    result = port_probe.judge(attempt, listener({other: ("icmp-port-unreachable", BY_ROUTER)}), 2.0)
    assert result["reason"] == "tcp-reset"


@contextlib.contextmanager
def listening(address="127.0.0.1", backlog=16):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        try:
            server.bind((address, 0))
        except socket.error as error:
            pytest.skip("%s cannot be listened on: %s" % (address, error))
        server.listen(backlog)
        yield server
    finally:
        server.close()


def port_of(server):
    return server.getsockname()[1]


def closed_port():
    """Return a port that nobody listens on: bound, so that nobody else gets it, but not listening."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


@contextlib.contextmanager
def silent():
    """Listen on every loopback address with a full backlog: Linux then drops the first packets."""
    fillers = []
    with listening("0.0.0.0", backlog=0) as server:
        try:
            for _number in range(20):
                filler = socket.socket()
                filler.settimeout(0.2)
                fillers.append(filler)
                filler.connect(("127.0.0.1", port_of(server)))
            pytest.skip("this kernel answers in spite of a full backlog")
        except socket.timeout:
            yield server
        finally:
            for filler in fillers:
                filler.close()


def args(*targets, **more):
    return dict(more, targets=[dict(address=address, port=port) for address, port in targets])


def only(result):
    assert len(result["results"]) == 1
    return result["results"][0]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("check", [False, True])
def test_open(address, check):
    with listening(address) as server:
        port = port_of(server)
        result = run(port_probe.main, args((address, port)), check=check)
        server.settimeout(5)
        connection, _peer = server.accept()
        connection.settimeout(5)
        assert connection.recv(100) == b""
        connection.close()
    found = only(result)
    assert result["changed"] is False
    assert (found["state"], found["reason"]) == ("open", None)
    assert (found["address"], found["port"], found["name"]) == (address, port, None)
    assert 0 <= found["milliseconds"] < 2000


def test_results_as_json_are_the_same():
    holder, port = closed_port()
    try:
        found = run(port_probe.main, args(("127.0.0.1", port), as_json=True))
        expected = only(run(port_probe.main, args(("127.0.0.1", port))))
    finally:
        holder.close()
    assert "results" not in found
    (result,) = json.loads(found["results_json"])
    assert dict(result, milliseconds=0) == dict(expected, milliseconds=0)


def test_refused():
    holder, port = closed_port()
    try:
        result = run(port_probe.main, args(("127.0.0.1", port)))
    finally:
        holder.close()
    found = only(result)
    assert found["state"] == "rejected"
    # Who runs the tests decides whether ICMP can be read.
    icmp = port_probe.IcmpListener([socket.AF_INET])
    icmp.close()
    assert found["reason"] == ("unknown" if icmp.denied else "tcp-reset")


def test_filtered_within_the_time_promised():
    with silent() as server:
        targets = [dict(address="127.0.0.%d" % last, port=port_of(server)) for last in range(2, 8)]
        before = time.time()
        results, _denied = port_probe.probe(targets, 0.3, 3)
        taken = time.time() - before
    assert [result["state"] for result in results] == ["filtered"] * 6
    assert [result["detail"] for result in results] == ["no answer within 0.3 seconds"] * 6
    assert all(300 <= result["milliseconds"] < 500 for result in results)
    assert 0.6 <= taken < 0.85


def test_one_silent_target_holds_up_nobody():
    holder, closed = closed_port()
    with silent() as server, listening() as other:
        targets = [dict(address="127.0.0.2", port=port_of(server))]
        targets += [dict(address="127.0.0.%d" % last, port=closed) for last in range(1, 40)]
        targets += [dict(address="127.0.0.1", port=port_of(other), name="last")]
        results, _denied = port_probe.probe(targets, 0.5, 2)
    holder.close()
    assert [result["state"] for result in results] == ["filtered"] + ["rejected"] * 39 + ["open"]
    assert results[-1]["name"] == "last"
    assert results[-1]["milliseconds"] < 400
    assert results[0]["milliseconds"] >= 500


def test_no_interface():
    results, _denied = port_probe.probe([dict(address="fe80::1%xensec-none", port=80)], 1.0, 1)
    assert results[0]["state"] == "unreachable"
    assert "xensec-none" in results[0]["detail"]
    assert results[0]["source"] is None


def test_a_target_given_twice_is_probed_once_and_reported_twice():
    with listening() as server, listening() as other:
        targets = [
            dict(address="127.0.0.1", port=port_of(server), name="first"),
            dict(address="127.0.0.1", port=port_of(other)),
            dict(address="127.0.0.1", port=port_of(server), name="again"),
        ]
        results, _denied = port_probe.probe(targets, 2.0, 1)
        server.settimeout(0.2)
        server.accept()[0].close()
        with pytest.raises(socket.timeout):
            server.accept()
    assert [(result["name"], result["state"]) for result in results] == [
        ("first", "open"),
        (None, "open"),
        ("again", "open"),
    ]
    assert results[0]["milliseconds"] == results[2]["milliseconds"]


def test_source():
    with listening() as server:
        result = run(port_probe.main, args(("127.0.0.1", port_of(server)), source="127.0.0.9"))
        connection, peer = server.accept()
        connection.close()
    assert peer[0] == only(result)["source"] == "127.0.0.9"


def test_source_is_reported_if_the_kernel_chooses_it():
    with listening() as server:
        assert only(run(port_probe.main, args(("127.0.0.1", port_of(server)))))["source"] == "127.0.0.1"


def test_a_message_is_matched_by_the_port_connected_from():
    with listening() as server:
        attempt = port_probe.Attempt("127.0.0.1", port_of(server))
        icmp = listener()
        port_probe.run_attempts([attempt], icmp, 2.0, 1)
        connection, peer = server.accept()
        connection.close()
    said = ("icmp-port-unreachable", BY_ROUTER)
    icmp.heard = {(socket.inet_aton("127.0.0.1"), attempt.port, peer[1]): said}
    assert icmp.about(attempt) == said


def test_a_socket_connected_to_itself_is_nobody_listening(monkeypatch):
    holder, port = closed_port()
    holder.close()
    made = socket.socket

    def bound_to_the_target(*arguments):
        found = made(*arguments)
        if found.type & socket.SOCK_STREAM and found.family == socket.AF_INET:
            found.bind(("127.0.0.1", port))
        return found

    attempt = port_probe.Attempt("127.0.0.1", port)
    monkeypatch.setattr(port_probe.socket, "socket", bound_to_the_target)
    attempt.start(None)
    assert attempt.error == errno.ECONNREFUSED


def test_no_address_of_that_family(monkeypatch):
    def no_ipv6(*arguments):
        raise socket.error(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    attempt = port_probe.Attempt("2001:db8::5", 80)
    monkeypatch.setattr(port_probe.socket, "socket", no_ipv6)
    attempt.start(None)
    icmp = port_probe.IcmpListener([socket.AF_INET6])
    assert not icmp.denied
    result = port_probe.judge(attempt, icmp, 2.0)
    assert result["state"] == "unreachable"


def test_without_the_right_to_read_icmp_it_warns(monkeypatch):
    made = socket.socket

    def no_raw_sockets(*arguments):
        if socket.SOCK_RAW in arguments[1:2]:
            raise socket.error(errno.EPERM, "Operation not permitted")
        return made(*arguments)

    holder, port = closed_port()
    monkeypatch.setattr(port_probe.socket, "socket", no_raw_sockets)
    result = run(port_probe.main, args(("127.0.0.1", port)))
    holder.close()
    found = only(result)
    assert (found["state"], found["reason"]) == ("rejected", "unknown")
    assert len(result["warnings"]) == 1
    assert "become: true" in result["warnings"][0]


def test_out_of_sockets_is_a_failure_and_no_finding(monkeypatch):
    def none_left(*arguments):
        raise socket.error(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(port_probe.socket, "socket", none_left)
    with pytest.raises(ModuleFailed) as caught:
        run(port_probe.main, args(("127.0.0.1", 80)))
    assert "Too many open files" in str(caught.value)


@pytest.mark.parametrize(
    "limit, parallel, expected",
    [(1024, 128, 128), (100, 128, 68), (8, 128, 1), (resource.RLIM_INFINITY, 5000, 5000), (1024, 5000, 992)],
)
def test_parallel_leaves_room_for_open_files(monkeypatch, limit, parallel, expected):
    monkeypatch.setattr(port_probe.resource, "getrlimit", lambda kind: (limit, limit))
    assert port_probe.most_parallel(parallel) == expected


@pytest.mark.parametrize(
    "arguments, words",
    [
        (args(("node1", 80)), ["node1", "literal"]),
        (args(("192.0.2.5", 0)), ["port 0", "192.0.2.5", "65535"]),
        (args(("192.0.2.5", 65536)), ["65536"]),
        (args(("192.0.2.5", 80), timeout=0), ["timeout=0"]),
        (args(("192.0.2.5", 80), timeout=-1), ["timeout=-1"]),
        (args(("192.0.2.5", 80), timeout=60.5), ["timeout=60.5", "60"]),
        (args(("192.0.2.5", 80), timeout="nan"), ["timeout=nan"]),
        (args(("192.0.2.5", 80), parallel=0), ["parallel=0"]),
        (args(("192.0.2.5", 80), source="2001:db8::1"), ["source 2001:db8::1", "192.0.2.5", "family"]),
        (args(("192.0.2.5", 80), source="192.0.2.250"), ["source 192.0.2.250", "address of this host"]),
        (args(("192.0.2.5", 80), source="eth0"), ["eth0", "literal"]),
    ],
)
def test_bad_input_fails_before_anything_is_sent(monkeypatch, arguments, words):
    monkeypatch.setattr(port_probe, "run_attempts", lambda *given: pytest.fail("sent"))
    with pytest.raises(ModuleFailed) as caught:
        run(port_probe.main, arguments)
    for word in words:
        assert word in str(caught.value)


def test_no_targets_no_results():
    assert run(port_probe.main, args())["results"] == []
