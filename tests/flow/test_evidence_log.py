"""Goal: every entry has a place and a proof in the evidence log, whose heads anybody can take to a witness; a relay whose log was
put back, or damaged, says so and signs nothing; entries from before the log get theirs."""

import shutil
import sqlite3
import unittest

from house import FlowTest, main, until
from logbook import Logbook, decode


class EvidenceLog(FlowTest):
    def check(self):
        """The log as it lies in the store. Its size."""
        size = Logbook(self.relay).check(self)
        status = self.relay.live_status()
        self.assertEqual((status["evidence_size"], status["entries"]), (size, size))
        return size

    def exchange(self):
        """One request, accepted and acknowledged."""
        request = self.fj.send("de/technical", b"text")
        self.de.ok("sync")
        self.de.ok("accept", request)
        self.de.ok("ack", request)
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(request), "acknowledged")

    def request(self, *args):
        ran = self.relay.ctl("witness", "request", "--log", "evidence", *args)
        self.assertEqual(ran.code, 0, ran)
        return ran.json

    def ctl_fails(self, code, name, *args):
        ran = self.relay.ctl(*args)
        self.assertEqual((ran.code, ran.error["error"]), (code, name), ran)

    def sql(self, *statements):
        self.assertEqual(self.relay.stop(), 0)
        store = sqlite3.connect(self.relay.folder / "store.sqlite")
        with store:
            for statement in statements:
                store.execute(*statement)
        store.close()

    def start_is_refused(self, words):
        self.relay.kills += 1  # the ledger takes the gate along
        self.relay.start(ready=False)
        self.assertTrue(until(lambda: self.relay.process.poll() is not None, 30), "it must not serve")
        self.assertNotEqual(self.relay.process.returncode, 0)
        self.assertIn(words, self.relay.log())
        self.relay.process = None

    def test_1_a_log_without_entries_has_no_head(self):
        self.assertEqual(self.check(), 0)
        self.assertFalse((self.relay.folder / "evidence.head").exists())
        self.ctl_fails(3, "no-head", "witness", "request", "--log", "evidence")

    def test_2_every_step_is_in_the_log_and_its_head_can_be_taken_to_a_witness(self):
        self.exchange()
        size = self.check()
        self.assertEqual(size, 5)
        made = self.request()
        self.assertTrue(made["request"].startswith("old 0\n\nrelay.test/evidence\n5\n"), made)
        self.exchange()
        self.assertEqual(self.check(), 10)
        made = self.request("--old", str(size))
        self.assertTrue(made["request"].startswith("old 5\n"), made)
        self.assertEqual(made["size"], 10)
        self.ctl_fails(4, "out-of-range", "witness", "request", "--log", "evidence", "--old", "11")
        self.ctl_fails(1, "usage", "witness", "request", "--log", "diary")
        for log in (["--log", "directory"], []):
            ran = self.relay.ctl("witness", "request", *log)
            self.assertIn("relay.test/directory\n", ran.json["request"])

    def test_3_a_log_that_has_grown_since_the_copy_of_the_store_is_missed(self):
        folder = self.relay.folder

        def files(place):
            return [path for path in place.iterdir() if path.name.startswith("store.sqlite")]

        def replace(source, target):
            for path in files(target):
                path.unlink()
            for path in files(source):
                shutil.copy(path, target / path.name)

        older, newer = self.house.folder / "older", self.house.folder / "newer"
        older.mkdir()
        newer.mkdir()
        self.assertEqual(self.relay.stop(), 0)
        replace(folder, older)
        self.relay.start()
        self.exchange()
        size = self.check()
        self.assertEqual(self.relay.stop(), 0)
        replace(folder, newer)
        replace(older, folder)
        self.start_is_refused(f"the evidence log has {size - 5} entries, but a head of {size} has been signed")
        replace(newer, folder)
        self.relay.start()
        self.assertEqual(self.check(), size)

    def test_4_a_bit_that_has_flipped_in_the_right_edge_is_named_and_nothing_is_signed(self):
        size = self.check()
        flip = "UPDATE tile SET hashes = ? WHERE log = 2 AND level = 0 AND idx = 0"
        good = Logbook(self.relay).tiles[0, 0]
        bad = bytes([good[0] ^ 1]) + good[1:]
        self.sql((flip, (bad,)))
        self.start_is_refused(f"the first {size} entries of the evidence log are not those of the head")
        self.assertIn("level 0, tile 0, hash 0 is not that of what it stands for", self.relay.log())
        store = sqlite3.connect(self.relay.folder / "store.sqlite")
        with store:
            self.assertEqual(store.execute("SELECT hashes FROM tile WHERE log = 2").fetchone()[0], bad, "it is left as it is")
            store.execute(flip, (good[:-1],))
        store.close()
        self.start_is_refused("the evidence log is damaged in the store (level 0, tile 0)")
        store = sqlite3.connect(self.relay.folder / "store.sqlite")
        with store:
            store.execute(flip, (good,))
        store.close()
        self.relay.start()
        self.exchange()
        self.assertEqual(self.check(), size + 5)

    def test_5_entries_from_before_the_log_get_their_proofs_when_the_relay_starts(self):
        book = Logbook(self.relay)
        size = len(book.receipts)
        bare = []
        for index, data in book.receipts:
            end = decode(data, decode(data, decode(data, decode(data, 1)[1])[1])[1])[1]  # two keys, two values
            bare.append((b"\xa2" + data[1:end], index))
        self.sql(*(("UPDATE receipt SET bytes = ? WHERE idx = ?", row) for row in bare),
                 ("DELETE FROM tile",), ("DELETE FROM head WHERE who >= 'evidence' AND who < 'evidencf'",),
                 ("UPDATE meta SET value = ? WHERE key = 'unproven'", (size,)))
        (self.relay.folder / "evidence.head").unlink()
        self.relay.start()
        self.assertIn(f"{size} entries from before the evidence log have their proofs now", self.relay.log())
        self.assertEqual(Logbook(self.relay).check(self, late=size), size)
        self.assertEqual(self.relay.stop(), 0)
        self.relay.start()
        self.assertEqual(Logbook(self.relay).check(self, late=size), size)


if __name__ == "__main__":
    main()
