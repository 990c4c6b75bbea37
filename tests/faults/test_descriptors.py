"""Goal: a relay that may open few files does not suffer from many who connect. 300 sockets stand at the door of one that may have 64
open files: it neither ends nor spins, a member that is connected is served all the time, and when they are gone everybody is.
They are silent sockets that come back whenever they are cut off, and clients that speak ZMTP and CURVE with keys that nobody knows.
The same with 1,024 open files."""

import contextlib
import os
import pathlib
import resource
import socket
import sys
import threading
import time

for folder in ("interop", "flow"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / folder))

import zmq  # noqa: E402

import house  # noqa: E402
from house import main, until  # noqa: E402
from stranger import Card, Identity, Stranger  # noqa: E402
from test_kills import Traffic  # noqa: E402

WATCH_S = 8 if os.environ.get("POUCH_LONG") else 3
SPIN = 0.5       # of one core; a thread that spins takes all of it
AGAIN_S = 0.5    # a flooder that was cut off comes back after so long
ANSWER_S = 5.0


def cpu_s(pid):
    """Seconds of CPU, of all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Silent:
    """Sockets that connect, say nothing, and connect again when they are cut off."""

    def __init__(self, port, count):
        self.port, self.done, self.cuts = port, threading.Event(), 0
        self.sockets = [self.knock() for _ in range(count)]
        self.thread = threading.Thread(target=self.come_back)
        self.thread.start()

    def knock(self):
        made = socket.socket()
        made.setblocking(False)
        made.connect_ex(("127.0.0.1", self.port))
        return made

    @staticmethod
    def is_cut(made):
        try:
            while made.recv(4096):
                pass  # the greeting
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def come_back(self):
        while not self.done.wait(AGAIN_S):
            for at, made in enumerate(self.sockets):
                if self.is_cut(made):
                    made.close()
                    self.cuts += 1
                    self.sockets[at] = self.knock()

    def leave(self):
        self.done.set()
        self.thread.join()
        for made in self.sockets:
            made.close()


class Speaking:
    """Clients with the relay's right key and keys of their own that nobody has registered."""

    def __init__(self, card, count):
        self.context = zmq.Context()
        self.context.max_sockets = count + 8
        self.sockets = [self.knock(card) for _ in range(count)]

    def knock(self, card):
        made = self.context.socket(zmq.DEALER)
        made.linger = 0
        made.reconnect_ivl = int(AGAIN_S * 1000)
        made.curve_serverkey = card.curve
        public, secret = zmq.curve_keypair()
        made.curve_publickey, made.curve_secretkey = public, secret
        made.connect(card.addresses[0])
        return made

    def leave(self):
        for made in self.sockets:
            made.close()
        self.context.term()


class Held(Stranger):
    """A member that is connected, and asks all the time."""

    def __init__(self, card, identity):
        super().__init__(card, identity)
        self.slowest, self.asked = 0.0, 0

    def ask(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            self.greet()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.asked += 1
            time.sleep(0.02)


@contextlib.contextmanager
def few_files(number):
    """What is started here may have so many open files."""
    before = house.die_with_parent

    def limited():
        before()
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
    house.die_with_parent = limited
    try:
        yield
    finally:
        house.die_with_parent = before


class Descriptors(Traffic):
    house_options = {"config": {"rate.guest": 10000}}

    @classmethod
    def furnish(cls):
        super().furnish()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
        identity = Identity("org.held")
        charter = cls.house.papers / "held.charter"
        charter.write_bytes(identity.charter_file())
        ran = cls.relay.ctl("admit", str(charter), "--fingerprint", identity.charter_fingerprint())
        assert ran.code == 0, ran
        cls.held = identity
        joining = Stranger(cls.relay.card.read_text(), identity)
        joining.join()
        joining.close()

    def limited(self, files):
        self.assertEqual(self.relay.stop(), 0)
        with few_files(files):
            self.relay.start()
        pid = self.relay.live_status()["gate_pid"]
        with open(f"/proc/{pid}/limits", encoding="ascii") as text:
            line = next(line for line in text if line.startswith("Max open files"))
        self.assertEqual(line.split()[3:5], [str(files)] * 2)
        return pid

    def withstand(self, pid, files, flood):
        """While these are at the door, and after."""
        member = Held(self.relay.card.read_text(), self.held)
        member.greet()
        crowd = flood()
        try:
            begun, cpu = time.monotonic(), cpu_s(pid)
            full = 0

            def watch():
                nonlocal full
                while time.monotonic() < begun + WATCH_S:
                    full = max(full, files_of(pid))
                    time.sleep(0.01)
            watching = threading.Thread(target=watch)
            watching.start()
            member.ask(WATCH_S)
            watching.join()
            used = (cpu_s(pid) - cpu) / (time.monotonic() - begun)
            self.assertEqual(self.relay.status()["gate_pid"], pid, "the gate has ended")
        finally:
            crowd.leave()
        print(f"\n{type(crowd).__name__}: {used:.0%} of a core, {full} of {files} files, a member's slowest answer "
              f"{member.slowest * 1000:.0f} ms of {member.asked}", flush=True)
        member.close()
        self.assertGreater(full, files // 2, "the door was not full: nothing was tried")
        self.assertLess(used, SPIN, "the gate spins")
        self.assertLess(member.slowest, ANSWER_S)
        self.assertGreater(member.asked, 5)
        self.round()
        self.assertEqual(self.relay.live_status()["gate_pid"], pid, "it is still the same gate")
        gone = until(lambda: files_of(pid) < files // 2, 15)
        self.assertTrue(gone, f"{files_of(pid)} files are still open")

    def test_300_silent_sockets_at_64_open_files(self):
        pid = self.limited(64)
        self.withstand(pid, 64, lambda: Silent(self.relay.ports[0], 300))

    def test_300_clients_at_64_open_files(self):
        pid = self.limited(64)
        card = Card(self.relay.card.read_text())
        self.withstand(pid, 64, lambda: Speaking(card, 300))

    def test_1500_silent_sockets_at_1024_open_files(self):
        pid = self.limited(1024)
        self.withstand(pid, 1024, lambda: Silent(self.relay.ports[0], 1500))



if __name__ == "__main__":
    main()
