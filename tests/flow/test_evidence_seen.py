"""Goal: a home that has seen the evidence log knows when the relay comes back with an older one, or with another one of the same
size, although everything there is signed as it should be; and an honest relay is never accused."""

import shutil
import unittest

from house import FlowTest, main, program, run


class EvidenceSeen(FlowTest):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.ke, cls.no = cls.house.member("ke"), cls.house.member("no")

    def exchange(self):
        request = self.fj.send("de/technical", b"text")
        self.de.ok("sync")
        self.de.ok("accept", request)
        self.fj.ok("sync")
        self.de.ok("sync")
        return request

    def keep(self, name):
        """The relay's whole folder as it is now."""
        self.assertEqual(self.relay.stop(), 0)
        kept = self.house.folder / name
        shutil.copytree(self.relay.folder, kept)
        self.relay.start()
        return kept

    def put_back(self, kept):
        self.assertEqual(self.relay.stop(), 0)
        for file in kept.iterdir():
            if file.is_file():
                shutil.copy2(file, self.relay.folder / file.name)
        for name in ("store.sqlite-wal", "store.sqlite-shm"):
            if not (kept / name).exists():
                (self.relay.folder / name).unlink(missing_ok=True)
        self.relay.start()

    def no_alarm(self, home):
        status = home.ok("status").json
        self.assertEqual(status["alarms"], [], status)

    def test_1_an_honest_relay_is_never_accused(self):
        for _ in range(3):
            self.exchange()
        self.assertEqual(self.relay.stop(), 0)
        self.relay.start()
        for _ in range(2):
            request = self.fj.send("de/technical", b"text")  # heads pile up for de
        self.de.ok("sync")
        self.de.ok("decline", request)
        self.fj.ok("sync")
        for home in (self.fj, self.de):
            self.no_alarm(home)

    def test_2_a_relay_that_comes_back_older_is_found_out_and_then_proven(self):
        self.exchange()
        kept = self.keep("older")
        self.exchange()  # what the older one does not know
        self.put_back(kept)  # as an operator does who has lost a disk, and says nothing
        ran = self.de.fails(4, "evidence-forked", "sync")
        self.assertIn("this home has seen", ran.error["message"])
        alarms = self.de.ok("status", "--offline").json["alarms"]
        self.assertTrue(any("this home has seen" in alarm["text"] for alarm in alarms), alarms)
        for _ in range(6):  # it goes on from there, and has signed two logs in the end
            self.ke.send("no/technical", b"text")
            self.no.ok("sync")
        ran = self.de.fails(4, "fraud", "sync")
        self.assertIn("two evidence logs", ran.error["message"])
        proof = ran.error["message"].split("proof: ")[1]
        proven = run(program("POUCH") + ["--json", "verify", proof], self.house.folder).json
        self.assertEqual((proven["kind"], proven["log"], proven["proven"]), ("heads", "evidence", True))
        self.no_alarm(self.ke)  # who has seen nothing of what was lost is told nothing


if __name__ == "__main__":
    main()
