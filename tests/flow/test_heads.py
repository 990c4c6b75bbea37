"""Goal: every growth of the directory is a signed head that continues the one before; witnesses get and give their word over the
link and by file; and a relay whose store was put back from an older copy signs nothing."""

import shutil
import unittest

from house import House, Relay, main, program, until


class Heads(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        cls.house = House(relay=False)
        try:
            cls.near, cls.far = cls.house.home("near"), cls.house.home("far")
            words = []
            for witness, name in ((cls.near, "near.test"), (cls.far, "far.test")):
                made = witness.ok("witness", "init", name, "--no-passphrase").json
                words += ["--witness", made["vkey"]]
            cls.relay = Relay(cls.house.folder / "relay", init=[*words, "--witnesses", "2"]).start()
            cls.house.relay = cls.relay
        except BaseException:
            cls.house.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.house.close()

    def status(self):
        return self.relay.live_status()

    def grow(self):
        """One more party. The directory's size."""
        Heads.parties = getattr(Heads, "parties", 0) + 1
        self.house.authority(f"x{Heads.parties}")
        status = self.status()
        self.assertEqual(status["head_size"], status["directory_size"], "the newest head is of all there is")
        return status["directory_size"]

    def ctl_ok(self, *args):
        ran = self.relay.ctl(*args)
        self.assertEqual(ran.code, 0, f"{ran}\n{self.relay.tail()}")
        return ran.json

    def ctl_fails(self, code, name, *args):
        ran = self.relay.ctl(*args)
        self.assertEqual(ran.code, code, ran)
        self.assertEqual(ran.error["error"], name)

    def request(self, old=0):
        file = self.house.folder / "request"
        made = self.ctl_ok("witness", "request", "--old", str(old), "-o", str(file))
        self.assertEqual((made["old"], made["file"]), (old, str(file)))
        self.assertEqual(made["request"], file.read_text())
        return file, made

    def sign(self, witness, file):
        answer = self.house.folder / "answer"
        witness.ok("witness", "sign", file, "--card", self.relay.card, "-o", answer)
        return answer

    def check(self, code, words):
        """What a monitor is told."""
        ran = self.relay.ctl("check")
        self.assertEqual(ran.code, code, ran)
        self.assertIn(words, ran.json["message"])

    def test_1_an_empty_directory_has_no_head(self):
        self.assertEqual(self.status()["head_size"], 0)
        self.check(1, "0 of the 2 witnesses")
        self.ctl_fails(3, "no-head", "witness", "request")

    def test_2_witnesses_give_their_word_by_file_and_by_link(self):
        size = self.grow()
        file, made = self.request()
        self.assertEqual(made["size"], size)
        self.assertTrue(made["request"].startswith("old 0\n\nrelay.test/directory\n"))
        self.ctl_ok("witness", "add", str(self.sign(self.far, file)))
        self.assertEqual(self.status()["witnesses_fresh"], 1)
        self.check(1, "1 of the 2 witnesses")
        self.near.ok("witness", "run", "--card", self.relay.card, "--once")
        self.assertEqual(self.status()["witnesses_fresh"], 2)
        self.check(0, "the relay serves")

    def test_3_lines_alone_do_though_the_directory_has_grown_meanwhile(self):
        before = self.grow()
        self.near.ok("witness", "run", "--card", self.relay.card, "--once")
        old = self.far.ok("witness", "status").json["logs"][0]["size"]
        file, made = self.request(old)
        lines = [line for line in self.sign(self.far, file).read_text().splitlines(keepends=True)
                 if line.startswith("\u2014 far.test ")]
        self.assertEqual((len(lines), made["size"]), (1, before))
        self.assertGreater(self.grow(), before)
        answer = self.house.folder / "lines"
        answer.write_text(lines[0])
        self.assertEqual(self.ctl_ok("witness", "add", str(answer)), {"file": str(answer), "added": True})
        answer.write_text(lines[0].replace("far.test ", "near.test "))
        self.ctl_fails(4, "unknown-witness", "witness", "add", str(answer))

    def test_4_what_is_no_answer_is_refused_and_what_is_no_question_too(self):
        self.grow()
        file = self.house.folder / "nonsense"
        file.write_text("nonsense\n")
        self.ctl_fails(4, "malformed", "witness", "add", str(file))
        self.ctl_fails(1, "no-file", "witness", "add", str(self.house.folder / "nothing"))
        self.ctl_fails(4, "out-of-range", "witness", "request", "--old", "100000")
        for words in (("witness", "request", "--old", "x"), ("witness", "add"), ("witness",), ("witness", "sing"),
                      ("witness", "request", "more")):
            self.ctl_fails(1, "usage", *words)

    def test_5_an_older_store_is_noticed_and_the_newer_one_goes_on(self):
        self.grow()
        store, kept, newer = (self.house.folder / name for name in ("relay/store.sqlite", "older", "newer"))
        names = [path.name for path in store.parent.iterdir() if path.name.startswith(store.name)]

        def copy(source, target):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for path in source.iterdir():
                if path.name.startswith(store.name):
                    shutil.copy(path, target / path.name)

        def put_back(source):
            for path in store.parent.iterdir():
                if path.name.startswith(store.name):
                    path.unlink()
            for path in source.iterdir():
                shutil.copy(path, store.parent / path.name)

        self.assertTrue(names, "where is the store?")
        self.assertEqual(self.relay.stop(), 0)
        copy(store.parent, kept)
        self.relay.start()
        size = self.grow()
        self.assertEqual(self.relay.stop(), 0)
        copy(store.parent, newer)
        put_back(kept)
        self.relay.start(ready=False)
        self.assertTrue(until(lambda: self.relay.process.poll() is not None, 30), "it must not serve")
        self.assertNotEqual(self.relay.process.returncode, 0)
        self.assertIn("the store is older than what this relay has given out", self.relay.log())
        self.relay.process = None
        put_back(newer)
        self.relay.start()
        self.assertEqual(self.status()["head_size"], size)
        self.near.ok("witness", "run", "--card", self.relay.card, "--once")


if __name__ == "__main__":
    main()
