"""Goal: the worked example of PROTOCOL.md follows from its keys by what the document says, computed by an
implementation that shares no code with the library."""

import base64
import hashlib
import unittest

from cbor import Refused, decode, encode, put, read_first
from document import EVENTS, GRAMMAR, LEAVES, MESSAGES, STATES, read_example
from heads import LOG, NoteKey
from seals import (SignKey, aead, check_sign_key, chunk_digests, fingerprint, hpke_context, labelled, leaf_hash,
                   legs_path, legs_root, open_note, open_part, open_wrap, path_root, reference,
                   seal_note, seal_part, seal_wraps, sig_structure, sign_joint, stamp, tree_root,
                   verify, wrap_info, x_public, x_shared)

TIME, DAY, POSITION = 1767225600000, 20454, 599
VALIDITY = 400 * 86400 * 1000


class Example(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.given = read_example()
        cls.used = set()
        cls.people = {}
        cls.hashes = []
        cls.steps = ["keys", "directory", "prekey", "content", "legs", "header", "wraps", "evidence", "frames", "card"]

    def take(self, name):
        self.used.add(name)
        return self.given[name]

    def equal(self, name, value):
        self.used.add(name)
        self.assertEqual(self.given[name], value, name)

    def test_every_value_follows(self):
        for step in self.steps:
            with self.subTest(step):
                getattr(self, step)()
        self.assertEqual(self.used, set(self.given), "every value of the example is accounted for")

    def key(self, name):
        key = SignKey(self.take(name + ".seed"))
        self.equal(name + ".key", key.public)
        check_sign_key(key.public)
        return key

    def keys(self):
        self.registrar, self.relay = self.key("registrar"), self.key("relay")
        for party in ("fj", "de"):
            keys = {what: self.key(f"{party}.{what}") for what in ("authority", "next", "post", "revoker", "device")}
            keys["transport"] = x_public(self.take(f"{party}.transport.secret"))
            self.equal(f"{party}.transport.key", keys["transport"])
            self.people[party] = keys

    def leaf(self, kind, label, key, payload):
        stamped = sign_joint(label, [key], payload) if kind == "admission" else stamp(label, key, payload)
        leaf = encode("leaf", {"kind": LEAVES[kind], "statement": stamped, "time": TIME})
        self.equal(f"leaf.{len(self.hashes)}", leaf)
        self.hashes.append(leaf_hash(leaf))
        return stamped

    def directory(self):
        for party, title in (("fj", "Fiji"), ("de", "Germany")):
            keys, post = self.people[party], party + "/technical"
            authority = keys["authority"].public
            charter = encode("charter", {"party": party, "name": title, "kind": 0, "authority": authority,
                                         "next": labelled("NEXT_KEY", keys["next"].public), "created": TIME})
            stamped = self.leaf("charter", "CHARTER", keys["authority"], charter)
            if party == "fj":
                self.show_charter(charter, stamped)
            self.leaf("admission", "ADMISSION", self.registrar, encode("admission", {
                "party": party, "action": 0, "charter": leaf_hash(charter), "created": TIME}))
            self.leaf("post", "POST", keys["authority"], encode("post", {
                "post": post, "functions": 4, "key": keys["post"].public, "authority": authority, "created": TIME,
                "revoker": keys["revoker"].public}))
            device = encode("device", {"post": post, "device": keys["device"].public, "role": 0,
                                       "transport": keys["transport"], "not_before": TIME,
                                       "not_after": TIME + VALIDITY, "issuer": keys["post"].public})
            self.leaf("device", "DEVICE", keys["post"], device)
            self.leaf("countersign", "COUNTERSIGN", keys["authority"], encode("countersign", {
                "certificate": leaf_hash(device), "signer": authority, "created": TIME}))
        self.root = tree_root(self.hashes)
        self.equal("directory.root", self.root)

    def show_charter(self, charter, stamped):
        self.equal("charter.payload", charter)
        self.equal("charter.hash", leaf_hash(charter))
        self.equal("charter.batch", encode("batch", {"size": 1, "root": leaf_hash(charter)}))
        self.equal("charter.sig_structure", sig_structure("CHARTER", 1, leaf_hash(charter)))
        self.equal("charter.signature", decode("stamped", stamped)["signature"])
        self.equal("charter.stamped", stamped)
        self.equal("charter.fingerprint", fingerprint(labelled("FINGERPRINT", charter)))
        self.assertEqual(verify("CHARTER", self.people["fj"]["authority"].public, stamped), charter)
        with self.assertRaises(Refused) as wrong:
            verify("POST", self.people["fj"]["authority"].public, stamped)
        self.assertEqual(wrong.exception.name, "bad-signature")

    def prekey(self):
        self.prekey_secret = self.take("de.prekey.secret")
        device = self.people["de"]["device"]
        payload = encode("prekey", {"device": device.public, "day": DAY, "key": x_public(self.prekey_secret)})
        self.prekey_id = leaf_hash(payload)[:16]
        self.equal("prekey.payload", payload)
        self.equal("prekey.id", self.prekey_id)
        self.equal("prekey.stamped", stamp("PREKEY", device, payload))

    def content(self):
        self.head = {"version": 0, "request": self.take("request.id"), "from": "fj/technical",
                     "device": self.people["fj"]["device"].public, "created": TIME, "keep_s": 7 * 86400,
                     "precedence": 1, "exercise": False}
        inside = {field: self.head[field] for field in ("from", "request", "exercise")}
        offer = encode("offer", {**inside, "kind": 0, "subject": "A worked example", "tlp": 2})
        self.equal("offer.object", offer)
        text = b"Bula vinaka.\n"
        body = encode("manifest", {**inside, "files": [{"length": len(text)}]}) + text
        self.equal("body.plain", body)
        self.chunks = {}
        for part, name, plain in ((1, "offer", offer), (2, "body", body)):
            key = self.take(name + ".key")
            chunks, self.head[name] = seal_part(self.head, part, key, plain)
            self.equal(name + ".aad", aead(self.head, part))
            self.equal(name + ".chunk", chunks[0])
            self.equal(name + ".chunk.digest", chunk_digests(chunks))
            self.equal(name + ".digest", self.head[name]["digest"])
            self.equal(name + ".commitment", self.head[name]["commitment"])
            self.assertEqual(open_part(self.head, part, key, chunks)[:len(plain)], plain)
            self.assertEqual(read_first(open_part(self.head, part, key, chunks))[0][1], 1)
            self.chunks[name] = chunks[0]

    def legs(self):
        opening = encode("opening", {"salt": self.take("opening.salt"), "to": "de/technical", "sequence": 1})
        self.leg = leaf_hash(opening)
        seed = self.take("legs.seed")
        self.head["legs"] = legs_root({POSITION: self.leg}, seed)
        path = legs_path({POSITION: self.leg}, seed, POSITION)
        self.place = {"opening": opening, "position": POSITION}
        self.equal("opening", opening)
        self.equal("leg.id", self.leg)
        self.equal("leg.path", b"".join(path))
        self.equal("legs.root", self.head["legs"])
        self.equal("place", encode("place", self.place))
        self.assertEqual(path_root(self.leg, POSITION, 1024, path), self.head["legs"])

    def header(self):
        payload = encode("header", self.head)
        self.digest = labelled("HEADER_DIGEST", payload)
        self.stamped = stamp("HEADER", self.people["fj"]["device"], payload)
        self.equal("header.payload", payload)
        self.equal("header.digest", self.digest)
        self.equal("header.reference", reference(self.digest))
        self.equal("header.stamped", self.stamped)

    def wraps(self):
        device, de = self.people["fj"]["device"], self.people["de"]["device"]
        keys = {"offer_key": self.take("offer.key"), "body_key": self.take("body.key"), "voids": []}
        wrapset = {"header": self.digest, "leg": self.leg, "generation": 1, "size": 10, "root": self.root,
                   "signer": device.public}
        ephemeral, prekey = self.take("hpke.ephemeral.secret"), x_public(self.prekey_secret)
        payload = seal_wraps(wrapset, keys, [(de.public, self.prekey_id, prekey)], ephemeral)
        self.equal("wrapped", encode("wrapped", keys))
        opened = decode("wrapset", payload)
        wrap = opened["wraps"][0]
        info = wrap_info(wrapset, wrap)
        self.equal("wrap.info", info)
        self.equal("wrap.enc", wrap["enc"])
        key, nonce = hpke_context(x_shared(ephemeral, prekey), wrap["enc"], prekey, info)
        self.equal("hpke.key", key)
        self.equal("hpke.base_nonce", nonce)
        self.equal("wrap.ciphertext", wrap["ciphertext"])
        self.equal("wrapset.payload", payload)
        self.wrapset = stamp("WRAPSET", device, payload)
        self.equal("wrapset.stamped", self.wrapset)
        found = open_wrap(opened, de.public, {self.prekey_id: self.prekey_secret})
        self.assertEqual((found["offer_key"], found["body_key"]), (keys["offer_key"], keys["body_key"]))

    def receipt(self, name, words, signer, step, previous):
        ordinal, before, after = step
        statement = encode("statement", {**words, "header": self.digest, "leg": self.leg, "device": signer.public,
                                         "time": TIME, "nonce": self.take(name + ".nonce")})
        entry = encode("entry", {"leg": self.leg, "ordinal": ordinal, "previous": previous, "from": STATES[before],
                                 "to": STATES[after], "statement": leaf_hash(statement), "size": 10, "time": TIME})
        record = encode("record", {"statement": leaf_hash(statement), "time": TIME, "entry": entry, "index": ordinal})
        self.equal(name + ".statement", statement)
        self.equal(name + ".statement.hash", leaf_hash(statement))
        self.equal(name + ".entry", entry)
        self.equal(name + ".entry.hash", leaf_hash(entry))
        self.equal(name + ".record", record)
        self.log.append(leaf_hash(entry))
        key, size = NoteKey("relay.example/evidence", LOG, self.relay.public), len(self.log)
        text = f"{key.name}\n{size}\n{base64.b64encode(tree_root(self.log)).decode()}\ntime {TIME}\n".encode()
        checkpoint = text + b"\n" + key.line(self.relay.key.sign(text))
        self.equal(name + ".checkpoint", checkpoint)
        proof = self.log[:-1]  # of the newest of two entries: the other one
        self.assertEqual(path_root(self.log[-1], ordinal, size, proof), tree_root(self.log))
        self.equal(name + ".receipt", encode("receipt", {"statement": stamp("STATEMENT", signer, statement),
                                                         "record": stamp("RECORD", self.relay, record),
                                                         "proof": proof, "checkpoint": checkpoint}))
        return leaf_hash(entry)

    def evidence(self):
        self.log = []
        words = {"event": EVENTS["STORED"], "officer": False}
        head = self.receipt("stored", words, self.relay, (0, "NONE", "STORED"), self.leg)
        key, nonce, words = self.take("offer.key"), self.take("declined.nonce"), "No capacity today."
        note = seal_note(key, nonce, self.digest, self.leg, words)
        self.equal("declined.note", note)
        self.assertEqual(open_note(key, nonce, self.digest, self.leg, note), words)
        declined = {"event": EVENTS["DECLINED"], "post": "de/technical", "officer": True, "reason": 17, "seen": head,
                    "note": note}
        self.receipt("declined", declined, self.people["de"]["device"], (1, "STORED", "DECLINED"), head)

    def frames(self):
        hello = encode("hello", {"version": 0, "size": 0})
        self.equal("hello.frame", encode("frame", {"type": MESSAGES["HELLO"][0], "number": 1, "body": hello}))
        chunks = [{"header": self.digest, "part": part, "index": 0, "data": self.chunks[name]} for part, name in
                  ((1, "offer"), (2, "body"))]
        submit = encode("submit", {"header": self.stamped, "places": [self.place], "seed": self.take("legs.seed"),
                                   "wrapsets": [self.wrapset], "offer_digests": chunk_digests([self.chunks["offer"]]),
                                   "body_digests": chunk_digests([self.chunks["body"]]), "chunks": chunks})
        frame = encode("frame", {"type": MESSAGES["SUBMIT"][0], "number": 2, "body": submit})
        self.equal("submit.frame.sha256", hashlib.sha256(frame).digest())

    def card(self):
        relay = self.relay.public.hex()
        lines = [("name", "relay.example"), ("address", "tcp://relay.example:5870"),
                 ("curve", self.people["fj"]["transport"].hex()), ("statement", relay), ("log", relay),
                 ("registrar", self.registrar.public.hex()), ("threshold", "1")]
        text = ["pouch-relay-card 0"] + [f"{field:10} {value}" for field, value in lines]
        self.equal("card", "".join(text))
        digest = labelled("CARD", "".join(line + "\n" for line in text).encode())
        self.equal("card.digest", digest)
        self.equal("card.fingerprint", fingerprint(digest))
        phrase = labelled("PHRASE", digest + (10).to_bytes(8, "big") + self.root)
        self.equal("phrase.digest", phrase)
        self.equal("phrase.digits", fingerprint(phrase))


class Strictness(unittest.TestCase):
    """Section 3, by this implementation: so that what it lets through is a finding."""

    def refuses(self, name, data, kind="hello"):
        with self.assertRaises(Refused) as caught:
            decode(kind, bytes.fromhex(data))
        self.assertEqual(caught.exception.name, name, data)

    def test_what_is_not_the_one_encoding_is_refused(self):
        self.assertEqual(decode("hello", bytes.fromhex("a201000200")), {"version": 0, "size": 0})
        self.refuses("non-canonical", "a20118000200")
        self.refuses("non-canonical", "a202000100")
        self.refuses("non-canonical", "bf01000200ff")
        self.refuses("unknown-field", "a3010002000300")
        self.refuses("missing-field", "a10100")
        self.refuses("trailing-bytes", "a20100020000")
        self.refuses("truncated", "a2010002")
        self.refuses("malformed", "a20141000200")
        self.refuses("out-of-range", "a2011901000200")
        self.refuses("unknown-suite", put({1: 2, 2: bytes(32), 3: 0, 4: bytes(32)}).hex(), "prekey")

    def test_every_object_of_the_grammar_is_named_by_a_field_table(self):
        self.assertGreater(len(GRAMMAR), 40)

    def test_a_key_outside_the_subgroup_is_refused(self):
        check_sign_key(bytes.fromhex("58" + "66" * 31))
        for bad in ("95" + "99" * 31, "01" + "00" * 31, "ff" * 32):
            with self.assertRaises(Refused):
                check_sign_key(bytes.fromhex(bad))


if __name__ == "__main__":
    unittest.main(verbosity=2)
