# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full scan of all TCP ports, in a few seconds, by a program that any machine of the lab runs: python3 -c SCAN ADDRESS."""

import json
import shlex
from typing import Any

# Tries every TCP port of an address and tells what is open; everything else has to be refused, at once.
SCAN = """
import errno, json, select, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
answers, waiting, ports = {}, {}, iter(range(1, 65536))
poller = select.poll()
def start(port):
    attempt = socket.socket(family, socket.SOCK_STREAM)
    attempt.setblocking(False)
    code = attempt.connect_ex((sys.argv[1], port))
    if code == errno.EINPROGRESS:
        waiting[attempt.fileno()] = attempt, port
        poller.register(attempt, select.POLLOUT)
    else:
        answers[port] = code
        attempt.close()
while True:
    while len(waiting) < 300:
        port = next(ports, None)
        if port is None:
            break
        start(port)
    if not waiting:
        break
    ready = poller.poll(5000)
    if not ready:
        answers.update((port, errno.ETIMEDOUT) for _, port in waiting.values())
        break
    for number, _ in ready:
        attempt, port = waiting.pop(number)
        poller.unregister(number)
        answers[port] = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        attempt.close()
others = {port: errno.errorcode[code] for port, code in answers.items() if code not in (0, errno.ECONNREFUSED)}
print(json.dumps([sorted(port for port, code in answers.items() if code == 0), others, len(answers)]))
"""


def scan(machine: Any, address: str) -> list[Any]:
    """Return [open ports, {port: other error} where it was not refused, number of ports tried]."""
    answer: list[Any] = json.loads(machine.check_output(f"python3 -c {shlex.quote(SCAN)} {address}"))
    return answer
