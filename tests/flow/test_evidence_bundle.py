"""Goal: what happened to a request can be shown to somebody who trusts neither side nor the relay: one file, checked in an empty
folder, without home, network or relay.

All kinds of ends: accepted, handed over and acknowledged; declined; expired; withdrawn; forwarded; sealed again; only a summary; a
reply; several recipients. Either side makes the file; a third person verifies it with the card alone. One changed byte is
refused, with the reason and the place. A request that is to be shown only if both agree says whether they did."""

import os
import pathlib
import re
import shutil
import tempfile

from house import (ACCEPTED, ACKNOWLEDGED, CLOSED, DECLINED, EXPIRED, HANDED_OVER, NOTIFIED, PATIENCE, SETTLED, STORED,
                   WITHDRAWN, FlowTest, main, program, run)

REKEY, RESEALED, FORWARDED = "ContentConsignmentFailure", "Resealing", "Forwarding"


class EvidenceBundle(FlowTest):
    @classmethod
    def furnish(cls):
        cls.house.member("fj", name='Fiji <& "Isles">')
        cls.house.member("de", name="Germany")
        cls.house.member("nz", name="New Zealand")
        cls.fj, cls.de = cls.house.home("fj-technical"), cls.house.home("de-technical")
        cls.legal = cls.house.make("fj/legal")
        for home in (cls.fj, cls.de):
            home.ok("sync")
        cls.desk = pathlib.Path(tempfile.mkdtemp(prefix="auditor-", dir=cls.house.folder))

    # ---- the auditor: a folder with what was handed over, and nothing else ----

    def file(self, name="it"):
        EvidenceBundle.made = getattr(EvidenceBundle, "made", 0) + 1
        return self.desk / f"{name}-{EvidenceBundle.made}.evidence"

    def verify(self, path, *args, code=0):
        """In a folder of its own, without the environment."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="empty-", dir=self.house.folder))
        shutil.copy(path, folder / "given.evidence")
        shutil.copy(self.relay.card, folder / "relay.card")
        argv = program("POUCH") + ["verify", "given.evidence", "--json", *args]
        ran = run(argv, folder, env={"HOME": str(folder / "none"), "XDG_DATA_HOME": str(folder / "none")})
        self.assertEqual(ran.code, code, ran)
        left = sorted(each.name for each in folder.iterdir())
        self.assertEqual([name for name in left if not name.endswith(".html")], ["given.evidence", "relay.card"], "nothing else is made")
        return ran

    def show(self, home, request, *args, card=True, name="it"):
        """The file as the auditor finds it; its JSON."""
        path = self.file(name)
        home.ok("evidence", request, "-o", path, *args)
        found = self.verify(path, *(("--card", "relay.card") if card else ())).json
        self.assertEqual((found["kind"], found["proven"], found["id"]), ("bundle", True, request))
        found["path"] = path
        return found

    def assert_leg(self, found, home, request, events, state, which=0):
        """What is proven is what the home tells."""
        leg = found["legs"][which]
        self.assertEqual([event["event"] for event in leg["events"]], events)
        self.assertEqual(leg["state"], state)
        told = [event for event in home.ladder(request, leg["with"])["events"] if event["ordinal"] is not None]
        for proven, known in zip(leg["events"], told, strict=True):
            for field in ("event", "actor", "at", "device_time", "ordinal", "log_index"):
                self.assertEqual(proven[field], known[field], field)
            if proven["actor"] != "relay":
                self.assertEqual(proven["signer"], known["signer"])
            self.assertLess(proven["log_index"], proven["head_size"])
        return leg

    def settled(self, text=b"a text", *args, **more):
        request = self.fj.send("de/technical", text, *args, **more)
        self.de.ok("accept", request, "--officer")
        self.de.body(request)
        self.de.ok("ack", request, "--machine", "--note", "thank <you>")
        self.fj.ok("sync")
        return request

    # ---- all kinds of ends ----

    def test_an_answer_is_proven_by_either_side(self):
        request = self.settled()
        files = []
        for home in (self.fj, self.de):
            found = self.show(home, request)
            leg = self.assert_leg(found, home, request, SETTLED, "acknowledged")
            accepted = next(event for event in leg["events"] if event["event"] == ACCEPTED)
            self.assertEqual((accepted["actor"], accepted["signer"]), ("de/technical", "officer"))
            self.assertEqual(leg["events"][-1]["signer"], "machine")
            self.assertEqual((found["from"], leg["to"], found["card_matches"]), ("fj/technical", "de/technical", True))
            self.assertIsNone(found["opened"])
            self.assertIsNotNone(found["evidence"], "a later head ties the positions together")
            self.assertNotIn("one-log", found["gaps"])
            for gap in ("later", "directory", "holder", "read", "clock", "agreement", "offer", "body", "witnesses"):
                self.assertIn(gap, found["gaps"])
            self.assertNotIn("card", found["gaps"])
            self.assertEqual(len(found["gaps"]), len(found["not_proven"]))
            files.append(found["path"].read_bytes())
        for content in files:
            self.assertNotIn(b"a text", content)
        self.assertIn("card", self.show(self.fj, request, card=False)["gaps"])

    def test_what_was_declined_expired_and_withdrawn(self):
        request = self.fj.send("de/technical", b"declined")
        self.de.ok("decline", request, "--reason", "no-capacity", "--note", "ask on Monday")
        self.fj.ok("sync")
        found = self.show(self.fj, request)
        leg = self.assert_leg(found, self.fj, request, [STORED, NOTIFIED, DECLINED], "declined")
        self.assertIn("reason", leg["events"][-1])
        self.assertNotIn("words", leg["events"][-1])
        self.assertNotIn("later", found["gaps"])
        words = self.show(self.fj, request, "--open", "offer")["legs"][0]["events"][-1]["words"]
        self.assertEqual(words, "ask on Monday", "who may read the summary may read the answer's words")

        request = self.fj.send("de/technical", b"withdrawn")
        self.fj.ok("withdraw", request)
        self.assert_leg(self.show(self.fj, request), self.fj, request, [STORED, WITHDRAWN], "withdrawn")

        keep = f"{3 if PATIENCE == 1 else 30}s"
        request = self.fj.send("de/technical", b"expired", "--exercise", "--keep", keep)
        self.de.ok("sync")
        self.fj.ok("wait", request, "--for", "expired", "--timeout", "60s")
        found = self.show(self.fj, request)
        self.assertTrue(found["exercise"])
        self.assertIn("silence", found["gaps"])
        self.assert_leg(found, self.fj, request, [STORED, NOTIFIED, EXPIRED], "expired")

    def test_a_summary_alone(self):
        request = self.fj.ok("send", "--to", "de/technical", "-s", "only this", "--summary", "is it so?", "--offer-only").json["id"]
        self.de.ok("accept", request)
        self.de.ok("ack", request)
        found = self.show(self.de, request, "--open", "offer")
        self.assert_leg(found, self.de, request, [STORED, NOTIFIED, ACCEPTED, ACKNOWLEDGED], "acknowledged")
        self.assertEqual((found["opened"]["subject"], found["opened"]["summary"]), ("only this", "is it so?"))
        self.assertNotIn("body", found["gaps"])
        self.de.fails(1, "no-body", "evidence", request, "--open", "body", "-o", self.file())

    def test_a_reply(self):
        request = self.settled()
        self.de.ok("reply", request, "-", data=b"the answer's text")
        reply = next(line["id"] for line in self.fj.inbox().values() if line["parent"] == request)
        for home in (self.fj, self.de):
            home.ok("sync")
            found = self.show(home, reply, "--open", "body")
            self.assert_leg(found, home, reply, [STORED, HANDED_OVER], "handed_over")
            self.assertEqual((found["parent"], found["from"]), (request, "de/technical"))
            self.assertEqual(found["opened"]["text"], "the answer's text")

    def test_what_was_closed(self):
        request = self.settled()
        self.fj.ok("close", request)
        self.de.ok("sync")
        self.assert_leg(self.show(self.de, request), self.de, request, SETTLED + [CLOSED], "closed")

    def test_what_was_forwarded(self):
        request = self.de.send("fj/technical", b"for the lawyers")
        self.fj.ok("sync")
        self.fj.ok("forward", request, "fj/legal")
        self.legal.ok("sync")
        self.legal.ok("accept", request)
        self.legal.body(request)
        self.de.ok("sync")
        events = [STORED, NOTIFIED, FORWARDED, NOTIFIED, ACCEPTED, HANDED_OVER]
        for home in (self.de, self.legal):
            found = self.show(home, request)
            leg = self.assert_leg(found, home, request, events, "handed_over")
            self.assertEqual((leg["to"], leg["with"]), ("fj/technical", "fj/legal"))
            self.assertEqual(leg["events"][2]["forward"], "fj/legal")
        early = self.show(self.fj, request)["legs"][0]
        self.assertEqual([event["event"] for event in early["events"]], events[:3], "as far as it was told")

    def test_what_was_sealed_again(self):
        name = "ws"
        self.house.member(name)
        home = self.house.home(f"{name}-technical")
        device = self.de.ok("directory", "show", f"{name}/technical").json["device_list"][0]["device"]
        self.house.home(f"{name}-authority").ok("authority", "revoke", device, "--post", f"{name}/technical", "--card", self.relay.card)
        request = self.de.send(f"{name}/technical", b"is anybody there?")
        home = self.house.home(f"{name}-again")
        home.post = f"{name}/technical"
        folder = self.house.folder / f"{name}-papers"
        folder.mkdir()
        home.ok("init", home.post, "--device", "--no-passphrase", cwd=folder)
        self.house.home(f"{name}-authority").ok("authority", "certify", next(folder.glob("*.request")), "-o", folder / "cert")
        self.house.join(home, folder / "cert")
        self.de.ok("sync")
        home.ok("sync")
        home.ok("accept", request)
        home.body(request)
        self.de.ok("sync")
        events = [STORED, REKEY, RESEALED, NOTIFIED, ACCEPTED, HANDED_OVER]
        for side in (self.de, home):
            self.assert_leg(self.show(side, request), side, request, events, "handed_over")

    def test_several_recipients_are_shown_together_or_one_alone(self):
        request = self.fj.ok("send", "--to", "de,nz", "-s", "to both", "-", data=b"both").json["id"]
        self.de.ok("accept", request)
        self.house.home("nz-technical").ok("decline", request)
        self.fj.ok("sync")
        found = self.show(self.fj, request)
        states = {leg["to"]: leg["state"] for leg in found["legs"]}
        self.assertEqual(states, {"de/technical": "handed_over", "nz/technical": "declined"})
        self.assertIn("recipients", found["gaps"])
        one = self.show(self.fj, request, "--to", "de/technical")
        self.assertEqual([leg["to"] for leg in one["legs"]], ["de/technical"])
        self.assertNotIn(b"nz/technical", one["path"].read_bytes())
        self.fj.fails(1, "unknown-post", "evidence", request, "--to", "nz/legal", "-o", self.file())
        own = self.show(self.de, request)
        self.assertEqual([leg["to"] for leg in own["legs"]], ["de/technical"])

    def test_an_answer_that_has_not_come_is_no_decision(self):
        request = self.fj.send("de/technical", b"first")
        self.de.ok("sync")
        found = self.show(self.fj, request)
        self.assertEqual(found["legs"][0]["state"], "notified")
        self.assertIn("silence", found["gaps"])

    # ---- consent ----

    def test_a_request_for_both_to_agree_says_who_has(self):
        request = self.settled(b"between us", "--disclosure", "both")
        path = self.file()
        refused = self.fj.fails(1, "needs-terminal", "evidence", request, "-o", path)
        self.assertIn("de/technical", refused.err)
        self.assertFalse(path.exists())
        found = self.show(self.fj, request, "--yes")
        self.assertEqual(found["legs"][0]["consent"], {"sender": None, "recipient": None})
        self.assertIn("consent", found["gaps"])
        self.de.ok("consent", request, "--yes")
        self.fj.ok("sync")
        found = self.show(self.fj, request)
        self.assertIsNotNone(found["legs"][0]["consent"]["recipient"])
        self.assertIsNone(found["legs"][0]["consent"]["sender"])
        self.fj.ok("consent", request, "--yes")
        self.de.ok("sync")
        found = self.show(self.de, request, "--open", "offer")
        self.assertIsNotNone(found["legs"][0]["consent"]["sender"])
        self.assertEqual(found["opened"]["disclosure"], "both")
        self.assertNotIn("consent", found["gaps"])

    # ---- what is opened ----

    def test_exactly_the_part_that_is_opened_can_be_read(self):
        text = os.urandom(200000).hex().encode()
        request = self.settled(text, subject="the subject")
        offer, body = self.show(self.fj, request, "--open", "offer"), self.show(self.de, request, "--open", "body")
        self.assertEqual((offer["opened"]["part"], offer["opened"]["subject"]), ("offer", "the subject"))
        self.assertIn("body", offer["gaps"])
        self.assertEqual((body["opened"]["part"], body["opened"]["text"].encode()), ("body", text))
        self.assertIn("offer", body["gaps"])
        self.assertNotIn("words", body["legs"][0]["events"][-1])
        self.assertEqual(offer["legs"][0]["events"][-1]["words"], "thank <you>")
        self.fj.fails(1, "usage", "evidence", request, "--open", "all", "-o", self.file())

    # ---- offline, and on paper ----

    def test_without_the_relay_it_works_and_says_what_it_lacks(self):
        request = self.settled()
        self.de.ok("sync")
        path = self.file()
        made = self.de.ok("evidence", request, "-o", path, "--offline").json
        self.assertFalse(made["later_head"])
        found = self.verify(path, "--card", "relay.card").json
        self.assertIn("one-log", found["gaps"])
        self.assertIsNone(found["evidence"])
        self.assert_leg(found, self.de, request, SETTLED, "acknowledged")

    def test_the_page_is_whole_and_has_no_script(self):
        request = self.settled(b"x", subject="<script>alert(1)</script>")
        path, page = self.file(), self.desk / "page.html"
        self.fj.ok("evidence", request, "--open", "offer", "--html", page, "-o", path)
        own = page.read_text()
        self.verify(path, "--card", "relay.card", "--html", "it.html")
        self.assertNotRegex(own, r"<script|javascript:|https?://|<img|<link|onload")
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", own)
        self.assertIn("Fiji &lt;&amp; &quot;Isles&quot;&gt;", own)
        self.assertIn("default-src 'none'", own)
        self.assertIn("thank &lt;you&gt;", own)
        for words in ("What this does not prove", "accepted", "acknowledged", "position", "de/technical"):
            self.assertIn(words, own)
        for tag in ("section", "table", "dl", "ul", "body", "html", "main"):
            self.assertEqual(len(re.findall(rf"<{tag}[ >]", own)), own.count(f"</{tag}>"), tag)

    # ---- what does not hold ----

    def test_a_changed_byte_is_refused_with_reason_and_place(self):
        request = self.settled()
        content = bytearray(self.show(self.fj, request, "--open", "offer")["path"].read_bytes())
        bad = self.desk / "bad.evidence"
        for at in range(0, len(content), max(1, len(content) // 40)):
            content[at] ^= 1
            bad.write_bytes(content)
            content[at] ^= 1
            ran = self.verify(bad, "--card", "relay.card", code=4)
            self.assertTrue(ran.error["message"], ran)
            self.assertFalse(ran.out, "nothing is said to be proven")
        bad.write_bytes(content[:-7])
        self.verify(bad, code=4)
        bad.write_bytes(b"")
        self.verify(bad, code=4)

    def test_another_relays_card_or_key_is_refused(self):
        request = self.settled()
        path = self.show(self.fj, request)["path"]
        card = self.relay.card.read_text()
        other = re.sub(r"^statement .*$", lambda line: line.group().split()[0] + " " +
                       re.search(r"^log +(\w+)$", card, re.M).group(1), card, flags=re.M)
        (self.desk / "other.card").write_text(other)
        ran = self.verify(path, "--card", str(self.desk / "other.card"), code=4)
        self.assertEqual(ran.error["error"], "wrong-fingerprint")
        keys = {name: re.search(rf"^{name} +(\w+)$", card, re.M).group(1) for name in ("log", "statement", "registrar")}
        some = self.verify(path, "--key", keys["log"], "--key", keys["statement"]).json
        self.assertIn("card", some["gaps"])
        every = self.verify(path, *[word for key in keys.values() for word in ("--key", key)]).json
        self.assertNotIn("card", every["gaps"])
        ran = self.verify(path, "--key", "ab" * 32, code=4)
        self.assertEqual(ran.error["error"], "wrong-fingerprint")
        self.verify(path, "--key", "short", code=1)

    def test_usage(self):
        request = self.settled()
        self.fj.fails(1, "usage", "evidence", request)
        self.fj.fails(1, "usage", "evidence", "-o", self.file())
        self.fj.fails(1, "unknown-request", "evidence", "ffffffff", "-o", self.file())


if __name__ == "__main__":
    main()
