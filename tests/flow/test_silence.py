"""Goal: to be ignored looks like silence. Requests go, at random, to a post that ignores their sender by its standing
policy and to one where simply nobody decides. Everything that the sender's side gets is recorded - what its feed
brings and in which order, every receipt's statement and size, the bytes that come over its link, the ledger's time
between "stored" and "notified" - and the two heaps are compared: states, statements and sizes must be equal, times
and link bytes not to be told apart by a two-sample test. And the comparison is shown to see what it must: a delay of
some hundred milliseconds, a decision, one byte."""

import bisect
import math
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter

from house import PATIENCE, FlowTest, Relay, main, random_port, until
from logbook import decode

EACH = int(os.environ.get("POUCH_SILENCE", "55"))  # requests of either kind
FEW = 20
# The chance that noise alone makes the test of times fail. A delay of every request makes the distributions disjoint:
# FEW of either kind show that beyond it.
CHANCE = 1e-5
NOTIFIED_EVENT = 3


# ---- statistics ----

def distance(a, b):
    """Kolmogorov-Smirnov: the largest distance between the two empirical distributions."""
    a, b = sorted(a), sorted(b)
    return max(abs(bisect.bisect_right(a, x) / len(a) - bisect.bisect_right(b, x) / len(b)) for x in a + b)


def limit(n, m):
    """What the distance of two samples of one distribution exceeds with probability CHANCE at most (asymptotically)."""
    return math.sqrt(-math.log(CHANCE / 2) / 2) * math.sqrt((n + m) / (n * m))


def differ(a, b):
    return distance(a, b) > limit(len(a), len(b))


# ---- the sender's wire ----

class Wire:
    """A relay of bytes between an address of the card and the relay, which counts what every connection carries."""

    def __init__(self, port, target):
        self.target, self.connections = target, []  # one dict of counts each
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                relay = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            counts = {"up": 0, "down": 0}
            self.connections.append(counts)
            threading.Thread(target=self.carry, args=(client, relay, counts), daemon=True).start()

    def carry(self, client, relay, counts):
        with client, relay:
            back = threading.Thread(target=self.pump, args=(relay, client, counts, "down"), daemon=True)
            back.start()
            self.pump(client, relay, counts, "up")
            back.join()

    @staticmethod
    def pump(source, sink, counts, way):
        try:
            while data := source.recv(65536):
                counts[way] += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def since(self, index):
        down = sum(counts["down"] for counts in self.connections[index:])
        return down, sum(counts["up"] for counts in self.connections[index:])


# ---- what one request has brought its sender ----

def width(number):
    return next(n for n in (1, 2, 3, 5, 9) if number < {1: 24, 2: 1 << 8, 3: 1 << 16, 5: 1 << 32, 9: 1 << 64}[n])


class Seen:
    """steps: of every item of the feed, in order, its kind and its receipt's shape; wait: ms from stored to notified."""

    def __init__(self, store, post, digest):
        rows = store.execute("""SELECT feed.kind, receipt.bytes FROM feed JOIN request ON request.id = feed.request
                                LEFT JOIN receipt ON receipt.id = feed.receipt
                                WHERE feed.post = ? AND request.digest = ? ORDER BY feed.number""", (post, digest))
        self.steps, times, self.receipts = [], {}, 0
        for kind, data in rows:
            shape, event, at = self.shape(data)
            self.steps.append((kind, *shape))
            self.receipts += len(data or b"")
            times[event] = at
        self.wait = times.get(NOTIFIED_EVENT, 0) - times.get(1, 0)
        self.notified = NOTIFIED_EVENT in times

    @staticmethod
    def shape(data):
        """What the statement says, and sizes; without what tells of the log (an index, its proof), not of the recipient."""
        if data is None:
            return ("nothing",), None, 0
        receipt = decode(data)[0]
        said, done = decode(receipt[1])[0], decode(receipt[2])[0]
        statement, record = decode(said[1])[0], decode(done[1])[0]
        entry = decode(record[4])[0] if 4 in record else None
        words = tuple((key, statement[key]) for key in (2, 7, 10, 11, 14, 15) if key in statement)
        steps = (entry[3], entry[5], entry[6]) if entry else None
        sizes = (len(said[1]), len(said[5]), len(done[1]) - width(record.get(5, 0)), len(done[5]))
        return (words, tuple(sorted(statement)), tuple(sorted(record)), steps, sizes), statement[2], record[3]


def read(relay, post, request):
    """Reads what the feed of `post` has about a request (the first half of its digest)."""
    store = sqlite3.connect(f"file:{relay.folder / 'store.sqlite'}?mode=ro", uri=True, timeout=20)
    try:
        digest = store.execute("SELECT digest FROM request WHERE hex(substr(digest, 1, 16)) = ?",
                               (request.upper(),)).fetchone()
        return Seen(store, post, digest[0]) if digest else None
    finally:
        store.close()


def differences(ignored, silent):
    """What tells the heaps apart; empty: nothing."""
    found = []
    for name in ("steps", "track", "shown"):
        a, b = (Counter(repr(getattr(one, name)) for one in heap) for heap in (ignored, silent))
        if Counter({k: v * len(silent) for k, v in a.items()}) != Counter({k: v * len(ignored) for k, v in b.items()}):
            found.append(name)
    for name in ("wait", "receipts", "down", "up"):
        if differ([getattr(one, name) for one in ignored], [getattr(one, name) for one in silent]):
            found.append(name)
    return found


class Silence(FlowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.stop_agents)
        cls.agents = {}
        for home in (cls.ignoring, cls.silent):
            cls.agents[home.post] = home.start("agent")
        for _ in range(12):  # numbers in the log and the feeds are above 23 from here on
            for home in (cls.ignoring, cls.silent):
                cls.one(home)

    @classmethod
    def stop_agents(cls):
        for agent in cls.agents.values():
            agent.send_signal(signal.SIGCONT)
            agent.terminate()
            agent.communicate(timeout=30 * PATIENCE)
        cls.wire.close()

    # The relay listens on another port than its card says: all go through the wire.
    house_options = {"relay": False}

    @classmethod
    def furnish(cls):
        house = cls.house
        cls.relay = house.relay = Relay(house.folder / "relay")
        port, behind = cls.relay.ports[0], random_port()
        cls.relay.config.write_text(cls.relay.config.read_text().replace(f":{port}", f":{behind}"))
        cls.wire = Wire(port, behind)
        cls.relay.start()
        for party in ("fj", "de", "at"):
            house.member(party, name="A" * 10)
        cls.fj, cls.ignoring, cls.silent = (house.home(f"{party}-technical") for party in ("fj", "de", "at"))
        cls.ignoring.ok("policy", "set", "-", data=b"rules:\n  - {from: fj, then: ignore}\n")

    @classmethod
    def one(cls, home, delay=0):
        """Sends one request, waits until it is notified, lets the sender look; what came of it."""
        agent = cls.agents[home.post]
        if delay:
            agent.send_signal(signal.SIGSTOP)
        sent = cls.fj.ok("send", "--to", home.post, "-s", "a question", "--summary", "of some words", "--tlp", "amber",
                         "-", data=b"The text.\n").json["id"]
        if delay:
            time.sleep(delay)
            agent.send_signal(signal.SIGCONT)
        seen = until(lambda: (s := read(cls.relay, "fj/technical", sent)) and s.notified and s, 30)
        assert seen, f"{home.post} does not notify\n{cls.relay.tail()}"
        before = len(cls.wire.connections)
        cls.fj.ok("sync")
        seen.down, seen.up = cls.wire.since(before)
        shown = cls.fj.ok("track", sent, "--offline")
        events = [{k: v for k, v in event.items() if k not in ("at", "device_time", "log_index", "actor")}
                  for event in shown.json["legs"][0]["events"]]
        seen.track = (shown.json["legs"][0]["state"], events)
        listed = cls.fj.ok("show", sent, "--offline").json
        seen.shown = sorted((k, type(v).__name__) for k, v in listed.items())
        seen.request = sent
        return seen

    def heaps(self, count, delay=0):
        """Requests to either post, in an order that chance decides."""
        order = [self.ignoring] * count + [self.silent] * count
        random.shuffle(order)
        heaps = {home.post: [] for home in (self.ignoring, self.silent)}
        for home in order:
            heaps[home.post].append(self.one(home, delay if home is self.ignoring else 0))
        return heaps[self.ignoring.post], heaps[self.silent.post]

    def test_1_who_is_ignored_sees_what_silence_looks_like(self):
        ignored, silent = self.heaps(EACH)
        inbox = self.ignoring.inbox()
        self.assertEqual({inbox[one.request]["ignored"] for one in ignored}, {True}, "they were ignored indeed")
        inbox = self.silent.inbox()
        self.assertEqual({inbox[one.request]["ignored"] for one in silent}, {False})
        self.assertEqual(Counter(repr(one.steps) for one in ignored), Counter(repr(one.steps) for one in silent))
        self.assertEqual(Counter(repr(one.track) for one in ignored), Counter(repr(one.track) for one in silent))
        self.assertEqual([event["event"] for event in ignored[0].track[1]],
                         ["SubmissionAcceptance", "NotificationForAcceptance"])
        waits = [[one.wait for one in heap] for heap in (ignored, silent)]
        self.assertEqual(differences(ignored, silent), [], f"ms to notified: {sorted(waits[0])} {sorted(waits[1])}")

    def test_2_a_delay_of_the_ignoring_post_would_be_seen(self):
        ignored, silent = self.heaps(FEW, 0.3 * PATIENCE)
        self.assertIn("wait", differences(ignored, silent), [[one.wait for one in heap] for heap in (ignored, silent)])

    def test_3_a_decision_would_be_seen(self):
        self.ignoring.ok("policy", "set", "-", data=b"rules:\n  - {from: fj, then: decline}\n")
        ignored, silent = self.heaps(FEW)
        time.sleep(0.2)
        for one in ignored:
            late = read(self.relay, "fj/technical", one.request)
            one.steps = late.steps
        self.ignoring.ok("policy", "set", "-", data=b"rules:\n  - {from: fj, then: ignore}\n")
        self.assertIn("steps", differences(ignored, silent))

    def test_4_one_byte_would_be_seen(self):
        ignored, silent = self.heaps(2)
        self.assertNotIn("steps", differences(ignored, silent))
        *head, (kind, words, said, recorded, step, sizes) = ignored[0].steps
        ignored[0].steps = [*head, (kind, words, said, recorded, step, (sizes[0] + 1, *sizes[1:]))]
        self.assertIn("steps", differences(ignored, silent))

    def test_the_two_sample_test_knows_chance_from_cause(self):
        chance = random.Random(7)
        same = [sum(differ([chance.gauss(50, 20) for _ in range(EACH)], [chance.gauss(50, 20) for _ in range(EACH)])
                    for _ in range(200))]
        self.assertEqual(same, [0])
        near, far = ([chance.gauss(mean, 20) for _ in range(EACH)] for mean in (50, 350))
        self.assertTrue(differ(near, far))
        self.assertLess(limit(FEW, FEW), 1, "so few suffice")


if __name__ == "__main__":
    main()
