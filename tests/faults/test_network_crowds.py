"""Goal: whoever is at the relay in bad faith, in great number or half dead, costs the others little: a member that asks and never
reads, one that sends as fast as it can, hundreds who begin a handshake and stop at any of its steps, who begin it with frames of a
terabyte or with a protocol of long ago, and very many who only wait, with a restart under them. Each time another member is
served meanwhile; it is compared with what the same member gets when nobody disturbs.

tests/unit/test_gate.c and tests/adversary/peer.c have the single peers of this kind, test_descriptors.py what happens
without open files, test_door.c the door. Here they come in crowds, and memory is watched."""

import os
import pathlib
import resource
import socket
import sys
import threading
import time
import unittest

for folder in ("bench", "interop", "flow"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / folder))

import zmq  # noqa: E402
from nacl.bindings import crypto_box, crypto_box_keypair  # noqa: E402

from document import ERRORS, TRANSIENT  # noqa: E402
from house import main, program, until  # noqa: E402
from idle import Crowd, Idle, come_back  # noqa: E402
from seals import x_public  # noqa: E402
from stranger import Card, Identity, Stranger  # noqa: E402
from test_kills import Traffic  # noqa: E402

LONG = bool(os.environ.get("POUCH_LONG"))
MIB = 1024 * 1024
WATCH_S = 10 if LONG else 3
SHARE = 4           # who is disturbed is served at least one in so many of what it gets undisturbed
HANDSHAKE_S = 5     # the relay's patience
PATIENCE_S = 30
HALF_OPEN = 2000 if LONG else 600  # three times as many as are let in at a time (relay/gate/door.h)
IDLE = 10000 if LONG else 1000
DEEP = 2000 if LONG else 900  # of submissions


def memory(pid):
    """Bytes of RAM."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class Asking(threading.Thread):
    """A member that asks all the time, over one connection."""

    def __init__(self, card, identity):
        super().__init__(daemon=True)
        self.stranger = Stranger(card, identity)
        self.stranger.greet()
        self.served, self.done, self.trouble = 0, threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.done.wait(0.01):
                self.stranger.greet()
                self.served += 1
        except Exception as trouble:  # pylint: disable=broad-except
            self.trouble = trouble

    def over(self, seconds):
        """How often it was served in this time."""
        before = self.served
        time.sleep(seconds)
        return self.served - before

    def close(self):
        self.done.set()
        self.join()
        self.stranger.close()


class Crowds(Traffic):
    house_options = {"config": {"rate.guest": 10000}}

    @classmethod
    def furnish(cls):
        super().furnish()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
        cls.card = cls.relay.card.read_text()
        cls.calm, cls.rude = cls.admitted("org.calm"), cls.admitted("org.rude")

    @classmethod
    def admitted(cls, party):
        identity = Identity(party)
        charter = cls.house.papers / f"{party}.charter"
        charter.write_bytes(identity.charter_file())
        ran = cls.relay.ctl("admit", str(charter), "--fingerprint", identity.charter_fingerprint())
        assert ran.code == 0, ran
        stranger = Stranger(cls.card, identity)
        stranger.join()
        stranger.close()
        return identity

    def setUp(self):
        status = self.relay.live_status()
        self.gate, self.ledger = status["gate_pid"], status["ledger_pid"]
        self.asking = Asking(self.card, self.calm)
        self.addCleanup(self.asking.close)
        self.undisturbed = self.asking.over(1)
        self.assertGreater(self.undisturbed, 5, "this machine is too busy for any comparison")

    def is_served(self, seconds, what):
        served = self.asking.over(seconds) / seconds
        print(f"\n{what}: another member is served {served:.0f} times a second, undisturbed {self.undisturbed}", flush=True)
        self.assertIsNone(self.asking.trouble)
        self.assertGreaterEqual(served * SHARE, self.undisturbed)

    def is_unharmed(self):
        status = self.relay.live_status()
        self.assertEqual((status["gate_pid"], status["ledger_pid"]), (self.gate, self.ledger), "a process has ended")
        self.round()

    # ---- members ----

    def silent_reader(self, stranger):
        """A connection of its own for the same key, that takes next to nothing and is not made anew."""
        context = zmq.Context()
        reader = context.socket(zmq.DEALER)
        reader.linger, reader.rcvhwm, reader.sndhwm, reader.reconnect_ivl = 0, 1, 0, -1
        reader.setsockopt(zmq.RCVBUF, 4096)
        reader.curve_serverkey = stranger.card.curve
        reader.curve_publickey, reader.curve_secretkey = x_public(stranger.me.transport), stranger.me.transport
        reader.connect(stranger.card.addresses[0])
        self.addCleanup(context.term)
        self.addCleanup(reader.close, 0)
        return reader

    def test_a_member_that_asks_for_much_and_never_reads_is_put_out(self):
        """The relay keeps 16 MiB of answers for a member, and no more. That it is put out only the relay can say: who does not
        read does not see the end."""
        stranger = Stranger(self.card, self.rude)
        self.addCleanup(stranger.close)
        stranger.mirror()
        request = stranger.compose(["fj/technical"], os.urandom(MIB), "large")
        stranger.send(request, inline=False)
        chunk = {"header": request.digest, "part": 2, "leg": None}
        self.assertGreaterEqual(len(stranger.link.call("FETCH", {**chunk, "index": 0})["data"]), 64 * 1024)
        refused, before = self.relay.live_status()["refused"], memory(self.gate)
        reader = self.silent_reader(stranger)
        stranger.link.socket, reading = reader, stranger.link.socket
        done, most, asked = threading.Event(), 0, 0

        def watch():
            nonlocal most
            while not done.wait(0.002):
                most = max(most, memory(self.gate) - before)
        watching = threading.Thread(target=watch)
        watching.start()
        try:
            def put_out():
                nonlocal asked
                for _ in range(300):  # its bucket at the relay holds 400 and is full again in a second
                    stranger.link.send("FETCH", {**chunk, "index": asked % 8})
                    asked += 1
                return self.relay.live_status()["refused"] > refused
            gone = until(put_out, PATIENCE_S, 0.5)
        finally:
            stranger.link.socket = reading
            done.set()
            watching.join()
        print(f"\n{asked} chunks asked for, at most {most / MIB:.1f} MiB more memory", flush=True)
        self.assertTrue(gone, "it is still connected")
        self.assertLess(most, 64 * MIB, "the relay keeps what nobody reads")
        self.is_served(1, "a member that never reads")
        self.assertTrue(until(lambda: self.relay.live_status()["connections"] <= 2, PATIENCE_S, 0.5))
        stranger.greet()
        self.is_unharmed()

    def test_a_member_that_sends_as_fast_as_it_can_is_refused_by_name(self):
        """Each is answered: stored with its receipt, or put off. What was stored is what the relay has."""
        before = self.relay.live_status()
        stranger = Stranger(self.card, self.rude)
        self.addCleanup(stranger.close)
        stranger.mirror()
        keys = {post: stranger.targets(post) for post in (stranger.me.post, "de/technical")}
        stranger.targets = keys.get  # asking for each would use up its rate before the flood
        frames = [stranger.submission(stranger.compose(["de/technical"], b"flood", f"flood {number}"))
                  for number in range(DEEP)]
        numbers = [stranger.link.send("SUBMIT", frame) for frame in frames]
        self.is_served(WATCH_S, "a flooder")
        waiting, told = set(numbers), {}
        while waiting:
            number, name, value = stranger.link.receive()
            if number not in waiting:
                continue
            waiting.remove(number)
            if name == "FAILURE":
                words = [ERRORS[value["error"]]]
            else:
                words = [ERRORS[each["error"]] if each["error"] else "stored" for each in value["results"]]
            for word in words:
                told[word] = told.get(word, 0) + 1
        print(f"{DEEP} at once: {told}", flush=True)
        self.assertEqual(sum(told.values()), DEEP)
        self.assertTrue(set(told) <= {"stored", *TRANSIENT}, told)
        self.assertGreater(told.get("rate-limited", 0), 0)
        self.assertGreater(told.get("stored", 0), 0)
        after = self.relay.live_status()
        self.assertEqual(after["legs_total"] - before["legs_total"], told["stored"])
        self.assertEqual(after["requests"] - before["requests"], told["stored"])
        self.settle(self.de)
        self.is_unharmed()

    # ---- those who stop in the handshake ----

    def hello(self):
        """CURVE's first command (RFC 26)."""
        public, secret = crypto_box_keypair()
        nonce = os.urandom(8)
        box = crypto_box(bytes(64), b"CurveZMQHELLO---" + nonce, Card(self.card).curve, secret)
        return b"\x04\xc8\x05HELLO\x01\x00" + bytes(72) + public + nonce + box

    def knock(self, *parts):
        made = socket.create_connection(("127.0.0.1", self.relay.ports[0]))
        self.addCleanup(made.close)
        made.settimeout(0)
        for part in parts:
            try:
                made.send(part)
            except OSError:
                break  # cut already
        return made

    @staticmethod
    def is_cut(made):
        try:
            while made.recv(4096):
                pass
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def are_cut(self, crowd, seconds):
        return until(lambda: all(self.is_cut(made) for made in crowd), seconds, 0.1)

    def test_hundreds_who_stop_in_the_handshake_are_put_out_and_members_come_in_meanwhile(self):
        steps = [(), (GREETING[:4],), (GREETING,), (GREETING, self.hello()[:100]), (GREETING, self.hello())]
        before = memory(self.gate)
        crowd = [self.knock(*steps[number % len(steps)]) for number in range(HALF_OPEN)]
        begun = time.monotonic()
        times = []
        for _ in range(5):
            member = Stranger(self.card, self.rude)
            member.greet()
            member.close()
            times.append(time.monotonic() - begun)
        self.is_served(1, f"{HALF_OPEN} in the handshake; new members are in after "
                          f"{', '.join(f'{took:.2f}' for took in times)} s")
        self.assertLess(times[-1], PATIENCE_S)
        self.assertTrue(self.are_cut(crowd, HANDSHAKE_S + PATIENCE_S), "who says nothing may stay")
        more = memory(self.gate) - before
        self.assertLess(more, HALF_OPEN * 64 * 1024, f"{more / MIB:.1f} MiB more memory")
        self.assertTrue(until(lambda: self.relay.live_status()["connections"] <= 1, PATIENCE_S, 0.5))
        self.is_unharmed()

    def test_frames_of_a_terabyte_and_protocols_of_long_ago_are_cut_off_and_nothing_is_set_aside(self):
        terabyte = (1 << 40).to_bytes(8, "big")
        message = b"\x02" + terabyte
        old = b"\xff" + bytes(8) + b"\x7f"
        kinds = {
            "command": (GREETING, b"\x06" + terabyte),
            "message": (GREETING, message),
            "message after HELLO": (GREETING, self.hello(), message),
            "command after HELLO": (GREETING, self.hello(), b"\x06" + terabyte),
            "ZMTP 2.0": (old + b"\x01\x05", b"\x00\x00", message),
            "ZMTP 1.0": (b"\x01\x00", b"\xff" + terabyte + b"\x00"),
            "ZMTP 1.0, a large identity": (b"\xff" + terabyte[:-1] + b"\x00", b"x" * 4096),
            "NULL": (GREETING.replace(b"CURVE", b"NULL\x00"), b"\x04\x06\x05READY", message),
            "PLAIN": (GREETING.replace(b"CURVE", b"PLAIN"), b"\x04\x0a\x05HELLO\x01a\x01b", message),
        }
        before = memory(self.gate)
        crowd = {kind: [self.knock(*parts, os.urandom(4096)) for _ in range(20)] for kind, parts in kinds.items()}
        self.is_served(1, "frames of a terabyte")
        for kind, made in crowd.items():
            with self.subTest(kind=kind):
                self.assertTrue(self.are_cut(made, HANDSHAKE_S + PATIENCE_S), "it may stay")
        more = memory(self.gate) - before
        self.assertLess(more, 32 * MIB, "memory was set aside for what was only announced")
        self.is_unharmed()


# ZMTP 3.1: signature, version, mechanism, no server, filler.
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


class Idling(unittest.TestCase):
    def test_very_many_wait_and_come_back_after_a_restart(self):
        for name in ("POUCHD", "POUCHCTL", "BENCH_IDLE"):
            program(name)
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < IDLE + 1000:
            self.skipTest(f"{IDLE} connections need more open files: ulimit -Hn")
        os.environ.pop("MALLOC_PERTURB_", None)  # `meson test` has every byte written, and this test weighs memory
        idle = Idle(IDLE)
        self.addCleanup(idle.close)
        gate, _ = idle.pids()
        before = memory(gate)
        crowd = Crowd(idle.folder, IDLE)
        self.addCleanup(crowd.close)
        up = crowd.ask("up")
        self.assertEqual((up["back"], up["of"]), (IDLE, IDLE))
        each = (memory(gate) - before) / IDLE
        self.assertTrue(until(lambda: idle.relay.live_status()["connections"] == IDLE, PATIENCE_S, 0.5))
        back = come_back(crowd, idle.relay.kill, idle.relay.start)
        print(f"\n{IDLE} clients, {each / 1024:.1f} KiB each; all back after {back['all_s']:.1f} s, {back['attempts']} "
              f"attempts; p99 of {back['asked']} questions meanwhile {back['p99_ms']} ms", flush=True)
        self.assertEqual(back["back"], IDLE)
        self.assertLess(each, 64 * 1024)
        self.assertGreater(back["asked"], 20, "nobody was served until all were back")
        self.assertLess(back["p99_ms"], 2000)
        self.assertTrue(until(lambda: idle.relay.live_status()["connections"] == IDLE, PATIENCE_S, 0.5))


if __name__ == "__main__":
    main()
