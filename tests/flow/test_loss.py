"""The newest store is lost for good. The relay refuses to go on from an older copy until the registrars have said so; then it
goes on under new keys, members follow, offer again what they have, and nothing that was answered is lost - also when
everything is killed once at every step of it."""

import os
import re
import shutil
import signal
import unittest

import house

RECOVER_POINTS = ("recover.written", "recover.linked", "recover.half", "recover.keys")
RELAY_POINTS = ("loss.uncommitted", "loss.recorded", "loss.half-aside", "loss.aside")
CLIENT_POINTS = ("loss.set-aside", "loss.mirrored", "loss.settled", "loss.offered")


def points_of(folder):
    found = set()
    for path in (house.SOURCE / folder).rglob("*.c"):
        found |= set(re.findall(r'FAULT\("((?:loss|recover)\.[\w.-]+)"\)', path.read_text()))
    return found


class FaultPoints(unittest.TestCase):
    def test_these_tests_know_every_fault_point(self):
        self.assertEqual(points_of("relay"), {*RECOVER_POINTS, *RELAY_POINTS})
        self.assertEqual(points_of("client"), set(CLIENT_POINTS))


class Loss(house.FlowTest):
    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            house.program(name)
        cls.house = house.House(relay=False)
        try:
            cls.witness = cls.house.home("witness")
            key = cls.witness.ok("witness", "init", "one.example", "--no-passphrase").json["vkey"]
            cls.relay = cls.house.relay = house.Relay(cls.house.folder / "relay", init=["--witness", key]).start()
            cls.furnish()
        except BaseException:
            cls.house.close()
            raise

    @classmethod
    def cosign(cls):
        return [line["size"] for line in cls.witness.ok("witness", "run", "--card", cls.relay.card, "--once").lines]

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.settled = cls.de.send("fj/technical", b"settled before", subject="settled")
        cls.fj.ok("accept", cls.settled)
        cls.fj.ok("ack", cls.settled)
        cls.de.ok("sync")
        cls.half = cls.de.send("fj/technical", b"stored before, accepted after", subject="half")
        cls.fj.ok("sync")
        cls.de.ok("sync")
        copy = cls.keep_copy()
        cls.go_on()
        assert cls.relay.stop() == 0
        lost = cls.house.folder / "lost"
        lost.mkdir()
        for path in cls.store_files():
            path.rename(lost / path.name)
        for path in copy.iterdir():
            shutil.copy(path, cls.relay.folder / path.name)

    @classmethod
    def store_files(cls):
        return [path for path in cls.relay.folder.iterdir() if path.name.startswith("store.sqlite")]

    @classmethod
    def keep_copy(cls):
        """What a backup of the store alone would have kept."""
        assert cls.relay.stop() == 0
        copy = cls.house.folder / "copy"
        copy.mkdir()
        for path in cls.store_files():
            shutil.copy(path, copy / path.name)
        cls.relay.start()
        return copy

    @classmethod
    def go_on(cls):
        """What the copy does not have: decisions, requests, a whole party."""
        de, fj = cls.de, cls.fj
        fj.ok("accept", cls.half)
        cls.whole = de.send("fj/technical", b"stored and accepted after", subject="whole")
        fj.ok("accept", cls.whole)
        cls.declined = de.send("fj/technical", b"declined after", subject="declined")
        fj.ok("decline", cls.declined)
        cls.waiting = fj.send("de/technical", b"stored after, not seen yet", subject="waiting")
        de.ok("sync")
        cls.my = cls.house.member("my", name="Malaysia")
        cls.late = cls.my.send("de/technical", b"from a party that the copy does not know", subject="late")
        de.ok("accept", cls.late)
        cls.homes = (de, fj, cls.my)
        for home in cls.homes:
            home.ok("sync")
        cls.cosigned = cls.cosign()
        cls.before = {request: home.ladder(request) for home, request in
                      ((de, cls.half), (de, cls.whole), (de, cls.declined), (cls.my, cls.late))}

    # ---- the parts ----

    def killed(self, point, start):
        """A program that dies at this point."""
        token = self.house.folder / f"token-{point}"
        token.touch()
        code = start({"POUCH_FAULT": f"{point}:1:{token}"})
        self.assertFalse(token.exists(), f"{point} was not reached")
        return code

    def start_in_vain(self, env=None):
        self.relay.start(ready=False, env=env)
        try:
            return self.relay.process.wait(timeout=house.RUN_S)
        finally:
            self.relay.process = None
            self.relay.kills += 1  # the gate is ended with the ledger

    def ctl(self, env, *words):
        return house.run(house.program("POUCHCTL") + ["--config", self.relay.config, "--json", *words],
                         self.house.folder, env=env)

    def all_is_there(self):
        de, fj, my = self.homes
        for _ in range(3):
            for home in self.homes:
                home.ok("sync", timeout=60)
        for home in self.homes:
            told = [line for line in home.ok("news").lines if line["kind"] == "relay-recovered"]
            self.assertEqual(len(told), 1, home.name)
            self.assertIn("the disk failed", told[0]["text"])
            self.assertEqual(home.ok("status").json.get("alarms", []), [], home.name)
        self.assertEqual(de.state(self.settled), "acknowledged")
        for home, request in ((de, self.half), (de, self.whole), (de, self.declined), (my, self.late)):
            before = self.before[request]
            self.assert_ladder(home, request, [event["event"] for event in before["events"]
                                               if event["ordinal"] is not None], before["state"])
        self.assertEqual(fj.body(self.whole), b"stored and accepted after")
        de.ok("accept", self.waiting)
        self.assertEqual(de.body(self.waiting), b"stored after, not seen yet")
        fresh = de.send("my/technical", b"it goes on", subject="fresh")
        my.ok("accept", fresh)
        self.assertEqual(my.body(fresh), b"it goes on")
        self.assertEqual(sorted(line["subject"] for line in my.inbox().values()), ["fresh"])
        self.assertEqual(sorted(line["subject"] for line in fj.inbox().values()), ["declined", "half", "settled", "whole"])
        for home in self.homes:
            home.ok("sync")
        verified = self.relay.ctl("verify")
        self.assertEqual(verified.code, 0, str(verified))
        self.assertEqual(len(self.cosign()), len(self.cosigned), "the witness follows the logs under their new key")
        joined = self.house.member("nz", name="New Zealand")
        joined.ok("sync")

    def order(self):
        self.assertNotEqual(self.start_in_vain(), 0)
        self.assertIn("older", self.relay.log())
        blank = self.relay.ctl("recover")
        self.assertEqual((blank.code, blank.error["error"]), (1, "usage"), str(blank))
        for _ in range(2):  # repeated: the same keys
            made = self.relay.ctl("recover", "--reason", "the disk failed")
            self.assertEqual(made.code, 0, str(made))

    def joiners_get_the_new_card(self, fingerprint):
        self.relay.fingerprint = self.house.relay.fingerprint = fingerprint

    def test_nothing_that_was_answered_is_lost(self):
        self.order()
        applied = self.relay.ctl("recover", "apply")
        self.assertEqual(applied.code, 0, str(applied))
        self.assertEqual(self.relay.ctl("recover", "apply").code, 0)
        self.joiners_get_the_new_card(applied.json["card_fingerprint"])
        self.relay.start()
        self.assertTrue((self.relay.folder / "directory.head.lost").exists())
        self.assertFalse((self.relay.folder / "relay.recover").exists())
        running = self.relay.ctl("recover", "--reason", "again")
        self.assertEqual((running.code, running.error["error"]), (3, "locked"), str(running))
        self.all_is_there()


class Again(Loss):
    """Losses one after the other; an order that is applied once more, by mistake."""

    def put_back(self, copy):
        for path in self.store_files():
            path.unlink()
        for path in copy.iterdir():
            shutil.copy(path, self.relay.folder / path.name)

    def declare(self, reason):
        made = self.relay.ctl("recover", "--reason", reason)
        self.assertEqual(made.code, 0, str(made))
        applied = self.relay.ctl("recover", "apply")
        self.assertEqual(applied.code, 0, str(applied))
        self.joiners_get_the_new_card(applied.json["card_fingerprint"])

    def refuses_to_start(self):
        self.assertNotEqual(self.start_in_vain(), 0)
        self.assertIn("older", self.relay.log())

    def settles(self, *homes):
        for _ in range(3):
            for home in homes:
                home.ok("sync", timeout=60)

    def test_nothing_that_was_answered_is_lost(self):
        de, fj, my = self.homes
        first = self.house.folder / "copy"
        self.declare("the first disk failed")
        self.relay.start()
        self.settles(de, fj)  # my/technical sleeps
        stolen = self.house.folder / "stolen"
        second = self.house.folder / "second"
        second.mkdir()
        self.assertEqual(self.relay.stop(), 0)
        for path in self.store_files():
            shutil.copy(path, second / path.name)
        shutil.copytree(self.relay.folder, stolen)
        self.relay.start()
        between = de.send("fj/technical", b"between two losses", subject="between")
        fj.ok("accept", between)
        self.settles(de, fj)
        self.assertEqual(self.relay.stop(), 0)

        # An older store is one, also when somebody applies the order of the last time again.
        for older in (second, first):
            self.put_back(older)
            again = self.relay.ctl("recover", "apply")
            self.assertEqual(again.code, 0, str(again))
            self.refuses_to_start()
        # The store that was believed to be lost: too late, members have followed.
        self.put_back(self.house.folder / "lost")
        self.refuses_to_start()
        late = self.relay.ctl("recover", "--reason", "here it is")
        self.assertEqual((late.code, late.error["error"]), (4, "directory-forked"), str(late))
        self.put_back(second)
        self.refuses_to_start()
        self.declare("the second disk failed")
        self.relay.start()
        self.settles(de, fj, my)  # both losses at once
        self.assertEqual(de.state(between), "handed_over")
        self.assertEqual(fj.body(between), b"between two losses")

        # And once more, from before all of them: the keys of then have signed what is in that store.
        self.assertEqual(self.relay.stop(), 0)
        self.put_back(first)
        self.refuses_to_start()
        self.declare("nothing newer than the first copy is left")
        self.relay.start()
        self.settles(*self.homes)
        for home, request in ((de, self.half), (de, self.whole), (de, self.declined), (my, self.late)):
            before = self.before[request]
            self.assert_ladder(home, request, [event["event"] for event in before["events"]
                                               if event["ordinal"] is not None], before["state"])
        self.assertEqual(de.state(self.settled), "acknowledged")
        for home in self.homes:
            self.assertEqual(home.ok("status").json.get("alarms", []), [], home.name)
        bundle = self.house.folder / "settled.bundle"
        de.ok("evidence", self.settled, "-o", bundle)
        de.ok("verify", bundle)
        verified = self.relay.ctl("verify")
        self.assertEqual(verified.code, 0, str(verified))
        joined = self.house.member("nz", name="New Zealand")
        joined.ok("sync")

        # Whoever has the keys of the first loss shows its statement again, which the registrars did sign.
        self.assertEqual(self.relay.stop(), 0)
        now = self.house.folder / "now"
        self.relay.folder.rename(now)
        shutil.copytree(stolen, self.relay.folder)
        self.relay.start()
        for home in (de, my):
            refused = home.fails(4, "stale-statement", "sync")
            self.assertIn("lost", refused.error["message"])
        self.assertEqual(self.relay.stop(), 0)
        shutil.rmtree(self.relay.folder)
        now.rename(self.relay.folder)
        self.relay.start()
        self.settles(*self.homes)


class Elsewhere(Again):
    """The relay goes on after a loss, and then moves; one member has slept through both, and is given the new card."""

    def test_nothing_that_was_answered_is_lost(self):
        de, fj, my = self.homes
        self.declare("the first disk failed")
        self.relay.start()
        self.settles(de, fj)
        address = f"tcp://127.0.0.1:{house.random_port()}"
        moved = self.relay.ctl("move", "--address", address)
        self.assertEqual(moved.code, 0, str(moved))
        self.settles(de, fj)
        self.assertEqual(self.relay.stop(), 0)
        applied = self.relay.ctl("move", "apply")
        self.assertEqual(applied.code, 0, str(applied))
        self.relay.config.write_text(re.sub(r"tcp://127\.0\.0\.1:\d+", address, self.relay.config.read_text()))
        self.relay.start()
        my.fails(3, "unreachable", "sync", timeout=60)
        card = self.house.papers / "other.card"  # somebody else's relay, that says it has the same registrars
        other = house.Relay(self.house.folder / "other").start()
        try:
            registrar = re.search(r"(?m)^registrar .*$", self.relay.card.read_text()).group()
            card.write_text(re.sub(r"(?m)^registrar .*$", registrar, other.card.read_text()))
            my.fails(4, "conflict", "join", "--card", card, "--yes")
        finally:
            self.assertEqual(other.stop(), 0)
        my.ok("join", "--card", self.relay.card, "--fingerprint", applied.json["card_fingerprint"])
        self.settles(*self.homes)
        before = self.before[self.late]
        self.assert_ladder(my, self.late, [event["event"] for event in before["events"] if event["ordinal"] is not None],
                           before["state"])
        for home in self.homes:
            self.assertEqual(home.ok("status").json.get("alarms", []), [], home.name)


@unittest.skipUnless(os.environ.get("POUCH_FAULTS"), "built without fault points")
class Kills(Loss):
    def test_nothing_that_was_answered_is_lost(self):
        self.order()
        for point in RECOVER_POINTS:
            died = self.killed(point, lambda env: self.ctl(env, "recover", "apply").code)
            self.assertEqual(died, -signal.SIGKILL, point)
        applied = self.relay.ctl("recover", "apply")
        self.assertEqual(applied.code, 0, str(applied))
        self.joiners_get_the_new_card(applied.json["card_fingerprint"])
        ready = self.house.folder / "ready"
        shutil.copytree(self.relay.folder, ready)
        for point in RELAY_POINTS:  # the ledger is started again at once, and goes on
            self.relay.kills += 1
            self.killed(point, lambda env: self.relay.start(env=env))
            self.assertTrue(self.relay.live_status()["ledger_pid"], point)
            self.assertEqual(self.relay.stop(), 0)
            if point != RELAY_POINTS[-1]:
                shutil.rmtree(self.relay.folder)
                shutil.copytree(ready, self.relay.folder)
        self.relay.start()
        for home in self.homes:
            for point in CLIENT_POINTS:
                if point == "loss.offered" and home is not self.homes[0]:
                    continue  # only whoever is first has something that the relay lacks; others offer it all the same
                died = self.killed(point, lambda env, home=home: home.run("sync", env=env).code)
                self.assertEqual(died, -signal.SIGKILL, f"{home.name} at {point}")
        self.all_is_there()


if __name__ == "__main__":
    house.main()
