"""forge.py - a whole small world with keys of its own: relay, registrars, witnesses, parties, requests and what happened
to them. It makes bundles (PROTOCOL.md section 27) that hold, and, because it has all keys, bundles that lie.

Everything comes from the document: its grammar encodes the objects, its tables give states and labels. Nothing is shared
with the verifiers."""

import base64
import os
import random

from cbor import decode, encode
from document import EVENTS, LEAVES, STATES
from heads import COSIGNATURE, LOG, NoteKey, cosign
from seals import (SignKey, labelled, leaf_hash, legs_path, legs_root, seal_part, sign_joint, stamp, tree_root,
                   x_public)

BEGIN = 1767225600000
DAY = 86400000
JOINT = ("admission", "notice", "relay")
OBJECT = {"relay": "relaychange"}


# ---- trees: the maker's side ----

def split(n):
    return 1 << (n - 1).bit_length() - 1


def inclusion(hashes, index):
    """RFC 9162 section 2.1.3.1"""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return inclusion(hashes[:k], index) + [tree_root(hashes[k:])]
    return inclusion(hashes[k:], index - k) + [tree_root(hashes[:k])]


def consistency(hashes, old, whole=True):
    """RFC 9162 section 2.1.4.1"""
    if old == len(hashes):
        return [] if whole else [tree_root(hashes)]
    k = split(len(hashes))
    if old <= k:
        return consistency(hashes[:k], old, whole) + [tree_root(hashes[k:])]
    return consistency(hashes[k:], old - k, False) + [tree_root(hashes[:k])]


class Log:
    """Leaf hashes, and heads of any size of them."""

    def __init__(self, name, secret):
        self.key, self.secret, self.hashes = NoteKey(name, LOG, secret.public), secret, []

    def head(self, time, size=None, witnesses=(), root=None, more=""):
        size = len(self.hashes) if size is None else size
        root = tree_root(self.hashes[:size]) if root is None else root
        text = f"{self.key.name}\n{size}\n{base64.b64encode(root).decode()}\ntime {time}\n{more}".encode()
        note = text + b"\n" + self.key.line(self.secret.key.sign(text))
        for key, secret in witnesses:
            note = cosign(key, secret, note, time // 1000)
        return note


class Device:
    def __init__(self, post, role):
        self.post, self.role, self.sign = post, role, SignKey()
        self.transport = x_public(os.urandom(32))


class Party:
    def __init__(self, name):
        self.name, self.authority, self.next, self.recovery = name, SignKey(), SignKey(), SignKey()
        self.post_keys = {}


class Leg:
    """What happened to one leg so far, and how the relay keeps its books."""

    def __init__(self, request, to, position):
        self.request, self.to, self.position = request, to, position
        self.opening = encode("opening", {"salt": os.urandom(32), "to": to, "sequence": random.randrange(1, 1 << 40)})
        self.id = self.head = leaf_hash(self.opening)
        self.state, self.ordinal, self.receipts, self.notes = "NONE", 0, [], []

    def place(self):
        return {"opening": self.opening, "position": self.position}


class Request:
    def __init__(self, world, sender, to, body=True, parent=None, exercise=False, subject="Question", **more):
        self.world, self.keys = world, {1: os.urandom(32), 2: os.urandom(32)}
        self.header = {"version": 0, "request": os.urandom(16), "from": sender.post, "device": sender.sign.public,
                       "created": world.time, "keep_s": 604800, "precedence": 1, "exercise": exercise, **more}
        self.chunks = {}
        common = {"from": sender.post, "request": self.header["request"], "exercise": exercise}
        if parent:
            self.header["parent"] = {"header": parent.request.digest, "leg": parent.id}
        else:
            offer = encode("offer", {**common, "kind": 2, "subject": subject, "disclosure": 1})
            self.chunks[1], self.header["offer"] = seal_part(self.header, 1, self.keys[1], offer)
        if body:
            files = [{"length": 5}, {"name": "a.bin", "length": 70000}]
            plain = encode("manifest", {**common, "files": files}) + b"Hello" + bytes(range(250)) * 280
            self.chunks[2], self.header["body"] = seal_part(self.header, 2, self.keys[2], plain)
        self.legs = [Leg(self, post, position)
                     for post, position in zip(to, sorted(random.sample(range(1024), len(to))))]
        self.seed = os.urandom(32)
        self.leaves = {leg.position: leg.id for leg in self.legs}
        self.header["legs"] = legs_root(self.leaves, self.seed)
        self.sender = sender
        self.seal()

    def seal(self):
        payload = encode("header", self.header)
        self.digest = labelled("HEADER_DIGEST", payload)
        self.stamped = stamp("HEADER", self.sender.sign, payload)


class World:
    def __init__(self, witnesses=2, registrars=2, threshold=2, title=None):
        self.time = BEGIN
        self.registrars = [SignKey() for _ in range(registrars)]
        self.threshold, self.name, self.title = threshold, "relay.example", title
        self.log_key, self.statement = SignKey(), SignKey()
        self.witnesses = []
        for n in range(witnesses):
            secret = SignKey()
            self.witnesses.append((NoteKey(f"witness.example/w{n}", COSIGNATURE, secret.public), secret))
        self.curve = x_public(os.urandom(32))
        self.directory = Log(f"{self.name}/directory", self.log_key)
        self.evidence = Log(f"{self.name}/evidence", self.log_key)
        self.leaves, self.parties, self.devices = [], {}, {}

    def card(self, **more):
        """The canonical text. more: other lines in place of the own."""
        keys = sorted(key.public.hex() for key in self.registrars)
        fields = {"name": [self.name], "address": ["tcp://relay.example:5870"], "curve": [self.curve.hex()],
                  "statement": [self.statement.public.hex()], "log": [self.log_key.public.hex()], "registrar": keys,
                  "threshold": [str(self.threshold)], "witness": [key.verifier for key, _ in self.witnesses],
                  "witnesses": ["1"] if self.witnesses else [], **more}
        return "pouch-relay-card 0\n" + "".join(f"{name:<10} {value}\n" for name, values in fields.items()
                                                for value in values)

    # ---- the directory ----

    def tick(self, ms=1000):
        self.time += ms
        return self.time

    def leaf(self, kind, statement):
        data = encode("leaf", {"kind": LEAVES[kind], "statement": statement, "time": self.tick()})
        self.leaves.append(data)
        self.directory.hashes.append(leaf_hash(data))

    def declare(self, kind, key, what):
        payload = encode(OBJECT.get(kind, kind), {"created": self.time, **what} if kind != "device" else what)
        label = kind.upper()
        if kind in JOINT:
            self.leaf(kind, sign_joint(label, self.registrars[:self.threshold], payload))
        else:
            self.leaf(kind, stamp(label, key, payload))
        return leaf_hash(payload)

    def party(self, name):
        party = self.parties[name] = Party(name)
        next_ = labelled("NEXT_KEY", party.next.public)
        party.charter = self.declare("charter", party.authority,
                                     {"party": name, "name": self.title or name.upper(), "kind": 0, "next": next_,
                                      "authority": party.authority.public, "recovery": party.recovery.public})
        self.declare("admission", None, {"party": name, "action": 0, "charter": party.charter})
        return party

    def post(self, name):
        party = self.parties[name.partition("/")[0]]
        key, revoker = SignKey(), SignKey()
        party.post_keys[name] = key, revoker
        self.declare("post", party.authority, {"post": name, "functions": 4, "key": key.public, "revoker": revoker.public,
                                               "authority": party.authority.public})

    def device(self, post, role=0, days=300, countersigned=True):
        party = self.parties[post.partition("/")[0]]
        device = Device(post, role)
        key = party.post_keys[post][0]
        device.certificate = self.declare(
            "device", key, {"post": post, "device": device.sign.public, "transport": device.transport, "role": role,
                            "not_before": self.time - DAY, "not_after": self.time + days * DAY, "issuer": key.public})
        if countersigned:
            self.countersign(device, party.authority)
        return device

    def countersign(self, device, signer):
        self.declare("countersign", signer, {"certificate": device.certificate, "signer": signer.public})

    def revoke(self, device, signer=None, reason=1):
        signer = signer or self.parties[device.post.partition("/")[0]].authority
        self.declare("revocation", signer, {"post": device.post, "device": device.sign.public, "signer": signer.public,
                                            "reason": reason})

    def recover(self, genuine=True):
        """The registrars declare a loss: new keys, and both logs go on. The keys before it."""
        old = self.log_key, self.statement
        new = SignKey(), SignKey()
        hashes = self.directory.hashes
        self.declare("relay", None, {
            "action": 2, "addresses": [b"tcp://relay.example:5870"], "curve": self.curve, "size": len(self.leaves),
            "root": tree_root(hashes), "entries": len(self.evidence.hashes),
            "entries_root": tree_root(self.evidence.hashes), "log": new[0].public, "statement": new[1].public,
            "old_log": old[0].public, "old_statement": old[1].public})
        if genuine:
            self.use(*new)
        return old

    def use(self, log_key, statement):
        """Under which keys the relay signs from now on."""
        self.log_key, self.statement = log_key, statement
        for log in (self.directory, self.evidence):
            log.key, log.secret = NoteKey(log.key.name, LOG, log_key.public), log_key

    # ---- what happens ----

    def statement_of(self, leg, event, device, officer=True, leg_id=True, **more):
        said = {"event": EVENTS[event], "header": leg.request.digest, "device": device.sign.public, "officer": officer,
                "post": device.post, "time": self.time - 5, "nonce": os.urandom(16)} if device else {
                    "event": EVENTS[event], "header": leg.request.digest, "device": self.statement.public,
                    "officer": False, "time": self.time, "nonce": os.urandom(16)}
        if leg_id:
            said["leg"] = leg.id
        payload = encode("statement", {**said, **more})
        return leaf_hash(payload), stamp("STATEMENT", device.sign if device else self.statement, payload)

    def say(self, leg, event, to, device=None, entry=None, record=None, receipt=None, head_time=None, log=None,
            keep=True, **more):
        """One entry. entry, record, receipt: fields that the relay lies about."""
        self.tick()
        hashed, stamped = self.statement_of(leg, event, device, **more)
        fields = {"leg": leg.id, "ordinal": leg.ordinal, "previous": leg.head, "from": STATES[leg.state],
                  "to": STATES[to], "statement": hashed, "size": len(self.leaves), "time": self.time, **(entry or {})}
        data = encode("entry", fields)
        log = log or self.evidence
        log.hashes.append(leaf_hash(data))
        index = len(log.hashes) - 1
        note = encode("record", {"statement": hashed, "time": fields["time"], "entry": data, "index": index,
                                 **(record or {})})
        made = encode("receipt", {"statement": stamped, "record": stamp("RECORD", self.statement, note),
                                  "proof": inclusion(log.hashes, index),
                                  "checkpoint": log.head(head_time or self.time), **(receipt or {})})
        if keep:
            leg.receipts.append(made)
            leg.head, leg.ordinal, leg.state = leaf_hash(data), leg.ordinal + 1, to
        return made

    def note(self, leg, event, device=None, **more):
        """A device receipt."""
        self.tick()
        hashed, stamped = self.statement_of(leg, event, device, **more)
        record = encode("record", {"statement": hashed, "time": self.time})
        made = encode("receipt", {"statement": stamped, "record": stamp("RECORD", self.statement, record)})
        leg.notes.append((hashed, made))
        return made

    def noise(self, n=1):
        """Entries of others in the evidence log."""
        self.evidence.hashes += [os.urandom(32) for _ in range(n)]

    # ---- bundles ----

    def leaf_item(self, index, size):
        return {"index": index, "leaf": self.leaves[index], "path": inclusion(self.directory.hashes[:size], index)}

    def bundle(self, request, legs=None, parties=None, evidence=True, witnessed=True, opened=None, size=None, notes=True):
        """The object, before it is encoded: tests change it."""
        legs = request.legs if legs is None else legs
        size = len(self.leaves) if size is None else size
        names = {request.header["from"].partition("/")[0], *(leg.to.partition("/")[0] for leg in legs)}
        made = {
            "card": self.card(), "header": request.stamped,
            "legs": [{"place": leg.place(), "path": legs_path(request.leaves, request.seed, leg.position),
                      "receipts": list(leg.receipts),
                      "notes": [made for _, made in sorted(leg.notes)] if notes else []} for leg in legs],
            "directory": self.directory.head(self.time, size, self.witnesses if witnessed else ()),
            "leaves": [self.leaf_item(i, size) for i, name in enumerate(self.about()[:size])
                       if name in (parties or names) or not name],
            "steps": [],
        }
        if evidence:
            made["evidence"] = self.evidence.head(self.time, None, self.witnesses if witnessed else ())
            made["steps"] = self.steps(made)
        if opened:
            made["opened"] = {"part": opened, "key": request.keys[opened], "chunks": request.chunks[opened]}
        return made

    def steps(self, made):
        heads = [decode("receipt", receipt)["checkpoint"] for leg in made["legs"] for receipt in leg["receipts"]]
        sizes = sorted({int(head.split(b"\n")[1]) for head in heads})
        ends = sizes[1:] + [len(self.evidence.hashes)]
        return [{"size": a, "path": consistency(self.evidence.hashes[:b], a)} for a, b in zip(sizes, ends)]

    def about(self):
        """The party of which each leaf speaks."""
        names, found, certificates = {v: k for k, v in LEAVES.items()}, [], {}
        for data in self.leaves:
            leaf = decode("leaf", data)
            kind = names[leaf["kind"]]
            payload = decode("joint" if kind in JOINT else "stamped", leaf["statement"])["payload"]
            what = decode(OBJECT.get(kind, kind), payload)
            name = certificates.get(what.get("certificate")) or what.get("party") or what.get("post", "")
            certificates[leaf_hash(payload)] = name
            found.append(name.partition("/")[0])
        return found


def file(made):
    """The file of a bundle, its digest made anew."""
    data = encode("bundle", made)
    return seal(data)


def seal(data):
    return encode("bundlefile", {"bundle": data, "digest": labelled("BUNDLE", data)})
