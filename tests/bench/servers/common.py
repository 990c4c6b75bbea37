"""What every server of the benchmark needs: certificates, ports, a process with its tree, its CPU and memory, and waiting.

A server module offers

    start(folder) -> Server     sets up everything in `folder` (made if missing), starts, returns when clients can connect

and a Server has, beside what class Server below gives:

    name          as the driver calls the carrier
    durability    one line: what the server has done when it acknowledges
    environment   variables that the driver's processes need beside the usual ones (mostly none)
    pids()        every process of the server at this moment: for CPU, strace and kill
    cpu()         (user, system) seconds that these and their reaped children have used so far
    memory()      resident bytes of all of them
    stop()        an orderly end; kill() is SIGKILL to all; restart() starts again on the same folder after either
    deposit(queue, count, size) stores messages that carry their numbers 0.. and returns how many the server acknowledged
    collect(queue)              fetches what is there, acknowledging it, and returns the numbers in their order of arrival
    seed(depth, size=4096)      deposits that many where nobody fetches
    kill_and_count(count, size) deposits, kills, restarts, collects: what an acknowledgement was worth

The client's half finds in the folder: `ca.pem`, the authority that signed the server's certificate, and `address`, one
line "host port". TLS only: the server proves itself, clients are let in without a password, on loopback alone."""
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
HOST = "127.0.0.1"
DEPOSIT_BATCH = 64  # messages under way in deposit(): as many as a driver's larger window
FILLER = os.urandom(4096)
QUIET_SECONDS = 2  # collect() ends when nothing has come for so long


def _openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def make_tls(folder):
    """ca.pem, server.pem and server.key in the folder: EC P-256, good for localhost and 127.0.0.1. The authority's key is gone
    afterwards. What is there already stays, so that a restart keeps its certificate."""
    folder = pathlib.Path(folder)
    if (folder / "server.pem").exists():
        return
    key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "server.ext"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl("genpkey", *curve, "-out", key)
    _openssl("req", "-x509", "-new", "-key", key, "-subj", "/CN=bench authority", "-days", "30", "-out", folder / "ca.pem")
    _openssl("genpkey", *curve, "-out", folder / "server.key")
    _openssl("req", "-new", "-key", folder / "server.key", "-subj", "/CN=localhost", "-out", request)
    extensions.write_text(f"subjectAltName=DNS:localhost,IP:{HOST}\nextendedKeyUsage=serverAuth\n")
    _openssl("x509", "-req", "-in", request, "-CA", folder / "ca.pem", "-CAkey", key, "-set_serial", "1", "-days", "30",
             "-extfile", extensions, "-out", folder / "server.pem")
    for scrap in (key, request, extensions):
        scrap.unlink()


def free_port():
    """A port of loopback that is free now. Another may take it before the server does; then the start fails and says so."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def write_address(folder, port, host=HOST):
    (pathlib.Path(folder) / "address").write_text(f"{host} {port}\n")


def read_address(folder):
    host, port = (pathlib.Path(folder) / "address").read_text().split()
    return host, int(port)


def program(name, *elsewhere):
    """The path of a program; Debian keeps servers in /usr/sbin, which is not on everybody's PATH."""
    for place in (shutil.which(name), f"/usr/sbin/{name}", *elsewhere):
        if place and os.access(place, os.X_OK):
            return str(place)
    raise FileNotFoundError(f"{name} is not installed (tests/bench/packages lists what the benchmark needs)")


def wait_until(ready, seconds, what):
    """Calls ready() until it is true; an answer of None or an OSError means not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not ready after {seconds} s")
        time.sleep(0.02)


def _stat(pid):
    """The fields of /proc/PID/stat after the name (which may hold anything), or None when the process is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def tree(*roots):
    """The given processes and all that descend from them, without the dead."""
    children, alive = {}, set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(entry)) and fields[0] not in "ZX":
            alive.add(int(entry))
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid for pid in roots if pid in alive]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.append(pid)
            todo += children.get(pid, [])
    return found


def cpu(pids):
    """(user, system) seconds of these processes and of those children that they have reaped. Taken over a whole tree nothing
    counts twice (a child's time goes to its parent only when it is reaped) and nothing is lost when a child ends in between."""
    user = system = 0
    for pid in pids:
        if fields := _stat(pid):
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return user / TICKS, system / TICKS


def memory(pids):
    return sum(int(fields[21]) * PAGE for pid in pids if (fields := _stat(pid)))


def secure_connection(folder):
    """A socket inside TLS to the server of this folder, its certificate verified."""
    host, port = read_address(folder)
    return authenticated(folder, socket.create_connection((host, port), timeout=30))


def authenticated(folder, plain):
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context(cafile=str(pathlib.Path(folder) / "ca.pem")).wrap_socket(plain, server_hostname="localhost")


def numbered(number, size):
    """A message of a deposit: its number in eight bytes and filler that does not compress."""
    return number.to_bytes(8, "big") + FILLER[:max(0, size - 8)].ljust(max(0, size - 8), b"\x5a")


class Server:
    """A server that is one process in the foreground (with children, if it likes). A module's own class says how it is called
    in command() and when it is up in ready(); one that is several daemons overrides pids() as well."""

    name = durability = ""
    survivors = "survivors"  # the queue that kill_and_count fills
    start_seconds = 20
    stop_seconds = 60

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {}
        self.process = None

    def command(self):
        raise NotImplementedError

    def ready(self):
        with socket.create_connection(read_address(self.folder), timeout=1):
            return True

    def launch(self):
        # A group of its own, so that ^C at the benchmark ends the server in order; the kernel ends it if the benchmark dies.
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([program("setpriv"), "--pdeathsig", "TERM", *map(str, self.command())],
                                            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)

    def log_tail(self, lines=10):
        return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-lines:])

    def _up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at once with {self.process.returncode}:\n{self.log_tail()}")
        return self.ready()

    def restart(self):
        if self.pids():
            raise RuntimeError(f"{self.name} still runs")
        self.launch()
        try:
            wait_until(self._up, self.start_seconds, self.name)
        except TimeoutError as late:
            self.kill()
            raise TimeoutError(f"{late}\n{self.log_tail()}") from None
        except BaseException:
            self.kill()
            raise

    def pids(self):
        return tree(self.process.pid) if self.process and self.process.poll() is None else []

    def cpu(self):
        return cpu(self.pids())

    def memory(self):
        return memory(self.pids())

    def deposit(self, queue, count, size):
        raise NotImplementedError

    def collect(self, queue):
        raise NotImplementedError

    def seed(self, depth, size=4096):
        if (stored := self.deposit("seeded", depth, size)) != depth:
            raise RuntimeError(f"{self.name}: {stored} of {depth} messages were acknowledged")

    def kill_and_count(self, count=1000, size=4096):
        """What SIGKILL leaves of acknowledged messages. It takes the server's memory, not the kernel's: a server that wrote
        without a sync shows all its messages here and loses them with the power. So it stands beside the count of syncs."""
        acknowledged = self.deposit(self.survivors, count, size)
        self.kill()
        self.restart()
        arrived = self.collect(self.survivors)
        kept = set(arrived)
        return {"acknowledged": acknowledged, "survived": len(kept), "doubled": len(arrived) - len(kept),
                "in order": arrived == sorted(kept)}

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self):
        """SIGKILL to all of it, and to what was born meanwhile, until nothing is left."""
        pids = self.pids()
        while pids:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            pids = [pid for pid in set(pids) | set(tree(*pids)) if _alive(pid)]
            if pids:
                time.sleep(0.002)
        if self.process:
            self.process.wait()


def _alive(pid):
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"
