# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real-Xen lab: machines in QEMU that run the Xen hypervisor, a Dom0 and guests, beside lab.py's containers.

    xen.py up NAME       build the disk if it is missing, start the machines, write .lab/NAME/inventory.yml
    xen.py reboot NAME HOST [HOST ...]
    xen.py down NAME     remove the machines; the disk they were made from stays, for the next time

Hosts of xen-cluster.yml without an image are such machines; XEN_SUITE=bullseye, bookworm or trixie chooses their Xen
(4.14, 4.17 or 4.20). The processor is the machine's own where it lets guests have hardware virtualisation, else it is
emulated, and everything takes a minute or two.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import gzip
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lab
import yaml
from lab import HERE, STATE, LabError, run, say

FILES = HERE / "xen"
SUITE = os.environ.get("XEN_SUITE", "bookworm")
DOM0_MEGABYTES, MACHINE_MEGABYTES = 1024, 2048
XEN = (
    f"dom0_mem={DOM0_MEGABYTES}M,max:{DOM0_MEGABYTES}M dom0=pv console=com1 com1=115200 loglvl=warning "
    "spec-ctrl=no xpti=no"
)
# On a busy machine an emulated one is so slow that what is only late must not count as hung.
LINUX = (
    "root=/dev/vda rw console=hvc0 net.ifnames=0 quiet systemd.show_status=yes mitigations=off nowatchdog audit=0 "
    "systemd.service_watchdogs=no systemd.default_timeout_start_sec=1800"
)
BOOT_SECONDS = 1200


def recipe() -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load((HERE / "xen.yml").read_text())
    if SUITE not in described["suites"]:
        raise LabError(f"XEN_SUITE is {SUITE!r}: set it to one of {', '.join(sorted(described['suites']))}")
    chosen = described["suites"][SUITE]
    return {
        "suite": SUITE,
        "packages": sorted({*described["packages"], chosen["xen"]}),
        "setup": described["setup"],
        "files": {
            str(path.relative_to(FILES)): [path.read_text(), path.stat().st_mode & 0o111]
            for path in sorted(FILES.rglob("*"))
            if path.is_file()
        },
    }


def base_folder() -> Path:
    """Where the disk and what boots it are; named by the recipe's digest, so a changed recipe is built anew."""
    digest = hashlib.sha256(json.dumps(recipe(), sort_keys=True).encode()).hexdigest()[:12]
    return STATE / "xen" / f"{SUITE}-{digest}"


def ensure_base() -> Path:
    folder = base_folder()
    with lab.locked("xen-base"):
        if not (folder / "disk.img").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            build_base(folder)
    return folder


def build_base(folder: Path) -> None:
    say(f"building the disk of Debian {SUITE} with Xen (once; two to five minutes)")
    started, described = time.monotonic(), recipe()
    tree = folder / "tree"
    try:
        run(
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(described['packages'])}"),
            f"--customize-hook=copy-in {' '.join(str(path) for path in sorted(FILES.iterdir()))} /",
            *(f"--customize-hook={line}" for line in described["setup"]),
            described["suite"],
            str(tree),
        )
        boot = tree / "boot"
        hypervisor = min(path for path in boot.glob("xen-*-amd64.gz"))
        (folder / "xen").write_bytes(gzip.decompress(hypervisor.read_bytes()))
        shutil.copy(max(boot.glob("vmlinuz-*")), folder / "vmlinuz")
        shutil.copy(max(boot.glob("initrd.img-*")), folder / "initrd")
        say(f"making the disk after {time.monotonic() - started:.0f} s")
        run("mkfs.ext4", "-q", "-F", "-d", str(tree), str(folder / "new.img"), "3G")
        (folder / "new.img").rename(folder / "disk.img")
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    say(f"the disk was built in {time.monotonic() - started:.0f} s")


def processor() -> list[str]:
    """The machine's own processor where its guests may virtualise in turn, else one that Xen boots on emulated."""
    for vendor in ("intel", "amd"):
        nested = Path(f"/sys/module/kvm_{vendor}/parameters/nested")
        if os.access("/dev/kvm", os.R_OK | os.W_OK) and nested.exists() and nested.read_text().strip() in ("1", "Y"):
            return ["-accel", "kvm", "-cpu", "host"]
    # Without nested paging a guest cannot be moved; richer models crash Dom0.
    return ["-accel", "tcg,thread=multi", "-cpu", "qemu64,+svm,+npt"]


class XenLab(lab.Lab):
    """A lab some of whose hosts are machines that run Xen."""

    boot_seconds, answer_seconds = BOOT_SECONDS, 120
    cluster = "xen-cluster.yml"
    # A new connection takes an emulated machine seconds. A lock-out shows over those of the tests, and of the roles' own
    # proofs, which are new ones.
    ssh_options = "-o ControlMaster=auto -o ControlPersist=300"
    # An emulated machine that has nothing to do can miss its timer, and sleeps until a packet wakes it; ten minutes of
    # silence are a slow machine's.
    ssh_lines = ("ServerAliveInterval 5", "ServerAliveCountMax 120")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.machines = [host for host, item in self.plan["hosts"].items() if "image" not in item]

    def bridge(self, network: str) -> str:
        inspected = json.loads(run("podman", "network", "inspect", self.network(network)))[0]
        return str(inspected["network_interface"])

    def card(self, host: str, network: str) -> str:
        """The name of the host's tap: up to 15 characters, its checkout's and its own."""
        digest = hashlib.sha256(f"{self.prefix} {host} {network}".encode()).hexdigest()[:6]
        return f"xl{lab.CHECKOUT_ID}{digest}"

    def pid(self, host: str) -> int | None:
        """The process of the host's machine, if it runs; a number that something else has taken over is none."""
        path = self.folder / host / "pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text())
            if str(self.folder / host).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def wire(self, host: str) -> None:
        links = run("ip", "-o", "link")
        for network in self.plan["hosts"][host]["networks"]:
            bridge, card = self.bridge(network), self.card(host, network)
            if f" {bridge}:" not in links:
                run("ip", "link", "add", bridge, "type", "bridge", check=False)
                run("ip", "link", "set", bridge, "up")
            if f" {card}:" not in links:
                run("ip", "tuntap", "add", card, "mode", "tap")
            run("ip", "link", "set", card, "master", bridge, "up")

    def command_line(self, host: str, subnets: dict[str, dict[str, str]]) -> str:
        """What the machine's own set-up (xen/usr/local/sbin/lab-network) reads."""
        words = [f"lab.name={host}", f"lab.key={(self.folder / 'id_ed25519.pub').read_text().split()[1]}"]
        for index, (network, item) in enumerate(self.addresses(host, subnets).items()):
            both = ",".join(
                f"{item[family]}/{ipaddress.ip_network(subnets[network][family]).prefixlen}"
                for family in ("ipv4", "ipv6")
            )
            words.append(f"lab.eth{index}={both}")
        return " ".join(words)

    def boot(self, host: str, base: Path, subnets: dict[str, dict[str, str]]) -> None:
        if self.pid(host):
            return
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        disk = folder / "disk.qcow2"
        if not disk.exists():
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base / "disk.img"), str(disk))
        cards = []
        for network in self.plan["hosts"][host]["networks"]:
            card = self.card(host, network)
            cards += ["-netdev", f"tap,id={card},ifname={card},script=no,downscript=no"]
            cards += ["-device", f"virtio-net-pci,netdev={card},mac={self.mac(host, network)}"]
        # In a list of modules a comma has to be doubled.
        kernel = f"{base}/vmlinuz {LINUX} {self.command_line(host, subnets)}".replace(",", ",,")
        run(
            *("qemu-system-x86_64", "-name", f"{self.prefix}-{host}", "-machine", "q35", *processor()),
            *("-smp", "1", "-m", str(MACHINE_MEGABYTES), "-display", "none", "-monitor", "none"),
            *("-serial", f"file:{folder}/console.log", "-no-reboot", "-daemonize", "-pidfile", f"{folder}/pid"),
            *("-kernel", f"{base}/xen", "-initrd", f"{kernel},{base}/initrd"),
            "-append",
            XEN,
            *("-drive", f"file={disk},format=qcow2,if=virtio,cache=unsafe"),
            *cards,
        )

    def wait_for_machines(self, hosts: list[str], subnets: dict[str, dict[str, str]]) -> None:
        """Wait until ssh answers, saying how far the machines have got: emulated, that takes a minute and more."""
        started, waiting, said = time.monotonic(), list(hosts), 0.0
        while waiting:
            for host in list(waiting):
                address = self.ssh_address(host, subnets)
                if not self.pid(host):
                    raise LabError(f"{host} stopped while it booted: see {self.folder / host / 'console.log'}")
                with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=2) as connection:
                    connection.settimeout(5)
                    if connection.recv(4) == b"SSH-":
                        waiting.remove(host)
                        say(f"{host} answers ssh after {time.monotonic() - started:.0f} s")
            passed = time.monotonic() - started
            if waiting and passed > BOOT_SECONDS:
                raise LabError(
                    f"{waiting[0]} does not answer ssh after {passed:.0f} s: "
                    f"see {self.folder / waiting[0] / 'console.log'}"
                )
            if waiting and passed - said > 20:
                said = passed
                say(
                    f"waiting for {', '.join(waiting)}, {passed:.0f} s so far; last on the console: {self.last(waiting[0])}"
                )
            time.sleep(1)

    def last(self, host: str) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / host / "console.log").read_text(errors="replace").splitlines()
            return next((line.strip()[-100:] for line in reversed(lines) if line.strip()), "nothing yet")
        return "nothing yet"

    def stop(self, host: str) -> None:
        pid = self.pid(host)
        if pid:
            os.kill(pid, signal.SIGKILL)
            while self.pid(host):
                time.sleep(0.1)

    # What can be asked for

    def up(self) -> None:
        base = ensure_base()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "id_ed25519").exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.folder / "id_ed25519"))
        subnets = self.subnets()
        how = "hardware virtualisation" if "kvm" in processor() else "emulation, which takes its time"
        say(f"starting {', '.join(self.machines)} with Debian {SUITE} and Xen on {how}")
        for host in self.machines:
            self.wire(host)
            self.boot(host, base, subnets)
        # Meanwhile:
        containers = [host for host in self.plan["hosts"] if host not in self.machines]
        lab.ensure_images({self.plan["hosts"][host]["image"] for host in containers})
        present = run("podman", "ps", "--all", "--format={{.Names}}").split()
        for host in containers:
            if self.container(host) not in present:
                self.create_host(host, subnets)
            run("podman", "start", self.container(host))
        self.finish(subnets)
        settings = yaml.safe_load((HERE / "xen.yml").read_text())["suites"][SUITE]
        for host in self.machines:
            self.plan["hosts"][host].setdefault("vars", {})["lab_guest_memory"] = settings["guest_memory"]
        self.write_inventory(subnets)

    def finish(self, subnets: dict[str, dict[str, str]]) -> None:
        self.attach_controller(subnets)
        self.wait_for_machines(self.machines, subnets)
        self.wait_for_ssh(list(self.plan["hosts"]), subnets)

    def reboot(self, hosts: list[str]) -> None:
        """Reboot as an operator would, and start the machine again: with -no-reboot, it ends where it would reset."""
        base, subnets = base_folder(), self.subnets()
        ssh = ["ssh", "-F", str(self.folder / "ssh_config")]
        for host in hosts:
            run(*ssh, host, "systemctl reboot", check=False)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(self.wait_until_down, hosts))
        for host in hosts:
            self.boot(host, base, subnets)
        self.finish(subnets)

    def wait_until_down(self, host: str) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while self.pid(host):
            if time.monotonic() > deadline:
                raise LabError(f"{host} does not go down: see {self.folder / host / 'console.log'}")
            time.sleep(1)

    def down(self) -> None:
        for host in self.machines:
            self.stop(host)
            for network in self.plan["hosts"][host]["networks"]:
                run("ip", "link", "del", self.card(host, network), check=False)
        bridges = []
        for network in self.plan["networks"]:
            with contextlib.suppress(LabError):
                bridges.append(self.bridge(network))
        super().down()
        for bridge in bridges:
            run("ip", "link", "del", bridge, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "reboot", "down"):
        one = verbs.add_parser(verb)
        one.add_argument("name")
        if verb == "reboot":
            one.add_argument("hosts", nargs="+")
    arguments = parser.parse_args()
    if os.geteuid():
        print("lab: machines with their own network cards need root: sudo make real-xen", file=sys.stderr)
        return 1
    STATE.mkdir(exist_ok=True)
    (STATE / "containers.conf").write_text(lab.CONTAINERS_CONF)
    try:
        if arguments.verb == "reboot":
            XenLab(arguments.name).reboot(arguments.hosts)
        else:
            getattr(XenLab(arguments.name), arguments.verb)()
    except (LabError, subprocess.SubprocessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
