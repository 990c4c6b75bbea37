"""Goal: what is decided at once is decided once. Two devices of a desk, each a process of its own, decide the same
requests at the same time, again and again, and the sender withdraws meanwhile: of each request one decision is an
entry, every other a device receipt of its own post, and all ends tell the same story. And time that the relay was
not there is nobody's loss: it is added to the deadline, and the expiry names it."""

import contextlib
import sqlite3

from house import (ACCEPTED, DECLINED, EXPIRED, NOTIFIED, STORED, WITHDRAWN, FlowTest, finish, in_parallel, main, until)

ROUNDS = 6
DECISIONS = {ACCEPTED: "accept", DECLINED: "decline", WITHDRAWN: "withdraw"}


class Races(FlowTest):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.second = cls.house.home("second")
        cls.second.post = cls.fj.post
        payload = cls.fj.ok("device", "invite", "--no-wait", "--new").json["payload"]
        inviting = cls.fj.start("device", "invite", "--yes")
        cls.second.ok("link", payload, "--no-passphrase", "--name", "second")
        invited = finish(inviting, cls.fj.argv("device", "invite", "--yes"))
        assert invited.code == 0, str(invited)

    def prepare(self, count):
        requests = [self.de.send("fj/technical", b"decide", subject=f"round {i}") for i in range(count)]
        for home in (self.fj, self.second):
            home.ok("sync")
        return requests

    def at_once(self, request, calls):
        """All start at the same time, each in its own home; how each ended."""
        runs = in_parallel([lambda home=home, verb=verb: home.run(verb, request) for home, verb in calls])
        for ran in runs:
            self.assertTrue(ran.code == 0 or ran.error.get("error") == "wrong-state", str(ran))
        return [ran.code == 0 for ran in runs]

    def check(self, request, calls, won):
        """One decision is an entry, everybody sees that one; the others are receipts that no other post is shown."""
        homes = (self.de, self.fj, self.second)
        for home in homes:
            home.ok("sync")
        ladders = [home.ladder(request) for home in homes]
        decided = [[event for event in ladder["events"] if event["event"] in DECISIONS and event["ordinal"] is not None]
                   for ladder in ladders]
        for entries in decided:
            self.assertEqual(len(entries), 1, decided)
        self.assertEqual(len({(entries[0]["event"], entries[0]["log_index"]) for entries in decided}), 1)
        self.assertEqual(len({ladder["state"] for ladder in ladders}), 1, ladders)
        entry = decided[0][0]
        for (home, verb), success in zip(calls, won):
            if success:
                self.assertEqual(DECISIONS[entry["event"]], verb, "who was told that it stands sees that it does")
        for home, ladder in zip(homes, ladders):
            notes = [event for event in ladder["events"] if event["ordinal"] is None]
            self.assertTrue(all(event["actor"] == home.post for event in notes), notes)
            alarms = [line["text"] for line in home.ok("status").json["alarms"]]
            told = [text for text in alarms if text.startswith("the relay refused a statement")]
            self.assertEqual(alarms, told, "but that a decision, signed without the relay, came too late")

    def race(self, calls):
        outcomes = set()
        for round_, request in enumerate(self.prepare(ROUNDS)):
            turned = calls if round_ % 2 else calls[::-1]
            won = self.at_once(request, turned)
            self.assertEqual(sum(won), 1, "one of them stands")
            self.check(request, turned, won)
            outcomes.add(self.de.ladder(request)["state"])
        return outcomes

    def test_1_two_devices_of_one_desk_decide_at_once(self):
        self.race([(self.fj, "accept"), (self.second, "decline")])

    def test_2_what_both_have_signed_without_the_relay_meets_there(self):
        """Nobody knows of the other: each signs, and then both arrive. That the later one was said is kept."""
        for round_, request in enumerate(self.prepare(ROUNDS)):
            calls = [(self.fj, "accept"), (self.second, "decline")][::1 if round_ % 2 else -1]
            for home, verb in calls:
                home.fails(3, "unreachable", verb, request, "--offline")  # signed, and kept
            in_parallel([lambda home=home: home.run("sync") for home, _ in calls])
            self.check(request, calls, [False, False])
            said = [event for event in self.fj.ladder(request)["events"] if event["event"] in DECISIONS]
            self.assertEqual(sorted(DECISIONS[event["event"]] for event in said), ["accept", "decline"])
            self.assertEqual(len([event for event in said if event["ordinal"] is None]), 1)

    def test_3_the_sender_withdraws_while_one_accepts_and_another_declines(self):
        self.race([(self.fj, "accept"), (self.second, "decline"), (self.de, "withdraw")])

    def test_4_two_that_say_the_same_at_once_agree(self):
        for request in self.prepare(ROUNDS):
            calls = [(self.fj, "accept"), (self.second, "accept")]
            self.assertEqual(self.at_once(request, calls), [True, True])
            self.check(request, calls, [True, True])
            for home in (self.fj, self.second):
                self.assertEqual(home.body(request), b"decide")

    def test_5_both_sides_close_at_once(self):
        for request in self.prepare(3):
            self.fj.ok("accept", request)
            self.de.ok("sync")
            self.second.ok("sync")
            closers = (self.fj, self.second, self.de)
            runs = in_parallel([lambda home=home: home.run("close", request) for home in closers])
            self.assertTrue(all(ran.code == 0 for ran in runs), "\n".join(map(str, runs)))
            for home in (self.de, self.fj, self.second):
                home.ok("sync")
                closings = [event for event in home.ladder(request)["events"]
                            if event["event"] == "Closing" and event["ordinal"] is not None]
                self.assertEqual((len(closings), home.state(request)), (1, "closed"))


class Outage(FlowTest):
    def store(self, *statements):
        """Puts the stopped relay's store into another time."""
        with contextlib.closing(sqlite3.connect(self.relay.folder / "store.sqlite")) as store, store:
            for statement in statements:
                self.assertEqual(store.execute(statement).rowcount, 1, statement)

    def test_the_time_of_an_outage_is_added_to_the_deadline_and_named(self):
        request = self.de.send("fj/technical", b"x", "--exercise", "--keep", "20s", subject="brief")
        self.fj.ok("sync")
        before = self.relay.status()
        self.assertEqual((before["outages"], before["outages_s"]), (0, 0))
        self.relay.stop()
        self.store("UPDATE meta SET value = value - 3600000 WHERE key = 'time'")
        self.relay.start()
        status = until(lambda: (lambda now: now["outages"] and now)(self.relay.status()), 10)
        self.assertTrue(status, "the outage is counted")
        self.assertEqual(status["outages"], 1)
        self.assertTrue(3600 <= status["outages_s"] < 3700, status)
        self.assertIn("the ledger was away for", self.relay.log())
        late = self.de.send("fj/technical", b"y", "--exercise", "--keep", "1s", subject="after")
        self.assertTrue(until(lambda: self.de.state(late) == "expired", 20), "what came after it has no grace")
        self.assertEqual(self.de.state(request), "notified", "an hour later than it would have")
        self.relay.stop()
        self.store("UPDATE leg SET expires = expires - 3600000 WHERE state < 8")  # that hour passes
        self.relay.start()
        self.assertTrue(until(lambda: self.de.state(request) == "expired", 40))
        for home in (self.de, self.fj):
            leg = self.assert_ladder(home, request, [STORED, NOTIFIED, EXPIRED], "expired")
            self.assertEqual(leg["events"][-1]["reason"], "notified")
            self.assertTrue(3600 <= leg["events"][-1]["grace_s"] < 3700, leg)
            history = home.ok("explain", request).json["legs"][0]["history"]
            self.assertTrue(any("the relay was away" in line for line in history), history)
            self.assertEqual(home.ok("status").json["alarms"], [])
        self.assertNotIn("grace_s", self.de.ladder(late)["events"][-1])


if __name__ == "__main__":
    main()
