"""Goal: a secret that two parties exchange by hand seals what they send each other as well: it is used as soon as both have
it, a request never mixes recipients with and without it, nothing goes to a party that requires one and has none, and
what came too early opens once the secret is there."""

import hashlib
import os
import re
import stat
import time

from house import FlowTest, end_process, main, until

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def secret_of(code):
    """The 32 bytes: of each row's 28 symbols the first 26 are data, the last two bits of which are zeros."""
    symbols = code.replace("-", "")
    rows = [symbols[i:i + 26] for i in (0, 28)]
    return b"".join((sum(SYMBOLS.index(c) << 5 * (25 - i) for i, c in enumerate(row)) >> 2).to_bytes(16, "big")
                    for row in rows)


def memory_of(pid):
    """All that a process can write to, as far as it can be read."""
    found = bytearray()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            low, high = (int(end, 16) for end in place.split("-"))
            if not mode.startswith("rw") or high - low > 1 << 30:
                continue
            try:
                memory.seek(low)
                found += memory.read(high - low)
            except OSError:
                continue
    return bytes(found)


CODE = re.compile(r"(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}")


class Pairs(FlowTest):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.house.member("ke", name="Kenya")
        cls.ke = cls.house.home("ke-technical")

    def setUp(self):
        """No pairs from other tests."""
        for home in (self.fj, self.de, self.ke):
            for line in home.ok("pair", "list").lines:
                home.ok("pair", "require", line["party"], "--off")
                if line["id"]:
                    home.ok("pair", "remove", line["party"], line["id"])

    def pair(self, maker, taker, *args):
        """A secret, made here and carried there; its id."""
        maker_party, taker_party = (home.post.split("/")[0] for home in (maker, taker))
        made = maker.ok("pair", "new", taker_party, *args).json
        added = taker.ok("pair", "add", maker_party, "-", data=made["code"].encode()).json
        self.assertEqual(made["id"], added["id"], "both sides show the same id")
        return made["id"]

    def shown(self, home, request):
        shown = home.ok("show", request).json
        return shown["subject"], shown["shared_secret"], shown["shared_secret_missing"]

    def test_what_is_sent_goes_under_the_secret_and_opens(self):
        self.pair(self.fj, self.de)
        request = self.fj.send("de/technical", b"under the secret", subject="paired")
        self.assertEqual(self.shown(self.de, request), ("paired", True, False))
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"under the secret")
        self.de.ok("reply", request, "-", data=b"and back")
        self.fj.ok("sync")
        reply = next(r for r, line in self.fj.inbox().items() if line["parent"] == request)
        self.assertEqual(self.fj.body(reply), b"and back")
        self.assertTrue(self.fj.ok("show", reply).json["shared_secret"])

    def test_without_a_secret_nothing_changes(self):
        request = self.fj.send("de/technical", b"plain", subject="plain")
        self.assertEqual(self.shown(self.de, request), ("plain", False, False))

    def test_what_came_before_the_secret_was_read_in_opens_afterwards(self):
        made = self.fj.ok("pair", "new", "de").json
        request = self.fj.send("de/technical", b"too early", subject="too early")
        self.de.ok("sync")
        self.assertIsNone(self.de.inbox()[request]["subject"], "still sealed")
        alarms = " ".join(a["text"] for a in self.de.ok("status").json["alarms"])
        self.assertIn("shared secret", alarms)
        self.de.ok("pair", "add", "fj", "-", data=made["code"].encode())
        self.assertEqual(self.shown(self.de, request), ("too early", True, False))
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"too early")

    def test_a_required_secret_that_is_not_there_stops_the_request_before_anything_is_kept(self):
        self.fj.ok("pair", "require", "ke")
        before = self.fj.fingerprint()
        ran = self.fj.fails(4, "pair-required", "send", "--to", "ke,de", "-s", "no", "-", data=b"no")
        self.assertIn("ke", ran.error["message"])
        self.assertIn("pouch pair new ke", ran.error["hint"])
        self.assertEqual(self.fj.fingerprint(), before)
        self.fj.ok("pair", "require", "ke", "--off")
        self.fj.send("ke/technical", b"yes")

    def test_recipients_with_and_without_a_secret_get_a_request_each(self):
        self.pair(self.fj, self.de, "--require")
        ran = self.fj.ok("send", "--to", "de,ke", "-s", "to both", "-", data=b"from a pipe")
        by_post = {line["legs"][0]["to"]: line["id"] for line in ran.lines}
        self.assertEqual(set(by_post), {"de/technical", "ke/technical"})
        self.assertEqual(len(set(by_post.values())), 2, "two requests")
        self.assertEqual(self.shown(self.de, by_post["de/technical"]), ("to both", True, False))
        self.assertEqual(self.shown(self.ke, by_post["ke/technical"]), ("to both", False, False))
        for home in (self.de, self.ke):
            request = by_post[home.post]
            home.ok("accept", request)
            self.assertEqual(home.body(request), b"from a pipe")

    def test_all_have_one_so_one_request_goes_under_them(self):
        self.pair(self.fj, self.de)
        self.pair(self.fj, self.ke)
        request = self.fj.ok("send", "--to", "de,ke", "-s", "all", "-", data=b"x").json["id"]
        for home in (self.de, self.ke):
            self.assertEqual(self.shown(home, request), ("all", True, False))

    def test_one_of_them_has_one_but_nobody_requires_it_so_none_is_used(self):
        self.pair(self.fj, self.de)
        request = self.fj.ok("send", "--to", "de,ke", "-s", "mixed", "-", data=b"x").json["id"]
        for home in (self.de, self.ke):
            self.assertEqual(self.shown(home, request), ("mixed", False, False))

    def test_what_comes_without_a_required_secret_is_shown_with_a_warning(self):
        self.de.ok("pair", "require", "fj")
        request = self.fj.send("de/technical", b"in the base mode", subject="bare")
        self.assertEqual(self.shown(self.de, request), ("bare", False, True))
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"in the base mode")

    def test_a_new_secret_takes_the_old_ones_place_and_both_open(self):
        first = self.pair(self.fj, self.de)
        sealed_under_first = self.fj.send("de/technical", b"1", subject="under the first")
        second = self.pair(self.de, self.fj)
        sealed_under_second = self.fj.send("de/technical", b"2", subject="under the second")
        lines = {line["id"]: line for line in self.de.ok("pair", "list").lines}
        self.assertEqual({i: line["in_use"] for i, line in lines.items()}, {first: False, second: True})
        for request in (sealed_under_first, sealed_under_second):
            self.assertTrue(self.shown(self.de, request)[1])
        self.de.ok("pair", "remove", "fj", first[:10])
        self.assertEqual([line["id"] for line in self.de.ok("pair", "list").lines], [second])

    def test_a_removed_secret_that_waiting_requests_need_holds_them_back(self):
        shared = self.pair(self.fj, self.de, "--require")
        kept = self.fj.run("send", "--to", "de", "-s", "waits", "-", "--offline", data=b"x")
        self.assertEqual(kept.code, 3, str(kept))
        request = kept.json["id"]
        self.fj.ok("pair", "remove", "de", shared, "--offline")
        self.fj.ok("sync")
        self.assertEqual(self.fj.ok("status").json["outbox"], 1, "it waits, it is not lost")
        self.assertNotIn(request, self.de.inbox())
        self.pair(self.fj, self.de)
        self.fj.ok("sync")
        self.assertEqual(self.shown(self.de, request), ("waits", True, False))

    def test_a_program_that_has_used_the_secret_does_not_hold_it_while_it_waits(self):
        made = self.fj.ok("pair", "new", "de").json
        secret = secret_of(made["code"])
        named = hashlib.blake2b(b"pouch/0 pair\0" + secret, digest_size=32).hexdigest()[:32]
        self.assertEqual(made["id"], named)
        self.de.ok("pair", "add", "fj", "-", data=made["code"].encode())
        waiting = self.de.start("wait", "--for", "accepted", "--timeout", "30s")
        self.addCleanup(waiting.communicate)
        self.addCleanup(end_process, waiting)
        request = self.fj.send("de/technical", b"opened by the one that waits", subject="used")
        opened = until(lambda: request in self.de.inbox("--offline"))
        self.assertTrue(opened, "it was not fetched")
        time.sleep(0.5)
        try:
            memory = memory_of(waiting.pid)
        except PermissionError:
            self.skipTest("another process's memory may not be read here")
        self.assertIn(str(self.de.path).encode(), memory, "the search finds what is there")
        for what in (secret[:24], secret[4:28], secret[8:], made["code"].encode()):
            self.assertEqual(memory.count(what), 0)
        for path in self.de.path.iterdir():
            if path.is_file():
                self.assertNotIn(secret[4:28], path.read_bytes(), path.name)

    def test_the_secret_is_in_no_argument_and_in_no_file(self):
        made = self.fj.ok("pair", "new", "de").json
        self.fj.fails(1, "usage", "pair", "add", "ke", made["code"])
        carried = self.house.papers / "secret"
        named = self.fj.ok("pair", "new", "ke", "-o", carried).json
        self.assertNotIn("code", named)
        self.assertEqual(stat.S_IMODE(os.stat(carried).st_mode), 0o600)
        self.assertEqual(len(CODE.findall(carried.read_text())), 2)
        self.fj.fails(1, "home-exists", "pair", "new", "ke", "-o", carried)
        added = self.ke.ok("pair", "add", "fj", "--file", carried).json
        self.assertEqual(added["id"], named["id"])

    def test_a_mistake_in_the_code_is_noticed(self):
        code = self.fj.ok("pair", "new", "de").json["code"]
        wrong = code[:7] + ("0" if code[7] != "0" else "1") + code[8:]
        for typed in (wrong, code[:-1], code + "0", "", code[35:] + "-" + code[:34]):
            ran = self.de.fails(1, "bad-code", "pair", "add", "fj", "-", data=typed.encode())
            self.assertIn("groups of four", ran.error["hint"])
        self.assertEqual(self.de.ok("pair", "list").lines, [])
        self.de.ok("pair", "add", "fj", "-", data=code.lower().replace("-", " ").encode())

    def test_nobody_shares_with_oneself_or_a_stranger(self):
        self.fj.fails(1, "usage", "pair", "new", "fj")
        self.fj.fails(1, "unknown-party", "pair", "new", "zz")
        self.fj.fails(4, "unknown-pair", "pair", "remove", "de", "0000")


if __name__ == "__main__":
    main()
