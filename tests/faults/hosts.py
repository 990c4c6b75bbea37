"""hosts.py - several hosts on this one: network namespaces with a router between them, and everything that can happen to a cable.

    router (this process)  10.77.N.1 ── veth ── 10.77.N.2  a host, one for each N

A fault is real: packets that the kernel drops, links that are down, addresses that are gone. Nobody is told; there is no RST and no
ICMP, unless the fault is one of which the kernel tells. The namespaces end with their holders, and these with this process."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

import house  # noqa: E402
from house import Home, House, until  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NEEDED = ("ip", "nsenter")


def ip(*words, pid=None, may_fail=False):
    within = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"] if pid else []
    ran = subprocess.run([*within, "ip", *map(str, words)], capture_output=True, text=True, check=False)
    assert may_fail or ran.returncode == 0, f"ip {' '.join(map(str, words))}: {ran.stderr}"
    return ran.returncode == 0


def enter_namespace():
    """Makes this process a host of its own that routes for others. Why that is not possible here; None when it is."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        return f"no program `{missing[0]}` (packages iproute2, util-linux)"
    uid, gid, flags = os.getuid(), os.getgid(), CLONE_NEWNET
    if uid != 0:
        flags |= CLONE_NEWUSER
    if LIBC.unshare(flags) != 0:
        return f"no network namespace: {os.strerror(ctypes.get_errno())}"
    try:
        if uid != 0:
            pathlib.Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
            pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
        ip("link", "set", "lo", "up")
        ip("link", "add", "try0", "type", "veth", "peer", "name", "try1")
        ip("link", "del", "try0")
        ip("rule", "add", "blackhole", "from", "10.77.0.9")
        ip("rule", "del", "blackhole", "from", "10.77.0.9")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    except (AssertionError, OSError) as trouble:
        return f"no network of our own: {trouble}".strip()
    return None


class Host:
    """A namespace with one link to the router."""

    count = 0

    def __init__(self, name):
        Host.count += 1
        self.name, self.number, self.cuts = name, Host.count, []
        self.address, self.router = f"10.77.{self.number}.2", f"10.77.{self.number}.1"
        self.link = f"to-{self.number}"
        self.holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       preexec_fn=lambda: LIBC.unshare(CLONE_NEWNET))
        self.pid = self.holder.pid
        mine = os.readlink("/proc/self/ns/net")
        assert until(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != mine, 10), "no namespace for a host"
        ip("link", "add", self.link, "type", "veth", "peer", "name", "net0", "netns", self.pid)
        ip("addr", "add", f"{self.router}/24", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("link", "set", "lo", "up", pid=self.pid)
        ip("link", "set", "net0", "up", pid=self.pid)
        self.take_address(self.address)

    def take_address(self, address):
        """Its only one from now on."""
        ip("addr", "flush", "dev", "net0", pid=self.pid)
        ip("addr", "add", f"{address}/24", "dev", "net0", pid=self.pid)
        ip("route", "replace", "default", "via", self.router, pid=self.pid)
        self.address = address

    @property
    def within(self):
        """What is put before a command that is to run on this host."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    @contextlib.contextmanager
    def starting(self):
        """What house.py starts as a server meanwhile runs on this host."""
        before, namespace = house.die_with_parent, os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        def there():
            before()
            if LIBC.setns(namespace, CLONE_NEWNET) != 0:
                os._exit(97)
        house.die_with_parent = there
        try:
            yield
        finally:
            house.die_with_parent = before
            os.close(namespace)

    def bytes(self):
        """(received, sent) over its link since the beginning."""
        for line in pathlib.Path(f"/proc/{self.pid}/net/dev").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name.strip() == "net0":
                fields = rest.split()
                return int(fields[0]), int(fields[8])
        raise AssertionError("the host has no link")

    # ---- faults; heal() ends all of them ----

    def lose_all(self):
        """What it sends and what is sent to it is gone, silently."""
        self.lose_sent()
        self.lose_received()

    def lose_sent(self):
        self.cut(["rule", "add", "blackhole", "from", self.address], ["rule", "del", "blackhole", "from", self.address])

    def lose_received(self):
        gone = f"{self.address}/32"
        self.cut(["route", "add", "blackhole", gone], ["route", "del", "blackhole", gone])

    def unplug(self):
        self.cut(["link", "set", self.link, "down"], ["link", "set", self.link, "up"])

    def cut(self, make, undo):
        ip(*make)
        self.cuts.append(undo)

    def heal(self):
        while self.cuts:
            ip(*self.cuts.pop())

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=house.RUN_S)
        ip("link", "del", self.link, may_fail=True)  # it may have gone with the namespace


class HostHome(Home):
    def __init__(self, house_, name, host):
        super().__init__(house_, name)
        self.host = host

    def argv(self, *args):
        return [*self.host.within, *super().argv(*args)]


class Hosts(House):
    """A house whose relay and posts live on hosts of their own: {party: Host}. Authorities work where the relay does."""

    def __init__(self, hosts, **more):
        self.hosts = hosts
        super().__init__(relay=False, **more)

    def home(self, name):
        if name not in self.homes:
            party, _, kind = name.partition("-")
            self.homes[name] = HostHome(self, name, self.hosts["relay" if kind == "authority" else party])
        return self.homes[name]

    def close(self):
        try:
            super().close()
        finally:
            for host in self.hosts.values():
                host.close()
