#!/usr/bin/python3
"""history.py - the history checker: from a journal (journal.py) alone it judges whether the relay has kept its word.

    history.py JOURNAL [--json]     exit 0 and a summary, or 1 and what was found
    history.py --rules              what is looked for

It stands outside: no line of the programs, nothing that they judged of themselves; only what was asked, what was answered, what
was done to them, and what can be got from them afterwards. Each rule has a name, and finds only its own kind of wrong.

What is allowed: a submission that was never answered may be there or not, but not twice; who was killed and asks again, with the
same request or, where the home had kept nothing, with a new one, still gets one; numbers used up by such attempts leave holes. A post
whose keys were revoked hears no more: what it tells may end early, and what it asks for again is refused, though it may be there. What was refused for now and asked for again stands behind what
was sent meanwhile."""

import collections
import functools
import json
import pathlib
import sys

import journal
import merkle
from facts import EVENT_TEXTS, PROMISED, STATE_NAMES, Facts

from cbor import Refused  # by way of facts.py, which sets the path
from document import EVENTS, STATES, STEPS
from seals import verify

RULES = {}
PIECE = 1 << 22
ONCE = {"STORED", "ACCEPTED", "DECLINED", "HANDED_OVER", "ACKNOWLEDGED", "WITHDRAWN", "EXPIRED", "CLOSED"}
ENDS = {"ACCEPTED", "DECLINED"}
EVENT_NAMES = {number: name for name, number in EVENTS.items()}
SAID_AS = {"accept": "ACCEPTED", "decline": "DECLINED", "ack": "ACKNOWLEDGED"}


def rule(name, says):
    """A generator of sentences about what it found."""
    def keep(function):
        RULES[name] = (says, function)
        return function
    return keep


# ---- the journal itself ----

@rule("journal", "the journal is whole: numbered without a hole, every call answered once, an end")
def journal_is_whole(facts):
    for place, line in enumerate(facts.lines):
        if line.get("n") != place:
            yield f"line {place} has the number {line.get('n')}"
            return
    for call, answers in facts.answers.items():
        if call not in facts.calls or len(answers) != 1 or answers[0]["n"] < call:
            yield f"call {call} has {len(answers)} answers, or they are of nothing"
    for call in facts.calls.keys() - facts.answers.keys():
        yield f"call {call} was neither answered nor given up"
    end = facts.of("end")
    if len(end) != 1 or facts.lines[-1] is not end[0]:
        yield "it has no end"
    elif (end[0]["calls"], end[0]["faults"]) != (len(facts.calls), len(facts.of("fault"))):
        yield f"it ends with {end[0]['calls']} calls and {end[0]['faults']} faults, and has others"


@rule("nothing-seen", "there is something to judge: boxes of all posts, a log, receipts, heads, images")
def something_was_seen(facts):
    for post in facts.world["posts"]:
        for box in ("inbox", "sent"):
            if (post, box) not in facts.boxes:
                yield f"nobody looked into the {box} of {post}"
    for kind in ("store", "hashes", "leaves", "image", "status"):
        if not facts.of(kind):
            yield f"the journal has no {kind}"
    if not facts.log or not facts.handed or not facts.heads:
        yield "no log, no receipts or no heads"


@rule("unreadable", "receipts, heads and bundles are what the protocol says")
def all_can_be_read(facts):
    yield from facts.unreadable


@rule("unrest", "at the end no outbox holds anything and no home has an alarm")
def all_is_at_rest(facts):
    for line in facts.of("status"):
        if line["outbox"] or line["alarms"]:
            yield f"{line['post']}: {line['outbox']} in the outbox, alarms {line['alarms']}"


# ---- submissions ----

@rule("lost", "a submission that was answered is at its recipient")
def nothing_is_lost(facts):
    for intent in facts.intents.values():
        for post in intent.promised - facts.mute:
            if (post, "inbox") in facts.boxes and not facts.items(post, "inbox", intent):
                yield f"{intent}: not at {post}"


@rule("doubled", "no submission is at its recipient more than once, however often it was asked for")
def nothing_is_doubled(facts):
    for intent in facts.intents.values():
        for post in intent.to:
            found = facts.items(post, "inbox", intent)
            if len(found) > 1:
                yield f"{intent}: {len(found)} times at {post}: {sorted({item['id'] for item in found})}"


@rule("from-nowhere", "nothing is at a recipient that nobody sent there")
def nothing_comes_from_nowhere(facts):
    called = {request for intent in facts.intents.values() for request in intent.ids}
    wanted = {(post, intent.subject) for intent in facts.intents.values() for post in intent.to if intent.subject}
    bodies = {(post, intent.body) for intent in facts.intents.values() for post in intent.to}
    for (post, box), items in facts.boxes.items():
        for item in items if box == "inbox" else []:
            told = {(post, each) for each in facts.bodies.get((post, item["id"]), [])}
            if item["id"] not in called and (post, item["subject"]) not in wanted and not told & bodies:
                yield f"{item['id']} at {post}: {item['subject']}"


@rule("altered", "what arrives is what was sent: sender, subject, exercise mark, body")
def nothing_is_altered(facts):
    for intent in facts.intents.values():
        for post in intent.to:
            for item in facts.items(post, "inbox", intent):
                gone = item["subject"] is None and item["state"] in ("withdrawn", "expired")  # before it was opened
                if intent.subject is not None and not item["parent"] and item["subject"] != intent.subject and not gone:
                    yield f"{intent}: its subject at {post} is {item['subject']}"
                if item["from"] != intent.post or bool(item["exercise"]) != bool(intent.exercise):
                    yield f"{intent}: at {post} it is from {item['from']}, exercise {item['exercise']}"
                if any(each != intent.body for each in facts.bodies.get((post, item["id"]), [])):
                    yield f"{intent}: another body at {post}"


@rule("body-missing", "what was handed over can be read by who has it")
def bodies_are_there(facts):
    for (post, box), items in facts.boxes.items():
        for item in items if box == "inbox" else []:
            if item["state"] in ("handed_over", "acknowledged") and (post, item["id"]) not in facts.bodies:
                yield f"{item['id']} at {post} is {item['state']}, and nobody could read it"


@rule("not-in-sent", "the sender's own list has once what was promised")
def senders_keep_what_they_sent(facts):
    for intent in facts.intents.values():
        if intent.promised and (intent.post, "sent") in facts.boxes:
            found = facts.items(intent.post, "sent", intent)
            if len(found) != 1:
                yield f"{intent}: {len(found)} times in the sender's list"


@rule("refused-but-there", "what was refused for good is not there")
def refused_is_not_there(facts):
    for intent in facts.intents.values():
        for post in intent.refused - intent.promised:
            if facts.items(post, "inbox", intent):
                yield f"{intent}: refused, and yet at {post}"


@rule("said-and-lost", "a decision that was answered stands in the log")
def decisions_are_kept(facts):
    stands = collections.defaultdict(set)
    for receipt in facts.log.values():
        stands[receipt.id].add((receipt.statement.get("post"), EVENT_NAMES[receipt.event]))
    noted = {(each.id, each.statement.get("post"), EVENT_NAMES[each.event]) for _, each in facts.handed if not each.entry}
    for call in facts.calls.values():
        if call["verb"] == "say" and facts.good(call):
            event = SAID_AS.get(call["event"], call["event"])
            if (call["post"], event) not in stands[call["id"]] and (call["id"], call["post"], event) not in noted:
                yield f"{call['post']} said {event} of {call['id']}, was answered, and it stands nowhere"


# ---- order ----

@rule("order-of-numbers", "the log has what one device sends one post in the order of its numbers")
def numbers_rise_in_the_log(facts):
    pairs = collections.defaultdict(list)
    for receipts in facts.legs.values():
        place = facts.place(receipts[0])
        if place.get("sequence") is not None and receipts[0].id not in facts.delayed:
            pairs[place["device"], place["to"]].append((receipts[0].index, place["sequence"]))
    for (device, to), found in pairs.items():
        numbers = [sequence for _, sequence in sorted(found)]
        for before, after in zip(numbers, numbers[1:]):
            if after <= before:
                yield f"{device[:8]} to {to}: {after} stands after {before}"


@rule("order-of-answers", "what was answered before the next was asked for stands before it")
def answers_come_in_order(facts):
    pairs = collections.defaultdict(list)
    for intent in facts.intents.values():
        for to in intent.promised:
            places = [place for request in intent.ids if (place := facts.stored_at(request, to)) is not None]
            answered = [line["n"] for call in intent.calls for line in facts.answers[call["n"]]
                        if line["outcome"] == "answered" and line.get("results", {}).get(to) in PROMISED]
            if places and answered:
                pairs[intent.client, to] += [(intent.calls[0]["n"], 0, places[0], intent),
                                             (min(answered), 1, places[0], intent)]
    for (_, to), moments in pairs.items():
        highest, which = -1, None
        for _, answered, place, intent in sorted(moments, key=lambda moment: moment[0]):
            if answered and place > highest:
                highest, which = place, intent
            if not answered and place < highest:
                yield f"to {to}: {intent} stands before {which}, which was answered before it was asked for"


@rule("order-of-arrival", "a recipient meets what one device sends it in the order of its numbers")
def arrivals_come_in_order(facts):
    last, feeds = {}, {}
    for line in facts.of("arrived"):
        pair = line["client"], line["device"]
        if line["feed"] <= feeds.get(line["client"], 0):
            yield f"{line['post']}: feed number {line['feed']} after {feeds[line['client']]}"
        if line["sequence"] <= last.get(pair, 0) and line["id"] not in facts.delayed:
            yield f"{line['post']}: {line['id']} is number {line['sequence']} after {last[pair]}"
        last[pair], feeds[line["client"]] = line["sequence"], line["feed"]


@rule("hole", "no number of a sequence is missing that was not used up by an attempt without answer")
def no_number_is_missing(facts):
    numbers, excuses = collections.defaultdict(set), collections.Counter()
    for key, place in facts.places.items():
        if place.get("sequence") is not None and any(each == key[0] for each in facts.by_request):
            numbers[place["device"], place["to"]].add(place["sequence"])
    posts = {device.hex(): known["post"] for device, known in facts.directory.devices.items()}
    for call in facts.calls.values():
        if call["verb"] == "submit" and not facts.good(call):
            for to in call["to"]:
                excuses[call["post"], to] += 1
    for (device, to), found in numbers.items():
        missing = max(found) - len(found)
        if missing > excuses[posts.get(device), to]:
            yield f"{device[:8]} to {to}: {missing} numbers are missing"


# ---- the log's entries ----

@rule("effect-doubled", "no event that happens once stands twice in the log of a leg")
def no_effect_is_doubled(facts):
    for (request, _), receipts in facts.legs.items():
        count = collections.Counter(EVENT_NAMES[each.event] for each in receipts)
        for name in ONCE:
            if count[name] > 1:
                yield f"{request}: {name} {count[name]} times"


@rule("two-decisions", "a leg is accepted or declined, not both")
def one_decision(facts):
    for (request, _), receipts in facts.legs.items():
        names = {EVENT_NAMES[each.event] for each in receipts}
        if ENDS <= names:
            yield f"{request} was accepted and declined"


@rule("two-entries", "nobody holds two entries of one leg with one ordinal")
def one_entry_an_ordinal(facts):
    known = {}
    for who, each in [("the store", each) for each in facts.log.values()] + facts.handed:
        if each.entry:
            key = each.entry["leg"], each.entry["ordinal"]
            other = known.setdefault(key, (who, each))
            if other[1].entry_bytes != each.entry_bytes:
                yield f"{who} has {each}, {other[0]} has {other[1]}"


@rule("chain", "each entry names the one before it, and goes on from its state")
def entries_make_a_chain(facts):
    for (request, leg), receipts in facts.legs.items():
        before, state = leg, STATES["NONE"]
        for ordinal, each in enumerate(receipts):
            entry = each.entry
            if (entry["ordinal"], entry["previous"], entry["from"]) != (ordinal, before, state):
                yield f"{request}: its entry {ordinal} does not follow the one before"
                break
            before, state = merkle.leaf(each.entry_bytes), entry["to"]


@rule("wrong-step", "each entry is a step that the protocol has; what it says has happened is what its state says")
def entries_are_steps(facts):
    for who, each in [("the store", each) for each in facts.log.values()] + facts.handed:
        if each.entry:
            step = each.entry["from"], each.event, each.entry["to"]
            if not any((*step, kind) in STEPS for kind in ("body", "offer", "reply")):
                yield f"{who}: {each} goes from {STATE_NAMES.get(step[0])} to {STATE_NAMES.get(step[2])}"


@rule("receipt-of-another", "a receipt's entry is of the statement that it comes with")
def receipts_belong_together(facts):
    for who, each in [("the store", each) for each in facts.log.values()] + facts.handed:
        said = merkle.leaf(each.payload)
        if each.record["statement"] != said:
            yield f"{who}: the record of {each} is of another statement"
        elif each.entry and (each.entry["statement"] != said or each.entry["leg"] != each.leg):
            yield f"{who}: the entry of {each} is of another statement"


@rule("false-signature", "the relay has signed every record, and a device of the post that it names every statement")
def signatures_hold(facts):
    done = set()
    for who, each in [("the store", each) for each in facts.log.values()] + facts.handed:
        if each.data in done:
            continue
        done.add(each.data)
        key = each.statement["device"]
        wrong = unsigned("RECORD", facts.statement_key, each.recorded) or unsigned("STATEMENT", key, each.stamped)
        if wrong:
            yield f"{who}: {each}: {wrong}"
            continue
        if key != facts.statement_key and facts.device(key).get("post") != each.statement.get("post"):
            yield f"{who}: {each} is signed by a device that is not of {each.statement.get('post')}"


@functools.lru_cache(maxsize=None)
def unsigned(label, key, stamped):
    """What is wrong with a signature; None when it holds."""
    try:
        verify(label, key, stamped)
    except Refused as error:
        return str(error)
    return None


@rule("time-back", "ledger time never goes back")
def time_goes_on(facts):
    last = 0
    for index in sorted(facts.log):
        at = facts.log[index].record["time"]
        if at < last:
            yield f"the entry at {index} is {last - at} ms older than the one before"
        last = max(last, at)


# ---- receipts, states, what sides tell ----

@rule("receipt-without-state", "what a receipt tells stands in the log, and is not behind what the sides tell")
def receipts_have_their_state(facts):
    for who, each in facts.handed:
        if each.entry:
            there = facts.log.get(each.index)
            if not there or there.entry_bytes != each.entry_bytes:
                yield f"{who} holds {each}, which the log does not have"
    for post, request, told in final_states(facts):
        for leg in told:
            last = last_entry(facts, request, leg)
            if last and post not in facts.mute and len(entries_of(leg)) < last.entry["ordinal"] + 1:
                yield f"{request}: {post} does not tell of {last}"


@rule("state-without-entry", "no side tells of a state or event that the log does not have")
def states_have_their_entry(facts):
    for post, request, told in final_states(facts):
        for leg in told:
            last = None
            for event in entries_of(leg):
                there = facts.log.get(event["log_index"])
                if not there or there.id != request or EVENT_TEXTS[there.event] != event["event"] or \
                        there.entry["ordinal"] != event["ordinal"]:
                    yield f"{request}: {post} tells of {event['event']} at {event['log_index']}; the log does not"
                    break
                last = there
            else:
                shown = STATE_NAMES[last.entry["to"]] if last else "none"
                if leg["state"] != shown and (last or leg["state"] != "refused"):  # refusals have no entry
                    yield f"{request}: {post} says that it is {leg['state']}; its entries say {shown}"
    for (post, box), items in facts.boxes.items():
        for item in items if box == "inbox" else []:
            told = [leg["state"] for leg in facts.trails.get(item["id"], {}).get(post, [])]
            if told and item["state"] not in told:
                yield f"{item['id']}: the inbox of {post} says {item['state']}, its trail {told}"


@rule("sides-differ", "all sides tell the same of a leg")
def sides_agree(facts):
    for request, sides in facts.trails.items():
        known = {}
        for post, legs in sides.items():
            for leg in legs if post not in facts.mute else []:
                words = leg["state"], [(e["event"], e["ordinal"], e["log_index"]) for e in entries_of(leg)]
                other = known.setdefault(leg["to"], (post, words))
                if other[1] != words:
                    yield f"{request} to {leg['to']}: {post} and {other[0]} tell it differently"


@rule("untold", "both sides tell of every leg that the log has")
def all_is_told(facts):
    for request, legs in facts.by_request.items():
        for key, receipts in legs.items():
            place = facts.places.get((key[0], key[1].hex()), {})
            sender = facts.device(bytes.fromhex(place["device"])).get("post") if place.get("device") else None
            for post in {sender, place.get("to")} & set(facts.world["posts"]) - facts.mute:
                if post not in facts.trails.get(request, {}):
                    yield f"{request}: {post} tells nothing of it; the log has {receipts[-1]}"


def entries_of(leg):
    return [event for event in leg["events"] if event["ordinal"] is not None]


def final_states(facts):
    for request, sides in facts.trails.items():
        for post, legs in sides.items():
            yield post, request, legs


def last_entry(facts, request, leg):
    """The last that the log has of the leg that a side tells of."""
    told = entries_of(leg)
    first = facts.log.get(told[0]["log_index"]) if told else None
    if first:
        return facts.legs[first.id, first.leg][-1]
    place = facts.stored_at(request, leg["to"])
    return facts.legs[facts.log[place].id, facts.log[place].leg][-1] if place is not None else None


# ---- heads ----

@rule("head-signature", "every head is signed by the key that the relay's card names")
def heads_are_signed(facts):
    done = set()
    for line, note in facts.heads:
        if note.text not in done:
            done.add(note.text)
            key = {facts.log_key.name: facts.log_key, facts.directory_key.name: facts.directory_key}.get(note.origin)
            if not key or not note.signed_by(key):
                yield f"{line['client']}: the head of {note.origin} at {note.size}"


@rule("head-forked", "no two heads of one log have one size and different roots")
def heads_do_not_fork(facts):
    known = {}
    for line, note in facts.heads:
        other = known.setdefault((note.log, note.size), (line["client"], note.root))
        if other[1] != note.root:
            yield f"{note.log} at {note.size}: {line['client']} and {other[0]} were given different roots"


@rule("head-off-chain", "every head is of the log whose leaves there are")
def heads_are_of_the_log(facts):
    done = set()
    for line, note in facts.heads:
        hashes = facts.leaf_hashes.get((note.log, "wire"), [])
        if note.size > len(hashes) or (note.log, note.size, note.root) in done:
            continue
        done.add((note.log, note.size, note.root))
        if facts.roots[note.log][note.size] != note.root:
            yield f"{line['client']}: the head of {note.log} at {note.size} is not of its leaves"


@rule("head-rolled-back", "what the relay calls its newest head is never smaller than one that it gave before")
def heads_only_grow(facts):
    seen = collections.defaultdict(list)  # {log: [(line number, largest size so far)]}
    for line, note in sorted(facts.heads, key=lambda head: head[0]["n"]):
        if not line.get("newest"):
            continue
        before = [size for n, size in seen[note.log] if n < line["call"]]
        if before and note.size < before[-1]:
            yield f"{line['client']}: {note.log} at {note.size}, after {before[-1]} had been given out"
        largest = max(note.size, seen[note.log][-1][1] if seen[note.log] else 0)
        seen[note.log].append((line["n"], largest))


@rule("proof-fails", "the proofs that one log goes on from the other hold")
def proofs_hold(facts):
    known = {(note.log, note.size): note.root for _, note in facts.heads}
    for line in facts.of("proof"):
        ends = [known.get((line["log"], line[which])) for which in ("old", "new")]
        data = bytes.fromhex(line["path"])
        path = [data[at:at + 32] for at in range(0, len(data), 32)]
        if None in ends or not merkle.goes_on(line["old"], ends[0], line["new"], ends[1], path):
            yield f"{line['client']}: from {line['old']} to {line['new']} of {line['log']}"


@rule("not-included", "a receipt's path leads from its entry to its head")
def receipts_are_in_the_log(facts):
    for who, each in [("the store", each) for each in facts.log.values()] + facts.handed:
        if not each.entry:
            continue
        note = facts.note(each.checkpoint.decode(), "a receipt") if each.checkpoint else None
        reached = note and merkle.climb(merkle.leaf(each.entry_bytes), each.index, note.size, each.proof or [])
        if not note or reached != note.root:
            yield f"{who}: {each}"


@rule("log-shrunk", "the log at the end is no smaller than any head that was given out")
def log_does_not_shrink(facts):
    for log in ("directory", "evidence"):
        if (log, "wire") in facts.leaf_hashes:
            there = len(facts.leaf_hashes[log, "wire"])
            largest = max((note.size for _, note in facts.heads if note.log == log), default=0)
            if largest > there:
                yield f"{log}: {there} leaves, and a head of {largest}"


@rule("entry-missing", "the store has an entry for every place in the log, each once, and they are the log's leaves")
def store_is_the_log(facts):
    if [index for index, _ in facts.rows] != list(range(len(facts.rows))):
        yield "places are missing or doubled in the store"
    hashes = facts.leaf_hashes.get(("evidence", "wire"), [])
    if len(hashes) != len(facts.log):
        yield f"{len(facts.log)} entries in the store, {len(hashes)} leaves"
    for index, receipt in facts.log.items():
        if receipt.index != index:
            yield f"the entry at {index} says that it is at {receipt.index}"
        elif index < len(hashes) and merkle.leaf(receipt.entry_bytes) != hashes[index]:
            yield f"the entry at {index} is not the leaf at {index}"
    for log in ("directory", "evidence"):
        if (log, "store") in facts.leaf_hashes and facts.leaf_hashes[log, "store"] != facts.leaf_hashes[log, "wire"]:
            yield f"the leaves of the {log} in the store are not those that members get"


@rule("false-directory", "the directory follows the rules from its first leaf on, and is the log that its heads are of")
def directory_holds(facts):
    if facts.bad_leaf:
        yield facts.bad_leaf
    elif ("directory", "wire") in facts.leaf_hashes and facts.directory.hashes != facts.leaf_hashes["directory", "wire"]:
        yield "its leaves hash to another log"


# ---- keys ----

@rule("revoked-key", "nothing was taken from a key after it had been revoked")
def revoked_keys_are_out(facts):
    since = {bytes.fromhex(line["device"]): line for line in facts.of("revoked")}
    for index, receipt in facts.log.items():
        actor = facts.actor(receipt)
        revoked = facts.device(actor).get("revoked") if actor else None
        if revoked and receipt.entry["size"] >= revoked:
            yield f"{receipt}: by {actor.hex()[:8]}, revoked with leaf {revoked - 1}"
        elif actor in since and index >= since[actor]["entries"]:
            yield f"{receipt}: by {actor.hex()[:8]}, whose revocation had been answered"
    for call in facts.calls.values():
        device = bytes.fromhex(call["device"]) if call.get("device") else None
        if device in since and call["verb"] in ("submit", "say") and call["n"] > since[device]["n"] and facts.good(call):
            if call["verb"] == "say" or PROMISED & set(facts.answers[call["n"]][0].get("results", {}).values()):
                yield f"call {call['n']} of {call['post']} was answered after its revocation"


# ---- secrets ----

def holders(facts, what, needles):
    """(which needle, where) of every file of these images."""
    for line in facts.of("image"):
        if line["what"] != what:
            continue
        for path in files_of(facts.folder / line["path"]):
            for needle, at in searched(path, needles):
                yield needle, f"{line['of']}: {path.name} at {at}"


def files_of(path):
    return [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())


def searched(path, needles):
    status = path.stat()
    return search_once(path, status.st_size, status.st_mtime_ns, tuple(needles))


@functools.lru_cache(maxsize=None)
def search_once(path, _size, _time, needles):
    return list(search(path, needles))


def search(path, needles):
    """(needle, offset) of the first place of each; pieces overlap, so that nothing hides on an edge."""
    longest, left, at = max(map(len, needles)), set(needles), 0
    with open(path, "rb") as file:
        before = b""
        while (piece := file.read(PIECE)) and left:
            window = before + piece
            for needle in sorted(left):
                place = window.find(needle)
                if place >= 0:
                    left.discard(needle)
                    yield needle, at - len(before) + place
            before = window[-longest + 1:] if longest > 1 else b""
            at += len(piece)


def canary_rule(what, where):
    @rule(f"canary-{what}", f"no secret word is {where}")
    def no_canary(facts):
        for _, place in holders(facts, what, [facts.world["canary"].encode()]):
            yield place
    return no_canary


canary_rule("disk", "on the relay's disk")
canary_rule("log", "in the relay's log")
canary_rule("memory", "in the relay's memory")


@rule("key-at-relay", "no content key is on the relay's disk or in its memory")
def no_key_is_there(facts):
    keys = [bytes.fromhex(key) for line in facts.of("keys") for key in line["keys"]]
    for what in ("disk", "memory") if keys else ():
        for key, place in holders(facts, what, keys):
            yield f"{key.hex()[:8]} in {place}"


@rule("blind", "what was searched for secrets is the relay's: what it does know is found there")
def images_are_real(facts):
    for line in facts.of("image"):
        files = files_of(facts.folder / line["path"]) if (facts.folder / line["path"]).exists() else []
        control = bytes.fromhex(line["control"])
        if not any(searched(path, [control]) for path in files):
            yield f"{line['what']} of {line['of']}"


# ---- the program ----

def check(lines, folder):
    """{rule: [what it found]}, of the rules that found something."""
    facts = Facts(lines, folder)
    found = {}
    for name, (_, function) in RULES.items():
        told = list(function(facts))
        if told:
            found[name] = told
    return found


def summary(lines):
    count = collections.Counter(line["kind"] for line in lines)
    outcomes = collections.Counter(line["outcome"] for line in lines if line["kind"] == "answer")
    faults = collections.Counter(f"{line['what']} {line['whom']}" for line in lines if line["kind"] == "fault")
    promised = len({line["intent"] for line in lines if line["kind"] == "call" and line["verb"] == "submit"})
    entries = max((len(line["receipts"]) for line in lines if line["kind"] == "store"), default=0)
    return {"calls": count["call"], "outcomes": outcomes, "submissions": promised, "entries": entries,
            "receipts": count["receipt"], "heads": count["head"], "faults": faults}


def main(argv):
    if argv == ["--rules"]:
        for name, (says, _) in RULES.items():
            print(f"{name:22} {says}")
        return 0
    as_json, paths = "--json" in argv, [each for each in argv if not each.startswith("-")]
    if len(paths) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = pathlib.Path(paths[0])
    lines = journal.read(path)
    found = check(lines, path.parent)
    if as_json:
        print(json.dumps({"summary": summary(lines), "found": found}))
    else:
        print(", ".join(f"{name} {value if isinstance(value, int) else dict(value)}"
                        for name, value in summary(lines).items()))
        for name, told in found.items():
            print(f"{name}: {RULES[name][0]}: NOT SO")
            for each in told[:20]:
                print(f"    {each}")
        print("nothing found" if not found else f"{len(found)} rules are broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
