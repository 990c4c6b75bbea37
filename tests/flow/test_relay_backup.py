"""Goal: an operator can find out whether the store is what it was, and bring a relay back. A bit that flipped anywhere in
the store is found and named, and nothing is changed; a backup is made while the relay works, is whole or is none, wherever
it was killed; and a relay that was lost is back from it. A store older than what was signed is not served."""

import os
import pathlib
import random
import shutil
import sqlite3
import time

from house import FlowTest, Relay, end_process, main, program, run, until

FLIPS = int(os.environ.get("POUCH_FLIPS", "200"))
SEED = int(os.environ.get("POUCH_SEED", "0")) or int(time.time())
BACKUP_POINTS = ("relay-backup.begun", "relay-backup.files", "relay-backup.store", "relay-backup.verified",
                 "relay-backup.renamed")
RESTORE_POINTS = {"relay-restore.begun": (1,), "relay-restore.copied": (1, 3), "relay-restore.files": (1,)}
ASIDE_POINT = "relay-restore.aside"


def dump(path):
    """Everything that the store says: the tables' description and every row, each value with its type. None: it cannot be
    read."""
    try:
        store = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        store.text_factory = bytes
        tables = store.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        said = [tables]
        names = [name.decode() for name, sql in tables if sql and sql.startswith(b"CREATE TABLE")] + ["sqlite_sequence"]
        for name in names:
            columns = [row[0].decode() for row in store.execute("SELECT name FROM pragma_table_info(?)", (name,))]
            values = ", ".join(f'"{column}", typeof("{column}")' for column in columns)
            said.append((name, sorted(map(repr, store.execute(f"SELECT {values} FROM {name}")))))
        return said
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError):
        return None
    finally:
        store.close()


def difference(before, after):
    """What a person needs to see of two dumps that differ."""
    if after is None:
        return "it cannot be read any more"
    tables = [(one, other) for one, other in zip(before[1:], after[1:]) if one != other]
    return [(one[0], set(one[1]) ^ set(other[1])) for one, other in tables] or "the description of the tables"


class RelayBackups(FlowTest):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.house.make("fj/consular")
        for number in range(3):
            cls.fj.send("de/technical", b"text %d" % number, subject=f"before {number}")
        cls.de.ok("sync")
        first, second, _ = sorted(cls.de.inbox())
        cls.de.ok("accept", first)
        cls.de.ok("decline", second)
        cls.de.send("fj/technical", os.urandom(150000), subject="open, with a long body")
        cls.fj.ok("sync")

    def setUp(self):
        self.folder = self.house.folder / self.id().rsplit(".", 1)[-1]
        self.folder.mkdir()

    def verify(self, *args, code=0, config=None):
        ran = run(program("POUCHCTL") + (["--config", config] if config else []) + ["--json", "verify", *args],
                  self.house.folder)
        self.assertEqual(ran.code, code, str(ran))
        return ran.json

    def assert_same_store(self, told):
        status = self.relay.status()
        self.assertEqual(told["findings"], [])
        self.assertEqual(told["requests"], status["requests"])

    # ---- verify ----

    def test_a_relay_at_work_verifies(self):
        told = self.verify(config=self.relay.config)
        self.assertTrue(told["verified"])
        self.assert_same_store(told)
        self.assertGreater(told["evidence"]["size"], 5)
        self.assertGreater(told["chunks"], 0)
        ran = run(program("POUCHCTL") + ["--config", self.relay.config, "verify"], self.house.folder)
        self.assertIn(b"store.sqlite holds", ran.out)

    def flipped(self, source, place, bit):
        path = self.folder / "store.sqlite"
        data = bytearray(source)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        return path

    def test_a_flipped_bit_anywhere_is_found_and_named(self):
        done = self.relay.ctl("backup", self.folder / "whole")
        self.assertEqual(done.code, 0, str(done))
        whole = self.folder / "whole" / "store.sqlite"
        source, before = whole.read_bytes(), dump(whole)
        self.assertIsNotNone(before)
        choose = random.Random(SEED)
        card, unread, silent = self.folder / "whole" / "relay.card", 0, 0
        for number in range(FLIPS):
            place, bit = choose.randrange(len(source)), choose.randrange(8)
            path = self.flipped(source, place, bit)
            ran = run(program("POUCHCTL") + ["--json", "verify", "--store", path, "--card", card], self.house.folder)
            where = f"bit {bit} of byte {place}, seed {SEED}, flip {number}\n{ran}"
            self.assertEqual(path.read_bytes()[place], source[place] ^ (1 << bit), f"nothing is changed: {where}")
            after = dump(path)
            if after == before:
                silent += 1  # free pages, slack, or what only SQLite uses
                continue
            self.assertIn(ran.code, (3, 4), f"the store says something else, and nobody noticed: {where}\n"
                                            f"{str(difference(before, after))[:4000]}")
            if ran.code == 3:
                unread += 1
                self.assertEqual(ran.error["error"], "corrupt", where)
                continue
            for finding in ran.json["findings"]:
                self.assertTrue(finding["message"] and finding["hint"], where)
        print(f"{FLIPS} flips: {silent} without effect, {unread} of which the file could not be read as a store")
        self.assertLess(silent, FLIPS)

    def test_every_kind_of_row_is_missed_when_it_is_changed(self):
        """What no random bit may reach: one value of each table, changed by SQL."""
        self.assertEqual(self.relay.ctl("backup", self.folder / "whole").code, 0)
        whole, card = self.folder / "whole" / "store.sqlite", self.folder / "whole" / "relay.card"
        changes = {
            "leaf": "UPDATE leaf SET root = zeroblob(32) WHERE idx = 1",
            "receipt": "UPDATE receipt SET ordinal = 9 WHERE id = (SELECT max(id) FROM receipt WHERE ordinal >= 0)",
            "request": "UPDATE request SET exercise = 1 WHERE id = 1",
            "leg": "UPDATE leg SET state = 3 WHERE id = 1",
            "chunk": "UPDATE chunk SET data = zeroblob(length(data)) WHERE rowid = (SELECT max(rowid) FROM chunk)",
            "feed": "UPDATE feed SET receipt = receipt + 1 WHERE number = 2 AND kind = 3",
            "quota": "UPDATE quota SET value = value + 1 WHERE key LIKE 'legs real fj'",
            "prekey": "UPDATE prekey SET day = day + 100000",
            "head": "UPDATE head SET size = size + 1 WHERE who = ''",
            "tile": "UPDATE tile SET hashes = zeroblob(length(hashes))",
            "meta": "UPDATE meta SET value = 5 WHERE key = 'time'",
        }
        for table, sql in changes.items():
            path = self.folder / f"{table}.sqlite"
            shutil.copy(whole, path)
            store = sqlite3.connect(path)
            changed = store.execute(sql).rowcount
            store.commit()
            store.close()
            self.assertGreater(changed, 0, f"{table}: the test changes something")
            told = self.verify("--store", path, "--card", card, code=4)
            self.assertIn(table, {finding["table"] for finding in told["findings"]}, f"{table}: {told['findings']}")
        for table, sql in {"chunk": "DELETE FROM chunk WHERE rowid = (SELECT max(rowid) FROM chunk)",
                           "receipt": "DELETE FROM receipt WHERE id = 2", "feed": "DELETE FROM feed WHERE number = 2",
                           "leaf": "DELETE FROM leaf WHERE idx = 2", "leg": "DELETE FROM leg WHERE id = 1",
                           "request": "DELETE FROM request WHERE id = 1"}.items():
            path = self.folder / f"gone-{table}.sqlite"
            shutil.copy(whole, path)
            store = sqlite3.connect(path)
            store.execute(sql)
            store.commit()
            store.close()
            self.verify("--store", path, "--card", card, code=4)

    # ---- backup ----

    def test_a_backup_is_whole_private_and_verified_while_the_relay_works(self):
        ran = self.relay.ctl("backup", self.folder / "one")
        self.assertEqual(ran.code, 0, str(ran))
        self.assertTrue(ran.json["verified"])
        names = {path.name for path in (self.folder / "one").iterdir()}
        self.assertLessEqual({"store.sqlite", "relay.card", "relay.yaml", "curve.key", "statement.key", "log.key",
                              "directory.head", "evidence.head", "manifest"}, names)
        for path in (self.folder / "one").iterdir():
            mode = path.stat().st_mode & 0o777
            self.assertLessEqual(mode & 0o077, 0o044 if path.name in ("relay.card", "manifest") else 0, path)
        self.assertEqual(self.verify("--store", self.folder / "one" / "store.sqlite")["findings"], [])
        again = self.relay.ctl("backup", self.folder / "one")
        self.assertEqual((again.code, again.error["error"]), (1, "usage"))
        ran = self.relay.ctl("backup", self.folder / "public", "--no-keys")
        self.assertEqual(ran.code, 0, str(ran))
        self.assertEqual([path.name for path in (self.folder / "public").glob("*.key")], [])

    def test_a_backup_that_is_killed_anywhere_is_none_or_whole(self):
        if not os.environ.get("POUCH_FAULTS"):
            self.skipTest("built without fault points")
        for point in BACKUP_POINTS:
            folder, token = self.folder / point, self.folder / f"{point}.token"
            token.touch()
            argv = program("POUCHCTL") + ["--config", self.relay.config, "--json", "backup", folder]
            ran = run(argv, self.house.folder, env={"POUCH_FAULT": f"{point}:1:{token}"})
            self.assertEqual(ran.code, -9, f"{point}: {ran}")
            self.assertEqual(folder.exists(), point == "relay-backup.renamed")
            if folder.exists():
                self.assertEqual(self.verify("--store", folder / "store.sqlite")["findings"], [])
                continue
            ran = run(argv, self.house.folder)
            self.assertEqual(ran.code, 0, f"{point}: run again\n{ran}")
            self.assertFalse((self.folder / f"{point}.partial").exists())

    # ---- restore ----

    def restore(self, backup, folder, *args, env=None):
        return run(program("POUCHCTL") + ["--config", folder / "relay.yaml", "--json", "restore", backup, *args],
                   self.house.folder, env=env)

    def back(self, folder):
        """The relay that was restored there, at the same addresses."""
        relay = Relay.__new__(Relay)
        relay.__dict__.update(self.relay.__dict__)
        relay.folder, relay.config, relay.card = folder, folder / "relay.yaml", folder / "relay.card"
        relay.outputs, relay.log_path = folder.parent / "back.out", folder.parent / "back.log"
        relay.process = None
        return relay

    def test_a_lost_relay_is_back_from_its_backup(self):
        backup, folder = self.folder / "safe", self.folder / "again"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        self.relay.stop()
        ran = self.restore(backup, folder)
        self.assertEqual(ran.code, 0, str(ran))
        self.assertFalse(ran.json["older_than_signed"])
        back = self.back(folder)
        try:
            back.start()
            request = self.fj.send("de/technical", b"after the loss", subject="after the loss")
            self.de.ok("accept", request)
            self.assertEqual(self.verify(config=back.config)["findings"], [])
        finally:
            back.stop()
            # The other tests go on with the relay as it was, and with what it has done since.
            shutil.rmtree(self.relay.folder)
            shutil.copytree(folder, self.relay.folder)
            self.relay.start()

    def test_restore_overwrites_nothing(self):
        backup = self.folder / "safe"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        ran = self.restore(backup, self.relay.folder)
        self.assertEqual((ran.code, ran.error["error"]), (1, "relay-running"), str(ran))
        occupied = self.folder / "occupied"
        shutil.copytree(backup, occupied)
        before = {path.name: path.read_bytes() for path in occupied.iterdir()}
        ran = self.restore(backup, occupied)
        self.assertEqual((ran.code, ran.error["error"]), (1, "home-exists"), str(ran))
        self.assertEqual({p.name: p.read_bytes() for p in occupied.iterdir() if p.name != "lock"}, before)
        ran = self.restore(backup, occupied, "--aside")
        self.assertEqual(ran.code, 0, str(ran))
        aside = pathlib.Path(ran.json["aside"])
        self.assertEqual((aside / "store.sqlite").read_bytes(), before["store.sqlite"])
        self.assertEqual(self.verify(config=occupied / "relay.yaml")["findings"], [])

    def test_a_damaged_backup_is_not_restored(self):
        backup = self.folder / "safe"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        for name in ("store.sqlite", "relay.card", "log.key", "evidence.head", "relay.yaml", "manifest"):
            bad = self.folder / f"bad-{name}"
            shutil.copytree(backup, bad)
            data = bytearray((bad / name).read_bytes())
            data[len(data) // 2] ^= 4
            (bad / name).write_bytes(data)
            ran = self.restore(bad, self.folder / f"from-{name}")
            self.assertEqual((ran.code, ran.error["error"]), (4, "corrupt"), f"{name}: {ran}")
            self.assertFalse((self.folder / f"from-{name}").exists(), "nothing was made")

    def test_a_store_older_than_what_was_signed_is_restored_and_not_served(self):
        backup, folder = self.folder / "old", self.folder / "place"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        request = self.fj.send("de/technical", b"later", subject="later than the backup")
        self.de.ok("sync")
        later = self.folder / "later"
        self.assertEqual(self.relay.ctl("backup", later).code, 0)
        shutil.copytree(later, folder)
        (folder / "store.sqlite").unlink()
        for name in ("relay.yaml", "relay.card", "manifest", *[p.name for p in folder.glob("*.key")]):
            (folder / name).unlink()
        ran = self.restore(backup, folder)
        self.assertEqual(ran.code, 0, str(ran))
        self.assertTrue(ran.json["older_than_signed"], "the folder still knows the newer head")
        told = self.verify(config=folder / "relay.yaml", code=4)
        self.assertIn("head-ahead", {finding["finding"] for finding in told["findings"]})
        back = self.back(folder)
        back.start(ready=False)
        process, back.process = back.process, None
        self.assertIsNotNone(until(lambda: process.poll() is not None, 20), "it must not serve")
        end_process(process)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn(request, self.fj.sent())

    def test_a_restore_that_is_killed_anywhere_is_run_again_and_goes_on(self):
        if not os.environ.get("POUCH_FAULTS"):
            self.skipTest("built without fault points")
        backup = self.folder / "safe"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        for point, numbers in RESTORE_POINTS.items():
            for times in numbers:
                folder, token = self.folder / f"{point}-{times}", self.folder / f"{point}-{times}.token"
                token.touch()
                ran = self.restore(backup, folder, env={"POUCH_FAULT": f"{point}:{times}:{token}"})
                self.assertEqual(ran.code, -9, f"{point}: {ran}")
                self.assertFalse((folder / "store.sqlite").exists(), "the store comes last")
                ran = self.restore(backup, folder)
                self.assertEqual(ran.code, 0, f"{point}: run again\n{ran}")
                self.assertEqual(list(folder.glob("*.restoring")), [])
                self.assertEqual(self.verify(config=folder / "relay.yaml")["findings"], [])

    def test_a_restore_that_is_killed_while_it_puts_the_old_relay_aside_loses_nothing_of_it(self):
        if not os.environ.get("POUCH_FAULTS"):
            self.skipTest("built without fault points")
        backup = self.folder / "safe"
        self.assertEqual(self.relay.ctl("backup", backup).code, 0)
        for times in (1, 2, 5):
            folder, token = self.folder / f"occupied-{times}", self.folder / f"aside-{times}.token"
            shutil.copytree(backup, folder)
            (folder / "relay.yaml").write_bytes((folder / "relay.yaml").read_bytes() + b"# the old one\n")
            before = {path.read_bytes() for path in folder.iterdir() if path.suffix != ".head" and path.name != "manifest"}
            token.touch()
            ran = self.restore(backup, folder, "--aside", env={"POUCH_FAULT": f"{ASIDE_POINT}:{times}:{token}"})
            self.assertEqual(ran.code, -9, str(ran))
            if not (folder / "relay.yaml").exists():  # it names the store's file, and is what the command begins with
                shutil.copy(backup / "relay.yaml", folder)
            ran = self.restore(backup, folder, "--aside")
            self.assertEqual(ran.code, 0, f"run again\n{ran}")
            kept = {path.read_bytes() for path in folder.glob("aside-*/*")}
            self.assertEqual(before - kept, set(), "everything of the old relay is aside")
            self.assertEqual(self.verify(config=folder / "relay.yaml")["findings"], [])


if __name__ == "__main__":
    main()
