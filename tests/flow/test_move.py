"""The relay goes to another host, under another address and another CURVE key; members follow, and nobody else can say so."""

import re
import shutil
import unittest

import house


class Move(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House()
        cls.addClassCleanup(cls.house.close)
        cls.de, cls.fj, cls.my = (cls.house.member(party) for party in ("de", "fj", "my"))

    def new_host(self):
        """The folder as it was carried to the new host, with the key that was made there."""
        old, here = self.house.relay, self.house.folder / "new-host"
        shutil.copytree(old.folder, here)
        (here / "curve.key").unlink()
        shutil.move(self.house.papers / "new-curve.key", here / "curve.key")
        return here

    def test_members_follow_and_latecomers_are_told(self):
        relay = self.house.relay
        port = house.random_port()
        address = f"tcp://127.0.0.1:{port}"
        before = self.de.send("fj/technical", b"before the move")
        opened = self.fj.ok("sync")
        self.assertIsNotNone(opened)

        made = house.run(house.program("POUCHCTL") + ["--json", "move", "key", self.house.papers / "new-curve.key"],
                         self.house.papers)
        self.assertEqual(made.code, 0, str(made))
        stranger = house.run(house.program("POUCHCTL") + ["--json", "registrar", "new", self.house.papers / "no.key"],
                             self.house.papers)
        self.assertEqual(stranger.code, 0, str(stranger))
        refused = relay.ctl("move", "--address", address, "--registrar-key", str(self.house.papers / "no.key"))
        self.assertEqual((refused.code, refused.error["error"]), (4, "unknown-registrar"), str(refused))
        bad = relay.ctl("move", "--address", "new.example:5870")
        self.assertEqual((bad.code, bad.error["error"]), (1, "usage"), str(bad))

        moved = relay.ctl("move", "--address", address, "--curve", made.json["curve"], "--reason", "a larger machine")
        self.assertEqual(moved.code, 0, str(moved))
        self.assertEqual((moved.json["action"], moved.json["recorded"]), ("move", True))
        # Announced, not done yet: everybody still finds it where it is.
        for home in (self.de, self.fj):
            home.ok("sync")
        again = self.de.send("fj/technical", b"announced, not moved")
        self.assertEqual(self.de.state(again), "stored")
        told = [line for line in self.de.ok("news").lines if line["kind"] == "relay-moved"]
        self.assertEqual(len(told), 1)
        self.assertIn(address, told[0]["text"])
        self.assertIn("a larger machine", told[0]["text"])

        self.assertEqual(relay.stop(), 0)
        here = self.new_host()
        wrong = here / "curve.key"
        kept = wrong.read_text()
        other = house.run(house.program("POUCHCTL") + ["--json", "move", "key", self.house.papers / "third.key"],
                          self.house.papers)
        self.assertEqual(other.code, 0, str(other))
        wrong.write_text((self.house.papers / "third.key").read_text())
        relay.folder, relay.config, relay.card = here, here / "relay.yaml", here / "relay.card"
        misfit = relay.ctl("move", "apply")
        self.assertEqual((misfit.code, misfit.error["error"]), (4, "wrong-fingerprint"), str(misfit))
        wrong.write_text(kept)
        applied = relay.ctl("move", "apply")
        self.assertEqual(applied.code, 0, str(applied))
        self.assertIn(address, relay.card.read_text())
        relay.config.write_text(re.sub(r"tcp://127\.0\.0\.1:\d+", address, relay.config.read_text()))
        relay.start()

        self.fj.ok("accept", before)
        self.assertEqual(self.fj.body(before), b"before the move")
        self.de.ok("sync")
        self.assertIn(self.de.state(before), ("accepted", "handed_over", "acknowledged"))
        after = self.fj.send("de/technical", b"after the move")
        self.de.ok("accept", after)
        self.assertEqual(self.de.body(after), b"after the move")

        # my/technical has slept through it: the old address is dead, the new card tells.
        self.my.fails(3, "unreachable", "sync", timeout=60)
        self.my.ok("join", "--card", relay.card, "--fingerprint", applied.json["card_fingerprint"])
        self.my.ok("sync")
        late = self.my.send("de/technical", b"late")
        self.assertEqual(self.my.state(late), "stored")

        # Who followed and who was given the card read the same number aloud.
        phrases = {home.ok("directory", "phrase").json["digits"] for home in (self.de, self.fj, self.my)}
        self.assertEqual(len(phrases), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
