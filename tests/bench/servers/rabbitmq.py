"""rabbitmq.py - a RabbitMQ node of the benchmark's own: its own name, data, log, cookie and port mapper, all on
loopback; no plugin.

Durability: quorum queues. Messages and the acknowledgements of consumers are entries of the queue's Raft log, which is
written and fdatasync'ed in batches (what gathered while the last one ran) before a confirm goes out. A cluster of one
node here, so one copy: with more nodes, the same happens on a majority.

One hole was found, and is spared: a node that is killed within about a second of a queue's declaration comes back with
the queue but without the messages that it had confirmed, and without a leader for it (its Raft log starts anew at 0, as
if the table that finds the log had not been saved yet). Queues live for years; so deposit() lets a new one settle.

Settings, and why:
- one TLS listener on loopback, TLS 1.3, AES-128-GCM, no client certificate; user "bench", password "bench" (AMQP has no
  anonymous login).
- scheduler threads neither bound to cores nor waiting busily (the second is the default, said again): the cores are
  shared with the clients.
- statistics once a minute: no plugin shows them.
- the Raft log as it comes: checksums, fdatasync. Tried twice each on a busy machine, without a difference beyond its
  noise: longer segments (raft.segment_max_entries 32768), one scheduler, bound schedulers, TLS 1.2.
- no memory alarm below 80 % of the machine and no disk alarm above 1 GB: a seeded million does not stop publishers."""
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import time

from . import common

SETTLE_SECONDS = 3
HOME = pathlib.Path("/usr/lib/rabbitmq/bin")

CONFIG = """\
listeners.tcp = none
listeners.ssl.1 = {host}:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.versions.1 = tlsv1.3
ssl_options.ciphers.1 = TLS_AES_128_GCM_SHA256
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
tcp_listen_options.nodelay = true
tcp_listen_options.backlog = 1024
default_user = bench
default_pass = bench
heartbeat = 0
collect_statistics_interval = 60000
vm_memory_high_watermark.relative = 0.8
disk_free_limit.absolute = 1GB
log.file.level = warning
log.console = false
"""


class RabbitMQ(common.Server):
    name = "rabbitmq"
    durability = ("quorum queue: the confirm comes after the queue's Raft log was fdatasync'ed, many messages a sync; "
                  "one node, so one copy")
    start_seconds = 60

    def __init__(self, folder):
        super().__init__(folder)
        common.make_tls(self.folder)
        self.epmd = None
        self.epmd_port, self.dist_port = common.free_port(), common.free_port()
        port = common.free_port()
        common.write_address(self.folder, port)
        for name in ("home", "data", "log", "generated"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(CONFIG.format(host=common.HOST, port=port, folder=self.folder))

    def _node_environment(self):
        folder = self.folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | {
            "HOME": str(folder / "home"),  # the cookie lies there
            "ERL_EPMD_ADDRESS": common.HOST,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_NODENAME": f"bench{self.epmd_port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the node instead of watching over it
            "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD": "none",
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def command(self):
        return [HOME / "rabbitmq-server"]

    def launch(self):
        environment = self._node_environment()
        with open(self.folder / "server.log", "ab") as log:
            quiet = {"cwd": self.folder, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "process_group": 0,
                     "env": environment}
            bound = [common.program("setpriv"), "--pdeathsig", "TERM"]
            mapper = [common.program("epmd"), "-address", common.HOST, "-port", str(self.epmd_port)]
            self.epmd = subprocess.Popen([*bound, *mapper], **quiet)
            common.wait_until(self._epmd_listens, 10, "epmd")
            self.process = subprocess.Popen([*bound, *map(str, self.command())], **quiet)

    def _epmd_listens(self):
        with socket.create_connection((common.HOST, self.epmd_port), timeout=1):
            return True

    def pids(self):
        roots = [process.pid for process in (self.process, self.epmd) if process and process.poll() is None]
        return common.tree(*roots)

    def ready(self):
        """A listener is not yet a broker that lets somebody in; a login tells."""
        with _Session(self.folder):
            return True

    def stop(self):
        super().stop()
        if self.epmd and self.epmd.poll() is None:
            self.epmd.send_signal(signal.SIGTERM)
            self.epmd.wait(10)

    def kill(self):
        super().kill()
        if self.epmd:
            self.epmd.wait()

    def deposit(self, queue, count, size):
        with _Session(self.folder) as session:
            session.declare(queue)
            time.sleep(SETTLE_SECONDS)
            return session.publish(queue, count, size)

    def collect(self, queue):
        with _Session(self.folder) as session:
            session.declare(queue)
            return [int.from_bytes(body[:8], "big") for body in session.fetch(queue)]


class _Session:
    """As much of AMQP 0-9-1 as a deposit needs, on one channel."""

    WINDOW = 1024  # publications that wait for their confirm
    END = b"\xce"

    def __init__(self, folder):
        self.socket = common.secure_connection(folder)
        self.stream = self.socket.makefile("rb")
        try:
            self._log_in()
        except BaseException:
            self._hang_up()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            # An orderly end, so that what was said last is read before the connection goes.
            self._call(0, 10, 50, struct.pack(">H", 200) + _short("") + struct.pack(">HH", 0, 0))
            self._expect(10, 51)
        self._hang_up()

    def _hang_up(self):
        self.stream.close()
        self.socket.close()

    def _log_in(self):
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self._expect(10, 10)
        self._call(0, 10, 11, struct.pack(">I", 0) + _short("PLAIN") + _long(b"\0bench\0bench") + _short("en_US"))
        channels, self.frame_size, _ = struct.unpack(">HIH", self._expect(10, 30)[:8])
        self._call(0, 10, 31, struct.pack(">HIH", channels, self.frame_size, 0))
        self._call(0, 10, 40, _short("/") + _short("") + b"\0")
        self._expect(10, 41)
        self._call(1, 20, 10, _short(""))
        self._expect(20, 11)

    def declare(self, queue):
        table = _short("x-queue-type") + b"S" + _long(b"quorum")
        self._call(1, 50, 10, struct.pack(">H", 0) + _short(queue) + b"\x02" + _long(table))  # durable
        self._expect(50, 11)

    def publish(self, queue, count, size):
        self._call(1, 85, 10, b"\0")
        self._expect(85, 11)
        sent = confirmed = 0  # confirmed: all up to this one
        early = set()         # and these beyond, which came out of order
        while confirmed < count:
            if sent < count and sent - confirmed <= self.WINDOW // 2:
                numbers = range(sent, min(count, confirmed + self.WINDOW))
                self.socket.sendall(b"".join(self._message(queue, common.numbered(number, size)) for number in numbers))
                sent = numbers.stop
            tag, multiple = struct.unpack(">QB", self._expect(60, 80)[:9])
            if multiple & 1:
                confirmed = max(confirmed, tag)
            else:
                early.add(tag)
            while confirmed + 1 in early:
                confirmed += 1
                early.discard(confirmed)
        return confirmed

    def _message(self, queue, body):
        publish = self._frame(1, 1, struct.pack(">HHH", 60, 40, 0) + _short("") + _short(queue) + b"\0")
        header = self._frame(2, 1, struct.pack(">HHQHB", 60, 0, len(body), 0x1000, 2))  # delivery mode: persistent
        most = self.frame_size - 8
        return publish + header + b"".join(self._frame(3, 1, body[at:at + most]) for at in range(0, len(body), most))

    def fetch(self, queue):
        """Yields and acknowledges what is there until the server says that it is empty."""
        while True:
            self._call(1, 60, 70, struct.pack(">H", 0) + _short(queue) + b"\0")
            _, answer = self._receive(1)
            if answer[:4] == struct.pack(">HH", 60, 72):
                return
            tag, = struct.unpack(">Q", answer[4:12])
            _, header = self._receive(2)
            length, = struct.unpack(">Q", header[4:12])
            body = b""
            while len(body) < length:
                body += self._receive(3)[1]
            self._call(1, 60, 80, struct.pack(">QB", tag, 0))
            yield body

    def _frame(self, kind, channel, payload):
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + self.END

    def _call(self, channel, group, method, arguments):
        self.socket.sendall(self._frame(1, channel, struct.pack(">HH", group, method) + arguments))

    def _expect(self, group, method):
        _, payload = self._receive(1)
        if struct.unpack(">HH", payload[:4]) != (group, method):
            raise RuntimeError(f"rabbitmq: expected {group}.{method}, got {payload[:200]!r}")
        return payload[4:]

    def _receive(self, expected):
        kind, channel, length = struct.unpack(">BHI", self._read(7))
        payload = self._read(length + 1)[:-1]
        if kind != expected:
            raise RuntimeError(f"rabbitmq: expected a frame of kind {expected}, got {kind}")
        return channel, payload

    def _read(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise ssl.SSLEOFError("rabbitmq ended the connection")
        return data


def _short(text):
    return bytes([len(text)]) + text.encode()


def _long(octets):
    return struct.pack(">I", len(octets)) + octets


def start(folder):
    server = RabbitMQ(folder)
    server.restart()
    return server
