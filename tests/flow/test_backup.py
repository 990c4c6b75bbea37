"""Goal: a desk that is lost with everything on it is back from a backup and the paper that belongs to it: with its keys, all
it had, and all it sent and received since; nothing is sent twice, no number is given twice, and a backup that is not
whole makes no home. Killed at any step, a backup or a restore leaves the old or the new, never a half."""

import os
import pathlib
import re
import shutil
import signal
import stat
import time

from house import SOURCE, FlowTest, Home, in_parallel, main, until

BACKUP_POINTS = ("backup.copied", "backup.written", "backup.sheet-written")
RESTORE_POINTS = ("restore.begun", "restore.files-written", "restore.identity-written")
RECOVERY_POINTS = ("recovery.prekeys-made", "recovery.caught-up")
CODE_LINE = re.compile(r"^\s+((?:[0-9A-Z]{4}-){6}[0-9A-Z]{4})$", re.M)


class Backups(FlowTest):
    number = 0

    def setUp(self):
        """A new party with one post for every test: what is lost in one is no matter for another."""
        Backups.number += 1
        self.party = f"p{Backups.number}"
        self.house.member(self.party)
        self.desk = self.house.home(f"{self.party}-technical")
        self.safe = self.house.folder / f"safe-{self.party}"

    def back_up(self, home=None, *args):
        return (home or self.desk).ok("backup", self.safe, *args).json

    def key_of(self, done):
        lines = CODE_LINE.findall(pathlib.Path(done["sheet"]).read_text(encoding="utf-8"))
        self.assertEqual(len(lines), 2, "the sheet shows the key in two lines")
        return "-".join(lines)

    def restore(self, done, name=None, source=None):
        """A new home from the backup and its sheet."""
        home = Home(self.house, name or f"{self.party}-again")
        home.post = self.desk.post
        home.ok("restore", source or done["file"], "--key-file", "-", data=self.key_of(done).encode())
        return home

    def lose(self, home):
        shutil.rmtree(home.path)

    def subjects(self, lines):
        return sorted(line["subject"] or "(sealed)" for line in lines.values() if line["parent"] is None)

    def receive(self, subject, text=b"to the desk"):
        return self.fj.send(self.desk.post, text, subject=subject)

    # ---- the whole story ----

    def test_a_lost_desk_comes_back_with_all_that_it_sent_and_received_since(self):
        self.desk.send("fj/technical", b"1", subject="sent before")
        early = self.receive("received before", b"the early text")
        self.desk.ok("accept", early)
        self.desk.ok("ack", early)
        done = self.back_up()
        sent = [self.desk.send("fj/technical", b"%d" % n, subject=f"sent after {n}") for n in range(3)]
        received = [self.receive(f"received after {n}") for n in range(2)]
        self.desk.ok("accept", received[0])
        self.assertEqual(self.desk.body(received[0]), b"to the desk")
        before = self.desk.ok("status").json
        self.lose(self.desk)
        home = self.restore(done)
        self.assertEqual(home.body(early), b"the early text", "what was there is there without a relay")
        home.ok("sync")
        self.assertFalse((home.path / "restored").exists())
        self.assertEqual(self.subjects(home.sent()), ["sent after 0", "sent after 1", "sent after 2", "sent before"])
        self.assertEqual(self.subjects(home.inbox()), ["received after 0", "received after 1", "received before"])
        self.assertIn(home.state(received[0]), ("accepted", "handed_over"))
        self.assertEqual(home.body(received[0]), b"to the desk")
        home.ok("accept", received[1])
        self.assertEqual(home.body(received[1]), b"to the desk")
        after = home.ok("status").json
        self.assertEqual((after["outbox"], after["alarms"]), (0, before["alarms"]))
        again = home.send("fj/technical", b"new", subject="sent after the restore")
        self.fj.ok("sync")
        mine = [line["subject"] for line in self.fj.inbox().values() if line["from"] == self.desk.post]
        self.assertEqual(sorted(mine), sorted(["sent before", *(f"sent after {n}" for n in range(3)),
                                               "sent after the restore"]), "each once")
        self.assertEqual(self.fj.ok("status").json["alarms"], [], "no number is missing and none came twice")
        self.fj.ok("accept", again)
        for request in sent:
            self.fj.ok("accept", request)
        for _ in range(2):
            home.ok("sync")
        self.assertEqual(home.state(again), "handed_over")
        late = self.receive("received after the restore", b"sealed to the new day keys")
        home.ok("accept", late)
        self.assertEqual(home.body(late), b"sealed to the new day keys")

    def test_what_lay_in_the_outbox_of_the_backup_is_not_sent_again(self):
        kept = self.desk.run("send", "--to", "fj", "-s", "waited", "-", "--offline", data=b"x")
        self.assertEqual(kept.code, 3, str(kept))
        done = self.back_up()
        self.desk.ok("sync")
        self.desk.send("fj/technical", b"y", subject="after it")
        before = self.relay.status()
        self.lose(self.desk)
        home = self.restore(done)
        home.ok("sync")
        self.assertEqual(home.ok("status").json["outbox"], 0)
        after = self.relay.status()
        self.assertEqual(after["legs_total"], before["legs_total"], "nothing was stored twice")
        self.assertEqual(home.state(kept.json["id"]), "stored")
        mine = [line["subject"] for line in self.fj.inbox().values() if line["from"] == self.desk.post]
        self.assertEqual(sorted(mine), ["after it", "waited"])

    def test_what_lay_in_the_outbox_and_never_left_goes_out_after_the_restore(self):
        self.desk.run("send", "--to", "fj", "-s", "still to go", "-", "--offline", data=b"x")
        done = self.back_up()
        self.lose(self.desk)
        home = self.restore(done)
        home.ok("sync")
        mine = [line["subject"] for line in self.fj.inbox().values() if line["from"] == self.desk.post]
        self.assertEqual(mine, ["still to go"])

    def test_nothing_new_is_sent_before_the_home_has_caught_up(self):
        done = self.back_up()
        self.desk.send("fj/technical", b"x", subject="meanwhile")
        self.lose(self.desk)
        home = self.restore(done)
        home.fails(3, "restored", "send", "--to", "fj", "-s", "too soon", "-", "--offline", data=b"x")
        self.assertEqual(self.subjects(home.sent("--offline")), [])
        home.send("fj/technical", b"y", subject="in its turn")
        mine = [line["subject"] for line in self.fj.inbox().values() if line["from"] == self.desk.post]
        self.assertEqual(sorted(mine), ["in its turn", "meanwhile"])
        self.assertEqual(self.fj.ok("status").json["alarms"], [])

    def test_an_older_backup_restored_twice_works_each_time(self):
        done = self.back_up()
        first = self.restore(done, f"{self.party}-first")
        first.ok("sync")
        first.send("fj/technical", b"1", subject="from the first")
        self.lose(first)
        time.sleep(1.1)  # day keys are told apart by the second
        second = self.restore(done, f"{self.party}-second")
        second.ok("sync")
        second.send("fj/technical", b"2", subject="from the second")
        request = self.receive("to the second")
        second.ok("accept", request)
        self.assertEqual(second.body(request), b"to the desk")
        self.assertEqual(second.ok("status").json["alarms"], [])

    def test_requests_sealed_to_lost_day_keys_are_there_and_are_sealed_again_by_their_sender(self):
        done = self.back_up()
        first = self.restore(done, f"{self.party}-first")
        first.ok("sync")  # other day keys from here on
        lost = self.receive("sealed to the first")
        time.sleep(1.1)
        second = self.restore(done, f"{self.party}-second")
        second.ok("sync")
        self.assertIn(lost, second.inbox(), "it is not hidden")
        self.assertIsNone(second.inbox()[lost]["subject"])
        alarms = [a["text"] for a in second.ok("status").json["alarms"]]
        self.assertEqual(len(alarms), 1, alarms)
        second.send("fj/technical", b"still", subject="it still can send")
        self.fj.ok("sync")  # it learns that the request could not be opened
        second.ok("sync")
        self.assertEqual(second.inbox()[lost]["subject"], "sealed to the first")
        second.ok("accept", lost)
        self.assertEqual(second.body(lost), b"to the desk")

    # ---- the files ----

    def test_both_files_are_for_their_owner_only_and_the_sheet_can_be_printed(self):
        done = self.back_up()
        for path in (done["file"], done["sheet"]):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        text = pathlib.Path(done["sheet"]).read_text(encoding="utf-8")
        for wanted in (self.desk.post, os.path.basename(done["file"]), done["fingerprint"], "restore", "delete"):
            self.assertIn(wanted, text)
        self.assertTrue(all(len(line) <= 100 for line in text.splitlines()))
        self.assertEqual(sorted(p.name for p in self.safe.iterdir()),
                         sorted(os.path.basename(done[name]) for name in ("file", "sheet")), "and nothing else")
        self.assertEqual(list(self.desk.path.glob("*.new")), [])

    def test_backing_up_again_makes_another_file_and_keep_deletes_the_oldest(self):
        first = self.back_up()
        time.sleep(1.1)
        second = self.back_up()
        time.sleep(1.1)
        third = self.back_up(None, "--keep", "2")
        self.assertEqual(third["removed"], 1)
        self.assertFalse(os.path.exists(first["file"]) or os.path.exists(first["sheet"]))
        self.assertTrue(all(os.path.exists(done[name]) for done in (second, third) for name in ("file", "sheet")))
        home = self.restore(third, source=self.safe)
        self.assertEqual(home.ok("status").json["post"], self.desk.post)
        ran = Home(self.house, "wrong").run("restore", second["file"], "--key-file", third["sheet"])
        self.assertEqual((ran.code, ran.error["error"]), (4, "bad-backup-key"), "each has its own key")

    def test_the_sheet_itself_serves_as_key_file(self):
        done = self.back_up()
        home = Home(self.house, f"{self.party}-again")
        home.ok("restore", done["file"], "--key-file", done["sheet"])

    def test_an_authority_comes_back_too(self):
        authority = self.house.home(f"{self.party}-authority")
        done = self.back_up(authority)
        self.lose(authority)
        authority.ok("restore", done["file"], "--key-file", done["sheet"])
        self.house.make(f"{self.party}/policy")
        self.assertEqual(authority.ok("status").json["kind"], "authority")

    def test_a_home_with_a_pass_phrase_still_needs_it_afterwards(self):
        phrase = self.house.papers / f"phrase-{self.party}"
        phrase.write_text("as before\n")
        home = self.house.home(f"{self.party}-sealed")
        home.ok("init", f"{self.party}/sealed", "--passphrase-file", phrase)
        done = home.ok("backup", self.safe, "--passphrase-file", phrase).json
        again = Home(self.house, f"{self.party}-sealed-again")
        again.ok("restore", done["file"], "--key-file", done["sheet"])
        again.fails(4, "bad-passphrase", "status")
        again.ok("status", "--passphrase-file", phrase)

    def test_no_secret_of_the_home_stands_in_the_file(self):
        self.house.member(f"{self.party}x")
        self.desk.ok("pair", "new", f"{self.party}x")
        marker = b"a text that must not be seen"
        self.desk.send("fj/technical", marker, subject=marker.decode())
        done = self.back_up()
        data = pathlib.Path(done["file"]).read_bytes()
        self.assertNotIn(marker, data)
        self.assertNotIn((self.desk.path / "keys").read_bytes()[-64:], data)

    # ---- what is refused ----

    def test_a_damaged_or_cut_file_makes_no_home(self):
        done = self.back_up()
        data = bytearray(pathlib.Path(done["file"]).read_bytes())
        broken = self.house.folder / "broken.backup"
        edges = [0, 10, 55, 56, 55 + 65553, len(data) - 1]
        for cut in [e for e in edges if e < len(data)]:
            broken.write_bytes(data[:cut])
            self.refused(broken, done, "corrupt", 3)
        for place in (40, 60, len(data) // 2, len(data) - 1):
            data[place] ^= 4
            broken.write_bytes(data)
            ran = self.refused(broken, done, "corrupt", 3)
            self.assertRegex(ran.error["message"], r"from byte \d+")
            data[place] ^= 4
        broken.write_bytes(data + b"\0")
        self.refused(broken, done, "corrupt", 3)

    def refused(self, file, done, name, code):
        home = Home(self.house, f"{self.party}-refused")
        ran = home.fails(code, name, "restore", file, "--key-file", done["sheet"])
        left = [p.name for p in home.path.iterdir()] if home.path.exists() else []
        self.assertEqual([n for n in left if n != "lock"], [])
        return ran

    def test_a_home_that_is_there_is_never_overwritten(self):
        done = self.back_up()
        keys = (self.desk.path / "keys").read_bytes()
        self.desk.fails(1, "home-exists", "restore", done["file"], "--key-file", done["sheet"])
        self.assertEqual((self.desk.path / "keys").read_bytes(), keys)
        self.desk.ok("status")

    def test_mistyped_keys_and_missing_files_are_named(self):
        done = self.back_up()
        home = Home(self.house, "nothing")
        home.fails(1, "bad-code", "restore", done["file"], "--key-file", "-", data=b"AAAA-BBBB")
        home.fails(1, "no-file", "restore", "/nowhere/at/all", "--key-file", "-", data=b"")
        home.fails(1, "needs-terminal", "restore", done["file"])
        home.fails(1, "usage", "restore")
        self.desk.fails(1, "usage", "backup")
        self.desk.fails(1, "usage", "backup", self.safe, "--keep", "0")

    # ---- killed ----

    def with_fault(self, home, point, *args):
        token = self.house.folder / "token"
        token.write_text("")
        ran = home.run(*args, env={"POUCH_FAULT": f"{point}:1:{token}"})
        self.assertEqual(ran.code, -signal.SIGKILL, f"the fault point {point} was never reached\n{ran}")

    def test_these_tests_know_every_fault_point(self):
        texts = [path.read_text() for path in (SOURCE / "client").rglob("*.c")]
        found = {name for text in texts for name in re.findall(r'FAULT\("([^"]+)"\)', text)}
        names = [name for name in found if name.split(".")[0] in ("backup", "restore", "recovery")]
        self.assertEqual(sorted(names), sorted(BACKUP_POINTS + RESTORE_POINTS + RECOVERY_POINTS))

    def test_a_backup_that_is_killed_counts_for_nothing_and_the_next_one_is_whole(self):
        for point in BACKUP_POINTS:
            with self.subTest(point=point):
                self.with_fault(self.desk, point, "backup", self.safe)
                self.assertEqual(list(self.safe.glob("*.backup")), [], "no file that could be taken for a backup")
                self.desk.ok("sync")
        done = self.back_up()
        self.assertEqual(list(self.safe.glob("*.new")), [], "what was left is gone")
        self.restore(done).ok("sync")

    def test_a_restore_that_is_killed_leaves_no_half_home_and_is_repeated(self):
        done = self.back_up()
        for point in RESTORE_POINTS:
            with self.subTest(point=point):
                home = Home(self.house, f"{self.party}-{point}")
                self.with_fault(home, point, "restore", done["file"], "--key-file", done["sheet"])
                if point == "restore.identity-written":
                    home.ok("status", "--offline")  # it was complete
                else:
                    home.fails(1, "no-home", "status")
                    home.ok("restore", done["file"], "--key-file", done["sheet"])
                self.assertTrue((home.path / "restored").exists())
                time.sleep(1.1)
                home.ok("sync")
                self.assertEqual(home.ok("status").json["alarms"], [])

    def test_catching_up_that_is_killed_is_done_again(self):
        done = self.back_up()
        self.desk.send("fj/technical", b"x", subject="meanwhile")
        self.lose(self.desk)
        home = self.restore(done)
        for point in RECOVERY_POINTS:
            self.with_fault(home, point, "sync")
            self.assertTrue((home.path / "restored").exists())
        home.ok("sync")
        self.assertFalse((home.path / "restored").exists())
        request = self.receive("after all that", b"it opens")
        home.ok("accept", request)
        self.assertEqual(home.body(request), b"it opens")
        self.assertEqual(home.ok("status").json["alarms"], [])

    def test_a_backup_beside_other_commands_is_of_one_moment(self):
        def send():
            for n in range(6):
                self.desk.send("fj/technical", b"x", subject=f"beside {n}")

        def back_up():
            return [self.back_up() for _ in range(2) if not time.sleep(1.1)]

        _, backups = in_parallel([send, back_up])
        self.lose(self.desk)
        home = self.restore(backups[0])
        home.ok("sync")
        self.assertEqual(self.subjects(home.sent()), [f"beside {n}" for n in range(6)])
        self.assertTrue(until(lambda: home.ok("status").json["outbox"] == 0))


if __name__ == "__main__":
    main()
