"""nats.py - a NATS server of the benchmark's own with JetStream.

Durability: streams with file storage, one copy. A publish acknowledgement means that the message was written to the stream's file
(the kernel has it). No sync belongs to it: strace saw one, every two minutes, of the block that is being written, and none of the
seven that filled up meanwhile; this version has no setting for it. So what it acknowledged survives the end of the process and may
be lost with the power.

Settings, and why:
- max_payload 8 MiB: the default of 1 MiB is less than a sealed letter of 1 MiB; 8 MiB is the most that the manual recommends.
- max_pending 512 MiB: the default of 64 MiB is less than a window of 64 letters of 1 MiB, and the server drops a connection that
  has more waiting.
- write_deadline and ping interval generous: two busy cores shall not look like a slow consumer.
- one stream with its own consumer for each direction of a pair (made by carrier_nats.c, which says why).
- TLS 1.3 to be had on loopback alone, clients without certificate or password, no monitoring port, nothing logged but the start.
- Go's own settings (collector, number of threads) as they are; nothing of the server's asks for others. GOGC=400 in the benchmark's
  environment reaches the server and saved it a tenth to a fifth of its CPU."""
import json
import socket
import ssl

from . import common

CONFIG = """\
host: "{host}"
port: {port}
server_name: "bench"
max_payload: 8MB
max_pending: 512MB
write_deadline: "30s"
ping_interval: "10m"
tls {{
    cert_file: "{folder}/server.pem"
    key_file: "{folder}/server.key"
    timeout: 10
}}
jetstream {{
    store_dir: "{folder}/store"
    max_memory_store: 1GB
    max_file_store: 64GB
}}
"""

MAX_ACK_PENDING = 4096


class Nats(common.Server):
    name = "nats"
    durability = "JetStream, file storage, one copy: acknowledged when written; the last block is synced every two minutes"

    def __init__(self, folder):
        super().__init__(folder)
        common.make_tls(self.folder)
        port = common.free_port()
        common.write_address(self.folder, port)
        (self.folder / "nats.conf").write_text(CONFIG.format(host=common.HOST, port=port, folder=self.folder))

    def command(self):
        return [common.program("nats-server"), "-c", self.folder / "nats.conf"]

    def ready(self):
        """JetStream is up when it answers; after a restart it recovers its streams first."""
        with _Client(self.folder) as client:
            return "error" not in client.request("$JS.API.INFO")

    def deposit(self, queue, count, size):
        with _Client(self.folder) as client:
            client.call(f"$JS.API.STREAM.CREATE.{queue}", {
                "name": queue, "subjects": [f"deposit.{queue}"], "storage": "file", "num_replicas": 1})
            stored = 0
            for first in range(0, count, common.DEPOSIT_BATCH):
                numbers = range(first, min(count, first + common.DEPOSIT_BATCH))
                client.publish(f"deposit.{queue}", [common.numbered(number, size) for number in numbers])
                stored += sum("error" not in json.loads(client.message()[1]) for _ in numbers)
            return stored

    def collect(self, queue):
        with _Client(self.folder) as client:
            numbers = []
            if "error" in client.request(f"$JS.API.STREAM.INFO.{queue}"):
                return numbers  # the stream itself is gone
            client.call(f"$JS.API.CONSUMER.DURABLE.CREATE.{queue}.reader", {"stream_name": queue, "config": {
                "durable_name": "reader", "ack_policy": "explicit", "deliver_subject": client.inbox,
                "max_ack_pending": MAX_ACK_PENDING}})
            client.socket.settimeout(common.QUIET_SECONDS)
            while True:
                try:
                    reply, body = client.message()
                except socket.timeout:
                    return numbers
                numbers.append(int.from_bytes(body[:8], "big"))
                client.acknowledge(reply)


class _Client:
    """As much of the NATS protocol as a deposit needs: requests answered in order, all to one inbox. Its name has no wildcard:
    a consumer delivers at once only where a subscription names its subject word by word."""

    inbox = "_INBOX.bench"

    def __init__(self, folder):
        plain = socket.create_connection(common.read_address(folder), timeout=30)
        _line(plain)  # INFO, after which TLS begins
        self.socket = common.authenticated(folder, plain)
        self.stream = self.socket.makefile("rb")
        options = {"verbose": False, "pedantic": False, "tls_required": True, "lang": "python", "version": "1", "headers": True}
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox} 1\r\n".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def request(self, subject, content=None):
        body = json.dumps(content).encode() if content is not None else b""
        self.socket.sendall(f"PUB {subject} {self.inbox} {len(body)}\r\n".encode() + body + b"\r\n")
        return json.loads(self.message()[1])

    def call(self, subject, content):
        answer = self.request(subject, content)
        if "error" in answer:
            raise RuntimeError(f"nats: {subject}: {answer['error']}")
        return answer

    def publish(self, subject, bodies):
        head = f"PUB {subject} {self.inbox} "
        self.socket.sendall(b"".join(f"{head}{len(body)}\r\n".encode() + body + b"\r\n" for body in bodies))

    def acknowledge(self, reply):
        self.socket.sendall(f"PUB {reply} 4\r\n+ACK\r\n".encode())

    def message(self):
        """The next message: where it wants its answer, and its body."""
        while True:
            line = self._read_line()
            if line.startswith("MSG "):
                words = line.split()
                length = int(words[-1])
                body = self._read(length + 2)[:length]
                return (words[3] if len(words) == 5 else ""), body
            if line.startswith("HMSG "):  # a notice of the server in headers: "no responders" while JetStream is not up
                self._read(int(line.split()[-1]) + 2)
                raise ConnectionError("nats: nobody answers yet")
            if line == "PING":
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith("-ERR"):
                raise RuntimeError(f"nats: {line}")

    def _read_line(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ssl.SSLEOFError("nats ended the connection")
        return line[:-2].decode()

    def _read(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise ssl.SSLEOFError("nats ended the connection")
        return data


def _line(plain):
    """One line, an octet at a time: what follows it belongs to TLS."""
    line = b""
    while not line.endswith(b"\n"):
        octet = plain.recv(1)
        if not octet:
            raise ConnectionError("nats ended the connection")
        line += octet
    return line


def start(folder):
    server = Nats(folder)
    server.restart()
    return server
