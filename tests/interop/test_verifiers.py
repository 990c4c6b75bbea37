"""test_verifiers.py - two verifiers of bundles that share no code, held against each other: the library, and
client/verifier/pouch-verify.py. What proves something proves the same to both; what was changed or is a lie is refused by both,
for the same reason, at the same place.

POUCH_JUDGE names the program that asks the library (judge.c). Forged bundles come from forge.py, which has all keys."""

import hmac
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import cbor
import forge
from document import EVENTS, STATES
from forge import DAY, Request, World
from seals import SignKey, labelled, stamp

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "flow"))
import house  # noqa: E402

SMALL = SOURCE / "client" / "verifier" / "pouch-verify.py"
SEED = int(os.environ.get("POUCH_SEED") or random.SystemRandom().randrange(1 << 32))


def load_small():
    spec = importlib.util.spec_from_file_location("pouch_verify", SMALL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small = load_small()


class Judge:
    """The library, asked about one file after the other."""

    def __init__(self, *words):
        self.process = subprocess.Popen([os.environ["POUCH_JUDGE"], *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __call__(self, data):
        self.process.stdin.write(len(data).to_bytes(4, "big") + data)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().rstrip("\n").split("\t")
        assert len(answer) == 2, f"the library gave no answer: {answer}"
        return tuple(answer)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0


def by_small(data, card=None):
    try:
        small.verify(data, small.read_card(card) if card else None)
        return "ok", ""
    except small.Refused as refused:
        return refused.name, refused.where


def bare(found):
    """Facts without words for people: each program has its own for what is named beside them."""
    if isinstance(found, dict):
        return {name: bare(value) for name, value in found.items() if name not in ("text", "reason_text", "not_proven")
                or (name == "text" and "part" in found)}
    return [bare(each) for each in found] if isinstance(found, list) else found


class Programs:
    """Both programs, asked as an auditor asks them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def facts(self, test, path, card=None):
        """What both print of a file that holds; it is the same."""
        words = ["--json", str(path)] + (["--card", str(card)] if card else [])
        one = house.run(house.program("POUCH") + ["verify", *words], self.folder)
        other = house.run([sys.executable, str(SMALL), *words], self.folder)
        test.assertEqual((one.code, other.code), (0, 0), f"{one}\n{other}")
        test.assertEqual(bare(one.json), bare(other.json))
        test.assertEqual([len(found["not_proven"]) for found in (one.json, other.json)], 2 * [len(other.json["gaps"])])
        return other.json

    def refusal(self, test, path, card=None):
        """The error that both give, with exit code 4."""
        words = ["--json", str(path)] + (["--card", str(card)] if card else [])
        one = house.run(house.program("POUCH") + ["verify", *words], self.folder)
        other = house.run([sys.executable, str(SMALL), *words], self.folder)
        test.assertEqual((one.code, other.code), (4, 4), f"{one}\n{other}")
        test.assertEqual(one.error["error"], other.error["error"])
        test.assertIn(other.error["where"], one.error["message"])
        return other.error["error"]


class Scene:
    """A world with two parties that write to each other, and a third that has nothing to do with it."""

    def __init__(self, **more):
        self.world = world = World(**more)
        for name in ("fj", "xx", "de"):
            world.party(name)
        for name in ("fj/technical", "xx/technical", "de/technical", "de/national"):
            world.post(name)
        self.sender = world.device("fj/technical")
        self.other = world.device("xx/technical")
        self.decider = world.device("de/technical")
        self.reader = world.device("de/technical", 1)
        self.bell = world.device("de/technical", 2)
        self.national = world.device("de/national")
        world.noise(3)

    def request(self, to=("de/technical",), **more):
        return Request(self.world, self.sender, list(to), **more)

    def stored(self, **more):
        request = self.request(**more)
        for leg in request.legs:
            self.world.say(leg, "STORED", "STORED")
        return request

    def notified(self, **more):
        request = self.stored(**more)
        for leg in request.legs:
            self.world.say(leg, "NOTIFIED", "NOTIFIED", self.reader, officer=False)
        return request

    def accepted(self, **more):
        request = self.notified(**more)
        self.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", self.decider)
        return request

    def acknowledged(self):
        request, world = self.accepted(), self.world
        leg = request.legs[0]
        world.say(leg, "HANDED_OVER", "HANDED_OVER", self.reader, officer=False)
        world.noise(2)
        world.say(leg, "ACKNOWLEDGED", "ACKNOWLEDGED", self.decider, disclosure=True)
        return request


# ---- stories that are true ----

def offer_shown(s):
    return s.world.bundle(s.notified())


def offer_opened_up(s):
    return s.world.bundle(s.notified(), opened=1)


def body_opened_up(s):
    return s.world.bundle(s.acknowledged(), opened=2)


def not_stored_yet(s):
    return s.world.bundle(s.request())


def no_later_head(s):
    return s.world.bundle(s.acknowledged(), evidence=False)


def no_witnesses(s):
    return s.world.bundle(s.acknowledged(), witnessed=False)


def closed_with_consent_of_both(s):
    request = s.acknowledged()
    s.world.say(request.legs[0], "CONSENTED", "ACKNOWLEDGED", s.sender)
    s.world.say(request.legs[0], "CONSENTED", "ACKNOWLEDGED", s.decider)
    s.world.say(request.legs[0], "CLOSED", "CLOSED", s.sender)
    return s.world.bundle(request)


def declined_with_words(s):
    request = s.notified()
    s.world.say(request.legs[0], "DECLINED", "DECLINED", s.decider, reason=17, note=os.urandom(80), disclosure=True)
    return s.world.bundle(request)


def withdrawn(s):
    request = s.stored()
    s.world.say(request.legs[0], "WITHDRAWN", "WITHDRAWN", s.sender)
    s.world.note(request.legs[0], "ACCEPTED", s.decider)
    return s.world.bundle(request)


def expired_after_an_outage(s):
    request = s.notified()
    s.world.say(request.legs[0], "EXPIRED", "EXPIRED", reason=STATES["NOTIFIED"], grace=900)
    return s.world.bundle(request)


def offer_only(s):
    request = s.notified(body=False)
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    s.world.say(request.legs[0], "ACKNOWLEDGED", "ACKNOWLEDGED", s.decider)
    return s.world.bundle(request)


def reply(s):
    parent = s.acknowledged()
    answer = Request(s.world, s.decider, ["fj/technical"], parent=parent.legs[0])
    s.world.say(answer.legs[0], "STORED", "STORED")
    s.world.say(answer.legs[0], "HANDED_OVER", "HANDED_OVER", s.sender, officer=False)
    return s.world.bundle(answer, opened=2)


def forwarded_and_sealed_again(s):
    request, world = s.notified(), s.world
    leg = request.legs[0]
    world.note(leg, "CANNOT_OPEN", s.reader, reason=27, generation=1)
    world.say(leg, "REKEY_NEEDED", "NOTIFIED", reason=27)
    world.say(leg, "RESEALED", "NOTIFIED", s.sender, generation=2)
    world.say(leg, "FORWARDED", "FORWARDED", s.decider, generation=3, forward="de/national")
    world.say(leg, "RESEALED", "FORWARDED", s.decider, generation=4)
    world.say(leg, "NOTIFIED", "NOTIFIED", s.national)
    world.say(leg, "OPENED", "OPENED", s.national)
    world.say(leg, "ACCEPTED", "ACCEPTED", s.national)
    world.note(leg, "NOTIFIED", s.decider)
    return world.bundle(request)


def three_legs(s):
    request = s.stored(to=["de/technical", "xx/technical", "de/national"])
    s.world.say(request.legs[1], "NOTIFIED", "NOTIFIED", s.other)
    return s.world.bundle(request)


def one_leg_of_three(s):
    request = s.stored(to=["de/technical", "xx/technical", "de/national"])
    return s.world.bundle(request, legs=request.legs[:1])


def refused_as_a_whole(s):
    request = s.request()
    s.world.note(request.legs[0], "REFUSED", leg_id=False, reason=64)
    return s.world.bundle(request)


def two_legs_of_one_post(s):
    request = s.stored(to=["de/technical", "de/technical"])
    return s.world.bundle(request)


def an_exercise(s):
    return s.world.bundle(s.stored(exercise=True, answer_by=s.world.time + DAY))


def keys_have_changed_since(s):
    """Devices revoked and renewed, the authority's key renewed, a post split and its contact card changed: after it was said."""
    request, world = s.acknowledged(), s.world
    de = world.parties["de"]
    world.revoke(s.reader)
    world.declare("revocation", s.decider.sign, {"post": "de/technical", "device": os.urandom(32), "reason": 2,
                                                 "signer": s.decider.sign.public})
    world.declare("device", s.decider.sign, {
        "post": "de/technical", "device": s.decider.sign.public, "transport": s.decider.transport, "role": 0,
        "not_before": world.time, "not_after": world.time + 390 * DAY, "issuer": s.decider.sign.public})
    world.declare("contact", s.decider.sign, {"post": "de/technical", "device": s.decider.sign.public,
                                              "commitments": [os.urandom(32)]})
    world.declare("split", de.authority, {"post": "de/technical", "action": 0, "into": [b"de/national"],
                                          "authority": de.authority.public})
    world.declare("succession", de.next, {"party": "de", "action": 0, "signer": de.next.public,
                                          "authority": de.next.public, "next": os.urandom(32)})
    world.declare("admission", None, {"party": "de", "action": 1})
    world.declare("departure", de.next, {"party": "de", "authority": de.next.public})
    return world.bundle(request)


def the_registrars_gave_another_key(s):
    world, late = s.world, SignKey()
    next_ = os.urandom(32)
    notice = world.declare("notice", None, {"party": "de", "authority": late.public, "next": next_})
    world.tick(15 * DAY)
    world.declare("succession", late, {"party": "de", "action": 2, "signer": late.public, "authority": late.public,
                                       "next": next_, "notice": notice})
    world.parties["de"].authority = late
    fresh = world.device("de/technical")
    request = s.stored()
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", fresh)
    return world.bundle(request)


def a_party_that_was_nominated(s):
    world = s.world
    world.declare("admission", None, {"party": "nz", "action": 3, "name": "New", "kind": 0})
    world.party("nz")
    world.post("nz/technical")
    device = world.device("nz/technical")
    request = s.stored(to=["nz/technical"])
    world.say(request.legs[0], "NOTIFIED", "NOTIFIED", device)
    return world.bundle(request)


def the_relay_has_moved(s):
    request = s.accepted()
    s.world.declare("relay", None, {"action": 1, "addresses": [b"tcp://elsewhere.example:5870"],
                                    "curve": forge.x_public(os.urandom(32))})
    return s.world.bundle(request)


def the_relay_has_new_keys_after_a_loss(s):
    """What it signed before, under the old keys, and what it signs now are one story."""
    request, card = s.accepted(), s.world.card()
    s.world.note(request.legs[0], "ACCEPTED", s.decider)
    s.world.recover()
    s.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    s.world.note(request.legs[0], "HANDED_OVER", s.reader)
    s.world.recover()
    s.world.say(request.legs[0], "ACKNOWLEDGED", "ACKNOWLEDGED", s.decider)
    return {**s.world.bundle(request), "card": card}


def the_card_was_given_after_a_loss(s):
    request = s.accepted()
    s.world.recover()
    s.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    return s.world.bundle(request)


TRUE = [offer_shown, offer_opened_up, body_opened_up, not_stored_yet, no_later_head, no_witnesses,
        closed_with_consent_of_both, declined_with_words, withdrawn, expired_after_an_outage, offer_only, reply,
        forwarded_and_sealed_again, three_legs, one_leg_of_three, refused_as_a_whole, two_legs_of_one_post, an_exercise,
        keys_have_changed_since, the_registrars_gave_another_key, a_party_that_was_nominated, the_relay_has_moved,
        the_relay_has_new_keys_after_a_loss, the_card_was_given_after_a_loss]


# ---- lies: each with the reason that both must give ----

def receipts_of(made, leg=0):
    return made["legs"][leg]["receipts"]


def reread(receipt, **more):
    return cbor.encode("receipt", {**cbor.decode("receipt", receipt), **more})


def missing_receipt_in_the_middle(s):
    made = s.world.bundle(s.acknowledged())
    del receipts_of(made)[2]
    return made, "bad-proof"


def first_receipt_missing(s):
    made = s.world.bundle(s.acknowledged())
    del receipts_of(made)[0]
    return made, "bad-proof"


def receipt_twice(s):
    made = s.world.bundle(s.acknowledged())
    receipts_of(made).insert(2, receipts_of(made)[1])
    return made, "bad-proof"


def receipts_swapped_between_legs(s):
    made = s.world.bundle(s.stored(to=["de/technical", "de/national"]))
    made["legs"][0]["receipts"], made["legs"][1]["receipts"] = receipts_of(made, 1), receipts_of(made)
    return made, "mismatch"


def receipts_of_another_request(s):
    mine, theirs = s.stored(), s.stored()
    made = s.world.bundle(mine)
    made["legs"][0]["receipts"] = theirs.legs[0].receipts
    return made, "mismatch"


def legs_in_another_order(s):
    made = s.world.bundle(s.stored(to=["de/technical", "de/national"]))
    made["legs"].reverse()
    return made, "non-canonical"


def leg_twice(s):
    made = s.world.bundle(s.stored())
    made["legs"] *= 2
    return made, "non-canonical"


def wrong_leg_path(s):
    made = s.world.bundle(s.stored(to=["de/technical", "de/national"]))
    made["legs"][0]["path"] = made["legs"][1]["path"]
    return made, "bad-proof"


def short_leg_path(s):
    made = s.world.bundle(s.stored())
    made["legs"][0]["path"].pop()
    return made, "bad-proof"


def leg_elsewhere(s):
    made = s.world.bundle(s.stored())
    made["legs"][0]["place"]["position"] ^= 1
    return made, "bad-proof"


def opening_with_another_post(s):
    made = s.world.bundle(s.stored())
    opening = cbor.decode("opening", made["legs"][0]["place"]["opening"])
    made["legs"][0]["place"]["opening"] = cbor.encode("opening", {**opening, "to": "de/national"})
    return made, "bad-proof"


def no_leg(s):
    made = s.world.bundle(s.stored())
    made["legs"], made["steps"] = [], []
    return made, "missing-field"


def reply_with_two_legs(s):
    parent = s.acknowledged()
    answer = Request(s.world, s.decider, ["fj/technical", "xx/technical"], parent=parent.legs[0])
    return s.world.bundle(answer), "malformed"


def header_of_another_device(s):
    request = s.stored()
    request.sender = s.other
    request.seal()
    return s.world.bundle(request), "bad-signature"


def header_by_a_stranger(s):
    """The key signs, but the directory does not know it."""
    request = s.request()
    stranger = forge.Device("fj/technical", 0)
    request.header["device"], request.sender = stranger.sign.public, stranger
    request.seal()
    return s.world.bundle(request), "unknown-device"


def header_in_the_name_of_another_post(s):
    request = s.request()
    request.header["device"], request.sender = s.decider.sign.public, s.decider
    request.seal()
    return s.world.bundle(request), "mismatch"


def header_that_keeps_too_short(s):
    return s.world.bundle(s.request(keep_s=3600)), "bad-keep"


def header_without_offer(s):
    request = s.request()
    del request.header["offer"]
    request.seal()
    return s.world.bundle(request), "malformed"


def said_by_a_revoked_device(s):
    request = s.notified()
    s.world.revoke(s.decider)
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    return s.world.bundle(request), "revoked"


def said_by_a_device_of_a_revoked_post(s):
    request, world = s.notified(), s.world
    signer = world.parties["de"].post_keys["de/technical"][1]
    world.declare("revocation", signer, {"post": "de/technical", "signer": signer.public, "reason": 1})
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    return world.bundle(request), "revoked"


def said_before_the_countersignature(s):
    world = s.world
    late = world.device("de/technical", countersigned=False)
    request = s.notified()
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", late)
    world.countersign(late, world.parties["de"].authority)
    return world.bundle(request), "not-countersigned"


def said_after_the_certificate_ran_out(s):
    short = s.world.device("de/technical", days=1)
    request = s.notified()
    s.world.tick(2 * DAY)
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", short)
    return s.world.bundle(request), "certificate-expired"


def sent_by_a_revoked_device(s):
    s.world.revoke(s.sender)
    return s.world.bundle(s.stored()), "revoked"


def sent_by_a_bell(s):
    bell = s.world.device("fj/technical", 2)
    request = Request(s.world, bell, ["de/technical"])
    s.world.say(request.legs[0], "STORED", "STORED")
    return s.world.bundle(request), "not-allowed"


def decided_by_a_reader(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.reader)
    return s.world.bundle(request), "not-allowed"


def notified_by_a_bell(s):
    request = s.stored()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.bell)
    return s.world.bundle(request), "not-allowed"


def accepted_by_the_sender(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.sender)
    return s.world.bundle(request), "not-allowed"


def accepted_by_a_sister_post(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.national)
    return s.world.bundle(request), "not-allowed"


def accepted_in_the_name_of_another_post(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.national, post="de/technical")
    return s.world.bundle(request), "not-allowed"


def accepted_by_the_relay(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED")
    return s.world.bundle(request), "not-allowed"


def expired_by_a_device(s):
    request = s.notified()
    s.world.say(request.legs[0], "EXPIRED", "EXPIRED", s.decider)
    return s.world.bundle(request), "not-allowed"


def accepted_after_it_was_declined(s):
    request = s.notified()
    s.world.say(request.legs[0], "DECLINED", "DECLINED", s.decider)
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    return s.world.bundle(request), "wrong-state"


def the_body_before_acceptance(s):
    request = s.stored()
    s.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    return s.world.bundle(request), "wrong-state"


def a_reply_that_is_accepted(s):
    parent = s.acknowledged()
    answer = Request(s.world, s.decider, ["fj/technical"], parent=parent.legs[0])
    s.world.say(answer.legs[0], "STORED", "STORED")
    s.world.say(answer.legs[0], "ACCEPTED", "ACCEPTED", s.sender)
    return s.world.bundle(answer), "wrong-state"


def consent_before_acceptance(s):
    request = s.notified()
    s.world.say(request.legs[0], "CONSENTED", "NOTIFIED", s.decider)
    return s.world.bundle(request), "wrong-state"


def consent_beside_what_is_no_decision(s):
    request = s.stored()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.decider, disclosure=True)
    return s.world.bundle(request), "not-allowed"


def consent_by_a_reader(s):
    request = s.accepted()
    s.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    s.world.say(request.legs[0], "ACKNOWLEDGED", "ACKNOWLEDGED", s.reader, disclosure=True)
    return s.world.bundle(request), "not-allowed"


def a_state_that_the_event_does_not_bring(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "DECLINED", s.decider)
    return s.world.bundle(request), "wrong-state"


def a_state_left_out(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, entry={"from": STATES["OPENED"]})
    return s.world.bundle(request), "bad-proof"


def two_rival_entries(s):
    """The relay told the other side that it was declined, with the same ordinal; the maker shows both."""
    request, world = s.notified(), s.world
    rival = world.say(request.legs[0], "DECLINED", "DECLINED", s.decider, keep=False)
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    request.legs[0].receipts.append(rival)
    return world.bundle(request), "bad-proof"


def another_history_behind_a_later_entry(s):
    """The entry after the exchanged one names the hash of the true one."""
    request, world = s.notified(), s.world
    rival = world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, keep=False)
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    request.legs[0].receipts[2] = rival
    return world.bundle(request), "bad-proof"


def an_ordinal_too_high(s):
    request = s.stored()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader, entry={"ordinal": 2})
    return s.world.bundle(request), "bad-proof"


def time_that_goes_back(s):
    request = s.notified()
    early = s.world.time - 60000
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, entry={"time": early}, record={"time": early})
    return s.world.bundle(request), "out-of-range"


def entry_of_another_time_than_the_record(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, record={"time": s.world.time + 5000})
    return s.world.bundle(request), "mismatch"


def entry_about_another_statement(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, entry={"statement": os.urandom(32)})
    return s.world.bundle(request), "mismatch"


def record_of_another_statement(s):
    request = s.notified()
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider, record={"statement": os.urandom(32)})
    return s.world.bundle(request), "mismatch"


def entry_of_another_leg(s):
    request = s.stored(to=["de/technical", "de/national"])
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader, entry={"leg": request.legs[1].id})
    return s.world.bundle(request), "mismatch"


def record_without_index(s):
    made = s.world.bundle(s.stored())
    receipt = cbor.decode("receipt", receipts_of(made)[0])
    record = cbor.decode("record", cbor.decode("stamped", receipt["record"])["payload"])
    del record["index"]
    stamped = stamp("RECORD", s.world.statement, cbor.encode("record", record))
    receipts_of(made)[0] = reread(receipts_of(made)[0], record=stamped)
    return made, "malformed"


def record_by_another_key(s):
    request = s.stored()
    genuine, s.world.statement = s.world.statement, SignKey()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader)
    s.world.statement = genuine
    return s.world.bundle(request), "bad-signature"


def record_signed_as_a_statement(s):
    made = s.world.bundle(s.stored())
    receipt = cbor.decode("receipt", receipts_of(made)[0])
    payload = cbor.decode("stamped", receipt["record"])["payload"]
    receipts_of(made)[0] = reread(receipts_of(made)[0], record=stamp("STATEMENT", s.world.statement, payload))
    return made, "bad-signature"


def a_directory_that_is_larger_than_shown(s):
    request, world = s.notified(), s.world
    size = len(world.leaves)
    world.device("xx/technical")
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    return world.bundle(request, size=size), "bad-proof"


def a_generation_left_out(s):
    request = s.notified()
    s.world.say(request.legs[0], "RESEALED", "NOTIFIED", s.sender, generation=3)
    return s.world.bundle(request), "bad-proof"


def sealed_again_by_the_recipient(s):
    request = s.notified()
    s.world.say(request.legs[0], "RESEALED", "NOTIFIED", s.decider, generation=2)
    return s.world.bundle(request), "not-allowed"


def forwarded_to_another_party(s):
    request = s.notified()
    s.world.say(request.legs[0], "FORWARDED", "FORWARDED", s.decider, generation=2, forward="xx/technical")
    return s.world.bundle(request), "bad-proof"


def forwarded_to_itself(s):
    request = s.notified()
    s.world.say(request.legs[0], "FORWARDED", "FORWARDED", s.decider, generation=2, forward="de/technical")
    return s.world.bundle(request), "bad-proof"


def decided_after_forwarding(s):
    request = s.notified()
    s.world.say(request.legs[0], "FORWARDED", "FORWARDED", s.decider, generation=2, forward="de/national")
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.national)
    s.world.say(request.legs[0], "ACCEPTED", "ACCEPTED", s.decider)
    return s.world.bundle(request), "not-allowed"


# -- the log

def receipt_without_checkpoint(s):
    made = s.world.bundle(s.stored())
    receipts_of(made)[0] = reread(receipts_of(made)[0], checkpoint=None)
    return made, "missing-field"


def receipt_without_proof(s):
    made = s.world.bundle(s.stored())
    receipts_of(made)[0] = reread(receipts_of(made)[0], proof=None)
    return made, "missing-field"


def head_of_the_other_log(s):
    request = s.stored()
    made = s.world.bundle(request)
    receipts_of(made)[0] = reread(receipts_of(made)[0], checkpoint=s.world.directory.head(s.world.time))
    return made, "bad-signature"


def head_of_another_relay(s):
    request = s.stored()
    made = s.world.bundle(request)
    other = forge.Log(s.world.evidence.key.name, SignKey())
    other.hashes = s.world.evidence.hashes
    receipts_of(made)[0] = reread(receipts_of(made)[0], checkpoint=other.head(s.world.time))
    return made, "bad-signature"


def head_of_another_origin(s):
    """The evidence log's key has signed a text of another log."""
    request, world = s.stored(), s.world
    made = world.bundle(request)
    log = forge.Log(world.evidence.key.name, world.log_key)
    log.hashes = world.evidence.hashes
    text = world.evidence.head(world.time).replace(b"relay.example/evidence\n", b"relay.example/directory\n", 1)
    text = text[:text.rindex(b"\n\n") + 1]
    note = text + b"\n" + world.evidence.key.line(world.log_key.key.sign(text))
    receipts_of(made)[0] = reread(receipts_of(made)[0], checkpoint=note)
    return made, "mismatch"


def head_with_another_line(s):
    request, world = s.stored(), s.world
    made = world.bundle(request)
    receipts_of(made)[0] = reread(receipts_of(made)[0], checkpoint=world.evidence.head(world.time, more="more\n"))
    return made, "malformed"


def receipt_with_a_cosigned_head(s):
    request, world = s.stored(), s.world
    made = world.bundle(request)
    receipts_of(made)[0] = reread(receipts_of(made)[0],
                                  checkpoint=world.evidence.head(world.time, witnesses=world.witnesses))
    return made, "malformed"


def head_before_the_entry(s):
    request = s.stored()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader, head_time=s.world.time - 60000)
    return s.world.bundle(request), "out-of-range"


def proof_of_another_entry(s):
    request = s.notified()
    made = s.world.bundle(request)
    other = cbor.decode("receipt", receipts_of(made)[0])
    receipts_of(made)[1] = reread(receipts_of(made)[1], proof=other["proof"])
    return made, "bad-proof"


def an_index_that_is_not_its_own(s):
    request = s.stored()
    s.world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader, record={"index": 0})
    return s.world.bundle(request), "bad-proof"


def an_entry_that_is_not_in_the_log(s):
    request, world = s.stored(), s.world
    log = forge.Log(world.evidence.key.name, world.log_key)
    log.hashes = list(world.evidence.hashes)
    world.noise()
    head = world.evidence.head(world.time + 60000)
    world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader, log=log, receipt={"checkpoint": head})
    return world.bundle(request), "bad-proof"


def two_logs_of_one_size(s):
    """Both receipts hold, each in the log that it was shown; there are two."""
    request, world = s.stored(to=["de/technical", "de/national"]), s.world
    fork = forge.Log(world.evidence.key.name, world.log_key)
    fork.hashes = list(world.evidence.hashes)
    world.say(request.legs[0], "NOTIFIED", "NOTIFIED", s.reader)
    world.say(request.legs[1], "NOTIFIED", "NOTIFIED", s.national, log=fork)
    return world.bundle(request, evidence=False), "evidence-forked"


def a_later_head_of_another_log(s):
    request, world = s.acknowledged(), s.world
    made = world.bundle(request)
    made["evidence"] = world.evidence.head(world.time, root=os.urandom(32))
    return made, "evidence-forked"


def a_larger_head_of_another_log(s):
    request, world = s.acknowledged(), s.world
    world.noise(3)
    made = world.bundle(request)
    made["evidence"] = world.evidence.head(world.time, root=os.urandom(32))
    return made, "bad-proof"


def a_later_head_that_is_smaller(s):
    request, world = s.acknowledged(), s.world
    made = world.bundle(request)
    made["evidence"] = world.evidence.head(world.time, len(world.evidence.hashes) - 1)
    return made, "bad-proof"


def a_step_left_out(s):
    made = s.world.bundle(s.acknowledged())
    del made["steps"][1]
    return made, "mismatch"


def a_step_of_another_size(s):
    made = s.world.bundle(s.acknowledged())
    made["steps"][1]["size"] += 1
    return made, "mismatch"


def a_wrong_step(s):
    made = s.world.bundle(s.acknowledged())
    made["steps"][1]["path"][0] = os.urandom(32)
    return made, "bad-proof"


def steps_without_a_head(s):
    made = s.world.bundle(s.acknowledged())
    del made["evidence"]
    return made, "unknown-field"


# -- the directory

def a_leaf_left_out(s):
    """The countersignature: without it the decider was never live."""
    request, world = s.accepted(), s.world
    made = world.bundle(request)
    payload = {}
    for item in made["leaves"]:
        leaf = cbor.decode("leaf", item["leaf"])
        if leaf["kind"] == 5:
            payload = cbor.decode("countersign", cbor.decode("stamped", leaf["statement"])["payload"])
            if payload["certificate"] == s.decider.certificate:
                made["leaves"].remove(item)
                return made, "not-countersigned"
    raise AssertionError("the decider's countersignature is not there")


def no_leaves(s):
    made = s.world.bundle(s.accepted())
    made["leaves"] = []
    return made, "unknown-device"


def a_leaf_of_another_party(s):
    made = s.world.bundle(s.accepted(), parties={"fj", "de", "xx"})
    return made, "mismatch"


def a_leaf_twice(s):
    made = s.world.bundle(s.accepted())
    made["leaves"].insert(1, made["leaves"][0])
    return made, "non-canonical"


def leaves_in_another_order(s):
    made = s.world.bundle(s.accepted())
    made["leaves"][-1], made["leaves"][-2] = made["leaves"][-2], made["leaves"][-1]
    return made, "unknown-device"


def a_leaf_at_another_index(s):
    made = s.world.bundle(s.accepted())
    gap = next(i for i in range(1, len(made["leaves"])) if made["leaves"][i]["index"] > made["leaves"][i - 1]["index"] + 1)
    made["leaves"][gap]["index"] -= 1
    return made, "bad-proof"


def a_leaf_that_is_not_in_the_head(s):
    world, request = s.world, s.accepted()
    made = world.bundle(request)
    other = Scene().world
    made["leaves"][0]["leaf"] = other.leaves[0]
    return made, "bad-proof"


def a_device_that_nobody_certified(s):
    """The relay puts a device of its own into the directory."""
    world = s.world
    fake = SignKey()
    world.parties["de"].post_keys["de/technical"] = fake, fake
    device = world.device("de/technical")
    request = s.notified()
    world.say(request.legs[0], "ACCEPTED", "ACCEPTED", device)
    return world.bundle(request), "foreign-certificate"


def an_admission_by_one_registrar(s):
    world = s.world
    world.threshold = 1
    world.party("nz")
    world.post("nz/technical")
    request = s.request(to=["nz/technical"])
    world.threshold = 2
    return world.bundle(request), "too-few-signers"


def a_statement_repeated(s):
    world = s.world
    world.leaf("admission", cbor.decode("leaf", world.leaves[1])["statement"])
    return world.bundle(s.stored()), "conflict"


def a_leaf_before_the_one_before(s):
    world = s.world
    world.time -= DAY
    world.revoke(s.reader)
    world.time += 2 * DAY
    return world.bundle(s.stored()), "out-of-range"


def a_directory_head_by_another_key(s):
    made = s.world.bundle(s.stored())
    s.world.directory.secret = SignKey()
    made["directory"] = s.world.directory.head(s.world.time)
    return made, "bad-signature"


def a_directory_head_with_a_line_of_nobody(s):
    made = s.world.bundle(s.stored())
    stranger = SignKey()
    key = forge.NoteKey("witness.example/w9", forge.COSIGNATURE, stranger.public)
    made["directory"] = forge.cosign(key, stranger, made["directory"], s.world.time // 1000)
    return made, "malformed"


def a_directory_head_with_a_witness_twice(s):
    made = s.world.bundle(s.stored())
    key, secret = s.world.witnesses[0]
    made["directory"] = forge.cosign(key, secret, made["directory"], s.world.time // 1000 + 5)
    return made, "malformed"


def a_directory_head_with_a_false_cosignature(s):
    made = s.world.bundle(s.stored(), witnessed=False)
    key, _ = s.world.witnesses[0]
    made["directory"] = forge.cosign(key, SignKey(), made["directory"], s.world.time // 1000)
    return made, "bad-signature"


def a_directory_head_with_the_log_last(s):
    made = s.world.bundle(s.stored())
    begin, lines = made["directory"].rsplit(b"\n\n", 1)
    made["directory"] = begin + b"\n\n" + b"".join(reversed(lines.splitlines(keepends=True)))
    return made, "malformed"


# -- keys that changed

def old_keys_after_a_loss(s):
    """Who has stolen them goes on with them."""
    request, card = s.accepted(), s.world.card()
    new = SignKey(), SignKey()
    s.world.recover(genuine=False)
    s.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    made = {**s.world.bundle(request), "card": card}
    s.world.use(*new)
    return made, "bad-signature"


def an_old_record_key_after_a_loss(s):
    request, world = s.accepted(), s.world
    card, old = world.card(), world.recover()
    now = world.statement
    world.statement = old[1]
    world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    world.statement = now
    return {**world.bundle(request), "card": card}, "bad-signature"


def a_new_key_before_the_loss(s):
    request, world = s.accepted(), s.world
    card, size = world.card(), len(world.leaves)
    world.recover()
    world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader, entry={"size": size})
    return {**world.bundle(request), "card": card}, "bad-signature"


def a_loss_that_the_registrars_did_not_declare(s):
    request, world = s.accepted(), s.world
    card, registrars = world.card(), world.registrars
    world.registrars = [SignKey(), SignKey()]
    world.recover()
    made = world.bundle(request)
    world.registrars = registrars
    return {**made, "card": card}, "unknown-registrar"


def a_loss_that_is_not_shown(s):
    request, world = s.accepted(), s.world
    card = world.card()
    world.recover()
    world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", s.reader)
    made = {**world.bundle(request), "card": card}
    made["leaves"].pop()
    return made, "bad-signature"


# -- notes

def a_note_that_is_an_entry(s):
    made = s.world.bundle(s.acknowledged())
    made["legs"][0]["notes"] = receipts_of(made)[1:2]
    return made, "unknown-field"


def an_entry_that_is_a_note(s):
    request = s.stored()
    s.world.note(request.legs[0], "NOTIFIED", s.reader)
    made = s.world.bundle(request)
    receipts_of(made).append(made["legs"][0]["notes"].pop())
    return made, "missing-field"


def a_note_twice(s):
    request = s.stored()
    s.world.note(request.legs[0], "NOTIFIED", s.reader)
    made = s.world.bundle(request)
    made["legs"][0]["notes"] *= 2
    return made, "non-canonical"


def a_note_by_a_third_party(s):
    request = s.stored(to=["de/technical", "xx/technical"])
    s.world.note(request.legs[0], "NOTIFIED", s.other)
    return s.world.bundle(request), "not-allowed"


def a_note_by_the_relay(s):
    request = s.stored()
    s.world.note(request.legs[0], "EXPIRED")
    return s.world.bundle(request), "not-allowed"


def a_note_of_a_post_that_never_had_it(s):
    request = s.stored()
    s.world.note(request.legs[0], "NOTIFIED", s.national)
    return s.world.bundle(request), "not-allowed"


def a_decision_in_a_note_by_a_reader(s):
    request = s.stored()
    s.world.note(request.legs[0], "ACCEPTED", s.reader)
    return s.world.bundle(request), "not-allowed"


# -- card and content

def a_card_with_a_comment(s):
    made = s.world.bundle(s.stored())
    made["card"] += "# more\n"
    return made, "non-canonical"


def a_card_in_another_order(s):
    made = s.world.bundle(s.stored())
    lines = made["card"].splitlines(keepends=True)
    made["card"] = "".join(lines[:1] + lines[2:3] + lines[1:2] + lines[3:])
    return made, "non-canonical"


def a_card_of_another_relay(s):
    made = s.world.bundle(s.stored())
    made["card"] = World(witnesses=0).card()
    return made, "bad-signature"


def a_card_with_another_log_key(s):
    made = s.world.bundle(s.stored())
    made["card"] = s.world.card(log=[SignKey().public.hex()])
    return made, "bad-signature"


def a_card_with_other_registrars(s):
    made = s.world.bundle(s.stored())
    made["card"] = s.world.card(registrar=sorted(SignKey().public.hex() for _ in range(2)))
    return made, "unknown-registrar"


def a_card_with_a_higher_threshold(s):
    made = s.world.bundle(s.stored())
    keys = [key.public.hex() for key in s.world.registrars] + [SignKey().public.hex()]
    made["card"] = s.world.card(registrar=sorted(keys), threshold=["3"])
    return made, "too-few-signers"


def another_key_for_the_body(s):
    made = s.world.bundle(s.acknowledged(), opened=2)
    made["opened"]["key"] = os.urandom(32)
    return made, "bad-commitment"


def the_key_of_the_other_part(s):
    made = s.world.bundle(s.acknowledged(), opened=2)
    made["opened"]["part"] = 1
    return made, "bad-commitment"


def other_ciphertext(s):
    made = s.world.bundle(s.acknowledged(), opened=2)
    made["opened"]["chunks"][1] = os.urandom(len(made["opened"]["chunks"][1]))
    return made, "bad-digest"


def a_chunk_left_out(s):
    made = s.world.bundle(s.acknowledged(), opened=2)
    made["opened"]["chunks"].pop()
    return made, "bad-digest"


def a_part_that_is_not_there(s):
    request = s.notified(body=False)
    made = s.world.bundle(request, opened=1)
    made["opened"]["part"] = 2
    return made, "no-body"


def content_that_names_another_sender(s):
    """The sender sealed it so; nobody else could have opened it either."""
    request = s.request()
    inside = cbor.encode("offer", {"from": "xx/technical", "request": request.header["request"], "exercise": False,
                                   "kind": 0, "subject": "-"})
    request.chunks[1], request.header["offer"] = forge.seal_part(request.header, 1, request.keys[1], inside)
    request.seal()
    return s.world.bundle(request, opened=1), "mismatch"


def content_that_does_not_open(s):
    request = s.request()
    chunk = os.urandom(272)
    request.chunks[1] = [chunk]
    digest = labelled("PART_DIGEST", labelled("CHUNK_DIGEST", chunk))
    request.header["offer"] = {"length": 272, "digest": digest, "commitment": labelled("COMMITMENT", request.keys[1])}
    request.seal()
    return s.world.bundle(request, opened=1), "cannot-open"


def content_with_something_in_the_padding(s):
    request = s.request()
    inside = cbor.encode("offer", {"from": "fj/technical", "request": request.header["request"], "exercise": False,
                                   "kind": 0, "subject": "-"})
    inside += bytes(255 - len(inside)) + b"x"
    request.chunks[1], request.header["offer"] = forge.seal_part(request.header, 1, request.keys[1], inside)
    request.seal()
    return s.world.bundle(request, opened=1), "bad-padding"


FIRST_LIE, LAST_LIE = missing_receipt_in_the_middle, content_with_something_in_the_padding
NAMES = list(globals())
FALSE = [globals()[name] for name in NAMES[NAMES.index(FIRST_LIE.__name__):NAMES.index(LAST_LIE.__name__) + 1]]


# ---- directories at random ----

class Chance:
    """Directory statements with fields drawn from small pools. What stands is remembered and often used, so that about half of
    them are good; the other half break a rule, each rule sometimes. Each is signed by whom it names."""

    def __init__(self, dice):
        self.dice, self.world = dice, World(registrars=2, threshold=1)
        self.keys = {key.public: key for key in self.world.registrars}
        for _ in range(5):
            self.fresh()
        self.curves = [forge.x_public(os.urandom(32)) for _ in range(4)]
        self.parties, self.posts = ["de", "de-x"], ["de/technical", "de/national", "de-x/policy"]
        self.standing, self.hashes = {}, [bytes(32)]
        self.found("de")

    def found(self, name):
        """A party that is there already, with its posts."""
        party = self.world.party(name)
        for what in ("authority", "next", "recovery"):
            key = getattr(party, what)
            self.keys[key.public] = key
            self.standing[what, name] = key.public
        self.standing["charter", name] = party.charter
        for post in [post for post in self.posts if post.startswith(name + "/")]:
            self.world.post(post)
            for what, key in zip(("post", "revoker"), party.post_keys[post]):
                self.keys[key.public] = key
                self.standing[what, post] = key.public

    def fresh(self):
        key = SignKey()
        self.keys[key.public] = key
        return key.public

    def key(self, likely=None):
        """Any key, or that which stands for (kind, name)."""
        if likely in self.standing and self.dice.random() < 0.8:
            return self.standing[likely]
        return self.fresh() if self.dice.random() < 0.6 else self.dice.choice(list(self.keys))

    def maybe(self, value, chance=0.5):
        return value if self.dice.random() < chance else None

    def when(self):
        return self.world.time + self.dice.choice([-5 * DAY] + [0] * 6 + [1000, 2 * DAY])

    def hash(self, likely=None):
        return self.standing.get(likely, bytes(32)) if self.dice.random() < 0.85 else self.dice.choice(self.hashes[-9:])

    def party(self):
        name = self.dice.choice(self.parties)
        return name, {"party": name, "created": self.when()}

    def a_post(self):
        name = self.dice.choice(self.posts)
        return name, name.partition("/")[0], {"post": name, "created": self.when()}

    def charter(self):
        name, what = self.party()
        key, recovery, next_ = self.key(), self.maybe(self.key()), self.key()
        self.later = {("authority", name): key, ("next", name): next_, ("recovery", name): recovery}
        return key, {**what, "name": "Name", "kind": 0, "authority": key, "recovery": recovery,
                     "next": labelled("NEXT_KEY", next_)}

    def admission(self):
        name, what = self.party()
        action = self.dice.choice([0, 0, 0, 0, 1, 2, 3])
        named = action == 3 if self.dice.random() < 0.9 else action != 3
        charter = self.hash(("charter", name)) if action == 0 or self.dice.random() < 0.1 else None
        return None, {**what, "action": action, "charter": charter, "name": "New" if named else None,
                      "kind": 1 if named else None}

    def notice(self):
        name, what = self.party()
        key, next_, recovery = self.key(), self.key(), self.maybe(self.key())
        self.later = {("noticed", name): key, ("noticed next", name): next_}
        return None, {**what, "authority": key, "next": labelled("NEXT_KEY", next_), "recovery": recovery}

    def succession(self):
        name, what = self.party()
        action = self.dice.randrange(4)
        old = [("next", name), ("recovery", name), ("noticed", name), ("authority", name)][action]
        signer, next_ = self.key(old), self.key()
        authority = signer if action != 1 else self.key()
        if action == 2:
            next_ = self.standing.get(("noticed next", name), next_)
        self.later = {("authority", name): authority, ("next", name): next_} if action != 3 else {}
        named = {"authority": authority, "next": labelled("NEXT_KEY", next_), "recovery": self.maybe(self.key(), 0.2)}
        notice = self.hash(("notice", name)) if action > 1 else None
        return signer, {**what, "action": action, "signer": signer, "notice": notice, **(named if action != 3 else {})}

    def departure(self):
        name, what = self.party()
        key = self.key(("authority", name))
        return key, {**what, "authority": key}

    def post(self):
        name, party, what = self.a_post()
        key, own, revoker = self.key(("authority", party)), self.key(("post", name)), self.maybe(self.key())
        self.later = {("post", name): own, ("revoker", name): revoker}
        return key, {**what, "functions": self.dice.choice([4, 4, 6]), "key": own, "revoker": revoker, "authority": key}

    def split(self):
        name, party, what = self.a_post()
        key, action = self.key(("authority", party)), self.dice.randrange(2)
        others = [post for post in self.posts[:2] if post != name] if self.dice.random() < 0.7 else self.posts + ["nobody"]
        into = self.dice.sample(others, 1) if self.dice.random() < 0.8 else []
        return key, {**what, "action": action, "authority": key,
                     "into": [each.encode() for each in into] if action == 0 or self.dice.random() < 0.1 else []}

    def device(self):
        name, party, what = self.a_post()
        device = self.key(("device", name) if self.dice.random() < 0.3 else None)
        transport = self.standing.get(("transport", device)) or self.dice.choice(
            self.curves[:2] + [forge.x_public(os.urandom(32))] * 5 + [bytes(32)])
        begin = self.world.time + self.dice.choice([-DAY, -DAY, -DAY, 0, DAY])
        role = self.standing.get(("role", device), self.dice.choice([0, 0, 0, 1, 2]))
        issuer = device if self.dice.random() < 0.3 else self.key(("post", name))
        self.later = {("device", name): device, ("transport", device): transport, ("role", device): role}
        return issuer, {"post": name, "device": device, "transport": transport, "role": role, "not_before": begin,
                        "not_after": begin + self.dice.choice([3, 100, 390, 400, 401]) * DAY, "issuer": issuer}

    def countersign(self):
        name, party, what = self.a_post()
        key = self.key(self.dice.choice([("authority", party), ("device", name)]))
        return key, {"certificate": self.hash(("certificate", name)), "signer": key, "created": self.when()}

    def revocation(self):
        name, party, what = self.a_post()
        key = self.key(self.dice.choice([("authority", party), ("device", name), ("post", name), ("revoker", name)]))
        return key, {**what, "device": self.maybe(self.key(("device", name)), 0.8), "signer": key, "reason": 1}

    def contact(self):
        name, _, what = self.a_post()
        key = self.key(("device", name))
        return key, {**what, "device": key, "commitments": []}

    def relay(self):
        recovered, size = self.dice.random() < 0.5, len(self.world.leaves)
        root = forge.tree_root(self.world.directory.hashes)
        lost = {"log": self.key(), "statement": self.key(), "size": self.dice.choice([size, size, size, 0]), "entries": 1,
                "root": self.dice.choice([root, root, bytes(32)]), "entries_root": bytes(32),
                "old_log": self.world.log_key.public, "old_statement": self.world.statement.public}
        return None, {"action": 2 if recovered else 1, "created": self.when(), "curve": self.dice.choice(self.curves),
                      "addresses": [b"tcp://a:1", self.dice.choice([b"tcp://b:2", b"tcp://b:2", b"tcp://a:1", b" "])],
                      **(lost if recovered else {})}

    def try_one(self, accepted):
        """The next leaf, kept if the directory takes it."""
        world, kind = self.world, self.dice.choice(
            ["charter", "admission", "admission", "notice", "succession", "succession", "post", "post", "post", "split",
             *(["departure"] if self.dice.random() < 0.2 else []), "device", "device", "device", "device", "countersign", "countersign", "countersign", "revocation",
             "contact", "contact", "relay"])
        self.later, time = {}, world.time
        world.time += self.dice.choice([0, 1000, 1000, DAY, 15 * DAY]) if self.dice.random() < 0.3 else 0
        public, what = getattr(self, kind)()
        what = {name: value for name, value in what.items() if value is not None}
        made, before = world.declare(kind, self.keys.get(public), what), (world.log_key, world.statement)
        if "log" in what:  # the head will be signed by the new one
            world.use(self.keys[what["log"]], self.keys[what["statement"]])
        good = accepted()
        if good:
            self.hashes.append(made)
            name = what.get("party") or what.get("post")
            self.standing.update({what: value for what, value in self.later.items() if value})
            self.standing[{"device": "certificate"}.get(kind, kind), name] = made
            if kind == "post":
                self.standing["post", name] = what["key"]
        else:
            world.leaves.pop()
            world.directory.hashes.pop()
            world.time = time
            world.use(*before)
        return kind, good


class Verifiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"POUCH_SEED={SEED}", flush=True)

    def setUp(self):
        self.judge, self.dice = Judge(), random.Random(SEED)
        self.addCleanup(self.judge.close)

    def same(self, data, what):
        """Both say the same; gives what they say."""
        by_library, by_other = self.judge(data), by_small(data)
        self.assertEqual(by_library, by_other, what)
        return by_library

    def test_every_true_story_holds_for_both(self):
        for story in TRUE:
            with self.subTest(story=story.__name__):
                self.assertEqual(self.same(forge.file(story(Scene())), story.__name__), ("ok", ""))

    def test_both_programs_print_the_same_facts_of_every_true_story(self):
        with tempfile.TemporaryDirectory() as folder:
            programs, path, card = Programs(folder), pathlib.Path(folder, "file"), pathlib.Path(folder, "card")
            for story in TRUE:
                with self.subTest(story=story.__name__):
                    scene = Scene()
                    made = story(scene)
                    path.write_bytes(forge.file(made))
                    card.write_text(made["card"])
                    alone, with_card = programs.facts(self, path), programs.facts(self, path, card)
                    self.assertIn("card", alone["gaps"])
                    self.assertNotIn("card", with_card["gaps"])
            made, reason = missing_receipt_in_the_middle(Scene())
            path.write_bytes(forge.file(made))
            self.assertEqual(programs.refusal(self, path), reason)

    def test_what_hostile_people_wrote_reads_the_same_and_steers_nothing(self):
        """Words that are no UTF-8, and texts that would pass for the verifier's own lines or steer a terminal."""
        forged = "x\n\nnot proven:\n- nothing\x1b[2J \u202e\u009b2J\u2028{\"id\": \"forged\"}"
        with tempfile.TemporaryDirectory() as folder:
            programs, path = Programs(folder), pathlib.Path(folder, "file")
            for sealed in (b"a\xe2\x82b\xff\x1b[1m\xc3", b"\xed\xa0\x80", b"ok\n  2026-01-01T00:00:00Z  accepted", forged.encode()):
                with self.subTest(sealed=sealed):
                    for made in (self.with_words(sealed), self.with_text(sealed), self.with_subject(forged)):
                        path.write_bytes(forge.file(made))
                        programs.facts(self, path)
                        for argv in (house.program("POUCH") + ["verify"], [sys.executable, str(SMALL)]):
                            shown = house.run(argv + [str(path)], folder).out.decode()
                            self.assertEqual(shown.split("\n").count("not proven:"), 1, shown)
                            self.assertNotIn("- nothing", shown.split("\n"))
                            self.assertNotRegex(shown, "\n  2026-01-01T00:00:00Z  accepted(\n|$)")
                            for word in ("\x1b", "\u202e", "\u009b", "\u2028"):
                                self.assertNotIn(word, shown)
                            steered = house.run(argv + ["--json", str(path)], folder).out
                            self.assertTrue(steered.isascii(), "JSON is in ASCII, so that it steers nothing")

    def with_words(self, words):
        scene, nonce = Scene(), os.urandom(16)
        request = scene.notified()
        leg = request.legs[0]
        prk = hmac.digest(nonce, request.keys[1], "sha256")
        key = hmac.digest(prk, b"pouch/0 note\0" + request.digest + leg.id + b"\1", "sha256")
        padded = words + bytes(max(64, -(-len(words) // 64) * 64) - len(words))
        note = ChaCha20Poly1305(key).encrypt(bytes(12), padded, b"")
        scene.world.say(leg, "DECLINED", "DECLINED", scene.decider, nonce=nonce, note=note)
        return scene.world.bundle(request, opened=1)

    def with_content(self, part, name, inside, more=b""):
        scene = Scene()
        request = scene.request()
        common = {"from": "fj/technical", "request": request.header["request"], "exercise": False}
        plain = cbor.encode(name, {**common, **inside}) + more
        request.chunks[part], request.header[("offer", "body")[part - 1]] = forge.seal_part(
            request.header, part, request.keys[part], plain)
        request.seal()
        return scene.world.bundle(request, opened=part)

    def with_text(self, data):
        return self.with_content(2, "manifest", {"files": [{"length": len(data)}]}, data)

    def with_subject(self, forged):
        return self.with_content(1, "offer", {"kind": 0, "subject": forged, "summary": forged})

    def test_keys_stand_for_the_card_only_if_they_are_all_of_its_registrars(self):
        """One registrar named twice is one; and those that the reader does not know could be anybody's."""
        scene = Scene()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "file")
            path.write_bytes(forge.file(scene.world.bundle(scene.stored())))
            relay = [scene.world.log_key.public.hex(), scene.world.statement.public.hex()]
            one, other = (key.public.hex() for key in scene.world.registrars)
            for named, open_ in (([one], True), ([one, one], True), ([one, other], False), ([one, other, one], False)):
                words = [word for key in relay + named for word in ("--key", key)]
                ran = house.run(house.program("POUCH") + ["verify", "--json", str(path), *words], folder)
                self.assertEqual("card" in ran.json["gaps"], open_, named)

    def test_long_names_of_parties_cut_nothing_off(self):
        """Titles as long as the directory takes them; the sentences around them stand to their end."""
        scene = Scene(title="\u0e01" * 85)
        request = scene.acknowledged()
        scene.world.say(request.legs[0], "CONSENTED", "ACKNOWLEDGED", scene.sender)
        scene.world.say(request.legs[0], "CLOSED", "CLOSED", scene.sender)
        with tempfile.TemporaryDirectory() as folder:
            path, page = pathlib.Path(folder, "file"), pathlib.Path(folder, "page.html")
            path.write_bytes(forge.file(scene.world.bundle(request)))
            argv = house.program("POUCH") + ["verify", str(path), "--html", str(page)]
            shown = house.run(argv, folder).out.decode()
            for text in (shown, page.read_text()):
                self.assertRegex(text, r"Now closed \(.*\): said by an officer of fj/technical \((\u0e01){85}\) on "
                                       r".*, position \d+ of the relay.{1,6}s log")
                self.assertRegex(text, r"the recipient, de/technical \((\u0e01){85}\), agreed on 2026-")

    def test_every_lie_is_refused_by_both_for_the_same_reason_at_the_same_place(self):
        self.assertGreater(len(FALSE), 100)
        for lie in FALSE:
            with self.subTest(lie=lie.__name__):
                made, reason = lie(Scene())
                self.assertEqual(self.same(forge.file(made), lie.__name__)[0], reason)

    def test_no_changed_bit_passes_either(self):
        data = forge.file(body_opened_up(Scene()))
        ends = [bit for at in [*range(200), *range(len(data) - 200, len(data))] for bit in range(8 * at, 8 * at + 8)]
        for bit in ends + self.dice.sample(range(8 * len(data)), 400):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            self.assertNotEqual(self.same(bytes(changed), f"bit {bit}")[0], "ok", f"bit {bit}")

    def test_no_truncated_file_passes_either(self):
        data = forge.file(not_stored_yet(Scene()))
        for n in self.dice.sample(range(len(data)), 200):
            self.assertNotEqual(self.same(data[:n], f"{n} bytes")[0], "ok")
        self.assertEqual(self.same(data + b"\0", "one byte more")[0], "trailing-bytes")

    def test_changes_with_a_digest_made_anew_are_refused_or_read_differently(self):
        """Bits and bytes changed, lost and put in, at random; the digest is that of the changed bundle. What still holds - the
        relay's address in its card is nobody's word - does not say the same as before."""
        inner = cbor.encode("bundle", closed_with_consent_of_both(Scene()))
        before = small.facts(small.verify(forge.seal(inner)))
        for n in range(1200):
            changed, at, what = bytearray(inner), self.dice.randrange(len(inner)), self.dice.random()
            if what < 0.7:
                changed[at] ^= 1 << self.dice.randrange(8)
            elif what < 0.85:
                del changed[at:at + self.dice.randrange(1, 4)]
            else:
                changed[at:at] = self.dice.randbytes(self.dice.randrange(1, 3))
            data = forge.seal(bytes(changed))
            if self.same(data, f"change {n} at {at}")[0] == "ok":
                after = small.facts(small.verify(data))
                self.assertNotEqual({**after, "file": 0}, {**before, "file": 0}, f"change {n} at {at}")

    def test_directories_at_random_are_judged_alike(self):
        """Leaf after leaf; each, if it is taken, stays. The whole request around it is a plain one."""
        taken, refused = {}, {}
        for _ in range(4):
            chance = Chance(self.dice)
            scene_request, card = self.frame(chance.world), chance.world.card()

            def judged():
                made = {**chance.world.bundle(scene_request, parties={"de", "de-x", "fj"}), "card": card}
                answer = self.same(forge.file(made), "a directory at random")
                self.assertTrue(answer[0] == "ok" or answer[1].startswith("directory entry"), answer)
                refused[answer[0]] = refused.get(answer[0], 0) + 1
                return answer[0] == "ok"

            for _ in range(120):
                kind, good = chance.try_one(judged)
                taken[kind] = taken.get(kind, 0) + good
        self.assertGreater(len(refused), 12, refused)
        self.assertGreater(sum(1 for count in taken.values() if count), 8, taken)

    def frame(self, world):
        """A request to both parties that the leaves at random speak of."""
        world.party("fj")
        world.post("fj/technical")
        return Request(world, world.device("fj/technical"), ["de/technical", "de-x/policy"])

    def test_a_card_from_elsewhere_is_the_relays_or_not(self):
        scene = Scene()
        data = forge.file(scene.world.bundle(scene.accepted()))
        moved = scene.world.card(address=["tcp://other.example:1"], witness=[])
        moved = moved.replace("witnesses  1\n", "")
        noisy = "# the relay's card\n\n" + scene.world.card().replace("name       ", "name\t ")
        other = scene.world.card(log=[SignKey().public.hex()])
        registrars = sorted(SignKey().public.hex() for _ in range(2))
        for card, reason in ((scene.world.card(), "ok"), (moved, "ok"), (noisy, "ok"), (other, "wrong-fingerprint"),
                             (World().card(), "wrong-fingerprint"),
                             (scene.world.card(registrar=registrars), "wrong-fingerprint"),
                             (scene.world.card(threshold=["1"]), "wrong-fingerprint")):
            with self.subTest(reason=reason):
                self.assertEqual(self.same_under(card, data)[0], reason)

    def same_under(self, card, data):
        """What both say with a card from elsewhere."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(card)
            file.flush()
            judge = Judge(file.name)
            self.addCleanup(judge.close)
            answer = judge(data)
        self.assertEqual(answer, by_small(data, card))
        return answer

    def test_a_card_from_before_or_after_a_loss(self):
        scene = Scene()
        request, before = scene.accepted(), scene.world.card()
        scene.world.note(request.legs[0], "ACCEPTED", scene.decider)
        scene.world.recover()
        after = scene.world.card()
        scene.world.say(request.legs[0], "HANDED_OVER", "HANDED_OVER", scene.reader)
        made = {**scene.world.bundle(request), "card": before}
        other = scene.world.card(log=[SignKey().public.hex()])
        for inside in (before, after):
            data = forge.file({**made, "card": inside})
            for card in (before, after):
                self.assertEqual(self.same_under(card, data)[0], "ok")
            for card in (other, World().card()):
                self.assertEqual(self.same_under(card, data)[0], "wrong-fingerprint")
        self.assertEqual(self.same(forge.file({**made, "card": other}), "a card of no time")[0], "mismatch")
        untold = {**made, "leaves": made["leaves"][:-1], "directory": scene.world.directory.head(scene.world.time)}
        self.assertNotEqual(self.same(forge.file({**untold, "card": after}), "the loss is not shown")[0], "ok")


class RealBundles(house.FlowTest):
    """A real relay, real posts: bundles of every kind, made by either side with `pouch evidence`."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.national = cls.house.make("de/national")
        cls.programs = Programs(cls.house.folder)

    def setUp(self):
        self.judge = Judge()
        self.addCleanup(self.judge.close)

    def exhibit(self, home, request, *words):
        """The file, judged by all; and its facts."""
        path = self.house.papers / f"{home.name}-{request[:8]}-{len(words)}.evidence"
        home.ok("evidence", request, "-o", path, "--yes", *words)
        data = path.read_bytes()
        self.assertEqual(self.judge(data), ("ok", ""))
        self.assertEqual(by_small(data, self.relay.card.read_text()), ("ok", ""))
        return data, self.programs.facts(self, path, self.relay.card)

    def states(self, *requests):
        """Both sides' files of one request tell the same of its leg."""
        found = []
        for home, request in requests:
            _, facts = self.exhibit(home, request)
            found.append(facts["legs"][0])
        for leg in found[1:]:
            self.assertEqual(leg["events"], found[0]["events"])
        return found[0]

    def test_an_exchange_that_both_agree_to_show(self):
        request = self.fj.send("de/technical", b"Are you affected?\n", "--summary", "about the gateway", "--disclosure", "both")
        self.de.ok("sync")
        self.de.ok("accept", request, "--note", "we look into it")
        self.de.ok("sync")
        self.de.ok("ack", request, "--consent")
        self.de.ok("reply", request, "-", data=b"No.\n")
        self.fj.ok("sync")
        self.fj.ok("consent", request)
        self.de.ok("sync")
        leg = self.states((self.fj, request), (self.de, request))
        self.assertEqual(leg["state"], "acknowledged")
        self.assertTrue(leg["consent"]["sender"] and leg["consent"]["recipient"])
        _, facts = self.exhibit(self.de, request, "--open", "offer")
        self.assertEqual((facts["opened"]["summary"], facts["opened"]["disclosure"]), ("about the gateway", "both"))
        self.assertEqual([event["words"] for event in facts["legs"][0]["events"] if "words" in event], ["we look into it"])
        _, facts = self.exhibit(self.fj, request, "--open", "body")
        self.assertEqual(facts["opened"]["text"], "Are you affected?\n")
        self.assertIsNotNone(facts["evidence"])
        reply = next(id for id, line in self.fj.inbox().items() if line["parent"] == request)
        _, facts = self.exhibit(self.fj, reply, "--open", "body")
        self.assertEqual((facts["parent"], facts["opened"]["text"]), (request, "No.\n"))

    def test_declined_withdrawn_and_silent(self):
        declined, withdrawn, silent = (self.fj.send("de/technical", b"x", subject=name) for name in ("no", "back", "hush"))
        self.de.ok("sync")
        self.de.ok("decline", declined, "--reason", "no-capacity")
        self.fj.ok("withdraw", withdrawn)
        for home in (self.fj, self.de):
            home.ok("sync")
        self.assertEqual(self.states((self.fj, declined), (self.de, declined))["state"], "declined")
        self.assertEqual(self.states((self.fj, withdrawn), (self.de, withdrawn))["state"], "withdrawn")
        _, facts = self.exhibit(self.fj, silent)
        self.assertEqual(facts["legs"][0]["state"], "notified")
        self.assertIn("silence", facts["gaps"])

    def test_forwarded_to_another_desk(self):
        request = self.fj.send("de/technical", b"for whom it concerns")
        self.de.ok("sync")
        self.de.ok("forward", request, "de/national")
        self.national.ok("sync")
        self.national.ok("accept", request)
        for home in (self.fj, self.de):
            home.ok("sync")
        leg = self.states((self.fj, request), (self.national, request))
        self.assertEqual((leg["to"], leg["with"], leg["state"]), ("de/technical", "de/national", "handed_over"))

    def test_several_recipients_and_one_of_them_alone(self):
        request = self.fj.send("de/technical,de/national", b"to both", "--exercise")
        for home in (self.de, self.national):
            home.ok("sync")
        self.fj.ok("sync")
        _, facts = self.exhibit(self.fj, request)
        self.assertEqual(sorted(leg["to"] for leg in facts["legs"]), ["de/national", "de/technical"])
        self.assertTrue(facts["exercise"])
        _, facts = self.exhibit(self.de, request)
        self.assertEqual([leg["to"] for leg in facts["legs"]], ["de/technical"])

    def test_pieces_of_real_bundles_make_no_other_story(self):
        """Receipts, legs, heads and steps rearranged; the digest is made anew each time. A leaf on which nothing rests can be left
        out, and is counted."""
        first, second = (self.fj.send("de/technical", b"x", subject=name) for name in ("one", "two"))
        self.de.ok("sync")
        self.de.ok("accept", first)
        self.de.ok("decline", second, "--reason", "no-capacity")
        self.fj.ok("sync")
        files = [self.exhibit(self.fj, request)[0] for request in (first, second)]
        one, two = (cbor.decode("bundle", cbor.decode("bundlefile", data)["bundle"]) for data in files)
        changes = {
            "receipts of the other": lambda made: made["legs"][0].update(receipts=two["legs"][0]["receipts"]),
            "leg of the other": lambda made: made.update(legs=two["legs"]),
            "header of the other": lambda made: made.update(header=two["header"]),
            "last receipt of the other": lambda made: receipts_of(made).append(receipts_of(two)[-1]),
            "first receipt missing": lambda made: receipts_of(made).pop(0),
            "middle receipt missing": lambda made: receipts_of(made).pop(1),
            "receipts reversed": lambda made: receipts_of(made).reverse(),
            "last receipt missing, steps as before": lambda made: receipts_of(made).pop(),
            "later head missing": lambda made: made.pop("evidence"),
            "a step missing": lambda made: made["steps"].pop(0),
            "heads exchanged": lambda made: made.update(directory=made["evidence"], evidence=made["directory"]),
            "no directory": lambda made: made.update(leaves=[]),
            **{f"leaf {n} missing": lambda made, n=n: made["leaves"].pop(n) for n in range(len(one["leaves"]))},
        }
        for what, change in changes.items():
            with self.subTest(what=what):
                made = cbor.decode("bundle", cbor.decode("bundlefile", files[0])["bundle"])
                change(made)
                data = forge.file(made)
                by_library = self.judge(data)
                self.assertEqual(by_library, by_small(data))
                if what.startswith("leaf ") and by_library[0] == "ok":
                    found = small.facts(small.verify(data))
                    self.assertEqual(found["directory"]["entries"], len(one["leaves"]) - 1)
                else:
                    self.assertNotEqual(by_library[0], "ok")

    def test_no_changed_bit_of_a_real_file_passes_either(self):
        request = self.fj.send("de/technical", b"every bit")
        data, _ = self.exhibit(self.fj, request)
        dice = random.Random(SEED)
        for bit in dice.sample(range(8 * len(data)), 400):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            by_library = self.judge(bytes(changed))
            self.assertEqual(by_library, by_small(bytes(changed)))
            self.assertNotEqual(by_library[0], "ok", f"bit {bit}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
