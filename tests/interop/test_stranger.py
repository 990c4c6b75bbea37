"""Goal: a client that was written from PROTOCOL.md alone, in another language and without a line of the library, joins
a relay with a party of its own and exchanges requests with `pouch` in both directions, down to the evidence."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "flow"))

from house import (ACCEPTED, ACKNOWLEDGED, DECLINED, HANDED_OVER, NOTIFIED, SETTLED, STORED, FlowTest,  # noqa: E402
                   finish, until)

from cbor import Refused, decode, encode, put  # noqa: E402
from document import ERRORS, EVENTS, MESSAGES, STATES  # noqa: E402
from heads import COSIGNATURE, Head, NoteKey  # noqa: E402
from linking import Invitation, items, open_item, open_parcel, own_box, seal_item  # noqa: E402
from seals import SignKey, checks, code, fingerprint, labelled, read_code, stamp, tree_root, x_public  # noqa: E402
from stranger import Card, Failure, Identity, Leg, Link, Stranger  # noqa: E402

NUMBERS = {name: number for number, name in ERRORS.items()}
NAMES = {EVENTS["STORED"]: STORED, EVENTS["NOTIFIED"]: NOTIFIED, EVENTS["ACCEPTED"]: ACCEPTED,
         EVENTS["DECLINED"]: DECLINED, EVENTS["HANDED_OVER"]: HANDED_OVER, EVENTS["ACKNOWLEDGED"]: ACKNOWLEDGED}


WITNESS = SignKey()
WITNESS_KEY = NoteKey("witness.example/w1", COSIGNATURE, WITNESS.public)
FORWARDED, RESEALED, REKEY = (EVENTS[name] for name in ("FORWARDED", "RESEALED", "REKEY_NEEDED"))


class StrangerTest(FlowTest):
    house_options = {"init": ("--witness", WITNESS_KEY.verifier)}

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
        """A party of the stranger's; the registrar compares the fingerprint that the stranger computed."""
        identity = Identity(party)
        charter = cls.house.papers / f"{party}.charter"
        charter.write_bytes(identity.charter_file())
        ran = cls.relay.ctl("admit", str(charter), "--fingerprint", identity.charter_fingerprint())
        assert ran.code == 0, ran
        return identity

    def send(self, text, subject, *posts, inline=True, **more):
        """From the stranger, to fj/technical when nobody is named: the request and its leg."""
        request = self.stranger.compose(posts or ["fj/technical"], text, subject, **more)
        results = self.stranger.send(request, inline)
        self.assertEqual({result["error"] for result in results.values()}, {0})
        return request, next(iter(request.legs.values()))

    def receive(self, subject):
        """The request of that subject, which has just been sent to the stranger, and its leg."""
        found = [each for each in self.stranger.sync() if each.offer and each.offer["subject"] == subject]
        self.assertEqual(len(found), 1)
        return found[0], next(iter(found[0].legs.values()))

    def expect_failure(self, name, call, *args):
        with self.assertRaises(Failure) as caught:
            call(*args)
        self.assertEqual(caught.exception.name, name)
        return caught.exception

    @staticmethod
    def events(leg):
        return [NAMES[statement["event"]] for statement, _ in leg.entries]

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

    def test_a_second_device_reads_what_the_first_has_sent_and_what_both_receive(self):
        identity = self.admitted("org.pair")
        first = Stranger(self.card, identity)
        self.addCleanup(first.close)
        first.join()
        second = Stranger(self.card, identity.further())
        self.addCleanup(second.close)
        second.join()
        request = first.compose(["fj/technical"], b"from the night shift", "handed over")
        self.assertEqual(first.send(request)["fj/technical"]["error"], 0)
        second.sync()
        again = second.requests[request.digest]
        self.assertEqual((again.offer["subject"], second.open_body(again, None)),
                         ("handed over", [(None, b"from the night shift")]))
        self.fj.ok("decline", request.id)
        for each in (first, second):
            each.sync()
            leg = next(iter(each.requests[request.digest].legs.values()))
            self.assertEqual(self.events(leg)[-1], DECLINED)
        self.fj.send(identity.post, b"x", subject="to both")
        for each in (first, second):
            self.assertIn("to both", [one.offer["subject"] for one in each.sync() if one.offer])

    def test_a_revoked_post_is_told_so_and_what_it_said_before_stays_good(self):
        identity = self.admitted("org.brief")
        brief = Stranger(self.card, identity)
        self.addCleanup(brief.close)
        brief.join()
        request = brief.compose(["fj/technical"], b"x", "before the end")
        receipt = brief.send(request)["fj/technical"]["receipt"]
        anyone = Link(Card(self.card), os.urandom(32))
        self.addCleanup(anyone.close)
        anyone.call("DECLARE", {"statements": [identity.revocation()]})
        self.expect_failure("revoked", brief.greet)

        self.stranger.mirror()
        brief.directory = self.stranger.directory
        leg = next(iter(request.legs.values()))
        brief.take_receipt(request, Leg(request, leg.opening_bytes, leg.position), receipt)
        device = brief.directory.devices[identity.device.public]
        with self.assertRaises(Refused):
            brief.was_live(device, {"size": brief.directory.size, "time": brief.ledger_time})
        lost = self.fj.run("send", "--to", identity.post, "-s", "x", "-", data=b"x")
        self.assertEqual((lost.code, lost.error["error"]), (4, "revoked"), lost)

    # ---- the stranger sends ----

    def test_pouch_accepts_reads_and_acknowledges_what_the_stranger_sent(self):
        text = b"Bula vinaka.\n" + os.urandom(300).hex().encode()
        request, leg = self.send(text, "from a stranger", tlp=2, summary="see\nbelow", language="en", kind=1)
        self.assertEqual(leg.state, STATES["STORED"])

        line = self.fj.inbox()[request.id]
        self.assertEqual((line["from"], line["subject"], line["kind"], line["tlp"]),
                         (self.me.post, "from a stranger", "clarification", "AMBER"))
        self.assertEqual(self.fj.ok("show", request.id).json["summary"], "see\nbelow")
        self.fj.ok("accept", request.id)
        self.assertEqual(self.fj.body(request.id), text, "the body, byte for byte")
        self.fj.ok("ack", request.id, "--note", "we have it")
        self.fj.ok("reply", request.id, "-", data=b"And good morning to you.\n")

        reply, = [each for each in self.stranger.sync() if "parent" in each.header]
        self.assertEqual(self.events(leg), SETTLED)
        self.assertEqual(self.stranger.words(request, leg, "ACKNOWLEDGED"), "we have it")
        self.assertEqual(self.stranger.track(leg), [statement["event"] for statement, _ in leg.entries])
        back = next(iter(reply.legs.values()))
        self.assertEqual(reply.header["parent"], {"header": request.digest, "leg": leg.id})
        self.assertEqual(self.stranger.open_body(reply, back), [(None, b"And good morning to you.\n")])
        self.assertEqual(self.stranger.say(reply, back, "HANDED_OVER"), "ok")

    def test_pouch_declines_and_the_stranger_reads_why(self):
        request, leg = self.send(b"please", "to be declined")
        self.fj.ok("decline", request.id, "--reason", "no-capacity", "--note", "ask again on Monday")
        self.stranger.sync()
        self.assertEqual(leg.state, STATES["DECLINED"])
        self.assertEqual(leg.entries[-1][0]["reason"], 17)
        self.assertEqual(self.stranger.words(request, leg, "DECLINED"), "ask again on Monday")
        self.assertEqual(self.fj.run("show", request.id, "--body", "-").out, b"")

    def test_a_body_of_several_chunks_goes_piece_by_piece_as_the_relay_asks(self):
        text = os.urandom(200000)
        request, _ = self.send(text, "large", inline=False)
        self.fj.ok("accept", request.id)
        self.assertEqual(self.fj.body(request.id), text)

    def test_several_recipients_get_a_leg_each_and_decide_apart(self):
        self.house.authority("vu")
        posts = [self.house.make("vu/technical"), self.house.make("vu/policy")]
        self.stranger.mirror()
        request, _ = self.send(b"to three", "to three", "fj/technical", "vu/technical", "vu/policy")
        for home in (self.fj, *posts):
            self.assertIn(request.id, home.inbox())
        self.fj.ok("accept", request.id)
        posts[1].ok("decline", request.id)
        self.assertEqual(posts[0].run("show", request.id, "--body", "-").out, b"")
        self.stranger.sync()
        states = {leg.opening["to"]: leg.state for leg in request.legs.values()}
        self.assertEqual(states, {"fj/technical": STATES["HANDED_OVER"], "vu/technical": STATES["NOTIFIED"],
                                  "vu/policy": STATES["DECLINED"]})

    def test_the_stranger_withdraws(self):
        request, leg = self.send(b"oh no", "by mistake")
        self.assertEqual(self.stranger.say(request, leg, "WITHDRAWN", officer=True), "ok")
        self.assertEqual(self.fj.state(request.id), "withdrawn")

    def test_what_is_sent_twice_is_stored_once_and_answered_the_same(self):
        request = self.stranger.compose(["fj/technical"], b"once", "once only")
        self.assertEqual(self.stranger.send(request), self.stranger.send(request), "the same receipt")
        self.assertEqual([line["subject"] for line in self.fj.inbox().values()].count("once only"), 1)

    def test_another_header_under_the_same_request_id_is_refused_in_writing(self):
        first, _ = self.send(b"the first", "one id")
        second = self.stranger.compose(["fj/technical"], b"the second", "one id", request=first.header["request"])
        failure = self.expect_failure("conflict", self.stranger.send, second)
        self.stranger.check_refusal(second, None, NUMBERS["conflict"], failure.refusal)
        with self.assertRaises(Refused):
            self.stranger.check_refusal(first, None, NUMBERS["conflict"], failure.refusal)

    def test_a_post_that_does_not_exist_is_refused_in_writing_and_stops_no_other(self):
        request = self.stranger.compose(["fj/technical", "fj/nowhere"], b"x", "half")
        results = self.stranger.send(request)  # which checks the refusal
        self.assertEqual({to: ERRORS[result["error"]] for to, result in results.items()},
                         {"fj/technical": "ok", "fj/nowhere": "unknown-post"})
        self.assertIn(request.id, self.fj.inbox())

    def test_a_wrap_set_that_forgets_a_device_must_be_made_anew(self):
        request = self.stranger.compose(["fj/technical"], b"x", "forgotten device")
        targets = self.stranger.targets
        self.stranger.targets = lambda post: targets(post) if post == self.me.post else []
        try:
            first = self.stranger.send(request)
        finally:
            self.stranger.targets = targets
        self.assertEqual(ERRORS[first["fj/technical"]["error"]], "stale-directory")
        self.assertEqual(self.stranger.send(request)["fj/technical"]["error"], 0)

    # ---- the stranger receives ----

    def test_the_stranger_accepts_reads_and_acknowledges_what_pouch_sent(self):
        text = os.urandom(150000)
        sent = self.fj.send(self.me.post, text, "--summary", "a large one", subject="to a stranger")
        request, leg = self.receive("to a stranger")
        self.assertEqual((request.id, request.offer["summary"]), (sent, "a large one"))
        self.assertEqual(self.stranger.say(request, leg, "NOTIFIED"), "ok")
        self.expect_failure("not-accepted", self.stranger.open_body, request, leg)
        self.assertEqual(self.stranger.say(request, leg, "HANDED_OVER"), "wrong-state", "nothing was accepted yet")
        self.assertEqual(self.stranger.say(request, leg, "ACCEPTED", officer=True), "ok")
        self.assertEqual(self.stranger.open_body(request, leg), [(None, text)])
        self.assertEqual(self.stranger.say(request, leg, "HANDED_OVER"), "ok")
        self.assertEqual(self.stranger.say(request, leg, "ACKNOWLEDGED", officer=True, note="kia ora"), "ok")
        self.assert_ladder(self.fj, sent, SETTLED, "acknowledged")
        notes = [event.get("note") for event in self.fj.ladder(sent)["events"] if event["event"] == ACKNOWLEDGED]
        self.assertEqual(notes, ["kia ora"])

        reply, _ = self.send(b"A stranger's answer.\n", "", parent=leg)
        self.assertEqual([line["id"] for line in self.fj.inbox().values() if line["parent"] == sent], [reply.id])
        self.assertEqual(self.fj.body(reply.id), b"A stranger's answer.\n")

    def test_the_stranger_declines_and_pouch_reads_why(self):
        sent = self.fj.send(self.me.post, b"would you", subject="decline me")
        request, leg = self.receive("decline me")
        self.assertEqual(self.stranger.say(request, leg, "DECLINED", officer=True, reason=16, note="not ours"), "ok")
        self.assertEqual(self.stranger.say(request, leg, "ACCEPTED", officer=True), "wrong-state", "the first stands")
        self.assertEqual([note["event"] for note in leg.notes], [EVENTS["ACCEPTED"]], "that it was said is on record")
        last = self.assert_ladder(self.fj, sent, [STORED, DECLINED], "declined")["events"][-1]
        self.assertEqual((last["reason"], last["note"]), ("not-competent", "not ours"))

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
        self.assertEqual(self.stranger.open_body(request, leg),
                         [(None, b"see the file\n"), ("a paper.txt", b"attached\n")])

    # ---- sealed again, forwarded ----

    def numbers(self, leg):
        return [statement["event"] for statement, _ in leg.entries]

    def test_what_pouch_forwards_is_decided_and_answered_by_the_other_post(self):
        policy = self.house.homes.get("fj-policy") or self.house.make("fj/policy")
        request, leg = self.send(b"for the other desk", "pass it on")
        self.fj.ok("sync")
        self.fj.ok("forward", request.id, "fj/policy")
        policy.ok("sync")
        policy.ok("accept", request.id)
        self.assertEqual(policy.body(request.id), b"for the other desk")
        policy.ok("ack", request.id)
        policy.ok("reply", request.id, "-", data=b"from the other desk")
        reply, = [each for each in self.stranger.sync() if "parent" in each.header]
        self.assertIn(FORWARDED, self.numbers(leg))
        self.assertEqual((leg.to, leg.forwarder, leg.generation), ("fj/policy", "fj/technical", 2))
        self.assertEqual(leg.entries[-1][0]["post"], "fj/policy")
        self.assertEqual(self.stranger.track(leg), self.numbers(leg))
        self.assertEqual(self.stranger.open_body(reply, next(iter(reply.legs.values()))),
                         [(None, b"from the other desk")])
        answer = self.stranger.compose(["fj/policy"], b"thanks", parent=leg)
        self.assertEqual(self.stranger.send(answer)["fj/policy"]["error"], 0)
        wrong = self.stranger.compose(["fj/technical"], b"thanks", parent=leg)
        self.assertEqual(ERRORS[self.stranger.send(wrong)["fj/technical"]["error"]], "not-allowed")

    def test_the_stranger_forwards_and_its_other_post_decides(self):
        identity = self.admitted("org.two")
        one = Stranger(self.card, identity)
        self.addCleanup(one.close)
        one.join()
        two = Stranger(self.card, identity.beside("other"))
        self.addCleanup(two.close)
        two.join()
        sent = self.fj.send(identity.post, b"whose is it", subject="to be passed on")
        request, = one.sync()
        leg = next(iter(request.legs.values()))
        self.assertEqual(one.seal_again(request, leg, "FORWARDED", two.me.post), "wrong-state", "not notified yet")
        self.assertEqual(one.say(request, leg, "NOTIFIED"), "ok")
        self.assertEqual(one.seal_again(request, leg, "FORWARDED", "fj/technical"), "not-allowed", "not of the party")
        self.assertEqual(one.seal_again(request, leg, "FORWARDED", two.me.post, officer=True), "ok")
        self.assertEqual(one.say(request, leg, "ACCEPTED", officer=True), "wrong-state", "it is the other post's now")
        there, = two.sync()
        other = next(iter(there.legs.values()))
        self.assertEqual((other.to, other.opening["to"]), (two.me.post, one.me.post))
        self.assertEqual(self.numbers(other), self.numbers(leg))
        self.assertEqual(two.say(there, other, "NOTIFIED"), "ok")
        self.assertEqual(two.say(there, other, "ACCEPTED", officer=True), "ok")
        self.assertEqual(two.open_body(there, other), [(None, b"whose is it")])
        self.assertEqual(two.say(there, other, "HANDED_OVER"), "ok")
        one.sync()
        self.assertEqual(self.numbers(leg)[-1], FORWARDED, "the old post hears no more")
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(sent), "handed_over")
        self.assertEqual(self.fj.sent()[sent]["legs"][0]["to"], two.me.post)

    def test_what_a_post_without_device_was_sent_is_sealed_again_for_the_next_one(self):
        identity = self.admitted("org.lost")
        lost = Stranger(self.card, identity)
        self.addCleanup(lost.close)
        lost.join()
        revocation = identity.sign("revocation", identity.authority, encode("revocation", {
            "post": identity.post, "device": identity.device.public, "signer": identity.authority.public, "reason": 0,
            "created": 0}))
        self.stranger.declare("DECLARE", [revocation])
        request, leg = self.send(b"is anybody there", "waits", identity.post)
        self.stranger.sync()
        said = leg.entries[-1][0]
        self.assertEqual((said["event"], said["reason"]), (REKEY, NUMBERS["unknown-device"]))
        self.assertEqual(self.stranger.seal_again(request, leg, "RESEALED"), "wrong-state", "nobody to seal it for")
        again = identity.further()
        again.statements = again.certify(identity.authority)
        next_one = Stranger(self.card, again)
        self.addCleanup(next_one.close)
        next_one.join()
        self.assertEqual(next_one.sync(), [], "it is not sealed for this device")
        self.assertEqual(self.stranger.seal_again(request, leg, "RESEALED"), "ok")
        self.assertEqual(self.stranger.seal_again(request, leg, "RESEALED"), "ok", "also where nothing was needed")
        there, = next_one.sync()
        other = next(iter(there.legs.values()))
        self.assertEqual(self.numbers(other), [EVENTS["STORED"], REKEY, RESEALED, RESEALED])
        self.assertEqual(next_one.say(there, other, "ACCEPTED", officer=True), "ok")
        self.assertEqual(next_one.open_body(there, other), [(None, b"is anybody there")])

    # ---- pairwise secrets ----

    def test_a_secret_exchanged_by_hand_seals_in_both_directions(self):
        identity = self.admitted("org.paired")
        paired = Stranger(self.card, identity)
        self.addCleanup(paired.close)
        paired.join()
        self.fj.ok("sync")
        made = self.fj.ok("pair", "new", "org.paired").json
        secret = read_code(made["code"])
        name = labelled("PAIR", secret)[:16]
        self.assertEqual((name.hex(), code(secret)), (made["id"], made["code"]))
        self.fj.send(identity.post, b"x", subject="under a secret")
        self.assertEqual(paired.sync(), [])
        sealed, = [leg for each in paired.requests.values() for leg in each.legs.values()]
        self.assertEqual(sealed.sealed, "unknown-pair")
        paired.pairs["fj"] = {name: secret}
        self.fj.send(identity.post, b"x", subject="under a secret again")
        self.assertEqual([each.offer["subject"] for each in paired.sync()], ["under a secret again"])
        back = paired.compose(["fj/technical"], b"understood", "and back")
        self.assertEqual(paired.send(back)["fj/technical"]["error"], 0)
        self.fj.ok("accept", back.id)
        self.assertEqual(self.fj.body(back.id), b"understood")

    def test_a_code_with_one_or_two_wrong_symbols_is_refused(self):
        secret = os.urandom(32)
        text = code(secret)
        self.assertEqual(read_code(text.lower().replace("-", " ")), secret)
        at = [i for i in range(len(text)) if text[i] != "-"]
        for i in at:
            wrong = text[:i] + ("7" if text[i] != "7" else "8") + text[i + 1:]
            with self.assertRaises(Refused):
                read_code(wrong)
        with self.assertRaises(Refused):
            read_code(text[35:] + "-" + text[:34])
        self.assertTrue(checks([0] * 28, 0))

    # ---- linked by a code ----

    def test_the_stranger_is_linked_to_a_post_of_pouch_and_reads_what_came_before_it(self):
        self.house.member("ws")
        home = self.house.home("ws-technical")
        before = self.fj.send("ws/technical", b"an old text", subject="from before")
        home.ok("sync")
        made = home.ok("device", "invite", "--no-wait", "--new").json
        invitation = Invitation(read_code(made["code"]))
        guest = Link(Card(self.card), os.urandom(32))
        self.addCleanup(guest.close)
        hello = open_item(invitation.key_to_new, "linkhello", items(guest, invitation.hello)[0])
        self.assertEqual((hello["post"], hello["role"]), ("ws/technical", 0))
        self.assertEqual(Card(hello["card"]).fingerprint(), self.relay.fingerprint)

        identity = Identity("ws", "technical")  # of which only the device's keys are used
        new = Stranger(self.card, identity)
        self.addCleanup(new.close)
        new.greet()
        new.mirror()
        prekeys = new.make_prekeys()
        ask = {"device": identity.device.public, "transport": x_public(identity.transport), "role": hello["role"],
               "name": "a stranger", "prekey": prekeys[0]}
        new.link.call("PUT", {"box": invitation.to_old, "data": seal_item(invitation.key_to_old, "linkask", ask)})
        started = home.start("device", "invite", "--yes")
        given = until(lambda: items(new.link, invitation.to_new))
        invited = finish(started, home.argv("device", "invite", "--yes"))
        self.assertEqual(invited.code, 0, invited)
        told = fingerprint(labelled("FINGERPRINT", ask["device"] + ask["transport"]))
        self.assertEqual((invited.lines[-1]["fingerprint"], invited.lines[-1]["name"]), (told, "a stranger"))
        give = open_item(invitation.key_to_new, "linkgive", given[0])
        self.assertEqual(Card(give["card"]).fingerprint(), self.relay.fingerprint)
        identity.statements = decode("dossier", give["certificate"])["statements"]
        new.declare("ENROL", identity.statements, prekeys=prekeys)
        new.greet()
        box = own_box(identity.device.public)
        self.assertEqual(items(guest, box), [], "to others the name means an invitation's box")
        parcels = [open_parcel(data, identity, new.directory, new.prekeys, new.ledger_time)
                   for data in items(new.link, box, drop=True)]
        self.assertEqual(items(new.link, box), [], "dropped")
        new.handed = {each["header"]: each for parcel in parcels for each in parcel["keys"]}
        request, = new.sync()
        self.assertEqual((request.id, request.offer["subject"]), (before, "from before"))
        leg = next(iter(request.legs.values()))
        self.assertEqual(new.say(request, leg, "ACCEPTED", officer=True), "ok")
        self.assertEqual(new.open_body(request, leg), [(None, b"an old text")])
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(before), "accepted")

    # ---- heads and witnesses ----

    def test_a_head_is_cosigned_and_shown_with_the_witness_s_word(self):
        first = self.stranger.witness(WITNESS_KEY, WITNESS)
        newest = self.stranger.heads()[0]
        self.assertEqual((newest.size, list(newest.words)), (first.size, [WITNESS_KEY.name]))
        self.admitted("org.grown")
        second = self.stranger.witness(WITNESS_KEY, WITNESS, first)
        self.assertGreater(second.size, first.size)
        self.expect_failure("out-of-range", self.stranger.link.call, "GETCHECKPOINT", {"old": second.size + 1})
        stray = NoteKey("witness.example/w2", COSIGNATURE, SignKey().public)
        self.expect_failure("unknown-witness", self.stranger.witness, stray, SignKey())
        forged = SignKey()
        self.expect_failure("bad-signature", self.stranger.witness, WITNESS_KEY, forged)
        note = self.stranger.link.call("GETHEADS", {})["notes"][0]
        newest = Head(self.stranger.card, note)
        for at in range(len(note)):
            changed = bytearray(note)
            changed[at] ^= 1
            try:
                head = Head(self.stranger.card, bytes(changed))
            except (Refused, ValueError):
                continue
            self.assertEqual((head.root, head.words), (newest.root, {}), f"byte {at}: the witness is another now")

    # ---- contact cards ----

    def test_the_stranger_s_card_is_shown_by_pouch_to_those_it_is_for(self):
        self.stranger.mirror()
        self.stranger.put_card([(1, ["fj"], {6: "+679 123"}, ["fj/technical", self.me.post]),
                                (2, [], {1: "Stranger's desk", 9: "fj, en"}, ["fj/technical", self.me.post]),
                                (3, [], {12: "Oceania"}, [])])
        fields, missing = self.stranger.get_card(self.me.post)
        self.assertEqual((fields, missing), ({1: "Stranger's desk", 6: "+679 123", 9: "fj, en", 12: "Oceania"}, 0))
        shown = self.fj.ok("card", "show", self.me.post).json["fields"]
        self.assertEqual({name: shown[name]["value"] for name in ("office", "phone", "languages", "region")},
                         {"office": "Stranger's desk", "phone": "+679 123", "languages": "fj, en", "region": "Oceania"})
        guest = Link(Card(self.card), os.urandom(32))
        self.addCleanup(guest.close)
        seen = guest.call("GETCONTACT", {"post": self.me.post})["sheets"]
        self.assertEqual([sheet["audience"] for sheet in seen], [3])
        self.stranger.put_card([])
        self.assertEqual(self.stranger.link.call("GETCONTACT", {"post": self.me.post})["sheets"], [])

    def test_the_stranger_opens_pouch_s_card_as_far_as_it_is_for_it(self):
        self.fj.ok("sync")
        self.fj.ok("card", "set", "phone", "+679 331", "--for", "org.stranger")
        self.fj.ok("card", "set", "office", "Duty officer", "--for", "members")
        self.fj.ok("card", "set", "mobile", "+679 999", "--for", "nobody")
        self.fj.ok("sync")
        fields, missing = self.stranger.get_card("fj/technical")
        self.assertEqual((fields[6], fields[1], missing), ("+679 331", "Duty officer", 0))
        self.assertNotIn(7, fields)

    # ---- evidence ----

    def test_a_receipt_with_any_byte_changed_proves_nothing(self):
        request = self.stranger.compose(["fj/technical"], b"x", "evidence")
        receipt = self.stranger.send(request)["fj/technical"]["receipt"]
        leg = next(iter(request.legs.values()))
        again = Leg(request, leg.opening_bytes, leg.position)
        self.stranger.take_receipt(request, again, receipt)
        self.assertEqual(again.entries, leg.entries)
        for at in range(len(receipt)):
            changed = bytearray(receipt)
            changed[at] ^= 1 << at % 8
            with self.assertRaises(Refused, msg=f"byte {at}"):
                self.stranger.take_receipt(request, Leg(request, leg.opening_bytes, leg.position), bytes(changed))

    def test_the_evidence_log_is_one_and_its_root_is_that_of_its_hashes(self):
        for n in range(3):
            self.send(b"x", f"logged {n}")
        head = self.stranger.prove_log()
        hashes = b""
        while len(hashes) < 32 * head.size:
            asked = {"log": 2, "from": len(hashes) // 32, "max": 2}
            answer = self.stranger.link.call("GETHASHES", asked)
            self.assertEqual((answer["log"], answer["from"]), (2, asked["from"]))
            self.assertTrue(answer["hashes"])
            hashes += answer["hashes"]
        leaves = [hashes[at:at + 32] for at in range(0, 32 * head.size, 32)]
        self.assertEqual(tree_root(leaves), head.root)
        for size, root in self.stranger.log_roots.items():
            self.assertEqual(tree_root(leaves[:size]), root)
        welcome = self.stranger.link.call("HELLO", {"version": 0, "size": self.stranger.directory.size})
        self.assertGreaterEqual(welcome["entries"], head.size)
        self.assertGreaterEqual(self.stranger.log_head(welcome["evidence"]).size, head.size)
        self.expect_failure("out-of-range", self.stranger.link.call, "GETLOG", {"log": 2, "sizes": [head.size + 99999]})
        self.expect_failure("out-of-range", self.stranger.link.call, "GETLOG", {"log": 2, "sizes": [2, 1]})

    def test_a_receipt_of_another_leg_proves_nothing(self):
        one, _ = self.send(b"x", "one leg")
        other, leg = self.send(b"x", "another leg")
        receipt = self.stranger.link.call("TRACK", {"leg": leg.id, "ordinal": 0})["receipts"][0]
        with self.assertRaises(Refused) as caught:
            self.stranger.take_receipt(one, next(iter(one.legs.values())), receipt)
        self.assertEqual(caught.exception.name, "mismatch")
        self.stranger.take_receipt(other, leg, receipt)

    # ---- the relay's manners ----

    def test_a_guest_may_mirror_and_not_more(self):
        link = Link(Card(self.card), os.urandom(32))
        self.addCleanup(link.close)
        self.assertFalse(link.call("HELLO", {"version": 0, "size": 0})["registered"])
        self.assertTrue(link.call("GETLEAVES", {"from": 0, "max": 1})["leaves"])
        for name, value in (("GETPREKEYS", {"post": "fj/technical"}), ("GETFEED", {"after": 0, "max": 1})):
            self.expect_failure("unknown-device", link.call, name, value)
        for name, identity in (("not-admitted", Identity("nobody")), ("foreign-certificate", self.me)):
            self.expect_failure(name, link.call, "ENROL", {"statements": identity.statements, "prekeys": []})

    def test_what_is_no_frame_of_the_protocol_is_answered_by_its_error(self):
        link = self.stranger.link
        hello = encode("hello", {"version": 0, "size": 0})
        frame = encode("frame", {"type": 1, "number": 0, "body": hello})
        for name, data in (
            ("truncated", b"\xa3\x01"), ("malformed", b"\x00"), ("trailing-bytes", frame + b"\0"),
            ("non-canonical", b"\xa3\x18\x01" + frame[2:]), ("unknown-message", put({1: 200, 2: 0, 3: hello})),
            ("unknown-message", put({1: MESSAGES["WELCOME"][0], 2: 0, 3: hello})),
            ("unknown-version", put({1: 1, 2: 0, 3: put({1: 7, 2: 0})})),
            ("missing-field", put({1: 1, 2: 0, 3: put({1: 0})})),
            ("unknown-field", put({1: 1, 2: 0, 3: put({1: 0, 2: 0, 3: 0})})),
            ("out-of-range", put({1: MESSAGES["GETLEAVES"][0], 2: 0, 3: put({1: 0, 2: 0})})),
        ):
            link.send_bytes(data)
            answer, found = link.answer(0)
            self.assertEqual((answer, ERRORS[found["error"]]), ("FAILURE", name), data.hex())

    def test_words_in_another_name_are_refused(self):
        request, leg = self.send(b"x", "in another name")
        other = Identity("org.other")
        statement = {"event": EVENTS["WITHDRAWN"], "header": request.digest, "leg": leg.id, "post": self.me.post,
                     "device": other.device.public, "officer": True, "time": 0, "nonce": bytes(16)}
        for name, key, words in (
            ("not-allowed", other.device, statement),
            ("bad-signature", other.device, {**statement, "device": self.me.device.public}),
            ("not-allowed", self.me.device, {**statement, "device": self.me.device.public, "post": "fj/technical"}),
        ):
            said = {"said": [{"statement": stamp("STATEMENT", key, encode("statement", words))}]}
            self.expect_failure(name, self.stranger.link.call, "STATE", said)
        self.assertEqual(self.stranger.say(request, leg, "ACCEPTED", officer=True), "not-allowed", "not the recipient")

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
