"""Goal: a member, a guest and an auditor with a backup replay the relay's logs without trusting it: they recompute every
root, miss no receipt, go on where they stopped, and say what does not hold, without telling anybody's correspondence."""

import json
import sqlite3
import shutil

from house import FlowTest, main, program, run


class Audits(FlowTest):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.house.make("fj/consular")
        for number in range(2):
            cls.fj.send("de/technical", b"text %d" % number, subject=f"canary subject {number}")
        cls.de.ok("sync")
        first, second = sorted(cls.de.inbox())
        cls.de.ok("accept", first)
        cls.de.ok("decline", second)
        cls.fj.ok("sync")
        cls.third = cls.house.member("my", desk="national")

    def setUp(self):
        self.folder = self.house.folder / self.id().rsplit(".", 1)[-1]
        self.folder.mkdir()

    def guest(self, *args, code=0, card=None):
        ran = run(program("POUCH") + ["--home", self.folder / "none", "--json", "audit", "--card",
                                      card or self.relay.card, *args], self.folder)
        self.assertEqual(ran.code, code, str(ran))
        return ran.json

    def backup(self, name="backup"):
        done = self.relay.ctl("backup", self.folder / name, "--no-keys")
        self.assertEqual(done.code, 0, str(done))
        return self.folder / name

    def change(self, folder, sql):
        """A store whose operator has changed it: with an index that fits again."""
        store = sqlite3.connect(folder / "store.sqlite")
        changed = store.execute(sql).rowcount
        store.commit()
        store.close()
        self.assertGreater(changed, 0)

    def test_a_member_finds_nothing_in_an_honest_relay(self):
        told = self.fj.ok("audit").json
        status = self.relay.status()
        self.assertTrue(told["holds"])
        self.assertEqual(told["found"], [])
        self.assertEqual(told["evidence"]["size"], status["entries"])
        self.assertGreater(told["own_receipts"], 5)
        self.assertEqual(told["legs"], 2)
        self.assertEqual(told["source"], "relay")
        self.assertIsNone(told["proof"])

    def test_the_next_audit_goes_on_where_the_last_one_ended(self):
        first = self.de.ok("audit").json
        self.fj.send("de/technical", b"more", subject="more")
        self.de.ok("sync")
        again = self.de.ok("audit").json
        self.assertTrue(again["holds"])
        self.assertEqual(again["from"], first["evidence"]["size"])
        self.assertGreater(again["evidence"]["size"], first["evidence"]["size"])
        whole = self.de.ok("audit", "--all").json
        self.assertEqual(whole["from"], 0)
        self.assertEqual(whole["evidence"]["root"], again["evidence"]["root"])

    def test_a_guest_needs_the_card_alone_and_learns_nobodys_correspondence(self):
        told = self.guest()
        self.assertTrue(told["holds"])
        self.assertGreater(told["evidence"]["size"], 5)
        self.assertEqual((told["own_receipts"], told["receipts"], told["legs"]), (0, 0, 0))
        self.assertNotIn("canary", json.dumps(told))
        self.assertFalse((self.folder / "none").exists(), "no home is made")

    def test_an_auditor_with_a_backup_judges_every_receipt(self):
        backup = self.backup()
        report = self.folder / "report.json"
        told = self.guest("--backup", backup, "--report", report)
        self.assertTrue(told["holds"], told)
        self.assertGreater(told["receipts"], 5)
        self.assertGreaterEqual(told["legs"], 2)
        self.assertEqual(json.loads(report.read_text()), told)
        for word in ("canary", "de/technical", "fj/technical"):
            self.assertNotIn(word, report.read_text())
        ran = run(program("POUCH") + ["--json", "audit", "--card", self.relay.card, "--backup", backup, "--report",
                                      report], self.folder)
        self.assertEqual((ran.code, ran.error["error"]), (1, "home-exists"), "no report is overwritten")

    def test_what_an_operator_has_changed_in_his_store_is_found(self):
        changes = {
            "receipt-missing": ("DELETE FROM receipt WHERE idx = 3", {"index-gap", "ordinal-gap"}),
            "history": ("UPDATE receipt SET bytes = (SELECT bytes FROM receipt WHERE idx = 4) WHERE idx = 3",
                        {"receipt-elsewhere", "leg-mismatch", "ordinal-gap"}),
            "directory": ("DELETE FROM leaf WHERE idx = (SELECT max(idx) FROM leaf)", {"head-ahead"}),
            "cut": ("DELETE FROM receipt WHERE idx >= 5", {"head-ahead"}),
        }
        whole = self.backup("whole")
        for name, (sql, kinds) in changes.items():
            folder = self.folder / name
            shutil.copytree(whole, folder)
            self.change(folder, sql)
            told = self.guest("--backup", folder, code=4)
            self.assertFalse(told["holds"])
            found = {finding["finding"] for finding in told["found"]}
            self.assertTrue(found & kinds, f"{name}: {found}")

    def test_a_member_misses_its_own_receipt_in_a_backup(self):
        self.de.ok("sync")
        folder = self.backup()
        self.assertEqual(self.de.ok("audit", "--backup", folder).json["findings"], 0)
        self.change(folder, "DELETE FROM receipt WHERE idx IS NOT NULL AND leg = (SELECT max(id) FROM leg)")
        ran = self.de.run("audit", "--backup", folder)
        self.assertEqual(ran.code, 4, str(ran))
        mine = [finding for finding in ran.json["found"] if "id" in finding]
        self.assertTrue(mine, "of its own requests it says which")

    def test_people_are_told_what_was_and_was_not_audited(self):
        ran = run(program("POUCH") + ["--home", self.de.path, "audit"], self.folder)
        self.assertEqual(ran.code, 0, str(ran))
        for words in (b"relay.test holds", b"directory", b"evidence", b"not audited:"):
            self.assertIn(words, ran.out)


class Fork(FlowTest):
    """Goal: a relay that was put back to an older store, its heads taken away, and that signs another history, is proven
    to have done so: to a member by what it holds, and to anybody by the file."""

    def test_a_second_history_is_found_and_proven(self):
        backup = self.house.folder / "backup"
        self.house.member("my", desk="national")
        third = self.house.home("my-national")
        self.fj.send("de/technical", b"before", subject="before")
        done = self.relay.ctl("backup", backup)
        self.assertEqual(done.code, 0, str(done))
        self.fj.send("de/technical", b"kept out", subject="kept out of the second history")
        self.de.ok("sync")
        self.assertTrue(self.de.ok("audit").json["holds"])
        self.relay.stop()
        for path in self.relay.folder.glob("store.sqlite*"):
            path.unlink()
        for name in ("store.sqlite", "directory.head", "evidence.head"):
            shutil.copy(backup / name, self.relay.folder / name)
        self.relay.start()
        for number in range(3):
            third.send("de/technical", b"another %d" % number, subject=f"another {number}")
        ran = self.fj.run("audit")
        self.assertEqual(ran.code, 4, str(ran))
        told = ran.json
        self.assertFalse(told["holds"])
        found = {finding["finding"] for finding in told["found"]}
        self.assertTrue(found & {"head-root", "equivocation", "receipt-elsewhere"}, found)
        self.assertTrue(told["proof"], told)
        proven = run(program("POUCH") + ["--json", "verify", told["proof"], "--card", self.relay.card],
                     self.house.folder)
        self.assertEqual(proven.code, 0, str(proven))
        self.assertTrue(proven.json["proven"])
        again = self.de.run("audit")
        self.assertEqual(again.code, 4, "what was audited before is no longer what is signed")
        clean = run(program("POUCH") + ["--json", "audit", "--card", self.relay.card], self.house.folder)
        self.assertEqual(clean.code, 0, "a guest who has seen nothing else cannot know")


if __name__ == "__main__":
    main()
