"""Goal: a wall clock that jumps ten years, either way, while a relay or a client runs or while it is down, ends nothing: ledger time
never goes back and goes on at its pace, no request expires, no key is destroyed, what is refused is refused with a word about the
clocks; and when the clock is right again, everything goes on.

clockfault.c moves the wall clock of the programs as they are shipped, by what the test writes into a file."""

import datetime
import mmap
import os
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from house import ACCEPTED, HANDED_OVER, NOTIFIED, SETTLED, STORED, main, until  # noqa: E402
from test_kills import Traffic  # noqa: E402

YEARS_S = 10 * 365 * 24 * 3600
NEAR_S = 120
SHORTEST, SHORTEST_S = "5s", 5


class Clock:
    """The file that clockfault.c maps."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def set(self, offset_s):
        self.map[:8] = struct.pack("q", offset_s)

    @property
    def env(self):
        return {"LD_PRELOAD": os.environ["CLOCKFAULT"], "POUCH_CLOCK": str(self.path)}


class Clocks(Traffic):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.clock = Clock(cls.house.folder / "clock")

    def tearDown(self):
        self.clock.set(0)

    def assert_true_time(self, home, request):
        """Ledger time is the time of day, whatever the machine's clock says."""
        now = datetime.datetime.now(datetime.timezone.utc)
        for event in home.ladder(request)["events"]:
            if event["ordinal"] is not None:
                at = datetime.datetime.fromisoformat(event["at"].replace("Z", "+00:00"))
                self.assertLess(abs((now - at).total_seconds()), NEAR_S, event)

    def exchange(self, subject):
        """A request, accepted and acknowledged; its times are true."""
        request = self.fj.send("de/technical", subject.encode(), subject=subject)
        self.de.ok("sync")
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), subject.encode())
        self.de.ok("ack", request)
        self.fj.ok("sync")
        for home in (self.fj, self.de):
            self.assert_ladder(home, request, SETTLED, "acknowledged")
            self.assert_true_time(home, request)
        return request


class AtTheRelay(Clocks):
    def restart(self):
        self.assertEqual(self.relay.stop(), 0)
        self.relay.start(env=self.clock.env)

    def waiting(self, subject):
        """A request that is stored and has an hour; its id."""
        return self.fj.send("de/technical", b"in time", "--exercise", "--keep", "1h", subject=subject)

    def assert_halted(self, halted):
        self.assertEqual(self.relay.live_status()["clock_halted"], halted)

    def taken(self, *requests):
        """None of them has expired."""
        for request in requests:
            self.de.ok("accept", request)
            self.assert_ladder(self.de, request, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER], "handed_over")
            self.assertEqual(self.de.body(request), b"in time")

    def jump_while_it_runs(self, offset_s):
        name = f"jump {offset_s}"
        self.restart()
        before = self.waiting(f"{name} before")
        self.clock.set(offset_s)
        self.exchange(f"{name} while it is wrong")
        self.assertIn("this machine's clock has jumped", self.relay.log())
        self.assert_halted(1)
        meanwhile = self.waiting(f"{name} meanwhile")
        self.relay.kill_pid(self.relay.live_status()["gate_pid"])  # a gate that knew nothing of the time before
        self.round()
        self.clock.set(0)
        self.exchange(f"{name} right again")
        self.assert_halted(1)  # until somebody has looked
        self.restart()
        self.assert_halted(0)
        self.taken(before, meanwhile)
        self.round()

    def start_when_it_is_wrong(self, offset_s, word):
        name = f"start {offset_s}"
        self.clock.set(0)
        self.restart()
        before = self.waiting(f"{name} before")
        self.assertEqual(self.relay.stop(), 0)
        self.clock.set(offset_s)
        self.relay.start(env=self.clock.env)
        self.assertIn(word, self.relay.log())
        self.assert_halted(1)
        self.exchange(f"{name} while it is wrong")
        self.relay.kill_pid(self.relay.live_status()["ledger_pid"])
        self.round()
        meanwhile = self.waiting(f"{name} meanwhile")
        self.clock.set(0)
        self.restart()
        self.assert_halted(0)
        self.taken(before, meanwhile)
        self.round()

    def test_a_clock_that_jumps_ten_years_ahead_while_the_relay_runs(self):
        self.jump_while_it_runs(YEARS_S)

    def test_a_clock_that_jumps_ten_years_back_while_the_relay_runs(self):
        self.jump_while_it_runs(-YEARS_S)

    def test_a_clock_that_is_ten_years_ahead_when_the_relay_starts(self):
        self.start_when_it_is_wrong(YEARS_S, "clock is years ahead of the last entry")

    def test_a_clock_that_is_ten_years_behind_when_the_relay_starts(self):
        self.start_when_it_is_wrong(-YEARS_S, "clock is behind the last entry")

    def test_expiry_goes_on_once_the_clock_is_right_again(self):
        self.restart()
        request = self.fj.send("de/technical", b"short", "--exercise", "--keep", SHORTEST, subject="a moment")
        self.clock.set(YEARS_S)
        self.de.ok("sync")
        time.sleep(SHORTEST_S + 1)
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(request), "notified", "nothing expires while the clock is wrong")
        self.clock.set(0)
        self.restart()

        def expired():
            self.fj.ok("sync")
            return self.fj.state(request) == "expired"
        self.assertTrue(until(expired, 20))


class AtTheClient(Clocks):
    """The clock of one client is wrong, or of both; the relay's is right."""

    def wrong(self, home, offset_s, *args, data=None):
        """What a client with a wrong clock says: nothing, or that the clocks differ."""
        self.clock.set(offset_s)
        ran = home.run(*args, data=data, env=self.clock.env)
        self.clock.set(0)
        self.assertIn(ran.code, (0, 4), ran)
        if ran.code == 4:
            self.assertEqual(ran.error["error"], "clocks-differ", ran)
            self.assertIn("later than" if offset_s < 0 else "earlier than", ran.error["message"])
            self.assertIn("check this machine's date and time" if args[0] == "sync" else "nothing is lost", ran.error["hint"])
        return ran

    def sent_of(self, home, subject):
        found = [request for request, line in home.sent().items() if line["subject"] == subject]
        self.assertEqual(len(found), 1, f"{subject}: once")
        return found[0]

    def work_with_a_wrong_clock(self, offset_s):
        name = f"client {offset_s}"
        early = self.fj.send("de/technical", b"early", subject=f"{name} early")
        self.de.ok("sync")
        unseen = self.fj.send("de/technical", b"unseen", subject=f"{name} unseen")
        days = self.de.ok("status").json["prekey_days"]
        self.assertEqual(self.wrong(self.de, offset_s, "sync").code, 4, "it must be said")
        self.assertEqual(self.wrong(self.de, offset_s, "accept", early).code, 4)
        self.wrong(self.de, offset_s, "accept", unseen)
        self.wrong(self.fj, offset_s, "send", "--to", "de", "-s", f"{name} wrong", "-", data=b"wrong")
        self.wrong(self.de, offset_s, "sync")
        for home in (self.fj, self.de):
            self.settle(home)
            told = [alarm["text"] for alarm in home.ok("status").json["alarms"]]
            self.assertTrue(all("no day keys are made" in text for text in told), told)
        # Nothing is lost, and no key that somebody has sealed for is gone.
        self.assertEqual(self.de.ok("status").json["prekey_days"], days)
        sent = self.sent_of(self.fj, f"{name} wrong")
        self.de.ok("sync")
        for request, text in ((early, b"early"), (unseen, b"unseen"), (sent, b"wrong")):
            if self.de.state(request) == "notified":
                self.de.ok("accept", request)
            self.assertEqual(self.de.body(request), text)
            self.assertEqual(self.de.state(request), "handed_over")
            self.fj.ok("sync")
            self.assert_true_time(self.fj, request)
        self.exchange(f"{name} right again")

    def test_a_client_whose_clock_is_ten_years_ahead(self):
        self.work_with_a_wrong_clock(YEARS_S)

    def test_a_client_whose_clock_is_ten_years_behind(self):
        self.work_with_a_wrong_clock(-YEARS_S)


if __name__ == "__main__":
    main()
