"""mosquitto.py - a mosquitto broker of the benchmark's own.

Durability: QoS 1 and persistent sessions, as a store-and-forward service over MQTT uses them. mosquitto keeps messages in
memory. PUBACK means that they are there, not that they are on a disk: `persistence true` writes the whole store to one file when
the broker ends in order and every `autosave_interval` (1,800 s, the default, kept here). The only other way it has,
`autosave_on_changes` with interval 1, rewrites and syncs the whole store after changes, once a turn of its loop and not before
the PUBACK: no acknowledgement waits for it, so a kill still loses the last of them, and its cost grows with the depth.
BENCH_MOSQUITTO_AUTOSAVE=1 in the environment sets it, for whoever wants to see that.

Settings, and why:
- max_inflight_messages 0 and max_queued_messages 0: no limit. The defaults (20 and 1,000) would stall a window of 64 and silently
  drop a seeded depth; the manual names both as what to raise for high rates and clients that are offline.
- set_tcp_nodelay true: the manual's switch against Nagle's delay; without it a small window waits for delayed TCP acknowledgements.
- one TLS listener on loopback, TLS 1.3, AES-128-GCM, clients without certificate or password.
- log errors and warnings only, no $SYS topics, no retained messages: nothing beside the messages."""
import getpass
import os
import socket
import ssl

from . import common

CONFIG = """\
listener {port} {host}
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
tls_version tlsv1.3
ciphers_tls1.3 TLS_AES_128_GCM_SHA256
allow_anonymous true
user {user}
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
retain_available false
sys_interval 0
log_dest stderr
log_type error
log_type warning
connection_messages false
persistence true
persistence_location {folder}/
{autosave}
"""


class Mosquitto(common.Server):
    name = "mosquitto"
    durability = ("QoS 1, persistent sessions: PUBACK means in memory; written every 30 minutes and at an orderly end, "
                  "no sync before PUBACK")

    def __init__(self, folder):
        super().__init__(folder)
        common.make_tls(self.folder)
        port = common.free_port()
        common.write_address(self.folder, port)
        each = os.environ.get("BENCH_MOSQUITTO_AUTOSAVE") == "1"
        (self.folder / "mosquitto.conf").write_text(CONFIG.format(
            host=common.HOST, port=port, folder=self.folder, user=getpass.getuser(),
            autosave="autosave_on_changes true\nautosave_interval 1" if each else "autosave_interval 1800"))

    def command(self):
        return [common.program("mosquitto"), "-c", self.folder / "mosquitto.conf"]

    def deposit(self, queue, count, size):
        with _Session(self.folder, queue) as reader:
            reader.subscribe(f"deposit/{queue}")
        stored = 0
        with _Session(self.folder, f"{queue}-writer", clean=True) as writer:
            for first in range(0, count, common.DEPOSIT_BATCH):
                numbers = range(first, min(count, first + common.DEPOSIT_BATCH))
                writer.publish(f"deposit/{queue}", [common.numbered(number, size) for number in numbers])
                stored += writer.acknowledged(len(numbers))
        return stored

    def collect(self, queue):
        with _Session(self.folder, queue) as reader:
            return [int.from_bytes(body[:8], "big") for body in reader.messages()]


class _Session:
    """As much of MQTT 3.1.1 as a deposit needs; clean=False keeps the session of this name when it ends."""

    def __init__(self, folder, name, clean=False):
        self.socket = common.secure_connection(folder)
        self.stream = self.socket.makefile("rb")
        self._send(0x10, _text("MQTT") + bytes([4, 2 if clean else 0, 0, 0]) + _text(name))
        kind, body = self._receive()
        if kind != 0x20 or body[1] != 0:
            raise RuntimeError(f"mosquitto refused {name}: {body.hex()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._send(0xe0, b"")
        except OSError:
            pass
        self.stream.close()
        self.socket.close()

    def subscribe(self, topic):
        self._send(0x82, bytes([0, 1]) + _text(topic) + b"\x01")
        kind, body = self._receive()
        if kind != 0x90 or body[2] != 1:
            raise RuntimeError(f"mosquitto refused the subscription to {topic}: {body.hex()}")

    def publish(self, topic, bodies):
        packets = []
        for at, body in enumerate(bodies):
            rest = _text(topic) + (at + 1).to_bytes(2, "big") + body
            packets.append(b"\x32" + _length(len(rest)) + rest)
        self.socket.sendall(b"".join(packets))

    def acknowledged(self, expected):
        return sum(self._receive()[0] == 0x40 for _ in range(expected))

    def messages(self):
        """Yields and acknowledges what comes until it has been quiet for a while."""
        self.socket.settimeout(common.QUIET_SECONDS)
        while True:
            try:
                kind, body = self._receive()
            except socket.timeout:
                return
            if kind & 0xf0 == 0x30:
                after = 2 + int.from_bytes(body[:2], "big")
                self._send(0x40, body[after:after + 2])
                yield body[after + 2:]

    def _send(self, kind, body):
        self.socket.sendall(bytes([kind]) + _length(len(body)) + body)

    def _receive(self):
        kind, length, shift = self._read(1)[0], 0, 0
        while True:
            octet = self._read(1)[0]
            length |= (octet & 0x7f) << shift
            shift += 7
            if octet < 0x80:
                return kind, self._read(length)

    def _read(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise ssl.SSLEOFError("mosquitto ended the connection")
        return data


def _text(text):
    return len(text).to_bytes(2, "big") + text.encode()


def _length(length):
    """MQTT's variable length: seven bits an octet, the lowest first."""
    octets = bytearray()
    while True:
        length, octet = length >> 7, length & 0x7f
        octets.append(octet | (0x80 if length else 0))
        if not length:
            return bytes(octets)


def start(folder):
    server = Mosquitto(folder)
    server.restart()
    return server
