"""Goal: whatever one system call of the relay or of a client does - it kills the process, fails, is interrupted, finds the
disk full, takes half - nothing that was answered is lost or doubled, and everything comes to rest by itself.

Every point with every kind, one at a time (iofault.c); after each, one whole round of traffic and a look at both ends,
the ladder of both logs and the counters of the relay (test_kills.py). A point that is not reached fails."""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from house import FlowTest, main, until  # noqa: E402
from test_kills import NOT_NOW, Traffic  # noqa: E402

LONG = bool(os.environ.get("POUCH_LONG"))
WRITE = ("kill", "killed-after", "eio", "enospc", "eintr", "short")
SYNC = ("kill", "killed-after", "eio", "enospc", "eintr")  # nothing is half of a sync, a rename, an opened file
TALK = ("kill", "killed-after", "eio", "eintr", "short")   # a socket knows no disk


def brief(kinds):
    """Of what is less on the way, two kinds in the short form."""
    return kinds if LONG else ("kill", "eio")


# How many such calls go well first: a writer is met at its first and in the middle of its work.
NUMBERS = {"journal.write": (1, 3), "journal.sync": (1, 2), "ledger-link.send": (1, 3), "gate-link.recv": (1, 3)}
if LONG:
    NUMBERS = {**dict.fromkeys(NUMBERS, (1, 2, 3, 4, 5, 7, 10)), "gate-link.send": (1, 2, 3, 5), "tcp.send": (1, 2, 5, 9),
               "tcp.recv": (1, 2, 5, 9)}

# The way of a batch: link in, journal, store, heads' files, link out; the gate's own ends; the operator's.
RELAY = {
    "gate-link.send": TALK, "gate-link.recv": TALK, "ledger-link.recv": TALK, "ledger-link.send": TALK,
    "journal.write": WRITE, "journal.sync": SYNC, "store.write": WRITE, "store.sync": SYNC,
    "evidence-head.open": SYNC, "evidence-head.write": WRITE,
    "control.recv": TALK, "control.send": TALK, "tcp.recv": brief(TALK), "tcp.send": brief(TALK),
}
# Only when the directory grows.
GROWTH = {"directory-head.open": SYNC, "directory-head.write": WRITE, "directory-head.sync": SYNC,
          "directory-head.rename": SYNC, "folder.sync": SYNC}
# Only when the relay starts.
START = {"store.open": SYNC, "journal.open": SYNC, "store.truncate": brief(SYNC), "journal.truncate": brief(SYNC),
         "shm.open": brief(SYNC), "shm.write": brief(WRITE), "shm.truncate": brief(SYNC), "card.open": brief(SYNC),
         "key.open": brief(SYNC), "folder.open": brief(SYNC)}
# Only while there is no evidence.head: with the first entry of all, and when somebody has removed it.
FIRST = {"evidence-head.sync": brief(SYNC), "evidence-head.rename": brief(SYNC)}
CLIENT = {"journal.write": WRITE, "journal.sync": SYNC, "store.write": WRITE, "store.sync": SYNC, "tcp.send": TALK,
          "tcp.recv": TALK, "store.open": brief(SYNC), "store.truncate": brief(SYNC), "journal.open": brief(SYNC),
          "shm.open": brief(SYNC), "shm.write": brief(WRITE), "shm.truncate": brief(SYNC), "key.open": brief(SYNC),
          "card.open": brief(SYNC), "folder.sync": brief(SYNC)}
# Not tried: libraries, the log, standard output.
BESIDE = {"file.open", "file.write", "file.truncate"}


class Faults(Traffic):
    """One relay that goes on under all of it."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.order = cls.house.folder / "order"
        assert cls.relay.stop() == 0
        cls.relay.kills += 1
        cls.relay.start(env=cls.preload())

    @classmethod
    def preload(cls):
        return {"LD_PRELOAD": os.environ["IOFAULT"], "POUCH_IO_FAULT": str(cls.order)}

    def arm(self, point, kind, nth=1):
        fresh = self.order.with_suffix(".new")
        fresh.write_text(f"{point} {kind} {nth}\n")
        fresh.rename(self.order)

    def each(self, table, trial):
        """Calls trial(point, kind, turn) under the fault; it must have fired by then."""
        turn = 0
        for point, kinds in table.items():
            for kind in kinds:
                for nth in NUMBERS.get(point, (1,)):
                    turn += 1
                    with self.subTest(point=point, kind=kind, nth=nth):
                        trial(point, kind, nth, turn)
                        fired = not self.order.exists()
                        self.order.unlink(missing_ok=True)
                        self.assertTrue(fired, "this call was never made")


class OnTheWay(Faults):
    def test_each_call_of_the_relay_fails_once(self):
        def trial(point, kind, nth, _):
            self.arm(point, kind, nth)
            self.round()
        self.each(RELAY, trial)


class AtTheEdges(Faults):
    def test_each_call_fails_once_while_the_directory_grows(self):
        def trial(point, kind, nth, turn):
            party = f"g{turn}"
            self.house.authority(party, admit=False)
            charter = self.house.papers / f"{party}.charter"
            self.arm(point, kind, nth)

            def admitted():
                ran = self.relay.ctl("admit", str(charter), "--yes")
                return ran.code == 0 or ran.error["error"] == "conflict"
            self.assertTrue(until(admitted, 60), self.relay.tail())
            self.round()
        self.each(GROWTH, trial)

    def test_each_call_fails_once_when_the_evidence_logs_head_is_not_there(self):
        def trial(point, kind, nth, _):
            (self.relay.folder / "evidence.head").unlink(missing_ok=True)
            self.arm(point, kind, nth)
            self.round()
            self.assertTrue((self.relay.folder / "evidence.head").exists())
        self.each(FIRST, trial)

    def test_each_call_fails_once_while_the_relay_starts(self):
        def trial(point, kind, nth, _):
            pid = self.relay.live_status()["ledger_pid"]
            self.arm(point, kind, nth)
            self.relay.kill_pid(pid)
            self.round()
        self.each(START, trial)


class AtTheClient(Faults):
    """The relay runs as it always does; the fault is in the sender in one round, in the recipient in the next."""

    @classmethod
    def furnish(cls):
        Traffic.furnish.__func__(cls)
        cls.order = cls.house.folder / "order"

    def do(self, home, *args, data=None):
        ran = home.run(*args, data=data, env=self.preload() if home is self.struck else None)
        self.assertIn(ran.code, (0, *NOT_NOW, -signal.SIGKILL), ran)
        if ran.code != 0:
            self.settle(home)

    def test_each_call_of_a_client_fails_once(self):
        def trial(point, kind, nth, turn):
            self.struck = self.fj if turn % 2 == 0 else self.de
            self.arm(point, kind, nth)
            self.round()
        self.each(CLIENT, trial)


class Known(Faults):
    """A call that nobody has thought of is found here."""

    @classmethod
    def preload(cls, whose="relay"):
        return {"LD_PRELOAD": os.environ["IOFAULT"], "POUCH_IO_SEEN": str(cls.house.folder / f"{whose}.seen")}

    def do(self, home, *args, data=None):
        ran = home.run(*args, data=data, env=self.preload("client"))
        self.assertEqual(ran.code, 0, ran)

    def seen(self, whose):
        return set((self.house.folder / f"{whose}.seen").read_text().split()) - BESIDE

    def test_every_call_that_is_made_is_tried(self):
        self.round()
        self.house.authority("grown")
        self.relay.kill_pid(self.relay.live_status()["ledger_pid"])
        self.round()
        tried = {*RELAY, *GROWTH, *START, *FIRST}
        self.assertEqual(self.seen("relay"), tried)
        self.assertEqual(self.seen("client"), set(CLIENT))


if __name__ == "__main__":
    main()
