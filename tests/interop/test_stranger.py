"""Goal: a client that was written from PROTOCOL.md alone, in another language and without a line of the library, joins a relay
with a party of its own and exchanges requests with `pouch` in both directions, down to the evidence."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "flow"))

from house import ACCEPTED, DECLINED, NOTIFIED, SETTLED, STORED, FlowTest  # noqa: E402

from cbor import decode, encode, put  # noqa: E402
from document import ERRORS, EVENTS, MESSAGES, STATES  # noqa: E402
from seals import leaf_hash, stamp  # noqa: E402
from stranger import Card, Failure, Identity, Link, Stranger, now_ms  # noqa: E402


class StrangerTest(FlowTest):
    @classmethod
    def furnish(cls):
        cls.house.member("fj", name="Republic of Fiji")
        cls.fj = cls.house.home("fj-technical")
        cls.card = cls.relay.card.read_text()
        cls.me = cls.admitted("org.stranger")
        cls.stranger = Stranger(cls.card, cls.me)
        cls.addClassCleanup(cls.stranger.close)
        cls.stranger.join()

    @classmethod
    def admitted(cls, party):
        identity = Identity(party)
        charter = cls.house.papers / f"{party}.charter"
        charter.write_bytes(identity.charter_file())
        ran = cls.relay.ctl("admit", str(charter), "--fingerprint", identity.charter_fingerprint())
        assert ran.code == 0, ran
        return identity

    def only_leg(self, request):
        return next(iter(request.legs.values()))

    def receive(self, subject):
        """The request of that subject, which has just been sent to the stranger."""
        found = [request for request in self.stranger.sync() if request.offer and request.offer["subject"] == subject]
        self.assertEqual(len(found), 1)
        return found[0], self.only_leg(found[0])

    def expect_failure(self, name, call, *args):
        with self.assertRaises(Failure) as caught:
            call(*args)
        self.assertEqual(caught.exception.name, name)
        return caught.exception

    # ---- identities ----

    def test_both_compute_the_same_fingerprint_of_the_card(self):
        self.assertEqual(Card(self.card).fingerprint(), self.relay.fingerprint)
        untidy = "# a comment\n\n" + self.card.replace("name ", "name\t  ") + "   # the end\n"
        self.assertEqual(Card(untidy).fingerprint(), self.relay.fingerprint)

    def test_joining_again_does_no_harm(self):
        size = self.stranger.directory.size
        self.stranger.link.call("ENROL", {"statements": self.me.statements, "prekeys": []})
        self.stranger.mirror()
        self.assertEqual(self.stranger.directory.size, size)

    def test_pouch_sees_the_stranger_in_its_directory(self):
        self.fj.ok("sync")
        posts = {line["post"] for line in self.fj.ok("directory", "list").lines}
        self.assertIn(self.me.post, posts)

    # ---- the stranger sends ----

    def test_pouch_accepts_reads_and_acknowledges_what_the_stranger_sent(self):
        text = b"Bula vinaka.\n" + os.urandom(300).hex().encode()
        request = self.stranger.compose("fj/technical", text, "from a stranger", tlp=2, summary="see\nbelow", language="en")
        result = self.stranger.send(request)
        leg = self.only_leg(request)
        self.assertEqual((result["error"], leg.state), (0, STATES["STORED"]))

        line = self.fj.inbox()[request.id]
        self.assertEqual((line["from"], line["subject"], line["kind"], line["tlp"]),
                         (self.me.post, "from a stranger", "clarification", "AMBER"))
        self.assertEqual(self.fj.ok("show", request.id).json["summary"], "see\nbelow")
        self.fj.ok("accept", request.id)
        self.assertEqual(self.fj.body(request.id), text, "the body, byte for byte")
        self.fj.ok("ack", request.id, "--note", "we have it")
        self.fj.ok("reply", request.id, "-", data=b"And good morning to you.\n")

        replies = self.stranger.sync()
        self.assertEqual([name for name, _ in self.names(leg)], SETTLED)
        self.assertEqual(self.stranger.words(request, leg, "ACKNOWLEDGED"), "we have it")
        self.assertEqual(self.stranger.track(leg), [statement["event"] for statement, _ in leg.entries])
        self.assertEqual([self.stranger.open_body(reply, self.only_leg(reply)) for reply in replies],
                         [[(None, b"And good morning to you.\n")]])
        self.assertEqual(replies[0].header["parent"], {"header": request.digest, "leg": leg.id})
        self.assertEqual(self.stranger.say(replies[0], self.only_leg(replies[0]), "HANDED_OVER"), "ok")

    @staticmethod
    def names(leg):
        etsi = {EVENTS[k]: v for k, v in (("STORED", STORED), ("NOTIFIED", NOTIFIED), ("ACCEPTED", ACCEPTED), ("DECLINED", DECLINED),
                                          ("HANDED_OVER", SETTLED[3]), ("ACKNOWLEDGED", SETTLED[4]))}
        return [(etsi[statement["event"]], entry) for statement, entry in leg.entries]

    def test_pouch_declines_and_the_stranger_reads_why(self):
        request = self.stranger.compose("fj/technical", b"please", "to be declined")
        self.stranger.send(request)
        self.fj.ok("decline", request.id, "--reason", "no-capacity", "--note", "ask again on Monday")
        self.stranger.sync()
        leg = self.only_leg(request)
        self.assertEqual(leg.state, STATES["DECLINED"])
        self.assertEqual(leg.entries[-1][0]["reason"], 17)
        self.assertEqual(self.stranger.words(request, leg, "DECLINED"), "ask again on Monday")
        self.assertEqual(self.fj.run("show", request.id, "--body", "-").out, b"")

    def test_a_body_of_several_chunks_goes_piece_by_piece_as_the_relay_asks(self):
        text = os.urandom(200000)
        request = self.stranger.compose("fj/technical", text, "large")
        self.assertEqual(self.stranger.send(request, inline=False)["error"], 0)
        self.fj.ok("accept", request.id)
        self.assertEqual(self.fj.body(request.id), text)

    def test_the_stranger_withdraws(self):
        request = self.stranger.compose("fj/technical", b"oh no", "by mistake")
        self.stranger.send(request)
        self.assertEqual(self.stranger.say(request, self.only_leg(request), "WITHDRAWN", officer=True), "ok")
        self.assertEqual(self.fj.state(request.id), "withdrawn")

    def test_what_is_sent_twice_is_stored_once_and_answered_the_same(self):
        request = self.stranger.compose("fj/technical", b"once", "once only")
        first = self.stranger.send(request)
        second = self.stranger.send(request)
        self.assertEqual(first, second, "the same receipt")
        self.assertEqual([line["subject"] for line in self.fj.inbox().values()].count("once only"), 1)

    def test_another_header_under_the_same_request_id_is_refused_in_writing(self):
        request = self.stranger.compose("fj/technical", b"the first", "one id")
        self.stranger.send(request)
        other = self.stranger.compose("fj/technical", b"the second", "one id")
        forged = {**other.header, "request": request.header["request"]}
        del other.header_bytes
        submit = self.stranger.submission(request)
        submit["header"] = stamp("HEADER", self.me.device, encode("header", {**request.header, "created": now_ms() + 1}))
        changed = decode("stamped", submit["header"])["payload"]
        submit["wrapsets"], submit["chunks"] = [], []
        self.assertEqual(forged["request"], request.header["request"])
        failure = self.expect_failure("conflict", self.stranger.link.call, "SUBMIT", submit)
        request.digest, kept = self.digest_of(changed), request.digest
        self.stranger.check_refusal(request, None, next(n for n, name in ERRORS.items() if name == "conflict"), failure.refusal)
        request.digest = kept

    @staticmethod
    def digest_of(payload):
        from seals import labelled
        return labelled("HEADER_DIGEST", payload)

    def test_a_request_to_nobody_is_refused_in_writing(self):
        request = self.stranger.compose(self.me.post, b"x", "to nobody")
        leg = self.only_leg(request)
        opening = encode("opening", {**leg.opening, "to": "fj/nowhere"})
        request = self.stranger.compose("fj/technical", b"x", "to nobody")
        leg = self.only_leg(request)
        self.assertNotEqual(opening, leg.opening_bytes)
        submit = self.stranger.submission(request)
        from seals import legs_root
        header = {**request.header, "legs": legs_root({leg.position: leaf_hash(opening)}, request.seed)}
        payload = encode("header", header)
        digest = self.digest_of(payload)
        submit["header"] = stamp("HEADER", self.me.device, payload)
        submit["places"] = [{"opening": opening, "position": leg.position}]
        submit["chunks"] = [{**chunk, "header": digest} for chunk in submit["chunks"]]
        words = {"header": digest, "leg": leaf_hash(opening), "generation": 1, "size": self.stranger.directory.size,
                 "root": self.stranger.directory.root(), "signer": self.me.device.public, "wraps": []}
        submit["wrapsets"] = [stamp("WRAPSET", self.me.device, encode("wrapset", words))]
        answer = self.stranger.link.call("SUBMIT", submit)
        result = answer["results"][0]
        self.assertEqual((ERRORS[result["error"]], result["subject"]), ("unknown-post", leaf_hash(opening)))
        request.digest = digest
        self.stranger.check_refusal(request, leaf_hash(opening), result["error"], result["receipt"])

    # ---- the stranger receives ----

    def test_the_stranger_accepts_reads_and_acknowledges_what_pouch_sent(self):
        text = os.urandom(150000)
        sent = self.fj.send(self.me.post, text, "--summary", "a large one", subject="to a stranger")
        request, leg = self.receive("to a stranger")
        self.assertEqual((request.id, request.offer["summary"], request.header["from"]), (sent, "a large one", "fj/technical"))
        self.assertEqual(self.stranger.say(request, leg, "NOTIFIED"), "ok")
        self.expect_failure("not-accepted", self.stranger.open_body, request, leg)
        self.assertEqual(self.stranger.say(request, leg, "HANDED_OVER"), "wrong-state", "nothing was accepted yet")
        self.assertEqual(self.stranger.say(request, leg, "ACCEPTED", officer=True), "ok")
        self.assertEqual(self.stranger.open_body(request, leg), [(None, text)])
        self.assertEqual(self.stranger.say(request, leg, "HANDED_OVER"), "ok")
        self.assertEqual(self.stranger.say(request, leg, "ACKNOWLEDGED", officer=True, note="kia ora"), "ok")
        self.assert_ladder(self.fj, sent, SETTLED, "acknowledged")
        notes = [event.get("note") for event in self.fj.ladder(sent)["events"] if event["event"] == SETTLED[4]]
        self.assertEqual(notes, ["kia ora"])

        reply = self.stranger.compose("fj/technical", b"A stranger's answer.\n", parent=leg)
        self.assertEqual(self.stranger.send(reply)["error"], 0)
        self.assertEqual([line["id"] for line in self.fj.inbox().values() if line["parent"] == sent], [reply.id])
        self.assertEqual(self.fj.body(reply.id), b"A stranger's answer.\n")

    def test_the_stranger_declines_and_pouch_reads_why(self):
        sent = self.fj.send(self.me.post, b"would you", subject="decline me")
        request, leg = self.receive("decline me")
        self.assertEqual(self.stranger.say(request, leg, "DECLINED", officer=True, reason=16, note="not ours"), "ok")
        self.assertEqual(self.stranger.say(request, leg, "ACCEPTED", officer=True), "wrong-state", "the first decision stands")
        self.assertEqual([statement["event"] for statement in leg.notes], [EVENTS["ACCEPTED"]], "and that it was said is on record")
        leg = self.assert_ladder(self.fj, sent, [STORED, DECLINED], "declined")
        self.assertEqual((leg["events"][-1]["reason"], leg["events"][-1]["note"]), ("not-competent", "not ours"))

    def test_the_same_statement_again_is_answered_the_same_again(self):
        self.fj.send(self.me.post, b"x", subject="say it twice")
        request, leg = self.receive("say it twice")
        stamped = self.stranger.statement(request, leg, "NOTIFIED")
        said = {"said": [{"statement": stamped}]}
        self.assertEqual(self.stranger.link.call("STATE", said), self.stranger.link.call("STATE", said))
        self.assertEqual(self.stranger.say_bytes(request, leg, stamped), "ok")
        self.assertEqual(len(leg.entries), 2)

    def test_attachments_of_pouch_come_with_their_names(self):
        paper = self.house.papers / "a paper.txt"
        paper.write_bytes(b"attached\n")
        self.fj.ok("send", "--to", self.me.post, "-s", "with a file", "--attach", paper, "-", data=b"see the file\n")
        request, leg = self.receive("with a file")
        self.stranger.say(request, leg, "ACCEPTED", officer=True)
        self.assertEqual(self.stranger.open_body(request, leg), [(None, b"see the file\n"), ("a paper.txt", b"attached\n")])

    # ---- the relay's manners ----

    def test_a_guest_may_mirror_and_not_more(self):
        link = Link(Card(self.card), os.urandom(32))
        self.addCleanup(link.close)
        self.assertFalse(link.call("HELLO", {"version": 0, "size": 0})["registered"])
        self.assertTrue(link.call("GETLEAVES", {"from": 0, "max": 1})["leaves"])
        for name, value in (("GETPREKEYS", {"post": "fj/technical"}), ("GETFEED", {"after": 0, "max": 1})):
            self.expect_failure("unknown-device", link.call, name, value)
        stranger = Identity("nobody")
        self.expect_failure("not-admitted", link.call, "ENROL", {"statements": stranger.statements, "prekeys": []})
        self.expect_failure("foreign-certificate", link.call, "ENROL", {"statements": self.me.statements, "prekeys": []})

    def test_what_is_no_frame_of_the_protocol_is_answered_by_its_error(self):
        link = self.stranger.link
        hello = encode("hello", {"version": 0, "size": 0})
        for name, data in (
            ("truncated", b"\xa3\x01"), ("malformed", b"\x00"), ("trailing-bytes", encode("frame", {"type": 1, "number": 0, "body": hello}) + b"\0"),
            ("unknown-message", put({1: 200, 2: 0, 3: hello})), ("unknown-message", put({1: MESSAGES["WELCOME"][0], 2: 0, 3: hello})),
            ("unknown-version", put({1: 1, 2: 0, 3: put({1: 7, 2: 0})})), ("missing-field", put({1: 1, 2: 0, 3: put({1: 0})})),
            ("unknown-field", put({1: 1, 2: 0, 3: put({1: 0, 2: 0, 3: 0})})),
        ):
            link.send_bytes(data)
            answer, found = link.answer(0)
            self.assertEqual((answer, ERRORS[found["error"]]), ("FAILURE", name), data.hex())

    def test_a_hint_tells_that_something_waits(self):
        self.stranger.sync()
        self.stranger.link.hints.clear()
        self.fj.send(self.me.post, b"x", subject="a hint")
        self.stranger.greet()
        self.assertTrue(self.stranger.link.hints)
        request, _ = self.receive("a hint")
        self.assertEqual(max(hint["newest"] for hint in self.stranger.link.hints), self.stranger.after)
        self.assertEqual(request.header["from"], "fj/technical")


if __name__ == "__main__":
    unittest.main(verbosity=2)
