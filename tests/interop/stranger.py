"""stranger.py - a client of the Pouch protocol written from PROTOCOL.md alone: its own party, post and device; it joins
a relay, sends, receives, decides, and believes nothing that it can check. It keeps everything in memory."""

import copy
import os
import random
import time

import zmq

from cbor import Refused, decode, encode, read_first
from directory import Directory, need
from document import ERRORS, EVENT_RULES, EVENTS, LEAVES, LIMITS, MESSAGE_NAMES, MESSAGES, STATES, STEPS, TRANSIENT
from heads import Head, continues, cosign, open_promise, read_request
from seals import (SignKey, check_inside, chunk_count, chunk_digests, fingerprint, labelled, leaf_hash, legs_root,
                   open_note, open_part, open_sheet, open_wrap, path_root, peek, seal_note, seal_part, seal_sheet,
                   seal_wraps, stamp, verify, wrap_sheet, x_public)

ANSWER_S = 60
DAY_MS = LIMITS["DAY_MS"]


class Failure(Exception):
    """The relay's FAILURE."""

    def __init__(self, failed):
        self.name = ERRORS.get(failed["error"], "unknown")
        self.refusal = failed.get("refusal")
        super().__init__(f"{self.name} {failed.get('detail', '')}")


def now_ms():
    return time.time_ns() // 1000000


# ---- the card (section 17) ----

class Card:
    def __init__(self, text):
        self.fields = {}
        first = True
        for line in text.splitlines():
            words = line.split()
            for i, word in enumerate(words):
                if word.startswith("#"):
                    words = words[:i]
                    break
            if not words:
                continue
            need(len(words) == 2, "malformed")
            if first:
                need(words == ["pouch-relay-card", "0"], "unknown-version")
                first = False
            else:
                self.fields.setdefault(words[0], []).append(words[1])
        self.addresses = self.fields["address"]
        self.curve = bytes.fromhex(self.fields["curve"][0])
        self.statement = bytes.fromhex(self.fields["statement"][0])
        self.registrars = [bytes.fromhex(each) for each in self.fields["registrar"]]
        self.threshold = int(self.fields["threshold"][0])

    def fingerprint(self):
        lines = ["pouch-relay-card 0"]
        for field in ("name", "address", "curve", "statement", "log", "registrar", "threshold", "witness", "witnesses",
                      "freshness"):
            lines += [f"{field:10} {value}" for value in sorted(self.fields.get(field, []))]
        return fingerprint(labelled("CARD", "".join(line + "\n" for line in lines).encode()))


# ---- the connection (sections 14 and 15) ----

class Link:
    def __init__(self, card, secret):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = card.curve
        self.socket.curve_publickey = x_public(secret)
        self.socket.curve_secretkey = secret
        self.socket.connect(card.addresses[0])
        self.number = 0
        self.hints = []

    def close(self):
        self.socket.close()
        self.context.term()

    def send(self, name, value):
        kind, body, _ = MESSAGES[name]
        self.number += 1
        self.send_bytes(encode("frame", {"type": kind, "number": self.number, "body": encode(body, value)}))
        return self.number

    def send_bytes(self, data):
        self.socket.send(data)

    def receive(self):
        """(number, name, object)"""
        if not self.socket.poll(ANSWER_S * 1000):
            raise TimeoutError("the relay does not answer")
        parts = self.socket.recv_multipart()
        need(len(parts) == 1, "malformed")
        frame = decode("frame", parts[0])
        name = MESSAGE_NAMES[frame["type"]]
        return frame["number"], name, decode(MESSAGES[name][1], frame["body"])

    def answer(self, number):
        while True:
            found, name, value = self.receive()
            if name == "HINT":
                need(found == 0, "malformed")
                self.hints.append(value)
            elif found == number:
                return name, value

    def call(self, name, value):
        answer, found = self.answer(self.send(name, value))
        if answer == "FAILURE":
            raise Failure(found)
        need(answer == MESSAGES[name][2], "malformed", answer)
        return found


# ---- identities (section 7) and files (section 17) ----

class Identity:
    """A party with one post and one device, all in one hand."""

    def __init__(self, party, desk="desk"):
        self.party, self.post = party, f"{party}/{desk}"
        self.authority, self.next, self.post_key, self.revoker, self.device = (SignKey() for _ in range(5))
        self.transport = os.urandom(32)
        created = now_ms()
        authority = self.authority.public
        following = labelled("NEXT_KEY", self.next.public)
        self.charter = encode("charter", {"party": party, "name": f"Stranger {party}", "kind": 2,
                                          "authority": authority, "next": following, "created": created})
        post = encode("post", {"post": self.post, "functions": 7, "key": self.post_key.public, "authority": authority,
                               "created": created, "revoker": self.revoker.public})
        self.statements = [self.sign("charter", self.authority, self.charter), self.sign("post", self.authority, post)]
        self.statements += self.certify(self.authority)

    @staticmethod
    def sign(kind, key, payload):
        return {"kind": LEAVES[kind], "statement": stamp(kind.upper(), key, payload)}

    def beside(self, desk):
        """Another post of the same party; statements only of what is new."""
        other = copy.copy(self)
        other.post = f"{self.party}/{desk}"
        other.post_key, other.revoker, other.device = (SignKey() for _ in range(3))
        other.transport = os.urandom(32)
        post = encode("post", {"post": other.post, "functions": 7, "key": other.post_key.public, "created": now_ms(),
                               "authority": self.authority.public, "revoker": other.revoker.public})
        other.statements = [self.sign("post", self.authority, post), *other.certify(self.authority)]
        return other

    def certify(self, voucher):
        """The device's certificate, and who vouches for it."""
        created = now_ms()
        device = encode("device", {"post": self.post, "device": self.device.public, "role": 0,
                                   "transport": x_public(self.transport), "not_before": created - 3600000,
                                   "not_after": created + 30 * DAY_MS, "issuer": self.post_key.public})
        countersign = encode("countersign", {"certificate": leaf_hash(device), "signer": voucher.public,
                                             "created": created})
        return [self.sign("device", self.post_key, device), self.sign("countersign", voucher, countersign)]

    def further(self):
        """The same post on another device, for which this one vouches."""
        other = copy.copy(self)
        other.device, other.transport = SignKey(), os.urandom(32)
        other.statements = other.certify(self.device)
        return other

    def revocation(self):
        """The slip that takes the whole post out."""
        return self.sign("revocation", self.revoker, encode("revocation", {
            "post": self.post, "signer": self.revoker.public, "reason": 0, "created": now_ms()}))

    def charter_file(self):
        return encode("dossier", {"post": self.party, "statements": self.statements[:1]})

    def charter_fingerprint(self):
        return fingerprint(labelled("FINGERPRINT", self.charter))


# ---- requests ----

class Leg:
    """One leg as this side knows it: its evidence (section 12)."""

    def __init__(self, request, opening, position):
        self.request, self.position = request, position
        self.id = leaf_hash(opening)
        self.opening = decode("opening", opening)
        self.opening_bytes = opening
        self.state, self.entries, self.head = STATES["NONE"], [], self.id
        self.notes = []
        self.refused = None
        self.to = self.opening["to"]  # the post that it is with
        self.generation = 0
        self.forwarder = None
        self.sealed = None  # why it cannot be opened here


class Request:
    def __init__(self, header_bytes):
        self.header_bytes = header_bytes
        payload = decode("stamped", header_bytes)["payload"]
        self.header = decode("header", payload)
        self.digest = labelled("HEADER_DIGEST", payload)
        self.id = self.digest[:16].hex()
        self.legs, self.keys, self.chunks = {}, {}, {}
        self.offer = self.text = None

    def kind(self):
        if "parent" in self.header:
            return "reply"
        return "body" if "body" in self.header else "offer"

    def check(self, directory):
        """Signature and section 8."""
        h = self.header
        verify("HEADER", h["device"], self.header_bytes)
        device = directory.devices.get(h["device"])
        need(device and device["post"] == h["from"], "not-allowed")
        reply = "parent" in h
        need(("offer" not in h and "body" in h) if reply else "offer" in h, "malformed")
        need(h["exercise"] or h["keep_s"] >= LIMITS["KEEP_MIN_S"], "bad-keep")
        for part in ("offer", "body"):
            need(part not in h or chunk_count(h[part]["length"]) > 0, "malformed")


class Stranger:
    def __init__(self, card_text, identity):
        self.card, self.me = Card(card_text), identity
        self.link = Link(self.card, identity.transport)
        self.directory = Directory(self.card.registrars, self.card.threshold)
        self.head = None  # the newest
        self.log_roots = {}  # of the evidence log, by the sizes of the heads seen
        self.pairs, self.prekeys = {}, {}  # pairwise secrets: {party: {id: secret}}
        self.handed = {}  # content keys from a sister: {header digest: handedkey}
        self.requests, self.sequences, self.seen_sequences = {}, {}, set()
        self.after = 0
        self.ledger_time = 0

    def close(self):
        self.link.close()

    # ---- greeting, directory, enrolment (section 16) ----

    def greet(self):
        welcome = self.link.call("HELLO", {"version": 0, "size": self.directory.size})
        need(welcome["size"] >= self.directory.size, "directory-forked")
        if welcome["size"] == self.directory.size:
            need(welcome["root"] == self.directory.root(), "directory-forked")
            self.take_head(welcome.get("checkpoint"))
        self.ledger_time = welcome["time"]
        return welcome

    def mirror(self):
        while True:
            answer = self.link.call("GETLEAVES", {"from": self.directory.size, "max": LIMITS["LEAVES_MAX"]})
            need(answer["from"] == self.directory.size <= answer["size"], "directory-forked")
            for leaf in answer["leaves"]:
                self.directory.apply(leaf)
            if self.directory.size == answer["size"]:
                need(answer["root"] == self.directory.root(), "directory-forked")
                self.take_head(answer.get("checkpoint"))
                return
            need(answer["leaves"], "malformed")

    def take_head(self, note):
        """Of the own replay, all of it, and no smaller than one before (section 22)."""
        if note is None:
            need(self.directory.size == 0, "withheld")
            return
        head = Head(self.card, note)
        need(head.size == self.directory.size, "withheld")
        need(head.root == self.directory.root(), "directory-forked")
        need(not self.head or head.size >= self.head.size, "directory-forked")
        self.head = head

    def heads(self):
        """The newest, and those that witnesses have cosigned, each of the own replay."""
        self.mirror()
        found = [Head(self.card, note) for note in self.link.call("GETHEADS", {})["notes"]]
        for head in found:
            need(head.size <= self.directory.size and head.root == self.directory.root(head.size), "directory-forked")
        return found

    def witness(self, key, secret, before=None):
        """Cosigns the newest head as a witness that cosigned `before` last."""
        old, root = (before.size, before.root) if before else (0, None)
        asked, proof, note = read_request(self.link.call("GETCHECKPOINT", {"old": old})["request"])
        head = Head(self.card, note)
        need(asked == old and continues(old, root, head.size, head.root, proof), "bad-proof")
        need(abs(head.time - now_ms()) <= LIMITS["HEAD_TIME_MS"], "head-time")
        self.link.call("COSIGN", {"note": cosign(key, secret, note, now_ms() // 1000)})
        return head

    def declare(self, name, statements, **more):
        """ENROL or DECLARE, and the relay's promise for it."""
        done = self.link.call(name, {"statements": statements, **more})
        promise = open_promise(self.card, done["promise"], statements)
        self.mirror()
        need(promise["size"] <= self.directory.size, "withheld")
        need(self.directory.root(promise["size"]) == promise["root"], "directory-forked")
        return promise

    def make_prekeys(self, days=3):
        today, stamped = self.ledger_time // DAY_MS, []
        for day in range(today, today + days):
            secret = os.urandom(32)
            payload = encode("prekey", {"device": self.me.device.public, "day": day, "key": x_public(secret)})
            self.prekeys[leaf_hash(payload)[:16]] = secret
            stamped.append(stamp("PREKEY", self.me.device, payload))
        return stamped

    def join(self):
        self.greet()
        self.declare("ENROL", self.me.statements, prekeys=self.make_prekeys())
        welcome = self.greet()
        need(welcome["registered"], "unknown-device")

    # ---- sealing and sending ----

    def targets(self, post):
        answer = self.link.call("GETPREKEYS", {"post": post})
        self.ledger_time = max(self.ledger_time, answer["time"])
        found = {}
        for stamped in answer["prekeys"]:
            prekey = peek(stamped, "prekey")
            need(prekey["device"] in self.directory.devices, "unknown-device")
            verify("PREKEY", prekey["device"], stamped)
            need(prekey["day"] * DAY_MS <= answer["time"], "out-of-range")
            found[prekey["device"]] = (leaf_hash(decode("stamped", stamped)["payload"])[:16], prekey["key"])
        readers = self.directory.readers(post, self.ledger_time)
        return [(device, *found[device]) for device in readers if device in found]

    def compose(self, posts, text=None, subject="", parent=None, request=None, **more):
        """A request with one leg for each post, kept and not sent. parent: a leg, for a reply. request: its id. more:
        of the offer."""
        header = {"version": 0, "request": request or os.urandom(16), "from": self.me.post,
                  "device": self.me.device.public, "created": now_ms(), "keep_s": LIMITS["KEEP_DEFAULT_S"],
                  "precedence": 0, "exercise": False}
        if parent:
            header["parent"] = {"header": parent.request.digest, "leg": parent.id}
        inside = {field: header[field] for field in ("from", "request", "exercise")}
        keys, chunks = {}, {}
        if not parent:
            offer = encode("offer", {**inside, "kind": more.pop("kind", 1), "subject": subject, **more})
            keys["offer"] = os.urandom(32)
            chunks[1], header["offer"] = seal_part(header, 1, keys["offer"], offer)
        if text is not None:
            body = encode("manifest", {**inside, "files": [{"length": len(text)}]}) + text
            keys["body"] = os.urandom(32)
            chunks[2], header["body"] = seal_part(header, 2, keys["body"], body)
        seed, openings = os.urandom(32), {}
        for to, position in zip(posts, random.SystemRandom().sample(range(LIMITS["LEGS_MAX"]), len(posts))):
            self.sequences[to] = self.sequences.get(to, 0) + 1
            openings[position] = encode("opening", {"salt": os.urandom(32), "to": to, "sequence": self.sequences[to]})
        header["legs"] = legs_root({position: leaf_hash(opening) for position, opening in openings.items()}, seed)
        made = Request(stamp("HEADER", self.me.device, encode("header", header)))
        made.keys, made.chunks, made.seed, made.text = keys, chunks, seed, text
        for position in sorted(openings):
            leg = Leg(made, openings[position], position)
            made.legs[leg.id] = leg
        self.requests[made.digest] = made
        return made

    def pair_for(self, request, leg):
        """All legs under a pairwise secret, or none; the own post's and a forwarder's never."""
        if not leg or request.header["from"] != self.me.post:
            return None
        if not all(self.pairs.get(each.to.split("/")[0]) for each in request.legs.values()):
            return None
        return list(self.pairs[leg.to.split("/")[0]].items())[-1]

    def wrapset(self, request, leg, post, generation=1):
        targets = self.targets(post) if post in self.directory.posts else []
        keys = {f"{part}_key": key for part, key in request.keys.items()}
        words = {"header": request.digest, "leg": leg.id if leg else None, "generation": generation,
                 "size": self.directory.size, "root": self.directory.root(), "signer": self.me.device.public}
        psk = self.pair_for(request, leg)
        return stamp("WRAPSET", self.me.device, seal_wraps(words, {**keys, "voids": []}, targets, psk=psk))

    def submission(self, request, inline=True):
        legs = request.legs.values()
        submit = {"header": request.header_bytes, "seed": request.seed, "chunks": [],
                  "places": [{"opening": leg.opening_bytes, "position": leg.position} for leg in legs],
                  "wrapsets": [self.wrapset(request, None, self.me.post)] +
                              [self.wrapset(request, leg, leg.opening["to"]) for leg in legs]}
        for part, name in ((1, "offer"), (2, "body")):
            if part in request.chunks:
                submit[f"{name}_digests"] = chunk_digests(request.chunks[part])
                if inline:
                    submit["chunks"] += [self.chunk(request, part, i) for i in range(len(request.chunks[part]))]
        return submit

    def chunk(self, request, part, index):
        return {"header": request.digest, "part": part, "index": index, "data": request.chunks[part][index]}

    def send(self, request, inline=True):
        """Sends it; the results by recipient, each believed when its receipt holds."""
        self.mirror()
        answer = self.link.call("SUBMIT", self.submission(request, inline))
        need(answer["header"] == request.digest, "mismatch")
        while answer["wants"]:
            need(not answer["results"], "malformed")
            for want in answer["wants"]:
                for index in range(want["index"], len(request.chunks[want["part"]])):
                    answer = self.link.call("CHUNK", self.chunk(request, want["part"], index))
        need({result["subject"] for result in answer["results"]} == set(request.legs), "malformed")
        for result in answer["results"]:
            self.take_result(request, request.legs[result["subject"]], result)
        return {request.legs[result["subject"]].opening["to"]: result for result in answer["results"]}

    def take_result(self, request, leg, result):
        if result["error"] == 0:
            self.take_receipt(request, leg, result["receipt"])
            return
        leg.refused = ERRORS[result["error"]]
        if leg.refused not in TRANSIENT:
            self.check_refusal(request, leg.id, result["error"], result["receipt"])

    def check_refusal(self, request, leg, error, receipt):
        statement, record, _ = self.open_receipt(receipt)
        need(statement["event"] == EVENTS["REFUSED"] and "entry" not in record, "mismatch")
        need(statement["header"] == request.digest and statement.get("leg") == leg, "mismatch")
        need(statement["reason"] == error and "post" not in statement, "mismatch")
        need(statement["device"] == self.card.statement, "not-allowed")

    # ---- evidence (section 12) ----

    def open_receipt(self, data):
        """Checks 1 to 4, and 8: (statement, record, entry or None)."""
        receipt = decode("receipt", data)
        record = decode("record", verify("RECORD", self.card.statement, receipt["record"]))
        statement = peek(receipt["statement"], "statement")
        payload = verify("STATEMENT", statement["device"], receipt["statement"])
        need(record["statement"] == leaf_hash(payload), "mismatch")
        need(("entry" in record) == ("index" in record), "malformed")
        logged = "checkpoint" in receipt and "proof" in receipt
        if "entry" not in record:
            need("checkpoint" not in receipt and "proof" not in receipt, "malformed")
            return statement, record, None
        need(logged, "missing-field")
        self.is_logged(receipt, record)
        entry = decode("entry", record["entry"])
        need(entry["leg"] == statement["leg"] and entry["statement"] == leaf_hash(payload), "mismatch")
        need(entry["time"] == record["time"], "mismatch")
        need((entry["ordinal"] == 0) == (entry["from"] == STATES["NONE"]), "bad-proof")
        need(entry["ordinal"] or entry["previous"] == entry["leg"], "bad-proof")
        return statement, record, entry

    def is_logged(self, receipt, record):
        """Section 26: the entry's place in the evidence log, by a head that is kept."""
        head = self.log_head(receipt["checkpoint"])
        need(receipt["checkpoint"].rsplit(b"\n\n", 1)[1].count(b"\n") == 1, "malformed")
        need(head.time >= record["time"], "out-of-range")
        reached = path_root(leaf_hash(record["entry"]), record["index"], head.size, receipt["proof"])
        need(reached == head.root, "bad-proof")
        self.see_log(head)

    def log_head(self, note):
        try:
            return Head(self.card, note, "evidence")
        except ValueError:
            raise Refused("malformed") from None

    def see_log(self, head):
        need(self.log_roots.setdefault(head.size, head.root) == head.root, "evidence-forked")

    def prove_log(self):
        """All heads seen so far are of one log: the relay shows how it has grown. Its newest head."""
        sizes = sorted(self.log_roots)[-LIMITS["LOG_SIZES_MAX"]:]
        answer = self.link.call("GETLOG", {"log": 2, "sizes": sizes})
        head = self.log_head(answer["note"])
        need(answer["log"] == 2 and len(answer["proofs"]) == len(sizes), "malformed")
        self.see_log(head)
        for size, to, proof in zip(sizes, [*sizes[1:], head.size], answer["proofs"]):
            path = [proof[at:at + 32] for at in range(0, len(proof), 32)]
            need(len(proof) % 32 == 0, "bad-proof")
            need(continues(size, self.log_roots[size], to, self.log_roots[to], path), "bad-proof")
        return head

    def may(self, request, leg, statement, entry):
        """Check 5."""
        actor, role = EVENT_RULES[statement["event"]]
        if actor == "RELAY":
            need("post" not in statement and statement["device"] == self.card.statement, "not-allowed")
            if entry and statement["event"] == EVENTS["STORED"]:
                self.was_live(self.directory.devices[request.header["device"]], entry)
            return
        device = self.directory.devices.get(statement["device"])
        need(device, "unknown-device")
        need(device["post"] == statement.get("post"), "not-allowed")
        sender, recipient = request.header["from"], leg.to
        if entry is None and sender != self.me.post:
            recipient = self.me.post  # it may have come too late, after the leg was forwarded
        sides = {"RECIPIENT": [recipient], "SENDER": [sender], "EITHER": [recipient, sender],
                 "SEALER": [sender, leg.forwarder]}[actor]
        need(statement["post"] in sides, "not-allowed")
        need(device["role"] == 0 or (device["role"] == 1 and role == "READER"), "not-allowed")
        if entry:
            self.was_live(device, entry)

    def was_live(self, device, entry):
        need(entry["size"] <= self.directory.size, "directory-forked")
        need(self.directory.live(device, entry["time"], entry["size"]), "revoked")

    def take_receipt(self, request, leg, data):
        statement, _, entry = self.open_receipt(data)
        need(statement["header"] == request.digest and statement.get("leg") == leg.id, "mismatch")
        if entry is None:
            self.may(request, leg, statement, entry)
            leg.notes.append(statement)
            return statement
        if entry["ordinal"] < len(leg.entries):
            need(leg.entries[entry["ordinal"]][1] == entry, "bad-proof")
            return statement
        self.may(request, leg, statement, entry)
        follows = entry["ordinal"] == len(leg.entries) and entry["previous"] == leg.head and entry["from"] == leg.state
        need(follows, "bad-proof")
        need((entry["from"], statement["event"], entry["to"], request.kind()) in STEPS, "wrong-state")
        self.follow_seals(leg, statement)
        leg.entries.append((statement, entry))
        leg.state, leg.head = entry["to"], leaf_hash(peek(decode("receipt", data)["record"], "record")["entry"])
        return statement

    @staticmethod
    def follow_seals(leg, statement):
        """Check 7: which wrap set is in force, and with which post the leg is."""
        event = statement["event"]
        if event == EVENTS["STORED"]:
            leg.generation = 1
        if event not in (EVENTS["RESEALED"], EVENTS["FORWARDED"]):
            return
        need(statement.get("generation") == leg.generation + 1, "bad-proof")
        if event == EVENTS["FORWARDED"]:
            to, by = statement.get("forward", ""), statement["post"]
            need(to != by and to.split("/")[0] == by.split("/")[0] and "/" in to, "bad-proof")
            leg.to, leg.forwarder = to, by
        leg.generation += 1

    def is_early(self, leg, receipt):
        entry = self.open_receipt(receipt)[2]
        return entry is not None and entry["ordinal"] > len(leg.entries)

    def catch_up(self, request, leg):
        """The entries that are not known yet (TRACK)."""
        while True:
            receipts = self.link.call("TRACK", {"leg": leg.id, "ordinal": len(leg.entries)})["receipts"]
            if not receipts:
                return
            for receipt in receipts:
                self.take_receipt(request, leg, receipt)

    # ---- receiving (section 16) ----

    def sync(self):
        """Reads the feed to its end; the requests that came newly."""
        self.greet()
        arrived = []
        while True:
            answer = self.link.call("GETFEED", {"after": self.after, "max": 16})
            if not answer["items"]:
                need(answer["newest"] == self.after, "malformed")
                return arrived
            self.mirror()
            for item in answer["items"]:
                need(item["number"] == self.after + 1, "malformed")
                self.after = item["number"]
                kind = {1: "offered", 2: "sent", 3: "changed"}[item["kind"]]
                found = getattr(self, "take_" + kind)(decode(kind, item["body"]))
                if found:
                    arrived.append(found)

    def take_sent(self, sent):
        request = Request(sent["header"])
        request.check(self.directory)
        leaves = {place["position"]: leaf_hash(place["opening"]) for place in sent["places"]}
        need(legs_root(leaves, sent["seed"]) == request.header["legs"], "bad-proof")
        need(request.header["from"] == self.me.post, "not-for-us")
        self.open_wrapset(request, None, sent["wrapset"])
        known = self.requests.setdefault(request.digest, request)
        need(known.keys == request.keys, "mismatch")
        if known is request:  # another device of this post has sent it
            for place in sent["places"]:
                leg = Leg(request, place["opening"], place["position"])
                request.legs[leg.id] = leg
            self.open_offer(request, None)

    def take_changed(self, changed):
        request = self.requests[changed["header"]]
        leg = request.legs[changed["leg"]]
        if self.is_early(leg, changed["receipt"]):
            self.catch_up(request, leg)
        self.take_receipt(request, leg, changed["receipt"])

    def take_offered(self, offered):
        request = Request(offered["header"])
        request.check(self.directory)
        request = self.requests.get(request.digest, request)
        place = offered["place"]
        leg = Leg(request, place["opening"], place["position"])
        need(len(offered["path"]) == LIMITS["LEGS_DEPTH"], "bad-proof")
        root = path_root(leg.id, leg.position, LIMITS["LEGS_MAX"], offered["path"])
        need(root == request.header["legs"], "bad-proof")
        known = leg.id in request.legs
        leg = request.legs.get(leg.id, leg)
        if not known and leg.opening["to"] == self.me.post:
            number = (request.header["device"], leg.opening["sequence"])
            need(number not in self.seen_sequences, "conflict")
            self.seen_sequences.add(number)
        if self.is_early(leg, offered["receipt"]) or peek(offered["wrapset"], "wrapset")["generation"] > leg.generation:
            self.catch_up(request, leg)
        brought = self.take_receipt(request, leg, offered["receipt"])["event"]
        need(brought in (EVENTS["STORED"], EVENTS["RESEALED"], EVENTS["FORWARDED"]), "mismatch")
        request.legs[leg.id] = leg
        self.requests[request.digest] = request
        if leg.to != self.me.post:
            need(any(statement["post"] == self.me.post for statement, _ in leg.entries
                     if statement["event"] == EVENTS["FORWARDED"]), "not-for-us")
            return None
        if request.keys:
            return None
        try:
            self.open_wrapset(request, leg, offered["wrapset"])
            leg.sealed = None
        except Refused as refused:
            need(refused.name in ("not-for-us", "prekey-gone", "unknown-pair", "cannot-open"), refused.name)
            leg.sealed = refused.name
            return None
        if "offer" in request.header:
            self.open_offer(request, leg)
        return request

    def open_wrapset(self, request, leg, stamped):
        wrapset = peek(stamped, "wrapset")
        signer = self.directory.devices.get(wrapset["signer"])
        need(signer, "unknown-device")
        if wrapset["generation"] == 1 or not leg:
            need(signer["post"] == request.header["from"], "not-allowed")
            if leg:
                self.was_live(signer, leg.entries[0][1])
        else:
            by = [statement["device"] for statement, _ in leg.entries if statement.get("generation") ==
                  wrapset["generation"] and statement["event"] in (EVENTS["RESEALED"], EVENTS["FORWARDED"])]
            need(by == [wrapset["signer"]], "not-allowed")
        verify("WRAPSET", wrapset["signer"], stamped)
        need(wrapset["header"] == request.digest and wrapset.get("leg") == (leg.id if leg else None), "mismatch")
        need(wrapset["size"] <= self.directory.size, "directory-forked")
        need(self.directory.root(wrapset["size"]) == wrapset["root"], "directory-forked")
        pairs = self.pairs.get(request.header["from"].split("/")[0])
        try:
            keys = open_wrap(wrapset, self.me.device.public, self.prekeys, pairs)
        except Refused as refused:
            keys = self.handed.get(request.digest)
            need(keys and refused.name in ("not-for-us", "prekey-gone", "unknown-pair"), refused.name)
        for part in ("offer", "body"):
            need((part in request.header) == (f"{part}_key" in keys), "mismatch")
            if part in request.header:
                commitment = labelled("COMMITMENT", keys[f"{part}_key"])
                need(commitment == request.header[part]["commitment"], "bad-commitment")
                request.keys[part] = keys[f"{part}_key"]

    def fetch(self, request, leg, part):
        name = "offer" if part == 1 else "body"
        need(name in request.header, "no-body")
        chunks = []
        for index in range(chunk_count(request.header[name]["length"])):
            place = {"header": request.digest, "part": part, "index": index}
            got = self.link.call("FETCH", {**place, "leg": leg.id if leg else None})
            need({field: got[field] for field in place} == place, "mismatch")
            chunks.append(got["data"])
        return open_part(request.header, part, request.keys[name], chunks)

    def open_offer(self, request, leg):
        plain = self.fetch(request, leg, 1)
        _, rest = read_first(plain)
        size = len(plain) - len(rest)
        request.offer = decode("offer", plain[:size])
        check_inside(request.header, request.offer, size, plain)

    def open_body(self, request, leg):
        plain = self.fetch(request, leg, 2)
        _, rest = read_first(plain)
        manifest = decode("manifest", plain[:len(plain) - len(rest)])
        size = len(plain) - len(rest) + sum(each["length"] for each in manifest["files"])
        check_inside(request.header, manifest, size, plain)
        files, at = [], 0
        for each in manifest["files"]:
            files.append((each.get("name"), rest[at:at + each["length"]]))
            at += each["length"]
        request.text = files[0][1]
        return files

    # ---- deciding ----

    def statement(self, request, leg, event, note=None, **more):
        nonce = os.urandom(16)
        if note:
            key = request.keys.get("offer") or request.keys["body"]
            more["note"] = seal_note(key, nonce, request.digest, leg.id, note)
        return stamp("STATEMENT", self.me.device, encode("statement", {
            "event": EVENTS[event], "header": request.digest, "leg": leg.id, "post": self.me.post,
            "device": self.me.device.public, "officer": more.pop("officer", False), "time": now_ms(),
            "nonce": nonce, "seen": leg.head, **more}))

    def say(self, request, leg, event, **more):
        """Says it, and believes the answer when its receipt holds; the name of the error."""
        return self.say_bytes(request, leg, self.statement(request, leg, event, **more))

    def seal_again(self, request, leg, event, to=None, **more):
        """RESEALED, or FORWARDED to another post of the party."""
        self.mirror()
        generation = leg.generation + 1
        wrapset = self.wrapset(request, leg, to or leg.to, generation)
        stamped = self.statement(request, leg, event, generation=generation, forward=to, **more)
        return self.say_bytes(request, leg, stamped, wrapset)

    def say_bytes(self, request, leg, stamped, wrapset=None):
        answer = self.link.call("STATE", {"said": [{"statement": stamped, "wrapset": wrapset}]})
        need(len(answer["results"]) == 1, "malformed")
        result = answer["results"][0]
        need(result["subject"] == leaf_hash(decode("stamped", stamped)["payload"]), "mismatch")
        if "receipt" in result:
            need(decode("receipt", result["receipt"])["statement"] == stamped, "mismatch")
            self.take_receipt(request, leg, result["receipt"])
        return ERRORS[result["error"]]

    def words(self, request, leg, event):
        """The opened note of an event on the leg."""
        for statement, _ in leg.entries:
            if statement["event"] == EVENTS[event] and "note" in statement:
                key = request.keys.get("offer") or request.keys["body"]
                return open_note(key, statement["nonce"], request.digest, leg.id, statement["note"])
        return None

    # ---- contact cards (section 24) ----

    def put_card(self, sheets):
        """sheets: [(audience, parties, {field: value}, [posts whose readers it is sealed to])]"""
        sealed = []
        for audience, parties, fields, posts in sheets:
            plain = encode("sheet", {"post": self.me.post, "salt": os.urandom(32), "audience": audience,
                                     "parties": [party.encode() for party in parties], "fields":
                                     [{"field": n, "value": fields[n]} for n in sorted(fields)]})
            commitment, key = labelled("SHEET", plain), os.urandom(32)
            targets = [target for post in posts for target in self.targets(post)]
            sealed.append({"commitment": commitment, "audience": audience,
                           "data": plain if audience == 3 else seal_sheet(key, commitment, plain),
                           "wraps": [wrap_sheet(key, commitment, target) for target in targets]})
        statement = encode("contact", {"post": self.me.post, "device": self.me.device.public, "created": now_ms(),
                                       "commitments": [each["commitment"] for each in sealed]})
        put = {"statement": stamp("CONTACT", self.me.device, statement), "sheets": sealed}
        self.link.call("PUTCONTACT", put)
        self.mirror()

    def get_card(self, post):
        """{field: value}, of all sheets that open; and how many do not."""
        self.mirror()
        wanted, fields = list(self.directory.posts[post]["sheets"]), {}
        for sealed in self.link.call("GETCONTACT", {"post": post})["sheets"]:
            need(sealed["commitment"] in wanted, "stale-directory")
            try:
                plain = open_sheet(sealed, self.prekeys)
            except Refused as refused:
                need(refused.name in ("not-for-us", "prekey-gone"), refused.name)
                continue
            need(labelled("SHEET", plain) == sealed["commitment"], "bad-commitment")
            sheet = decode("sheet", plain)
            need((sheet["post"], sheet["audience"]) == (post, sealed["audience"]), "mismatch")
            wanted.remove(sealed["commitment"])
            fields.update({each["field"]: each["value"] for each in sheet["fields"]})
        return fields, len(wanted)

    def track(self, leg):
        """Entries as the relay tells them anew, checked from the first on."""
        again = Leg(leg.request, leg.opening_bytes, leg.position)
        while True:
            receipts = self.link.call("TRACK", {"leg": leg.id, "ordinal": len(again.entries)})["receipts"]
            if not receipts:
                need(again.head == leg.head, "bad-proof")
                return [statement["event"] for statement, _ in again.entries]
            for receipt in receipts:
                self.take_receipt(leg.request, again, receipt)

