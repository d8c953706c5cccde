# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container lab: a cluster of machines that boot an init, have several NICs and are reached over ssh.

    lab.py up NAME       build what is missing, start the cluster, write .lab/NAME/inventory.yml
    lab.py reboot NAME HOST [HOST ...]
    lab.py down NAME     remove the cluster
    lab.py clean         remove every cluster of this checkout, and the images

Guests, where there are some, are machines without ssh, wired to the bridge of their node as Xen does it.
The machines and networks are described in cluster.yml beside this file, or in lab/cluster.yml of the scenario NAME.
Addresses are out of 198.18.0.0/15 and fd58:656e:5ec::/48, which no real network uses (RFC 2544, RFC 4193).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
STATE = CHECKOUT / ".lab"
CHECKOUT_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6]
LABEL = "xensec.lab"
IPV4_POOL = ipaddress.ip_network("198.18.0.0/15")
IPV6_POOL = ipaddress.ip_network("fd58:656e:5ec::/48")
# Without CAP_SYS_ADMIN a node cannot write the settings of the machine that runs the lab.
CAPABILITIES = "NET_ADMIN,NET_RAW,AUDIT_WRITE,AUDIT_CONTROL,SYS_PTRACE"
# crun refuses hosts with hybrid cgroups; the default limits need CAP_SYS_RESOURCE.
CONTAINERS_CONF = """\
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""
INOTIFY, INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
BRIDGE = "xenbr0"
GUEST_IMAGE = "debian-12"
# systemd 257 insists on cgroup v2 unless told otherwise; older ones ignore the word.
INIT = ["/sbin/init", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


class LabError(Exception):
    """Something the person at the terminal can mend; the message says how."""


def say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def run(*command: str, check: bool = True, stdin: str | None = None) -> str:
    environment = {**os.environ, "CONTAINERS_CONF": str(STATE / "containers.conf")}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)
    if check and done.returncode:
        detail = (done.stderr or done.stdout).strip()[-2000:]
        raise LabError(f"{' '.join(command[:6])} … ended with {done.returncode}:\n{detail}")
    return done.stdout


@contextlib.contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold a lock of the whole machine: two labs must not build one image or take one subnet at once."""
    with open(f"/run/lock/xensec-lab-{what}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_room() -> None:
    """Raise the kernel's limit on inotify instances: each init takes several, and all machines share root's."""
    found = int(INOTIFY.read_text())
    if found < INOTIFY_INSTANCES:
        say(f"raising fs.inotify.max_user_instances from {found} to {INOTIFY_INSTANCES} until the next boot")
        INOTIFY.write_text(f"{INOTIFY_INSTANCES}\n")


def remove(container: str) -> None:
    """Remove a container. One that ends by itself in that very moment is an error to podman, and gone the next time."""
    command = ("podman", "rm", "--force", "--time=1", "--ignore", container)
    try:
        run(*command)
    except LabError:
        time.sleep(1)
        run(*command)


# --- images -----------------------------------------------------------------------------------------------


def image_recipe(name: str) -> dict[str, Any]:
    recipes: dict[str, Any] = yaml.safe_load((HERE / "images.yml").read_text())
    if name not in recipes["images"]:
        raise LabError(f"image {name!r} is not in images.yml; there are {', '.join(sorted(recipes['images']))}")
    recipe: dict[str, Any] = {"setup": recipes["setup"], **recipes["images"][name]}
    recipe["packages"] = sorted({*recipes["packages"], *recipe.get("packages", [])} - {*recipe.get("without", [])})
    return recipe


def image_tag(name: str) -> str:
    """The recipe's digest is the tag, so a changed recipe is built anew and an unchanged one never is."""
    digest = hashlib.sha256(json.dumps(image_recipe(name), sort_keys=True).encode()).hexdigest()[:12]
    return f"localhost/xensec-lab-{name}:{digest}"


def build_image(name: str) -> None:
    tag, recipe = image_tag(name), image_recipe(name)
    started = time.monotonic()
    archive = STATE / f"{name}.tar"
    try:
        run(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(recipe['packages'])}",
            *(f"--customize-hook={line}" for line in recipe["setup"]),
            recipe["suite"],
            str(archive),
        )
        run("podman", "import", "--quiet", "--change", f"LABEL {LABEL}=image", str(archive), tag)
    finally:
        archive.unlink(missing_ok=True)
    say(f"image {name} built in {time.monotonic() - started:.0f} s")


def ensure_images(names: set[str]) -> None:
    with locked("images"):
        missing = [
            name
            for name in sorted(names)
            if subprocess.run(
                ["podman", "image", "exists", image_tag(name)], capture_output=True, check=False
            ).returncode
        ]
        if missing:
            say(
                f"building {len(missing)} of {len(names)} images (about half a minute each, once): {', '.join(missing)}"
            )
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(build_image, missing))


# --- one lab ----------------------------------------------------------------------------------------------


class Lab:
    # How long a machine may take until it answers ssh, and to answer one connection.
    boot_seconds, answer_seconds = 300, 10
    # What there is where the scenario has no description of its own.
    cluster = "cluster.yml"
    # No connection is shared: a lock-out has to show at the next task.
    ssh_options = "-o ControlMaster=no"
    # What else every connection to a machine is to have.
    ssh_lines: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = f"xensec-{CHECKOUT_ID}-{name}"
        self.folder = STATE / name
        own = CHECKOUT / "molecule" / name / "lab" / "cluster.yml"
        self.plan: dict[str, Any] = yaml.safe_load((own if own.exists() else HERE / self.cluster).read_text())

    def container(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def network(self, network: str) -> str:
        return f"{self.prefix}-{network}"

    # Networks

    def subnets(self) -> dict[str, dict[str, str]]:
        """The lab's networks with their subnets, created where they are missing."""
        with locked("networks"):
            existing = {item["name"]: item for item in json.loads(run("podman", "network", "ls", "--format=json"))}
            taken = {subnet["subnet"] for item in existing.values() for subnet in item.get("subnets", [])}
            # A bridge may be left of a lab that was cut short, and has its addresses all the same.
            for item in json.loads(run("ip", "-json", "-4", "address", "show")):
                for own in item["addr_info"]:
                    taken.add(str(ipaddress.ip_interface(f"{own['local']}/{own['prefixlen']}").network))
            free = (
                (str(four), str(six))
                for four, six in zip(IPV4_POOL.subnets(new_prefix=24), IPV6_POOL.subnets(new_prefix=64), strict=False)
                if str(four) not in taken
            )
            found = {}
            for network in self.plan["networks"]:
                if self.network(network) in existing:
                    four, six = (item["subnet"] for item in existing[self.network(network)]["subnets"])
                else:
                    four, six = next(free)
                    # Internal: no route, no address translation and no firewall rules by the container engine.
                    run(
                        *("podman", "network", "create", "--internal", "--disable-dns", "--ipv6"),
                        *("--label", f"{LABEL}={CHECKOUT_ID}", "--subnet", four, "--subnet", six),
                        self.network(network),
                    )
                found[network] = {"ipv4": four, "ipv6": six}
            return found

    def addresses(self, host: str, subnets: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {
            network: {
                family: str(ipaddress.ip_network(subnets[network][family])[number]) for family in ("ipv4", "ipv6")
            }
            for network, number in self.plan["hosts"][host]["networks"].items()
        }

    def attach_controller(self, subnets: dict[str, dict[str, str]]) -> None:
        """Give this machine its address in the networks it manages hosts through."""
        for network, settings in self.plan["networks"].items():
            if not settings["controller"]:
                continue
            inspected = json.loads(run("podman", "network", "inspect", self.network(network)))[0]
            for family, extra in (("ipv4", []), ("ipv6", ["nodad"])):
                subnet = ipaddress.ip_network(subnets[network][family])
                own = f"{subnet[1]}/{subnet.prefixlen}"
                run("ip", "address", "replace", own, "dev", inspected["network_interface"], *extra)

    # Hosts

    def network_script(self, host: str, subnets: dict[str, dict[str, str]]) -> str:
        """Routes, as a distribution's own network set-up would have them at boot."""
        lines = ["#!/bin/sh"]
        own, bridged = self.addresses(host, subnets), self.plan["hosts"][host].get("bridge")
        if bridged:
            port = f"{bridged}0"
            lines += [
                f"ip link add {BRIDGE} type bridge",
                # The spanning tree's delay is for networks with loops.
                f"ip link set {BRIDGE} type bridge forward_delay 0",
                # As a real card would, it keeps its address over reboots, and whatever guests come and go.
                f"ip link set {BRIDGE} address $(cat /sys/class/net/{port}/address)",
                f"ip address flush dev {port}",
                f"ip link set {port} master {BRIDGE}",
                f"ip link set {BRIDGE} up",
            ]
            for family in ("ipv4", "ipv6"):
                prefix = ipaddress.ip_network(subnets[bridged][family]).prefixlen
                extra = " nodad" if family == "ipv6" else ""
                lines.append(f"ip address add {own[bridged][family]}/{prefix} dev {BRIDGE}{extra}")
        network = self.plan["hosts"][host].get("gateway")
        if network:
            router = next(name for name, item in self.plan["hosts"].items() if item.get("router"))
            via = self.addresses(router, subnets)[network]
            lines += [f"ip {opt} route replace default via {via[fam]}" for opt, fam in (("-4", "ipv4"), ("-6", "ipv6"))]
        return "\n".join([*lines, "exit 0", ""])

    def mac(self, host: str, network: str) -> str:
        """A card's address, the same whenever the lab is made: a locally administered one (IEEE 802)."""
        digest = hashlib.sha256(f"{self.prefix} {host} {network}".encode()).hexdigest()
        return ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])

    def create_host(self, host: str, subnets: dict[str, dict[str, str]]) -> None:
        settings, name = self.plan["hosts"][host], self.container(host)
        forward = 1 if settings.get("router") else 0
        networks = []
        for network, item in self.addresses(host, subnets).items():
            networks += [
                "--network",
                f"{self.network(network)}:ip={item['ipv4']},ip={item['ipv6']},mac={self.mac(host, network)},"
                f"interface_name={network[:13]}0",
            ]
        run(
            *("podman", "create", "--name", name, "--hostname", host, "--label", f"{LABEL}={CHECKOUT_ID}"),
            *("--systemd=always", f"--cap-add={CAPABILITIES}", "--security-opt", "unmask=/proc/sys"),
            *(
                "--sysctl",
                f"net.ipv4.ip_forward={forward}",
                "--sysctl",
                f"net.ipv6.conf.all.forwarding={forward}",
            ),
            # No name server: a look-up fails at once, and asks nobody outside.
            "--dns=none",
            *networks,
            image_tag(settings["image"]),
            *INIT,
        )
        files = self.folder / "hosts" / host
        (files / "root/.ssh").mkdir(parents=True, exist_ok=True)
        (files / "root/.ssh").chmod(0o700)
        shutil.copy(self.folder / "id_ed25519.pub", files / "root/.ssh/authorized_keys")
        (files / "etc/lab").mkdir(parents=True, exist_ok=True)
        (files / "etc/lab/network").write_text(self.network_script(host, subnets))
        run("podman", "cp", f"{files}/.", f"{name}:/")

    def ssh_address(self, host: str, subnets: dict[str, dict[str, str]]) -> str:
        addresses = self.addresses(host, subnets)
        network = next(name for name in addresses if self.plan["networks"][name]["controller"])
        return addresses[network]["ipv4"]

    def wait_for_ssh(self, hosts: list[str], subnets: dict[str, dict[str, str]]) -> None:
        known = {}
        deadline = time.monotonic() + self.boot_seconds
        for host in hosts:
            address = self.ssh_address(host, subnets)
            while address not in known:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"{host} ({address}) does not answer ssh after {self.boot_seconds} s: "
                        f"podman logs {self.container(host)}"
                    )
                with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=2):
                    known[address] = run(
                        *("ssh-keyscan", "-T", str(self.answer_seconds), "-t", "ed25519", address), check=False
                    )
                if not known.get(address):
                    known.pop(address, None)
                    time.sleep(0.3)
        path = self.folder / "known_hosts"
        lines = [
            line for line in (path.read_text().splitlines() if path.exists() else []) if line.split()[0] not in known
        ]
        path.write_text("\n".join([*lines, *(text.strip() for text in known.values()), ""]))

    # Guests

    def start_guests(self, subnets: dict[str, dict[str, str]]) -> None:
        """Give every node its guests, as Xen would at boot: machines with one interface, on the node's bridge."""
        present = run("podman", "ps", "--all", "--format={{.Names}}").split()
        for index, (guest, settings) in enumerate(self.plan.get("guests", {}).items(), 1):
            name = self.container(guest)
            if name not in present:
                run(
                    *("podman", "create", "--name", name, "--hostname", guest, "--label", f"{LABEL}={CHECKOUT_ID}"),
                    *("--network=none", "--cap-add=NET_ADMIN,NET_RAW", image_tag(GUEST_IMAGE)),
                    *("/bin/sleep", "infinity"),
                )
            run("podman", "start", name)
            node, inside = (
                run("podman", "inspect", "--format={{.State.Pid}}", self.container(machine)).strip()
                for machine in (settings["node"], guest)
            )
            vif = f"vif{index}.0"
            if f"{vif}@" in run("nsenter", "-t", node, "-n", "ip", "-brief", "link"):
                continue
            # What the node had before it was rebooted goes with its other end, but only after a while.
            run("nsenter", "-t", inside, "-n", "ip", "link", "del", "eth0", check=False)
            outer, inner = f"xl{CHECKOUT_ID}{index}", f"xg{CHECKOUT_ID}{index}"
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
            run("ip", "link", "set", outer, "netns", node)
            run("ip", "link", "set", inner, "netns", inside)
            commands = f"ip link set {outer} name {vif}; ip link set {vif} master {BRIDGE}; ip link set {vif} up"
            run("nsenter", "-t", node, "-n", "sh", "-ec", commands)
            subnet = {family: ipaddress.ip_network(text) for family, text in subnets[settings["network"]].items()}
            commands = (
                f"ip link set {inner} name eth0; ip link set lo up; ip link set eth0 up;"
                f"ip address add {subnet['ipv4'][settings['number']]}/{subnet['ipv4'].prefixlen} dev eth0;"
                f"ip address add {subnet['ipv6'][settings['number']]}/{subnet['ipv6'].prefixlen} dev eth0 nodad;"
                f"ip route add default via {subnet['ipv4'][2]}"
            )
            run("nsenter", "-t", inside, "-n", "sh", "-ec", commands)

    def wait_for_bridges(self) -> None:
        """Wait until the nodes that have guests have built their bridges."""
        for node in {settings["node"] for settings in self.plan.get("guests", {}).values()}:
            run("podman", "exec", self.container(node), "systemctl", "start", "lab-network.service")

    # Files for the controller

    def write_inventory(self, subnets: dict[str, dict[str, str]]) -> None:
        groups: dict[str, Any] = {}
        ssh = ["# ssh -F this-file HOST"]
        for host, settings in self.plan["hosts"].items():
            address = self.ssh_address(host, subnets)
            variables = {
                "ansible_host": address,
                "lab_addresses": self.addresses(host, subnets),
                "lab_container": self.container(host),
                **settings.get("vars", {}),
            }
            for group in settings["groups"]:
                groups.setdefault(group, {"hosts": {}})["hosts"][host] = variables
            ssh += [f"Host {host} {address}", f"  HostName {address}"]
        ssh += [
            "Host *",
            "  User root",
            f"  IdentityFile {self.folder}/id_ed25519",
            "  IdentitiesOnly yes",
            "  IdentityAgent none",
            f"  UserKnownHostsFile {self.folder}/known_hosts",
            "  GlobalKnownHostsFile none",
            "  StrictHostKeyChecking yes",
            f"  ConnectTimeout {self.answer_seconds}",
            "  LogLevel ERROR",
            # Each command has a connection of its own, and the usual way to agree on keys costs six times as much.
            "  KexAlgorithms curve25519-sha256",
            *(f"  {line}" for line in self.ssh_lines),
            "",
        ]
        (self.folder / "ssh_config").write_text("\n".join(ssh))
        inventory = {
            "all": {
                "vars": {
                    "ansible_user": "root",
                    "ansible_ssh_args": f"-F {self.folder}/ssh_config {self.ssh_options}",
                    "ansible_ssh_timeout": self.answer_seconds,
                    "ansible_pipelining": True,
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "lab_networks": subnets,
                    "lab_guests": {
                        guest: {
                            "container": self.container(guest),
                            "node": item["node"],
                            **{
                                family: str(ipaddress.ip_network(subnets[item["network"]][family])[item["number"]])
                                for family in ("ipv4", "ipv6")
                            },
                        }
                        for guest, item in self.plan.get("guests", {}).items()
                    },
                },
                "children": groups,
            }
        }
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))

    # What can be asked for

    def up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_room()
        hosts = list(self.plan["hosts"])
        images = {item["image"] for item in self.plan["hosts"].values()}
        ensure_images(images | ({GUEST_IMAGE} if self.plan.get("guests") else set()))
        if not (self.folder / "id_ed25519").exists():
            run(
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "lab",
                "-f",
                str(self.folder / "id_ed25519"),
            )
        subnets = self.subnets()
        present = run("podman", "ps", "--all", "--format={{.Names}}").split()
        for number, host in enumerate(hosts, 1):
            say(f"starting {host} ({number} of {len(hosts)}, {self.plan['hosts'][host]['image']})")
            if self.container(host) not in present:
                self.create_host(host, subnets)
            run("podman", "start", self.container(host))
        self.attach_controller(subnets)
        self.wait_for_ssh(hosts, subnets)
        self.wait_for_bridges()
        self.start_guests(subnets)
        self.write_inventory(subnets)
        owner = os.environ.get("SUDO_UID")
        if owner:
            run("chown", "-R", f"{owner}:{os.environ['SUDO_GID']}", str(self.folder))
        say(f"{self.name} is up: ssh -F {self.folder.relative_to(CHECKOUT)}/ssh_config {hosts[0]}")

    def reboot(self, hosts: list[str]) -> None:
        subnets = self.subnets()
        for host in hosts:
            run("podman", "restart", "--time=10", self.container(host))
        self.attach_controller(subnets)
        self.wait_for_ssh(hosts, subnets)
        self.wait_for_bridges()
        self.start_guests(subnets)

    def down(self) -> None:
        for host in [*self.plan["hosts"], *self.plan.get("guests", {})]:
            remove(self.container(host))
        for network in self.plan["networks"]:
            run("podman", "network", "rm", "--force", self.network(network), check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def clean() -> None:
    """Remove what carries this checkout's label, then the images nobody else uses."""
    for name in run("podman", "ps", "--all", f"--filter=label={LABEL}={CHECKOUT_ID}", "--format={{.Names}}").split():
        remove(name)
    for item in json.loads(run("podman", "network", "ls", "--format=json")):
        if item.get("labels", {}).get(LABEL) == CHECKOUT_ID:
            run("podman", "network", "rm", "--force", item["name"])
    for image in run("podman", "images", f"--filter=label={LABEL}=image", "--format={{.Id}}").split():
        run("podman", "rmi", image, check=False)
    shutil.rmtree(STATE, ignore_errors=True)
    say("removed the clusters, networks and images of this checkout")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "reboot", "down", "clean"):
        one = verbs.add_parser(verb)
        if verb != "clean":
            one.add_argument("name")
        if verb == "reboot":
            one.add_argument("hosts", nargs="+")
    arguments = parser.parse_args()
    if os.geteuid():
        print("lab: containers with their own network cards need root: sudo make harden", file=sys.stderr)
        return 1
    STATE.mkdir(exist_ok=True)
    (STATE / "containers.conf").write_text(CONTAINERS_CONF)
    try:
        if arguments.verb == "clean":
            clean()
        elif arguments.verb == "reboot":
            Lab(arguments.name).reboot(arguments.hosts)
        else:
            getattr(Lab(arguments.name), arguments.verb)()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
