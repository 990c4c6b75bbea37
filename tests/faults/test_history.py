"""Goal: the history checker can be believed. A history that was recorded from a real relay under random kills passes as it is; with
one violation planted in it, it fails, and the violation is named by its own rule. Every rule is met."""

import copy
import hashlib
import os
import pathlib
import random
import shutil
import tempfile
import unittest

import history
import journal
from hammer import Hammer

from cbor import decode, encode
from document import EVENTS, STATES
from facts import Facts, Receipt
from house import main, program

KILLS, SECONDS = 12, 20
PLANTS = []


def plant(rule):
    """A function that spoils a history, and the rule that must say so."""
    def keep(function):
        PLANTS.append((rule, function))
        return function
    return keep


def enough(counts):
    """The history has something of each kind that plants are put in."""
    return counts["submit"] >= 20 and counts["reply"] >= 2 and counts["DECLINED"] and counts["HANDED_OVER"] >= 2


class Spoiled:
    """A copy of the good history, to be spoiled."""

    def __init__(self, lines, facts, folder):
        self.lines, self.facts, self.folder = copy.deepcopy(lines), facts, folder

    def of(self, kind, **words):
        return [line for line in self.lines if line["kind"] == kind and all(line.get(k) == v for k, v in words.items())]

    def blank(self, line):
        """Takes a line out; its number stays, so that no other rule is met."""
        number = line["n"]
        line.clear()
        line.update(n=number, kind="nothing")

    def add(self, kind, **words):
        """A line before the end; its number."""
        end = self.lines[-1]
        number = end["n"]
        self.lines.insert(-1, {"n": number, "at": 0, "kind": kind, **words})
        end["n"] += 1
        end["calls"] += kind == "call"
        return number

    def check(self):
        return history.check(self.lines, self.folder)

    # ---- what is often needed ----

    def intent(self, *, reply=False):
        """One that was answered and is with all its recipients, who can tell."""
        mute = self.facts.mute
        return next(each for each in self.facts.intents.values() if each.promised and not mute & {each.post, *each.to}
                    and bool(each.parent) == reply and all(self.facts.items(to, "inbox", each) for to in each.to))

    def box(self, post, name):
        return self.of("box", post=post, box=name)[0]["items"]

    def item(self, intent, box="inbox"):
        """(the list, the item)"""
        post = intent.to[0] if box == "inbox" else intent.post
        items = self.box(post, box)
        return items, next(item for item in items if item["id"] in intent.ids)

    def rows(self):
        return self.of("store")[0]["receipts"]

    def row(self, event, last=False):
        """A row of the store with that event; last: nothing follows it on its leg."""
        for row in self.rows():
            receipt = Receipt(bytes.fromhex(row[1]))
            ends = self.facts.legs[receipt.id, receipt.leg][-1].index == receipt.index
            if receipt.event == EVENTS[event] and ends >= last:
                return row
        raise AssertionError(f"the history has no {event}")

    def handed(self):
        """A line with a receipt of an entry."""
        return next(line for line in self.of("receipt") if Receipt(bytes.fromhex(line["bytes"])).entry)

    def trail(self, length=2):
        return next(line for line in self.of("trail") if line["post"] not in self.facts.mute and
                    len([e for e in line["legs"][0]["events"] if e["ordinal"] is not None]) >= length)

    def image(self, what, data):
        """A further image of the relay with this in it."""
        path = self.folder / f"planted-{what}"
        path.write_bytes(data)
        self.add("image", what=what, of="planted", path=path.name, control=data[:8].hex())


def forged(data, statement=None, record=None, entry=None, **outer):
    """A receipt with other words in it, its signatures as they were."""
    receipt = decode("receipt", bytes.fromhex(data))
    if statement:
        receipt["statement"] = reworded("statement", receipt["statement"], statement)
    if entry:
        recorded = decode("record", decode("stamped", receipt["record"])["payload"])
        record = {**(record or {}), "entry": encode("entry", {**decode("entry", recorded["entry"]), **entry})}
    if record:
        receipt["record"] = reworded("record", receipt["record"], record)
    return encode("receipt", {**receipt, **outer}).hex()


def reworded(name, stamped, words):
    parts = decode("stamped", stamped)
    parts["payload"] = encode(name, {**decode(name, parts["payload"]), **words})
    return encode("stamped", parts)


# ---- submissions ----

@plant("lost")
def an_answered_submission_is_not_there(s):
    items, item = s.item(s.intent())
    items.remove(item)


@plant("lost")
def an_answered_reply_is_not_there(s):
    intent = s.intent(reply=True)
    items, item = s.item(intent)
    items.remove(item)
    for line in s.of("body", post=intent.to[0], id=item["id"]):
        s.blank(line)


@plant("doubled")
def a_submission_is_there_under_two_ids(s):
    items, item = s.item(s.intent())
    items.append({**item, "id": os.urandom(16).hex()})


@plant("doubled")
def a_submission_is_listed_twice(s):
    items, item = s.item(s.intent())
    items.append(item)


@plant("from-nowhere")
def something_is_there_that_nobody_sent(s):
    items, item = s.item(s.intent())
    items.append({**item, "id": os.urandom(16).hex(), "subject": "nobody sent this"})


@plant("altered")
def an_exercise_is_shown_as_real(s):
    _, item = s.item(s.intent())
    item["exercise"] = not item["exercise"]


@plant("altered")
def a_subject_is_another(s):
    _, item = s.item(s.intent())
    item["subject"] += "."


@plant("altered")
def a_body_is_another(s):
    s.of("body")[0]["sha256"] = hashlib.sha256(b"another").hexdigest()


@plant("body-missing")
def a_body_that_was_handed_over_cannot_be_read(s):
    s.blank(s.of("body")[0])


@plant("not-in-sent")
def a_sender_has_forgotten_what_it_sent(s):
    items, item = s.item(s.intent(), "sent")
    items.remove(item)


@plant("refused-but-there")
def what_was_refused_is_there(s):
    for call in s.of("call", verb="submit", intent=s.intent().name):
        for answer in s.of("answer", call=call["n"]):
            answer.update(outcome="refused", results={})


@plant("said-and-lost")
def a_decision_that_was_answered_stands_nowhere(s):
    call = next(call for call in s.of("call", verb="say") if s.of("answer", call=call["n"], outcome="answered"))
    call["event"] = "CLOSED"


# ---- order ----

@plant("order-of-numbers")
def two_stand_in_the_log_against_their_numbers(s):
    pairs = {}
    for line in s.of("place"):
        if line["id"] in s.facts.by_request:
            pairs.setdefault((line["device"], line["to"]), []).append(line)
    one, two = next(found for found in pairs.values() if len(found) > 1)[:2]
    swapped = {one["leg"]: two["sequence"], two["leg"]: one["sequence"]}
    for line in s.of("place") + s.of("arrived"):
        line["sequence"] = swapped.get(line["leg"], line["sequence"])
    for line in s.of("bundle"):  # they say it, too
        s.blank(line)


@plant("order-of-answers")
def what_was_answered_first_stands_behind(s):
    pairs = {}
    for intent in s.facts.intents.values():
        answers = [answer["n"] for call in intent.calls for answer in s.of("answer", call=call["n"], outcome="answered")]
        if answers and len(intent.ids) == 1 and set(intent.promised) == set(intent.to):
            pairs.setdefault((intent.client, tuple(intent.to)), []).append((intent.calls[0]["n"], min(answers), intent))
    one, two = next((a[2], b[2]) for found in pairs.values() for a in found for b in found if a[1] < b[0])
    swap = {next(iter(one.ids)): next(iter(two.ids)), next(iter(two.ids)): next(iter(one.ids))}
    for line in s.of("call") + s.of("answer"):
        if line.get("id") in swap:
            line["id"] = swap[line["id"]]


@plant("order-of-arrival")
def two_arrive_against_their_numbers(s):
    last = {}
    for line in s.of("arrived"):
        before = last.get((line["client"], line["device"]))
        if before:
            before["sequence"], line["sequence"] = line["sequence"], before["sequence"]
            return
        last[line["client"], line["device"]] = line
    raise AssertionError("no post got two from one device")


@plant("order-of-arrival")
def a_feed_number_comes_again(s):
    clients = [line["client"] for line in s.of("arrived")]
    one, two = s.of("arrived", client=max(clients, key=clients.count))[:2]
    two["feed"] = one["feed"]


@plant("hole")
def a_number_is_withheld(s):
    line = next(line for line in s.of("place") if line["to"] in ("org.a/desk", "org.b/desk") and line["id"] in s.facts.by_request)
    moved = line["device"], line["to"]
    for each in s.of("place") + s.of("arrived"):
        if (each["device"], each["to"]) == moved:
            each["sequence"] += 1000


# ---- the log ----

@plant("effect-doubled")
def a_submission_is_stored_twice(s):
    s.rows().append([len(s.rows()), s.row("STORED")[1]])


@plant("two-decisions")
def what_was_accepted_is_declined_as_well(s):
    row = s.row("HANDED_OVER")
    row[1] = forged(row[1], statement={"event": EVENTS["DECLINED"]}, entry={"to": STATES["DECLINED"]})


@plant("two-entries")
def two_are_shown_different_entries(s):
    line = s.handed()
    time = Receipt(bytes.fromhex(line["bytes"])).entry["time"]
    s.add("receipt", client="fj/technical", post="fj/technical", bytes=forged(line["bytes"], entry={"time": time + 1}))


@plant("chain")
def an_entry_goes_on_from_another(s):
    row = s.row("ACCEPTED")
    row[1] = forged(row[1], entry={"previous": os.urandom(32)})


@plant("wrong-step")
def a_body_is_handed_over_without_acceptance(s):
    row = s.row("ACCEPTED")
    row[1] = forged(row[1], statement={"event": EVENTS["HANDED_OVER"]}, entry={"to": STATES["HANDED_OVER"]})


@plant("wrong-step")
def a_receipt_is_of_another_state(s):
    line = s.handed()
    line["bytes"] = forged(line["bytes"], entry={"to": STATES["CLOSED"]})


@plant("receipt-of-another")
def a_receipt_comes_with_the_record_of_another(s):
    one, two = [line for line in s.of("receipt") if Receipt(bytes.fromhex(line["bytes"])).entry][:2]
    one["bytes"] = forged(one["bytes"], **{"record": None, "statement": None},
                          proof=decode("receipt", bytes.fromhex(two["bytes"]))["proof"])
    other = decode("receipt", bytes.fromhex(two["bytes"]))
    mixed = {**decode("receipt", bytes.fromhex(one["bytes"])), "record": other["record"], "checkpoint": other["checkpoint"]}
    one["bytes"] = encode("receipt", mixed).hex()


@plant("false-signature")
def a_record_is_not_signed_by_the_relay(s):
    line = s.handed()
    receipt = decode("receipt", bytes.fromhex(line["bytes"]))
    stamped = decode("stamped", receipt["record"])
    stamped["signature"] = stamped["signature"][:-1] + bytes([stamped["signature"][-1] ^ 1])
    line["bytes"] = encode("receipt", {**receipt, "record": encode("stamped", stamped)}).hex()


@plant("time-back")
def the_clock_of_the_log_goes_back(s):
    row = s.rows()[-1]
    row[1] = forged(row[1], record={"time": 1})


@plant("entry-missing")
def an_entry_is_gone_from_the_store(s):
    del s.rows()[len(s.rows()) // 2]


@plant("entry-missing")
def the_store_has_another_log_than_members_get(s):
    line = s.of("hashes", log="evidence", **{"from": "store"})[0]
    line["hashes"] = "00" + line["hashes"][2:]


# ---- what is told ----

@plant("receipt-without-state")
def a_side_has_lost_the_last_step(s):
    leg = s.trail()["legs"][0]
    leg["events"] = [event for event in leg["events"] if event["ordinal"] is not None][:-1]
    leg["state"] = "stored"


@plant("receipt-without-state")
def a_client_holds_a_receipt_that_the_log_does_not_have(s):
    index = Receipt(bytes.fromhex(s.handed()["bytes"])).index
    s.of("store")[0]["receipts"] = [row for row in s.rows() if row[0] != index]


@plant("state-without-entry")
def a_side_shows_a_state_that_no_entry_tells_of(s):
    s.trail()["legs"][0]["state"] = "closed"


@plant("state-without-entry")
def a_side_tells_of_an_event_that_never_was(s):
    leg = s.trail()["legs"][0]
    leg["events"].append({**leg["events"][-1], "event": "Closing", "ordinal": len(leg["events"])})


@plant("state-without-entry")
def an_inbox_says_more_than_the_trail(s):
    s.item(s.intent())[1]["state"] = "closed"


@plant("sides-differ")
def two_sides_tell_it_differently(s):
    for line in s.of("trail"):
        sides = s.facts.trails[line["id"]]
        others = [leg["to"] for post in sides.keys() - s.facts.mute - {line["post"]} for leg in sides[post]]
        shared = [leg for leg in line["legs"] if leg["to"] in others]
        if line["post"] not in s.facts.mute and shared:
            shared[0]["events"][0]["log_index"] += 1
            return


@plant("untold")
def a_side_knows_nothing_of_a_leg(s):
    s.blank(s.trail())


# ---- heads ----

def another_head(s, **changes):
    """(the note of a head, with other words) of the evidence log."""
    line = s.of("head", log="evidence")[-1]
    words = line["note"].split("\n")
    for place, value in changes.items():
        words[int(place[1:])] = value
    return line, "\n".join(words)


ROOT = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@plant("head-signature")
def a_head_is_signed_by_nobody(s):
    line, note = another_head(s, _3="time 12345")
    line["note"] = note


@plant("head-forked")
def one_client_is_shown_another_log(s):
    line, note = another_head(s, _2=ROOT)
    s.add("head", client="fj/technical", log="evidence", note=note, newest=False, call=line["call"])


@plant("head-off-chain")
def a_head_is_of_another_log(s):
    seen = {note.size for _, note in s.facts.heads if note.log == "evidence"}
    size = next(size for size in range(1, len(s.facts.log)) if size not in seen)
    s.add("head", client="fj/technical", log="evidence", note=another_head(s, _1=str(size), _2=ROOT)[1], newest=False, call=0)


@plant("head-rolled-back")
def an_old_head_is_shown_as_the_newest(s):
    old = s.of("head", log="evidence", newest=True)[0]
    assert old["note"] != s.of("head", log="evidence", newest=True)[-1]["note"]
    call = s.add("call", client="fj/technical", post="fj/technical", verb="hello")
    s.add("answer", call=call, outcome="answered")
    s.add("head", client="fj/technical", log="evidence", note=old["note"], newest=True, call=call)


@plant("proof-fails")
def a_proof_of_growth_is_another(s):
    line = next(line for line in s.of("proof") if line["path"])
    line["path"] = "00" * 32 + line["path"][64:]


@plant("proof-fails")
def a_proof_of_growth_is_too_short(s):
    line = next(line for line in s.of("proof") if line["path"])
    line["path"] = line["path"][:-64]


@plant("not-included")
def a_receipt_is_not_in_its_head(s):
    line = next(line for line in s.of("receipt") if Receipt(bytes.fromhex(line["bytes"])).proof)
    proof = Receipt(bytes.fromhex(line["bytes"])).proof
    line["bytes"] = forged(line["bytes"], proof=[os.urandom(32), *proof[1:]])


@plant("log-shrunk")
def the_log_ends_before_a_head(s):
    line = s.of("hashes", log="evidence", **{"from": "wire"})[0]
    line["hashes"] = line["hashes"][:-64]


@plant("false-directory")
def a_leaf_of_the_directory_is_left_out(s):
    del s.of("leaves")[0]["leaves"][2]


# ---- keys and secrets ----

@plant("revoked-key")
def an_entry_is_of_a_key_that_was_revoked(s):
    s.of("revoked")[0]["entries"] = 0


@plant("revoked-key")
def a_revoked_device_is_still_served(s):
    device = s.of("revoked")[0]["device"]
    old = s.of("call", verb="submit", device=device)[0]
    call = s.add("call", **{name: old[name] for name in ("client", "post", "verb", "intent", "subject", "to", "body", "id",
                                                         "device")})
    s.add("answer", call=call, outcome="answered", id=old["id"], results={old["to"][0]: "stored"})


@plant("canary-disk")
def a_secret_is_on_the_disk_where_two_pieces_meet(s):
    s.image("disk", b"0" * (history.PIECE - 10) + s.of("world")[0]["canary"].encode() + b"x")


@plant("canary-log")
def a_secret_is_in_the_log(s):
    s.image("log", b"pouchd info: took subject " + s.of("world")[0]["canary"].encode())


@plant("canary-memory")
def a_secret_is_in_the_memory(s):
    s.image("memory", os.urandom(5000) + s.of("world")[0]["canary"].encode() + os.urandom(5000))


@plant("key-at-relay")
def a_content_key_is_in_the_memory(s):
    s.image("memory", os.urandom(5000) + bytes.fromhex(s.of("keys")[0]["keys"][0]) + os.urandom(5000))


@plant("blind")
def an_image_is_of_nothing(s):
    (s.folder / "planted-empty").write_bytes(b"")
    s.add("image", what="memory", of="planted", path="planted-empty", control="00")


# ---- the journal ----

@plant("journal")
def a_line_is_torn_out(s):
    del s.lines[len(s.lines) // 2]


@plant("journal")
def an_answer_was_never_written(s):
    s.blank(s.of("answer")[3])


@plant("journal")
def the_journal_has_no_end(s):
    del s.lines[-1]


@plant("nothing-seen")
def nobody_looked_into_a_box(s):
    s.blank(s.of("box")[0])


@plant("unreadable")
def a_receipt_is_cut_short(s):
    line = s.of("receipt")[0]
    line["bytes"] = line["bytes"][:-2]


@plant("unrest")
def something_is_still_in_an_outbox(s):
    s.of("status")[0]["outbox"] = 1


@plant("unrest")
def a_home_has_an_alarm(s):
    s.of("status")[0]["alarms"] = ["evidence-forked"]


class Checker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="pouch-history-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        seed = random.SystemRandom().randrange(1 << 32)
        random.seed(seed)
        print(f"\nseed {seed}", flush=True)
        cls.lines = journal.read(Hammer(cls.folder, KILLS, SECONDS, enough).run())

    def test_the_history_as_it_was_recorded_passes(self):
        self.assertEqual(history.check(self.lines, self.folder), {})
        count = history.summary(self.lines)
        self.assertGreaterEqual(sum(count["faults"].values()), 5)
        self.assertGreaterEqual(count["submissions"], 20)

    def test_each_planted_violation_is_named_by_its_own_rule(self):
        self.assertGreaterEqual(len(PLANTS), 20)
        facts = Facts(copy.deepcopy(self.lines), self.folder)
        for rule, spoil in PLANTS:
            with self.subTest(rule=rule, plant=spoil.__name__):
                spoiled = Spoiled(self.lines, facts, self.folder)
                spoil(spoiled)
                found = spoiled.check()
                self.assertIn(rule, found, f"{spoil.__name__} was seen as {found}")
                for path in self.folder.glob("planted-*"):
                    path.unlink()

    def test_every_rule_is_met_by_a_planted_violation(self):
        self.assertEqual({rule for rule, _ in PLANTS}, set(history.RULES))

    def test_a_journal_that_was_written_is_read_as_it_was(self):
        path = self.folder / "again"
        journal.write_lines(path, self.lines)
        self.assertEqual(journal.read(path), self.lines)


if __name__ == "__main__":
    main()
