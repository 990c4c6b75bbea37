"""Goal: keys live and die, and no desk is left in the dark. A party's authority renews its key and posts join under it; a lost
home is replaced with the recovery key; the registrars' notice can be objected to and not be taken early; a party leaves and
comes back; one national post becomes several and one again; a revoked post comes back under new keys; a device renews itself.
Every desk is told of each, once."""

import os
import re
import signal
import unittest

from house import FlowTest, main


def told(ran):
    return [line[5:] for line in ran.err.splitlines() if line.startswith("NEWS ")]


class Lives(FlowTest):
    def news(self, home, *args):
        return [(line["kind"], line["party"]) for line in home.ok("news", *args).lines]

    def shown(self, home, post):
        return home.ok("directory", "show", post).json

    def takeover(self, home, party):
        """The registrars' notice of the key of a home made anew."""
        charter = home.house.papers / f"{party}.charter"
        sheet = (home.house.papers / f"{party}.nomination").read_text()
        fingerprint = re.search(r"(?:\d{5} ){9}\d{5}", sheet).group()
        ran = self.relay.ctl("takeover", str(charter), "--reason", "a fire", "--fingerprint", fingerprint)
        self.assertEqual(ran.code, 0, str(ran))

    def anew(self, party, name):
        """A second authority home of a party whose first is lost, in papers of its own."""
        home = self.house.home(name)
        for ending in ("charter", "nomination"):
            (self.house.papers / f"{party}.{ending}").unlink()
        home.ok("authority", "init", party, "--name", party.upper(), "--no-passphrase")
        return home

    # ---- the authority's key ----

    def test_a_renewed_authority_key_is_told_to_every_desk_and_certifies_further_posts(self):
        authority = self.house.authority("ke")
        self.house.make("ke/technical")
        before = self.shown(self.fj, "ke/technical")
        self.fj.ok("sync")
        done = authority.ok("authority", "succeed", "--card", self.relay.card).json
        self.assertTrue(done["sent"])
        after = self.shown(self.fj, "ke/technical")
        self.assertNotEqual(before["authority"], after["authority"])
        self.assertIsNone(before["succession"])
        self.assertIsNotNone(after["succession"])
        news = self.fj.ok("news", "--all").lines[-1]
        self.assertEqual((news["kind"], news["party"]), ("key-renewed", "ke"))
        self.assertIn("committed", news["text"])
        self.house.make("ke/diplomatic")
        self.assertEqual(self.shown(self.fj, "ke/diplomatic")["standing"], "admitted")
        authority.ok("authority", "succeed", "--card", self.relay.card)
        self.house.make("ke/policy")
        request = self.house.home("ke-policy").send("fj", b"under the third key")
        self.fj.ok("accept", request)
        self.assertEqual(self.fj.body(request), b"under the third key")

    def test_news_is_told_once_on_each_desk_and_listed_until_read(self):
        self.house.member("tz")
        desk = self.house.home("tz-technical")
        past = [line for line in told(desk.ok("sync")) if "given notice" not in line]
        self.assertEqual(past, [], "whoever joins is not told of the past, but of notices that stand")
        self.house.member("ug", name="Uganda")
        first = told(desk.ok("sync"))
        self.assertEqual(len([line for line in first if "Uganda (ug)" in line]), 1, first)
        self.assertEqual(told(desk.ok("sync")), [])
        self.assertGreaterEqual(desk.ok("status").json["news"], 1)
        self.assertIn(("admitted", "ug"), self.news(desk))
        self.assertEqual(self.news(desk), [])
        self.assertEqual(desk.ok("status").json["news"], 0)
        self.assertIn(("admitted", "ug"), self.news(desk, "--all"))

    @unittest.skipUnless(os.environ.get("POUCH_FAULTS"), "built without fault points")
    def test_a_killed_succession_gives_the_same_statement_when_it_is_repeated(self):
        for n, point in enumerate(("succession.keys", "succession.identity", "succession.made")):
            authority = self.house.authority(f"k{n}a")
            token = self.house.folder / f"token-{n}"
            token.touch()
            ran = authority.run("authority", "succeed", env={"POUCH_FAULT": f"{point}:1:{token}"})
            self.assertEqual(ran.code, -signal.SIGKILL, ran)
            paper = self.house.papers / f"k{n}a.succession"
            self.assertFalse(paper.exists())
            made = (authority.path / "succession").read_bytes()
            authority.ok("authority", "succeed", "--card", self.relay.card)
            if point != "succession.keys":
                self.assertEqual(paper.read_bytes(), made, "what was made is given out, not made again")
            self.assertFalse((authority.path / "succession").exists())
            again = self.house.papers / f"again-{n}"
            authority.ok("authority", "succeed", "--again", "-o", again)
            self.assertEqual(again.read_bytes(), paper.read_bytes())
            self.house.make(f"k{n}a/technical")

    def test_a_lost_authority_comes_back_with_its_recovery_key(self):
        lost = self.house.authority("lk")
        self.house.make("lk/technical")
        lost.ok("authority", "succeed", "--card", self.relay.card)
        key = self.house.folder / "lk-recovery.key"
        key.write_bytes((lost.path / "recovery.key").read_bytes())
        home = self.anew("lk", "lk-anew")
        recover = ("authority", "recover", "--card", self.relay.card, "--recovery-key")
        home.fails(4, "not-allowed", *recover, home.path / "recovery.key")
        self.assertTrue(home.ok(*recover, key).json["sent"])
        again = home.ok(*recover, key).json
        self.assertEqual((again["done"], again["file"]), (True, None), "once is enough")
        self.assertIn(("key-recovered", "lk"), self.news(self.fj, "--all"))
        self.house.init("lk/policy")
        home.ok("authority", "certify", self.house.papers / "lk-policy.request", "-o", self.house.papers / "lk-policy.cert")
        self.house.join(self.house.home("lk-policy"), self.house.papers / "lk-policy.cert")
        old = self.house.papers / "old.cert"
        self.house.init("lk/diplomatic")
        lost.ok("authority", "certify", self.house.papers / "lk-diplomatic.request", "-o", old)
        ran = self.house.home("lk-diplomatic").run("join", "--card", self.relay.card, "--cert", old, "--fingerprint",
                                                   self.relay.fingerprint)
        self.assertEqual((ran.code, ran.error["error"]), (4, "foreign-certificate"), ran)
        home.ok("authority", "succeed", "--card", self.relay.card)

    def test_a_notice_is_announced_with_its_date_and_void_once_the_party_objects(self):
        authority = self.house.authority("no")
        self.house.make("no/technical")
        thief = self.anew("no", "no-thief")
        self.fj.ok("sync")
        self.takeover(thief, "no")
        ran = self.fj.ok("sync")
        line = [text for text in told(ran) if "given notice" in text and "(no)" in text]
        self.assertEqual(len(line), 1, ran)
        self.assertRegex(line[0], r"from \d{4}-\d\d-\d\d \d\d:\d\d UTC on")
        self.assertIsNotNone(self.shown(self.fj, "no/technical")["notice"])
        early = thief.fails(1, "notice-running", "authority", "take", "--card", self.relay.card)
        self.assertRegex(early.err, r"from \d{4}-\d\d-\d\d")
        authority.ok("authority", "object", "--card", self.relay.card)
        self.assertIsNone(self.shown(self.fj, "no/technical")["notice"])
        self.assertIn(("objected", "no"), self.news(self.fj, "--all"))
        thief.fails(4, "not-allowed", "authority", "take", "--card", self.relay.card)
        authority.fails(4, "conflict", "authority", "object", "--card", self.relay.card)

    def test_an_objection_can_be_made_from_an_exported_directory_and_carried_to_the_relay(self):
        authority = self.house.authority("ob")
        self.takeover(self.anew("ob", "ob-thief"), "ob")
        export, paper = self.house.papers / "ob.hex", self.house.papers / "ob.objection"
        self.fj.ok("directory", "export", "-o", export)
        made = authority.ok("authority", "object", "--card", self.relay.card, "--directory", export,
                            "--recovery-key", authority.path / "recovery.key", "-o", paper).json
        self.assertFalse(made["sent"])
        self.assertTrue(self.house.home("nobody").ok("authority", "send", paper, "--card", self.relay.card).json["sent"])
        self.assertIn(("objected", "ob"), self.news(self.fj, "--all"))

    # ---- leaving and dividing ----

    def test_a_party_that_departed_gets_nothing_new_and_finishes_what_is_open(self):
        authority = self.house.authority("dp")
        desk = self.house.make("dp/technical")
        request = self.fj.send("dp", b"before you go")
        authority.ok("authority", "depart", "--reason", "merged", "--card", self.relay.card)
        desk.ok("accept", request)
        desk.ok("reply", request, "-", data=b"farewell")
        answer = [line["id"] for line in self.fj.inbox().values() if line["parent"] == request]
        self.assertEqual(self.fj.body(answer[0]), b"farewell")
        self.fj.ok("reply", request, "-", data=b"farewell to you")
        self.fj.fails(4, "departed", "send", "--to", "dp", "-s", "new", "-", data=b"new")
        self.fj.fails(4, "departed", "send", "--to", "dp/technical", "-s", "new", "-", data=b"new")
        late = desk.run("send", "--to", "fj", "-s", "new", "-", data=b"new")
        self.assertEqual((late.code, late.error["error"]), (4, "departed"), late)
        self.assertEqual(self.shown(self.fj, "dp/technical")["standing"], "departed")
        text = [line["text"] for line in self.fj.ok("news", "--all").lines if line["kind"] == "departed"]
        self.assertTrue(any("merged" in line for line in text), text)
        self.house.admit("dp")
        again = self.fj.send("dp", b"welcome back")
        desk.ok("accept", again)

    def test_a_national_post_is_split_and_taken_back_while_open_legs_finish(self):
        authority = self.house.authority("sp")
        national = self.house.make("sp/national")
        opened = self.fj.send("sp", b"before the split")
        for desk, functions in (("diplomatic", "diplomatic,policy"), ("technical", "technical")):
            home = self.house.init(f"sp/{desk}")
            self.house.join(home, self.house.certify(f"sp/{desk}", functions=functions))
        split = ("authority", "split", "sp/national")
        authority.fails(1, "usage", *split, "--card", self.relay.card)
        authority.fails(4, "mismatch", *split, "--into", "sp/technical", "--card", self.relay.card)
        authority.ok(*split, "--into", "sp/diplomatic,sp/technical", "--card", self.relay.card)

        technical = self.fj.ok("send", "--to", "sp", "--kind", "incident", "-s", "i", "-", data=b"i").json
        self.assertEqual([leg["to"] for leg in technical["legs"]], ["sp/technical"])
        named = self.fj.ok("send", "--to", "sp/national", "--kind", "clarification", "-s", "c", "-", data=b"c")
        self.assertEqual([leg["to"] for leg in named.json["legs"]], ["sp/diplomatic"])
        self.assertIn("sp/national is split: this goes to sp/diplomatic", named.err)
        shown = self.shown(self.fj, "sp/national")
        self.assertEqual((shown["standing"], shown["split_into"]), ("split", ["sp/diplomatic", "sp/technical"]))
        national.ok("accept", opened)
        national.ok("reply", opened, "-", data=b"still here")
        self.fj.ok("reply", opened, "-", data=b"good")
        self.assertEqual(national.body(opened), b"before the split")

        authority.ok(*split, "--back", "--card", self.relay.card)
        whole = self.fj.ok("send", "--to", "sp/national", "-s", "w", "-", data=b"w").json
        self.assertEqual([leg["to"] for leg in whole["legs"]], ["sp/national"])
        kinds = [line["kind"] for line in self.fj.ok("news", "--all").lines if line["post"] == "sp/national"]
        self.assertEqual(kinds, ["split", "split-back"])

    def test_a_nominated_party_cannot_be_written_to_yet(self):
        ran = self.relay.ctl("nominate", "nm", "--name", "Nominee")
        self.assertEqual(ran.code, 0, str(ran))
        late = self.fj.fails(4, "not-admitted", "send", "--to", "nm", "-s", "hello", "-", data=b"hello")
        self.assertIn("no keys yet", late.error["message"] + late.err)
        listed = [line for line in self.fj.ok("directory", "list").lines if line["party"] == "nm"]
        self.assertEqual([(line["standing"], line["authority"]) for line in listed], [("nominated", None)])

    # ---- posts and devices ----

    def test_a_revoked_post_comes_back_under_new_keys(self):
        self.house.member("rv")
        authority, old = self.house.home("rv-authority"), self.house.home("rv-technical")
        authority.ok("authority", "revoke", "rv/technical", "--card", self.relay.card, "--yes")
        self.assertEqual(self.shown(self.fj, "rv/technical")["standing"], "revoked")
        self.fj.fails(1, "unknown-post", "send", "--to", "rv", "-s", "x", "-", data=b"x")
        for ending in ("request", "revocation"):
            (self.house.papers / f"rv-technical.{ending}").unlink()
        desk = self.house.init("rv/technical", "rv-second")
        self.house.join(desk, self.house.certify("rv/technical", self.house.papers / "rv-second.cert"))
        request = self.fj.send("rv", b"are you back?")
        desk.ok("accept", request)
        self.assertEqual(desk.body(request), b"are you back?")
        self.assertNotEqual(old.run("sync").code, 0)

    def test_a_further_device_is_certified_by_the_authority_and_its_sister_is_told(self):
        self.house.member("fd")
        first, second = self.house.home("fd-technical"), self.house.home("fd-second")
        self.house.home("fd-authority").ok("authority", "succeed", "--card", self.relay.card)
        second.post = "fd/technical"
        second.ok("init", "fd/technical", "--device", "--role", "reader", "--no-passphrase")
        cert = self.house.papers / "fd-second.cert"
        self.house.home("fd-authority").ok("authority", "certify", self.house.papers / "fd-technical-device.request",
                                           "-o", cert)
        self.house.join(second, cert)
        ran = first.ok("sync")
        self.assertTrue(any("was linked" in line and "the authority of fd" in line for line in told(ran)), ran)
        devices = self.shown(self.fj, "fd/technical")["device_list"]
        self.assertEqual([(d["role"], d["standing"], d["countersigned"]) for d in devices],
                         [("decider", "live", True), ("reader", "live", True)])
        request = self.fj.send("fd", b"to both")
        self.assertIn(request, second.inbox())

    def test_a_device_renews_itself_before_its_certificate_ends(self):
        self.house.authority("rn")
        desk = self.house.home("rn-technical")
        desk.post = "rn/technical"
        desk.fails(1, "usage", "init", "rn/technical", "--validity", "12h", "--no-passphrase")
        desk.ok("init", "rn/technical", "--validity", "10d", "--no-passphrase")
        self.house.join(desk, self.house.certify("rn/technical"))
        status = desk.ok("status", "--offline")
        self.assertIn("URGENT: this device's certificate ends", status.err)
        self.assertLess(status.json["certificate_days"], 11)
        warned = self.fj.ok("send", "--to", "rn", "-s", "m", "-", data=b"m")
        self.assertIn("the last device of rn/technical ends", warned.err)
        if os.environ.get("POUCH_FAULTS"):
            token = self.house.folder / "token-renewal"
            token.touch()
            self.assertEqual(desk.run("sync", env={"POUCH_FAULT": f"renewal.kept:1:{token}"}).code, -signal.SIGKILL)
        desk.ok("sync")
        status = desk.ok("status")
        self.assertGreater(status.json["certificate_days"], 390)
        self.assertNotIn("certificate", status.err)
        size = self.fj.ok("status").json["directory_size"]
        desk.ok("sync")
        self.assertEqual(self.fj.ok("status").json["directory_size"], size, "once is enough")
        calm = self.fj.ok("send", "--to", "rn", "-s", "m", "-", data=b"m")
        self.assertNotIn("the last device", calm.err)

    def test_a_sender_is_told_that_nobody_is_there_and_the_request_waits(self):
        self.house.member("em")
        desk = self.house.home("em-technical")
        [device] = self.shown(self.fj, "em/technical")["device_list"]
        self.house.home("em-authority").ok("authority", "revoke", device["device"], "--post", "em/technical", "--card",
                                           self.relay.card, "--yes")
        ran = self.fj.ok("send", "--to", "em", "-s", "anybody?", "-", data=b"anybody?")
        self.assertIn("em/technical has no live device now", ran.err)
        self.assertEqual(self.fj.state(ran.json["id"]), "stored")
        self.assertNotEqual(desk.run("sync").code, 0)


if __name__ == "__main__":
    main()
