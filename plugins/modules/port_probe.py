#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: port_probe
short_description: Find out what the network makes of TCP connections to a list of ports
version_added: "0.1.0"
author: xensec.hardening maintainers (@xensec)
description:
  - Tries a TCP connection from this host to each target, many at a time, and says what became of each.
    An open connection is closed at once, and nothing is sent over it.
  - Tells a firewall's rejection from a closed port, and both from silence,
    by reading the ICMP messages that come back.
  - It takes at most O(timeout) times the number of targets divided by O(parallel), rounded up,
    and about a tenth of a second more for every thousand targets.
options:
  targets:
    description:
      - What to connect to.
        Targets that are the same address and port are probed once, and reported each.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description:
          - A literal IPv4 or IPv6 address.
          - An IPv6 link-local address needs the interface it is reached through, as in V(fe80::1%eth0).
        type: str
        required: true
      port:
        description: A TCP port, from 1 to 65535.
        type: int
        required: true
      name:
        description: A name for the report. It is returned as it is.
        type: str
  timeout:
    description:
      - How long to wait for an answer to each attempt, in seconds, more than 0 and at most 60.
      - Linux gives a neighbour about three seconds before it finds it missing.
        With less than 4 a missing host on this host's own network is V(filtered), not V(unreachable).
    type: float
    default: 2.0
  parallel:
    description:
      - How many attempts are under way at once, at least 1.
      - It is lowered to what this host's limit of open files leaves room for.
    type: int
    default: 128
  source:
    description: The address of this host to connect from, of the same family as every target.
    type: str
  as_json:
    description:
      - Whether to return RV(results_json) in place of RV(results).
      - Ansible looks at each value of a list anew wherever the list is used. Where hundreds of hosts try each other that is
        most of the time, and of the memory, that the controller takes.
    type: bool
    default: false
notes:
  - Raw sockets for ICMP need root or the capability CAP_NET_RAW.
    Without them there is a warning, RV(results[].reason) is V(unknown),
    and what is rejected with an ICMP message other than port unreachable is V(unreachable) on IPv4.
attributes:
  check_mode:
    support: full
    description: Probing changes nothing, so check mode does the same.
  diff_mode:
    support: none
    description: There is no change to show.
  platform:
    support: full
    platforms: linux
    description: Rests on what Linux hands to raw ICMP sockets.
"""

EXAMPLES = r"""
- name: Try the relocation port from outside the cluster
  xensec.hardening.port_probe:
    targets:
      - {address: 192.0.2.5, port: 8002, name: node1}
      - {address: "2001:db8::5", port: 8002, name: node1 over IPv6}
  register: probe
  become: true

- name: It must be rejected
  ansible.builtin.assert:
    that: probe.results | rejectattr('state', 'in', ['rejected', 'filtered']) | list == []
"""

RETURN = r"""
results:
  description: One entry per target, in the order given.
  returned: unless O(as_json)
  type: list
  elements: dict
  contains:
    address:
      description: The target's address.
      type: str
    port:
      description: The target's port.
      type: int
    name:
      description: The target's name, or null.
      type: str
    state:
      description:
        - V(open), the connection came about.
        - V(rejected), the host or a firewall on the way refused it.
        - V(filtered), there was no answer within O(timeout).
        - V(unreachable), there is no route, no such host, no such interface, or no address of that family.
      type: str
    reason:
      description:
        - By what an attempt was V(rejected), or found V(unreachable).
          V(tcp-reset), or the kind of ICMP message, as in V(icmp-admin-prohibited), V(icmp-port-unreachable),
          V(icmp-host-unreachable), V(icmp6-admin-prohibited), V(icmp6-no-route).
        - V(unknown) where ICMP could not be read, null where nothing was received.
      type: str
    detail:
      description: The same in words.
      type: str
    source:
      description: The address of this host that it was tried from, null where there was none to try from.
      type: str
    milliseconds:
      description: How long it took to know.
      type: float
  sample:
    - address: 192.0.2.5
      port: 8002
      name: node1
      state: rejected
      reason: icmp-admin-prohibited
      detail: icmp-admin-prohibited from 192.0.2.1
      source: 198.51.100.7
      milliseconds: 1.2
results_json:
  description: The same as JSON.
  returned: with O(as_json)
  type: str
  sample: '[{"address": "192.0.2.5", "port": 8002, "name": "node1", "state": "rejected", "source": "192.0.2.1"}]'
"""

import collections
import errno
import json
import math
import os
import resource
import select
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule

# Code of a destination-unreachable message: what it is called (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1).
# Left out is 4 of ICMP: it serves path MTU discovery, and the attempt goes on.
ICMP = {
    0: "icmp-net-unreachable",
    1: "icmp-host-unreachable",
    2: "icmp-protocol-unreachable",
    3: "icmp-port-unreachable",
    5: "icmp-source-route-failed",
    6: "icmp-net-unknown",
    7: "icmp-host-unknown",
    8: "icmp-source-isolated",
    9: "icmp-net-prohibited",
    10: "icmp-host-prohibited",
    11: "icmp-net-tos",
    12: "icmp-host-tos",
    13: "icmp-admin-prohibited",
    14: "icmp-precedence-violation",
    15: "icmp-precedence-cutoff",
}
ICMP6 = {
    0: "icmp6-no-route",
    1: "icmp6-admin-prohibited",
    2: "icmp6-beyond-scope",
    3: "icmp6-address-unreachable",
    4: "icmp6-port-unreachable",
    5: "icmp6-policy-failed",
    6: "icmp6-reject-route",
}
# Those by which somebody says no; the others say that there is no way.
REJECTIONS = [ICMP[code] for code in (3, 9, 10, 13)] + [ICMP6[code] for code in (1, 4, 5, 6)]
PROTOCOL_ICMP6 = 58
PROTOCOL_TCP = 6
GRACE = 0.02  # seconds for an ICMP message to follow the error it caused
SPARE_FILES = 32  # open files that Python and Ansible have besides the attempts
TIMED_OUT = -1

monotonic = getattr(time, "monotonic", time.time)


def parse_icmp4(packet):
    """Return (destination, port, source port, reason) of the TCP packet an ICMP message is about, or None.

    :arg packet: what a raw ICMP socket returns: an IPv4 header, then the message.
    """
    message = _ipv4_payload(packet, socket.IPPROTO_ICMP)
    if message is None or len(message) < 8:
        return None
    kind, code = struct.unpack("!BB", message[:2])
    original = message[8:]
    tcp = _ipv4_payload(original, PROTOCOL_TCP)
    if kind != 3 or code not in ICMP or tcp is None or len(tcp) < 4:
        return None
    source_port, port = struct.unpack("!HH", tcp[:4])
    return original[16:20], port, source_port, ICMP[code]


def _ipv4_payload(packet, protocol):
    """Return what follows the header, if packet is the first or only fragment and carries protocol."""
    if len(packet) < 20:
        return None
    first, fragment, found = struct.unpack("!B5xHxB10x", packet[:20])
    length = (first & 15) * 4
    if first >> 4 != 4 or length < 20 or fragment & 0x1FFF or found != protocol:
        return None
    return packet[length:]


def parse_icmp6(packet):
    """Return what parse_icmp4 does.

    :arg packet: what a raw ICMPv6 socket returns: the message alone. Extension headers are not followed.
    """
    if len(packet) < 8 + 40 + 4:
        return None
    kind, code, first, following = struct.unpack("!BB6xB5xB", packet[:15])
    if kind != 1 or code not in ICMP6 or first >> 4 != 6 or following != PROTOCOL_TCP:
        return None
    source_port, port = struct.unpack("!HH", packet[48:52])
    return packet[32:48], port, source_port, ICMP6[code]


def parse_address(text):
    """Return (family, packed address, interface name or '') of a literal address.

    :raises ValueError: it is none, or none that a connection to another host can be tried to.
    """
    address, percent, interface = text.partition("%")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, address)
            break
        except (socket.error, ValueError, TypeError):
            continue
    else:
        raise ValueError("'%s' is no literal address: write one, names are not looked up" % text)
    link_local = family == socket.AF_INET6 and packed[:1] == b"\xfe" and bytearray(packed)[1] & 0xC0 == 0x80
    if link_local and not interface:
        raise ValueError("'%s' is link-local: add the interface to use, as in %s%%eth0" % (text, address))
    if percent and not link_local:
        raise ValueError("'%s' is not link-local: leave out '%s'" % (text, percent + interface))
    if packed.strip(b"\0") == b"":
        raise ValueError("'%s' stands for no host: write the address to connect to" % text)
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        ipv4 = socket.inet_ntop(socket.AF_INET, packed[12:])
        raise ValueError("'%s' is IPv4 in IPv6 notation: write %s" % (text, ipv4))
    return family, packed, interface


def socket_address(text, port):
    """Return what connect() and bind() take.

    :raises socket.gaierror: text names an interface that is not there.
    """
    return socket.getaddrinfo(text, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)[0][4]


class Attempt(object):
    """One connection attempt and how it ended.

    :ivar error: errno, 0 for an open connection, TIMED_OUT for none at all.
    :ivar elapsed: seconds until that was known.
    :ivar source: the address it went out from, None if it did not.
    """

    def __init__(self, address, port):
        self.address = address
        self.port = port
        self.family, self.packed, self.interface = parse_address(address)
        self.socket = None
        self.source = None
        self.source_port = 0
        self.started = self.elapsed = 0.0
        self.error = None
        self.problem = None

    def start(self, source):
        """Send the first packet. The attempt is over already if error is set on return."""
        self.started = monotonic()
        try:
            destination = socket_address(self.address, self.port)
        except socket.gaierror:
            # The address itself has been checked.
            self.problem = "no interface %s" % self.interface
            return self.finish(errno.ENODEV)
        try:
            self.socket = socket.socket(self.family, socket.SOCK_STREAM)
        except socket.error as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            return self.finish(error.errno)
        self.socket.setblocking(False)
        if source:
            self.socket.bind(socket_address(source, 0))
        code = self.socket.connect_ex(destination)
        local = self.socket.getsockname()
        # The kernel has chosen it by now; it has none to choose where there is no route.
        if local[0] not in ("0.0.0.0", "::"):
            self.source = local[0]
        self.source_port = local[1]
        if local[:2] == destination[:2]:
            # Nobody listens, and the kernel has connected the socket to itself.
            self.finish(errno.ECONNREFUSED)
        elif code != errno.EINPROGRESS:
            self.finish(code)

    def finish(self, code):
        self.elapsed = monotonic() - self.started
        # A connection that is broken off after it came about was open.
        self.error = 0 if code in (errno.ECONNRESET, errno.EPIPE) else code
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class IcmpListener(object):
    """What ICMP says about connection attempts, as far as this host may read it.

    :ivar denied: it may not.
    """

    def __init__(self, families):
        self.sockets = {}
        self.heard = {}
        self.denied = False
        for family, protocol, parse in (
            (socket.AF_INET, socket.IPPROTO_ICMP, parse_icmp4),
            (socket.AF_INET6, PROTOCOL_ICMP6, parse_icmp6),
        ):
            if family not in families:
                continue
            try:
                raw = socket.socket(family, socket.SOCK_RAW, protocol)
            except socket.error as error:
                self.denied = self.denied or error.errno in (errno.EPERM, errno.EACCES)
                continue
            raw.setblocking(False)
            self.sockets[raw.fileno()] = (raw, parse)

    def read(self):
        """Take in all that has arrived."""
        for raw, parse in self.sockets.values():
            while True:
                try:
                    packet, sender = raw.recvfrom(2048)
                except socket.error:
                    break
                parsed = parse(packet)
                if parsed is not None:
                    self.heard[parsed[:3]] = (parsed[3], sender[0])

    def about(self, attempt):
        """Return (reason, sender) of the message about attempt, or None."""
        return self.heard.get((attempt.packed, attempt.port, attempt.source_port))

    def close(self):
        for raw, _parse in self.sockets.values():
            raw.close()


def run_attempts(attempts, icmp, timeout, parallel, source=None):
    """Bring all attempts to their end, so many at once, each within timeout seconds."""
    poller = select.poll()
    for number in icmp.sockets:
        poller.register(number, select.POLLIN)
    waiting = collections.deque(attempts)
    under_way = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < parallel:
                attempt = waiting.popleft()
                attempt.start(source)
                if attempt.error is None:
                    under_way[attempt.socket.fileno()] = attempt
                    poller.register(attempt.socket.fileno(), select.POLLOUT)
            if not under_way:
                continue
            deadline = min(attempt.started for attempt in under_way.values()) + timeout
            pause = max(0, deadline - monotonic())
            ended = []
            for number, _events in poller.poll(int(math.ceil(pause * 1000))):
                if number in under_way:
                    code = under_way[number].socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    ended.append((number, code))
            icmp.read()
            now = monotonic()
            done = set(number for number, _code in ended)
            ended += [
                (number, TIMED_OUT)
                for number, attempt in under_way.items()
                if number not in done and now >= attempt.started + timeout
            ]
            for number, code in ended:
                poller.unregister(number)
                under_way.pop(number).finish(code)
        if icmp.sockets:
            time.sleep(GRACE)
            icmp.read()
    finally:
        for attempt in under_way.values():
            attempt.socket.close()


def judge(attempt, icmp, timeout):
    """Return state, reason and detail of an attempt that has ended."""
    if attempt.error == 0:
        return {"state": "open", "reason": None, "detail": "connected"}
    heard = icmp.about(attempt)
    if heard is not None:
        state = "rejected" if heard[0] in REJECTIONS else "unreachable"
        return {"state": state, "reason": heard[0], "detail": "%s from %s" % heard}
    if attempt.error == TIMED_OUT:
        return {"state": "filtered", "reason": None, "detail": "no answer within %g seconds" % timeout}
    reason = "unknown" if icmp.denied else None
    if attempt.error == errno.ECONNREFUSED:
        state, reason = "rejected", reason or "tcp-reset"
    elif attempt.error == errno.EACCES and attempt.family == socket.AF_INET6 and icmp.denied:
        # What ICMPv6's prohibitions end in (Linux, net/ipv6/icmp.c, tab_unreach).
        state = "rejected"
    else:
        state = "unreachable"
    return {"state": state, "reason": reason, "detail": attempt.problem or os.strerror(attempt.error)}


def check(targets, timeout, parallel, source):
    """Return the attempt of each target, one object for targets that are the same.

    :raises ValueError: the input is wrong.
    """
    if not 0 < timeout <= 60:
        raise ValueError("timeout=%s: write seconds, more than 0 and at most 60" % timeout)
    if parallel < 1:
        raise ValueError("parallel=%d lets no attempt start: write 1 or more" % parallel)
    attempts = {}
    found = []
    for target in targets:
        if not 1 <= target["port"] <= 65535:
            raise ValueError(
                "port %d of target %s is no TCP port: write 1 to 65535" % (target["port"], target["address"])
            )
        attempt = Attempt(target["address"], target["port"])
        key = (attempt.packed, attempt.interface, attempt.port)
        found.append(attempts.setdefault(key, attempt))
    if source:
        check_source(source, found)
    return found


def check_source(source, attempts):
    family = parse_address(source)[0]
    for attempt in attempts:
        if attempt.family != family:
            raise ValueError(
                "source %s is of another family than target %s: probe it in a task of its own"
                % (source, attempt.address)
            )
    try:
        trial = socket.socket(family, socket.SOCK_STREAM)
        try:
            trial.bind(socket_address(source, 0))
        finally:
            trial.close()
    except socket.error as error:
        raise ValueError(
            "source %s cannot be connected from (%s): name an address of this host" % (source, error.args[-1])
        )


def most_parallel(parallel):
    """Return parallel, or what the limit of open files leaves room for."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return parallel
    return max(1, min(parallel, limit - SPARE_FILES))


def probe(targets, timeout, parallel, source=None):
    """Return (results, whether ICMP could not be read).

    :raises ValueError: the input is wrong; nothing has been sent.
    :raises socket.error: this host is out of sockets.
    """
    attempts = check(targets, timeout, parallel, source)
    icmp = IcmpListener(set(attempt.family for attempt in attempts))
    try:
        # Targets that are the same share an attempt; each is made once, in the order given.
        once = list(collections.OrderedDict((id(attempt), attempt) for attempt in attempts).values())
        run_attempts(once, icmp, timeout, most_parallel(parallel), source)
    finally:
        icmp.close()
    results = []
    for index, attempt in enumerate(attempts):
        target = targets[index]
        result = judge(attempt, icmp, timeout)
        result.update(
            address=target["address"],
            port=target["port"],
            name=target.get("name"),
            milliseconds=round(attempt.elapsed * 1000, 1),
            source=attempt.source,
        )
        results.append(result)
    return results, icmp.denied


def main():
    module = AnsibleModule(
        argument_spec=dict(
            targets=dict(
                type="list",
                elements="dict",
                required=True,
                options=dict(
                    address=dict(type="str", required=True),
                    port=dict(type="int", required=True),
                    name=dict(type="str"),
                ),
            ),
            timeout=dict(type="float", default=2.0),
            parallel=dict(type="int", default=128),
            source=dict(type="str"),
            as_json=dict(type="bool", default=False),
        ),
        supports_check_mode=True,
    )
    as_json = module.params.pop("as_json")
    try:
        results, denied = probe(**module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    except socket.error as error:
        module.fail_json(msg="A connection could not be tried: %s. Lower parallel, or free sockets" % error)
    if denied:
        module.warn(
            "ICMP could not be read, so reasons are unknown and some rejections look unreachable: "
            "run port_probe as root (become: true) or with CAP_NET_RAW"
        )
    if as_json:
        module.exit_json(changed=False, results_json=json.dumps(results))
    module.exit_json(changed=False, results=results)


if __name__ == "__main__":
    main()
