#!/usr/bin/python3
"""pouch-verify - checks a bundle: evidence about one request, in one file (PROTOCOL.md section 27).

    pouch-verify.py FILE [--card CARD] [--json]

This is the second opinion. It shares no code with the programs that make bundles, and is written to be read whole, by an
auditor, in an hour. It needs no network and writes nothing. Beside Python's own modules it uses one package of Debian's
(python3-nacl: Ed25519, X25519, ChaCha20-Poly1305); hashes are Python's.

Exit 0: everything in the file holds, and what it proves is printed. Exit 4: something does not hold; the reason, and where.
What holds is printed in the same JSON as by `pouch verify --json`.

Read it from the end: verify() is the order of section 27. Numbers in brackets are sections of PROTOCOL.md. Every check ends in
refuse(name), with the name of section 19.

Parts:  1 strict CBOR   2 objects   3 hashes and trees   4 signatures   5 card and heads   6 the directory
        7 header and legs   8 receipts   9 one log   10 opened content   11 what is proven   12 the program
"""

import base64
import hashlib
import hmac
import json
import re
import sys
from time import gmtime, strftime
from types import SimpleNamespace

import nacl.bindings
import nacl.exceptions


class Refused(Exception):
    def __init__(self, name):
        super().__init__(name)
        self.name = name


def refuse(name):
    raise Refused(name)


def need(condition, name):
    if not condition:
        refuse(name)


# ---- 1 strict CBOR [3]: one encoding for each value, nothing but unsigned numbers, strings, arrays, maps, booleans ----

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def head(self):
        need(self.left() >= 1, "truncated")
        major, info = self.data[self.at] >> 5, self.data[self.at] & 31
        need(info < 28, "non-canonical" if info == 31 else "malformed")
        extra = 0 if info < 24 else 1 << (info - 24)
        need(self.left() - 1 >= extra, "truncated")
        value = int.from_bytes(self.data[self.at + 1:self.at + 1 + extra], "big") if extra else info
        if major == 7:
            need(info < 24, "malformed")
        elif extra:  # it must not fit a shorter form
            need(value >= (24 if extra == 1 else 1 << 4 * extra), "non-canonical")
        self.at += 1 + extra
        return major, value

    def expect(self, major):
        got, value = self.head()
        need(got == major, "malformed")
        return value

    def string(self, major, most):
        n = self.expect(major)
        need(n <= self.left(), "truncated")
        need(n <= most, "out-of-range")
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def count(self, major, least, most):
        n = self.expect(major)
        need(n <= self.left() // least, "truncated")
        need(n <= most, "out-of-range")
        return n

    def end(self):
        need(self.left() == 0, "trailing-bytes")


def head_of(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    size = next(n for n in (1, 2, 4, 8) if value < 1 << 8 * n)
    return bytes([major << 5 | 23 + size.bit_length()]) + value.to_bytes(size, "big")


# ---- 2 objects [6]: the grammar. Each type is a function that reads one value of it ----

def number(lo, hi):
    def read(cursor):
        value = cursor.expect(0)
        need(lo <= value <= hi, "out-of-range")
        return value
    return read


def string(most):
    return lambda cursor: cursor.string(2, most)


def fixed(n):
    def read(cursor):
        value = cursor.string(2, n)
        need(len(value) == n, "out-of-range")
        return value
    return read


def text(most):
    def read(cursor):
        try:
            return cursor.string(3, most).decode("utf-8")
        except UnicodeDecodeError:
            refuse("bad-text")
    return read


def listed(kind, most):
    return lambda cursor: [kind(cursor) for _ in range(cursor.count(4, 1, most))]


def boolean(cursor):
    value = cursor.expect(7)
    need(value in (20, 21), "malformed")
    return value == 21


def suite(cursor):
    need(cursor.expect(0) == 1, "unknown-suite")


def sub(name):
    return lambda cursor: read_object(name, cursor)


U63, time, key, digest = (1 << 63) - 1, number(0, (1 << 64) - 1), fixed(32), fixed(32)
count = number(0, U63)
post_name, party_name = text(65), text(32)

# object: {number of the field: (name, type)}; a name that ends in ? may be absent.
OBJECTS = {
    "stamped": {1: ("payload", string(24576)), 2: ("index", number(0, 65535)), 3: ("size", number(1, 65536)),
                4: ("path", listed(digest, 16)), 5: ("signature", string(96))},
    "signer": {1: ("key", key), 2: ("signature", string(96))},
    "joint": {1: ("payload", string(1024)), 2: ("signers", listed(sub("signer"), 16))},
    # the directory
    "leaf": {1: ("kind", number(1, 255)), 2: ("statement", string(4096)), 3: ("time", time)},
    "charter": {1: ("suite", suite), 2: ("party", party_name), 3: ("name", text(256)), 4: ("kind", number(0, 2)),
                5: ("authority", key), 6: ("next", digest), 7: ("created", time), 8: ("recovery?", key)},
    "admission": {1: ("suite", suite), 2: ("party", party_name), 3: ("action", number(0, 3)), 4: ("charter?", digest),
                  6: ("created", time), 7: ("reason?", text(512)), 8: ("legs?", number(0, (1 << 32) - 1)),
                  9: ("bytes?", count), 10: ("name?", text(256)), 11: ("kind?", number(0, 2))},
    "post": {1: ("suite", suite), 2: ("post", post_name), 3: ("functions", number(1, 7)), 4: ("key", key),
             5: ("authority", key), 6: ("created", time), 7: ("revoker?", key)},
    "device": {1: ("suite", suite), 2: ("post", post_name), 3: ("device", key), 4: ("transport", key),
               5: ("role", number(0, 2)), 6: ("not_before", time), 7: ("not_after", time), 8: ("issuer", key)},
    "countersign": {1: ("suite", suite), 2: ("certificate", digest), 3: ("signer", key), 4: ("created", time)},
    "revocation": {1: ("suite", suite), 2: ("post", post_name), 3: ("device?", key), 4: ("signer", key),
                   5: ("reason", number(0, 255)), 6: ("created", time)},
    "succession": {1: ("suite", suite), 2: ("party", party_name), 3: ("action", number(0, 3)), 4: ("signer", key),
                   5: ("created", time), 6: ("authority?", key), 7: ("next?", digest), 8: ("recovery?", key),
                   9: ("notice?", digest)},
    "departure": {1: ("suite", suite), 2: ("party", party_name), 3: ("authority", key), 4: ("created", time),
                  5: ("reason?", text(512))},
    "split": {1: ("suite", suite), 2: ("post", post_name), 3: ("action", number(0, 1)),
              4: ("into", listed(string(65), 8)), 5: ("authority", key), 6: ("created", time)},
    "notice": {1: ("suite", suite), 2: ("party", party_name), 3: ("authority", key), 4: ("next", digest),
               5: ("created", time), 6: ("reason?", text(512)), 7: ("recovery?", key)},
    "contact": {1: ("suite", suite), 2: ("post", post_name), 3: ("device", key), 4: ("commitments", listed(digest, 8)),
                5: ("created", time)},
    "relaychange": {1: ("suite", suite), 2: ("action", number(1, 2)), 3: ("addresses", listed(string(127), 8)),
                    4: ("curve", key), 5: ("created", time), 6: ("reason?", text(512)), 7: ("log?", key),
                    8: ("statement?", key), 9: ("size?", count), 10: ("root?", digest), 11: ("entries?", count),
                    12: ("entries_root?", digest), 13: ("old_log?", key), 14: ("old_statement?", key)},
    # a request
    "part": {1: ("length", number(1, 1 << 40)), 2: ("digest", digest), 3: ("commitment", digest)},
    "parent": {1: ("header", digest), 2: ("leg", digest)},
    "header": {1: ("suite", suite), 2: ("version", number(0, 0)), 3: ("request", fixed(16)), 4: ("from_", post_name),
               5: ("device", key), 6: ("parent?", sub("parent")), 7: ("created", time),
               8: ("keep_s", number(1, 31622400)), 9: ("answer_by?", time), 10: ("precedence", number(0, 3)),
               11: ("exercise", boolean), 12: ("offer?", sub("part")), 13: ("body?", sub("part")), 14: ("legs", digest)},
    "opening": {1: ("suite", suite), 2: ("salt", fixed(32)), 3: ("to", post_name), 4: ("sequence", number(1, U63))},
    "place": {1: ("opening", string(160)), 2: ("position", number(0, 1023))},
    # what happened to it
    "statement": {1: ("suite", suite), 2: ("event", number(1, 255)), 3: ("header", digest), 4: ("leg?", digest),
                  5: ("post?", post_name), 6: ("device", key), 7: ("officer", boolean), 8: ("time", time),
                  9: ("nonce", fixed(16)), 10: ("reason?", number(0, 65535)),
                  11: ("generation?", number(1, (1 << 32) - 1)), 12: ("seen?", digest), 13: ("note?", string(1104)),
                  14: ("forward?", post_name), 15: ("disclosure?", boolean), 16: ("grace?", number(1, (1 << 32) - 1))},
    "entry": {1: ("suite", suite), 2: ("leg", digest), 3: ("ordinal", number(0, (1 << 32) - 1)), 4: ("previous", digest),
              5: ("from_", number(0, 255)), 6: ("to", number(0, 255)), 7: ("statement", digest), 8: ("size", count),
              9: ("time", time)},
    "record": {1: ("suite", suite), 2: ("statement", digest), 3: ("time", time), 4: ("entry?", string(256)),
               5: ("index?", count)},
    "receipt": {1: ("statement", string(2816)), 2: ("record", string(1792)), 3: ("proof?", listed(digest, 64)),
                4: ("checkpoint?", string(4096))},
    # the bundle
    "bundleleg": {1: ("place", sub("place")), 2: ("path", listed(digest, 10)), 3: ("receipts", listed(string(8192), 4096)),
                  4: ("notes", listed(string(8192), 4096))},
    "bundleleaf": {1: ("index", count), 2: ("leaf", string(4160)), 3: ("path", listed(digest, 64))},
    "bundlestep": {1: ("size", number(1, U63)), 2: ("path", listed(digest, 64))},
    "bundlepart": {1: ("part", number(1, 2)), 2: ("key", key), 3: ("chunks", listed(string(65552), (1 << 32) - 1))},
    "bundle": {1: ("suite", suite), 2: ("card", text(16384)), 3: ("header", string(1792)),
               4: ("legs", listed(sub("bundleleg"), 1024)), 5: ("directory", string(8192)),
               6: ("leaves", listed(sub("bundleleaf"), 65536)), 7: ("evidence?", string(8192)),
               8: ("steps", listed(sub("bundlestep"), 65536)), 9: ("opened?", sub("bundlepart"))},
    "bundlefile": {1: ("bundle", string(1 << 28)), 2: ("digest", digest)},
    # content
    "offer": {1: ("suite", suite), 2: ("from_", post_name), 3: ("request", fixed(16)), 4: ("exercise", boolean),
              5: ("kind", number(0, 4)), 6: ("subject", text(512)), 7: ("tlp?", number(0, 4)), 8: ("pap?", number(0, 3)),
              9: ("language?", text(35)), 10: ("summary?", text(16384)), 11: ("disclosure?", number(0, 1)),
              12: ("checkpoint?", string(4096)), 13: ("recipients?", text(65536))},
    "file": {1: ("name?", text(255)), 2: ("length", number(0, 1 << 40))},
    "manifest": {1: ("suite", suite), 2: ("from_", post_name), 3: ("request", fixed(16)), 4: ("exercise", boolean),
                 5: ("files", listed(sub("file"), 64)), 6: ("checkpoint?", string(4096))},
}


def read_object(name, cursor):
    """A map with exactly the fields of the table: required ones present, no others, in rising order."""
    fields, values, last = OBJECTS[name], {}, -1
    pairs = cursor.count(5, 2, 64)
    waiting = sorted(fields)
    for _ in range(pairs):
        field = cursor.expect(0)
        need(field > last, "non-canonical")
        last = field
        while waiting and waiting[0] < field:
            need(fields[waiting.pop(0)][0].endswith("?"), "missing-field")
        need(waiting and waiting[0] == field, "unknown-field")
        label, read = fields[waiting.pop(0)]
        values[label.rstrip("?")] = read(cursor)
    need(all(fields[field][0].endswith("?") for field in waiting), "missing-field")
    for label, _ in fields.values():
        values.setdefault(label.rstrip("?"), None)
    return SimpleNamespace(**values)


def decode(name, data):
    cursor = Cursor(data)
    value = read_object(name, cursor)
    cursor.end()
    return value


# ---- 3 hashes and trees [4] ----

def labelled(label, data):
    return hashlib.blake2b(b"pouch/0 " + label + b"\0" + data, digest_size=32).digest()


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_by_path(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2, up to the root."""
    need(index < size, "bad-proof")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        need(sn > 0, "bad-proof")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "bad-proof")
    return r


def check_consistency(first, first_root, second, second_root, path):
    """RFC 9162 section 2.1.4.2."""
    need(0 < first <= second, "bad-proof")
    if first == second:
        need(not path and first_root == second_root, "bad-proof")
        return
    if first & (first - 1) == 0:
        path = [first_root] + path
    need(path, "bad-proof")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        need(sn > 0, "bad-proof")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and fr == first_root and sr == second_root, "bad-proof")


def root_of(hashes):
    """RFC 9162 section 2.1.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:half]), root_of(hashes[half:]))


# ---- 4 signatures [5] ----

SIGN1 = bytes.fromhex("d28443a10132a0f65840")  # COSE_Sign1, protected {1: -19}, detached, up to the 64 bytes of Ed25519


def is_sign_key(data):
    """A canonical point of the prime-order subgroup, not the identity."""
    return nacl.bindings.crypto_core_ed25519_is_valid_point(data)


def is_curve_key(data):
    try:  # of small order: no shared secret
        nacl.bindings.crypto_scalarmult(bytes([8]) + bytes(31), data)
        return True
    except (RuntimeError, nacl.exceptions.CryptoError):
        return False


def ed25519(public, message, signature):
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
        return True
    except nacl.exceptions.CryptoError:
        return False


def check_sign1(label, public, payload, sign1):
    need(len(sign1) == len(SIGN1) + 64 and sign1.startswith(SIGN1), "malformed")
    aad = b"pouch/0 " + label
    signed = (head_of(4, 4) + head_of(3, 10) + b"Signature1" + head_of(2, 3) + bytes.fromhex("a10132") +
              head_of(2, len(aad)) + aad + head_of(2, len(payload)) + payload)
    if not ed25519(public, signed, sign1[len(SIGN1):]):
        refuse("bad-signature" if is_sign_key(public) else "bad-key")


def check_stamped(label, public, data):
    """One signature over the root of a tree, in which the payload is a leaf. Gives the payload."""
    stamped = decode("stamped", data)
    need(len(stamped.signature) == len(SIGN1) + 64 and stamped.signature.startswith(SIGN1), "malformed")
    root = root_by_path(leaf_hash(stamped.payload), stamped.index, stamped.size, stamped.path)
    batch = head_of(5, 2) + head_of(0, 1) + head_of(0, stamped.size) + head_of(0, 2) + head_of(2, 32) + root
    check_sign1(label, public, batch, stamped.signature)
    return stamped.payload


def open_joint(data):
    joint = decode("joint", data)
    keys = [signer.key for signer in joint.signers]
    need(all(a < b for a, b in zip(keys, keys[1:])), "non-canonical")
    return joint


# ---- 5 card [17] and heads [22, 26] ----

def is_party(name):
    return re.fullmatch(r"[a-z][a-z0-9.-]{0,31}", name) is not None


def is_post(name):
    party, slash, desk = name.partition("/")
    return bool(slash) and is_party(party) and re.fullmatch(r"[a-z][a-z0-9-]{0,31}", desk) is not None


def party_of(name):
    return name.partition("/")[0]


def is_address(data):
    return 1 <= len(data) <= 127 and all(0x21 <= c <= 0x7e for c in data)


WHITE = set(map(chr, [*range(9, 14), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029, 0x202f, 0x205f,
                      0x3000]))


def is_key_name(name):
    return (1 <= len(name.encode()) <= 255 and
            not any(c in WHITE or c == "+" or c < " " for c in name))


def unbase64(data):
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        refuse("malformed")
    need(base64.b64encode(raw).decode() == data, "malformed")  # stray bits
    return raw


def note_key(name, algorithm, public):
    hashed = hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]
    return SimpleNamespace(name=name, algorithm=algorithm, key=public, hash=hashed)


def read_witness(value):
    name, _, rest = value.partition("+")
    hashed, plus, blob = rest.partition("+")
    need(plus, "malformed")
    need(is_key_name(name), "bad-text")
    raw = unbase64(blob)
    need(raw[:1] == b"\4", "unknown-suite")
    need(len(raw) == 33, "malformed")
    made = note_key(name, 4, raw[1:])
    need(is_sign_key(raw[1:]) and made.hash.hex() == hashed, "bad-key")
    return made


def read_number(value, most):
    need(re.fullmatch(r"[1-9][0-9]{0,8}", value) and int(value) <= most, "out-of-range")
    return int(value)


def read_sign_key(value):
    need(re.fullmatch(r"[0-9a-fA-F]{64}", value) and is_sign_key(bytes.fromhex(value)), "bad-key")
    return bytes.fromhex(value)


def read_card(whole):
    """The card, and as `text` its canonical text. A card from elsewhere may have blanks, comments and another order."""
    lines = []
    for line in whole.split("\n"):
        words = [word for word in re.split("[ \t\r]+", line) if word]
        if not words or words[0].startswith("#"):
            continue
        need(len(words) == 2 or (len(words) > 2 and words[2].startswith("#")), "malformed")
        lines.append(words[:2])
    need(lines and lines[0] == ["pouch-relay-card", "0"], "malformed")
    found = {}
    for field, value in lines[1:]:
        found.setdefault(field, []).append(value)
    most = {"name": 1, "address": 8, "curve": 1, "statement": 1, "log": 1, "registrar": 16, "threshold": 1, "witness": 16,
            "witnesses": 1, "freshness": 1}
    need(not set(found) - set(most), "unknown-field")
    need(all(len(found[field]) <= most[field] for field in found), "out-of-range")
    need(not set(list(most)[:7]) - set(found), "missing-field")
    need(all(len(set(values)) == len(values) for values in found.values()), "malformed")
    name, curve = found["name"][0], found["curve"][0]
    need(re.fullmatch(r"[A-Za-z0-9.-]{1,63}", name), "bad-text")
    need(all(is_address(address.encode()) for address in found["address"]), "bad-text")
    need(re.fullmatch(r"[0-9a-fA-F]{64}", curve) and is_curve_key(bytes.fromhex(curve)), "bad-key")
    witnesses = [read_witness(value) for value in found.get("witness", [])]
    need(len({w.name for w in witnesses}) == len({w.key for w in witnesses}) == len(witnesses), "malformed")
    card = SimpleNamespace(
        name=name, statement=read_sign_key(found["statement"][0]), log=read_sign_key(found["log"][0]),
        registrars=sorted(map(read_sign_key, found["registrar"])), threshold=read_number(found["threshold"][0], 16),
        witnesses=sorted(witnesses, key=lambda w: w.name.encode()))
    need(card.threshold <= len(card.registrars), "out-of-range")
    quorum = read_number(found["witnesses"][0], 16) if "witnesses" in found else 0
    need(quorum <= len(witnesses), "out-of-range")
    freshness = read_number(found["freshness"][0], 31622400) if "freshness" in found else 86400
    by_name = sorted(found.get("witness", []), key=lambda w: w.partition("+")[0].encode())
    fields = ([("name", name)] + [("address", a) for a in sorted(found["address"])] +
              [("curve", curve.lower()), ("statement", card.statement.hex()), ("log", card.log.hex())] +
              [("registrar", key.hex()) for key in card.registrars] + [("threshold", str(card.threshold))] +
              [("witness", w) for w in by_name] + ([("witnesses", str(quorum))] if quorum else []) +
              ([("freshness", str(freshness))] if freshness != 86400 else []))
    card.text = "pouch-relay-card 0\n" + "".join(f"{field:<10} {value}\n" for field, value in fields)
    card.hash = labelled(b"card", card.text.encode())
    return card


def with_keys(card, log, statement):
    return SimpleNamespace(**{**vars(card), "log": log, "statement": statement})


def same_registrars(a, b):
    return (a.name, a.threshold, a.registrars) == (b.name, b.threshold, b.registrars)


def open_head(card, log, data, witnesses):
    """A signed head of one of the relay's logs, with the log's line first, then at most lines of the card's witnesses."""
    need(len(data) <= 8192, "out-of-range")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        refuse("bad-text")
    need(not any(c < " " and c != "\n" for c in whole), "bad-text")
    end = whole.rfind("\n\n")
    need(end >= 0, "malformed")
    body, lines = whole[:end + 1], whole[end + 2:].split("\n")
    need(lines.pop() == "" and lines, "malformed")
    need(len(lines) <= 64, "out-of-range")
    signatures = []
    for line in lines:
        need(line.startswith("\u2014 "), "malformed")
        name, blank, blob = line[2:].partition(" ")
        need(blank, "malformed")
        need(is_key_name(name), "bad-text")
        raw = unbase64(blob)
        need(len(raw) > 4, "malformed")
        signatures.append((name, raw[:4], raw[4:]))
    own = note_key(f"{card.name}/{log}", 1, card.log)
    words = {}
    for known in [own] + card.witnesses:
        for name, hashed, signature in signatures:
            if (name, hashed) == (known.name, known.hash):
                words[known.name] = check_line(known, body.encode(), signature)
    need(own.name in words, "bad-signature")
    head = read_checkpoint(own.name, body)
    known = [(w.name, w.hash) for w in [own] + (card.witnesses if witnesses else [])]
    shown = [(name, hashed) for name, hashed, _ in signatures]
    need(shown[0] == known[0] and len(set(shown)) == len(shown) and not set(shown) - set(known), "malformed")
    head.witnesses = [w for w in card.witnesses if w.name in words]
    return head


def check_line(known, body, signature):
    if known.algorithm == 4:  # a cosignature: its time, and the signature over it and the text
        need(len(signature) == 72, "bad-signature")
        at = int.from_bytes(signature[:8], "big")
        need(at <= U63, "bad-signature")
        body, signature = b"cosignature/v1\ntime %d\n" % at + body, signature[8:]
    need(len(signature) == 64 and ed25519(known.key, body, signature), "bad-signature")
    return True


def read_checkpoint(origin, body):
    lines = body.split("\n")
    need(len(lines) >= 4 and lines[0], "malformed")
    need(re.fullmatch(r"0|[1-9][0-9]*", lines[1]), "malformed")
    need(int(lines[1]) <= U63, "out-of-range")
    root = unbase64(lines[2])
    need(len(root) == 32 and all(lines[3:-1]), "malformed")
    need(lines[0] == origin, "mismatch")
    need(len(lines) == 5 and re.fullmatch(r"time (0|[1-9][0-9]*)", lines[3]), "malformed")
    need(int(lines[3][5:]) <= U63, "out-of-range")
    return SimpleNamespace(size=int(lines[1]), root=root, time=int(lines[3][5:]))


# ---- 6 the directory [7], as far as the file shows it: leaves of other parties are missing ----

DAY, DEVICE_LIFE, NOTICE_TIME, FOREVER = 86400000, 400 * 86400000, 14 * 86400000, 1 << 64
DECIDER, READER, BELL = 0, 1, 2
LABELS = {1: b"charter", 2: b"admission", 3: b"post", 4: b"device", 5: b"countersignature", 6: b"revocation",
          7: b"succession", 8: b"departure", 9: b"split", 10: b"notice", 11: b"contact", 12: b"relay"}
JOINT = {2, 10, 12}


def titled(name):
    return not any(c < " " or c == "\x7f" for c in name)


class Directory:
    """apply() takes one leaf, or refuses it by the rule that it breaks. Sizes are one more than a leaf's index."""

    def __init__(self, card):
        self.card, self.parties, self.posts, self.devices, self.certificates = card, {}, {}, {}, {}
        self.keys, self.statements, self.relay_created, self.recoveries = set(card.registrars), set(), 0, []
        self.size, self.last, self.hashes = 0, 0, []  # hashes: as long as no leaf is missing

    def apply(self, index, data, concerned):
        leaf = decode("leaf", data)
        need(leaf.kind in LABELS, "unknown-version")
        joint = leaf.kind in JOINT
        self.payload = (open_joint(leaf.statement) if joint else decode("stamped", leaf.statement)).payload
        kinds = ["charter", "admission", "post", "device", "countersign", "revocation", "succession", "departure",
                 "split", "notice", "contact", "relaychange"]
        kind = kinds[leaf.kind - 1]
        said = decode(kind, self.payload)
        self.check_concern(kind, said, concerned)
        need(leaf.time >= self.last, "out-of-range")
        self.hash = leaf_hash(self.payload)
        need(self.hash not in self.statements, "conflict")
        self.kind, self.signed, self.now, self.index = leaf.kind, leaf.statement, leaf.time, index
        fresh = getattr(self, kind)(said)
        self.statements.add(self.hash)
        self.keys.update(fresh or ())
        self.hashes = self.hashes + [leaf_hash(data)] if self.hashes is not None and index == self.size else None
        self.size, self.last = index + 1, leaf.time

    def check_concern(self, kind, said, concerned):
        if kind == "relaychange":
            return
        name = getattr(said, "party", None) or getattr(said, "post", None)
        if kind == "countersign":
            need(said.certificate in self.certificates, "unknown-device")
            name = self.certificates[said.certificate].post.name
        need(name is not None and party_of(name) in concerned, "mismatch")

    # -- signatures and keys

    def by(self, public):
        check_stamped(LABELS[self.kind], public, self.signed)

    def by_registrars(self):
        joint = open_joint(self.signed)
        for signer in joint.signers:
            need(signer.key in self.card.registrars, "unknown-registrar")
            check_sign1(LABELS[self.kind], signer.key, joint.payload, signer.signature)
        need(len(joint.signers) >= self.card.threshold, "too-few-signers")

    def new_key(self, public):
        need(is_sign_key(public), "bad-key")
        need(public not in self.keys, "conflict")

    def recovery_key(self, party, authority, public):
        need(public != authority, "conflict")
        if public != party.recovery:
            self.new_key(public)

    def younger(self, created, last):
        need(created > last and created <= self.now + DAY, "stale-statement")

    def find_party(self, name, admitted=True):
        need(name in self.parties, "unknown-party")
        need(not admitted or self.parties[name].admitted, "not-admitted")
        return self.parties[name]

    def find_post(self, name):
        need(name in self.posts, "unknown-post")
        return self.posts[name]

    # -- parties

    def fresh_party(self, name):
        return self.parties.get(name) or SimpleNamespace(
            name=name, nominated=False, admitted=False, departed=False, ordered=0, noticed=0, notice=None, recovery=None)

    def charter(self, said):
        need(is_party(said.party) and titled(said.name), "bad-text")
        party = self.fresh_party(said.party)
        need(not party.admitted, "conflict")
        need(is_sign_key(said.authority), "bad-key")
        need(said.recovery is None or is_sign_key(said.recovery), "bad-key")
        need(said.recovery != said.authority, "conflict")
        self.by(said.authority)
        party.nominated, party.authority, party.next = False, said.authority, said.next
        party.charter, party.recovery = self.hash, said.recovery
        self.parties[said.party] = party
        return [key for key in (said.authority, said.recovery) if key]

    def admission(self, said):
        NOMINATE, ADMIT = 3, 0
        if said.action == NOMINATE:
            need(said.name is not None and said.kind is not None, "missing-field")
            need(said.charter is None and said.legs is None and said.bytes is None, "malformed")
            need(is_party(said.party) and titled(said.name), "bad-text")
            party = self.fresh_party(said.party)
            need(party.nominated or said.party not in self.parties, "conflict")
            self.younger(said.created, party.ordered)
            self.by_registrars()
            party.ordered, party.nominated = said.created, True
            self.parties[said.party] = party
            return
        need(said.name is None and said.kind is None, "malformed")
        party = self.find_party(said.party, admitted=False)
        need(not party.nominated, "not-admitted")
        need(said.charter in (None, party.charter), "mismatch")
        if said.action == ADMIT:
            need(not party.admitted or party.departed, "conflict")
            need(said.charter is not None, "missing-field")
        else:
            need(party.admitted, "not-admitted")
        self.younger(said.created, party.ordered)
        self.by_registrars()
        party.ordered = said.created
        if said.action == ADMIT:
            party.admitted, party.departed = True, False

    def notice(self, said):
        party = self.find_party(said.party)
        self.new_key(said.authority)
        if said.recovery is not None:
            self.recovery_key(party, said.authority, said.recovery)
        self.younger(said.created, party.noticed)
        self.by_registrars()
        party.noticed = said.created
        party.notice = SimpleNamespace(hash=self.hash, since=self.now, authority=said.authority, next=said.next,
                                       recovery=said.recovery)

    def succession(self, said):
        RENEW, RECOVER, TAKE, OBJECT = range(4)
        party = self.find_party(said.party)
        answers = party.notice is not None and said.notice == party.notice.hash
        if said.action == OBJECT:
            need(said.signer in (party.authority, party.recovery), "not-allowed")
            need(answers, "conflict")
            self.by(said.signer)
            party.notice = None
            return
        need(said.authority is not None and said.next is not None, "missing-field")
        recovery = said.recovery if said.recovery is not None else party.recovery
        if said.action == RENEW:
            need(labelled(b"next authority key", said.authority) == party.next, "not-allowed")
            need(said.signer == said.authority, "not-allowed")
        elif said.action == RECOVER:
            need(said.signer == party.recovery, "not-allowed")
        else:
            need(answers, "conflict")
            need(said.authority == party.notice.authority == said.signer, "not-allowed")
            need(self.now - party.notice.since >= NOTICE_TIME, "notice-running")
        if said.action != TAKE:
            self.new_key(said.authority)
        if said.recovery is not None:
            self.recovery_key(party, said.authority, said.recovery)
        if said.action == TAKE:
            need(said.next == party.notice.next and said.recovery is None, "mismatch")
            recovery = party.notice.recovery
        self.by(said.signer)
        party.authority, party.next, party.recovery, party.notice = said.authority, said.next, recovery, None
        return [key for key in (said.authority, recovery) if key]

    def departure(self, said):
        party = self.find_party(said.party)
        need(not party.departed, "departed")
        need(said.authority == party.authority, "foreign-certificate")
        self.by(party.authority)
        party.departed = True

    # -- posts

    def post(self, said):
        need(is_post(said.post), "bad-text")
        party = self.find_party(party_of(said.post))
        need(not party.departed, "departed")
        need(said.authority == party.authority, "foreign-certificate")
        need(is_sign_key(said.key) and (said.revoker is None or is_sign_key(said.revoker)), "bad-key")
        post = self.posts.get(said.post) or SimpleNamespace(
            name=said.post, party=party, revoked=False, stated=0, parted=0, carded=0, into=[], functions=0, key=None,
            revoker=None)
        back = post.revoked
        need(not back or said.key not in self.keys, "revoked")
        self.by(party.authority)
        same = (said.functions, said.key, said.revoker) == (post.functions, post.key, post.revoker)
        if said.created > post.stated or not same:
            self.younger(said.created, post.stated)
        post.stated = max(post.stated, said.created)
        post.functions, post.key, post.revoker = said.functions, said.key, said.revoker
        if back:
            post.revoked, post.into = False, []
        self.posts[said.post] = post
        return [key for key in (said.key, said.revoker) if key]

    def split(self, said):
        INTO = 0
        post = self.find_post(said.post)
        need(not post.revoked, "revoked")
        need(not post.party.departed, "departed")
        need(said.authority == post.party.authority, "foreign-certificate")
        need((said.action == INTO) == (not post.into), "conflict")
        need(said.action == INTO or not said.into, "malformed")
        self.younger(said.created, post.parted)
        into, functions = [], 0
        for data in said.into:
            name = data.decode("latin-1")
            need(is_post(name) and name in self.posts, "unknown-post")
            other = self.posts[name]
            need(other.party is post.party and other is not post, "not-allowed")
            need(not other.revoked, "revoked")
            need(not other.into and name not in into, "conflict")
            into.append(name)
            functions |= other.functions
        if said.action == INTO:
            need(into, "missing-field")
            need(post.functions & ~functions == 0, "mismatch")
        self.by(post.party.authority)
        post.parted, post.into = said.created, into

    def contact(self, said):
        post = self.find_post(said.post)
        need(self.is_deciding_sister(post, said.device), "not-allowed")
        self.younger(said.created, post.carded)
        self.by(said.device)
        post.carded = said.created

    # -- devices

    def is_live(self, device):
        return (not device.revoked and device.not_before <= self.now < device.not_after and
                device.countersigned is not None)

    def check_live(self, device):
        need(not device.revoked, "revoked")
        need(device.not_before <= self.now < device.not_after, "certificate-expired")
        need(device.countersigned is not None, "not-countersigned")

    def is_deciding_sister(self, post, public):
        device = self.devices.get(public)
        return device is not None and device.post is post and device.role == DECIDER and self.is_live(device)

    def device(self, said):
        post = self.find_post(said.post)
        need(not post.revoked, "revoked")
        if said.issuer == said.device:  # a renewal
            device = self.devices.get(said.device)
            need(device is not None, "foreign-certificate")
            need((device.post, device.transport, device.role) == (post, said.transport, said.role), "foreign-certificate")
            self.check_live(device)
            need(said.not_after > device.not_after and said.not_before <= self.now, "out-of-range")
            need(said.not_after <= self.now + DEVICE_LIFE, "out-of-range")
            self.by(said.device)
            device.not_after = said.not_after
            return
        need(said.issuer in (post.key, post.party.authority), "foreign-certificate")
        need(said.not_before < said.not_after <= said.not_before + DEVICE_LIFE, "out-of-range")
        need(is_sign_key(said.device) and is_curve_key(said.transport), "bad-key")
        need(not {said.device, said.transport} & self.keys and said.device != said.transport, "conflict")
        standing = [d for d in self.devices.values() if d.post is post and not d.revoked and self.now < d.not_after]
        need(len(standing) < 16, "not-allowed")
        self.by(said.issuer)
        device = SimpleNamespace(key=said.device, transport=said.transport, role=said.role, post=post, revoked=0,
                                 not_before=said.not_before, not_after=said.not_after, countersigned=None,
                                 certificate=self.hash)
        self.devices[said.device] = self.certificates[self.hash] = device
        return [said.device, said.transport]

    def countersign(self, said):
        device = self.certificates[said.certificate]  # check_concern has found it
        need(not device.revoked and not device.post.revoked, "revoked")
        if said.signer != device.post.party.authority:
            sister = self.devices.get(said.signer)
            need(sister is not None and sister.post is device.post and sister.role != BELL, "not-allowed")
            self.check_live(sister)
        self.by(said.signer)
        if device.countersigned is None:
            device.countersigned = self.index + 1

    def revocation(self, said):
        post = self.find_post(said.post)
        allowed = said.signer in (post.party.authority, post.key, post.revoker)
        if said.device is not None:
            allowed = allowed or said.signer == said.device or self.is_deciding_sister(post, said.signer)
        need(allowed, "not-allowed")
        device = self.devices.get(said.device)
        if said.device is None:
            need(not post.revoked, "revoked")
        elif device is None:  # one that has not come yet, and never will
            need(said.signer != said.device and said.device not in self.keys, "unknown-device")
        else:
            need(device.post is post, "unknown-device")
            need(not device.revoked, "revoked")
        self.by(said.signer)
        if said.device is None:
            post.revoked = True
            for each in self.devices.values():
                if each.post is post and not each.revoked:
                    each.revoked = self.index + 1
        elif device is None:
            return [said.device]
        else:
            device.revoked = self.index + 1

    # -- the relay itself

    def relaychange(self, said):
        RECOVERED = 2
        loss = (said.log, said.statement, said.size, said.root, said.entries, said.entries_root, said.old_log,
                said.old_statement)
        if said.action == RECOVERED:
            need(None not in loss, "missing-field")
        else:
            need(loss == (None,) * 8, "malformed")
        need(said.addresses, "missing-field")
        need(all(map(is_address, said.addresses)), "bad-text")
        need(len(set(said.addresses)) == len(said.addresses), "conflict")
        need(is_curve_key(said.curve), "bad-key")
        self.younger(said.created, self.relay_created)
        fresh = []
        if said.action == RECOVERED:
            need(said.size == self.index, "mismatch")
            if self.hashes is not None and self.index == self.size:
                need(said.root == root_of(self.hashes), "mismatch")
            need(is_sign_key(said.log) and is_sign_key(said.statement), "bad-key")
            need(not {said.log, said.statement} & self.keys and said.log != said.statement, "conflict")
            fresh = [said.log, said.statement]
        self.by_registrars()
        self.relay_created = said.created
        if said.action == RECOVERED:
            self.recoveries.append((self.index, said))
        return fresh

    def card_at(self, size):
        """The card with the keys that the relay had when the directory had this size [28]."""
        log, statement = self.card.log, self.card.statement
        for index, said in self.recoveries:
            if index >= size:
                return with_keys(self.card, said.old_log, said.old_statement)
            log, statement = said.log, said.statement
        return with_keys(self.card, log, statement)

    def has_keys(self, card):
        """Are these the relay's, of any time? Cards may be of different times; the registrars say which keys followed which."""
        known = [pair for _, said in self.recoveries
                 for pair in ((said.old_log, said.old_statement), (said.log, said.statement))]
        return (card.log, card.statement) in (known or [(self.card.log, self.card.statement)])


def live_at(device, size, now):
    """Was it live when the directory had this size, at this ledger time?"""
    need(not (device.revoked and device.revoked <= size), "revoked")
    need(device.not_before <= now < device.not_after, "certificate-expired")
    need(device.countersigned is not None and device.countersigned <= size, "not-countersigned")


# ---- 7 header and legs [8] ----

CHUNK, TAG = 65552, 16


def chunk_sizes(length):
    """Of the sealed chunks of a part; none: no part can have that length."""
    whole, rest = divmod(length, CHUNK)
    if 0 < rest <= TAG:
        return []
    return [CHUNK] * whole + ([rest] if rest else [])


def chunks_of(length):
    """Their number, without a list of them."""
    whole, rest = divmod(length, CHUNK)
    return 0 if 0 < rest <= TAG else whole + (rest > 0)


def open_header(data):
    payload = decode("stamped", data).payload
    need(len(payload) <= 1024, "out-of-range")
    header = decode("header", payload)
    check_stamped(b"header", header.device, data)
    need(is_post(header.from_), "bad-text")
    if header.parent:
        need(header.body and not header.offer, "malformed")
    else:
        need(header.offer, "malformed")
    need(all(chunks_of(part.length) for part in (header.offer, header.body) if part), "malformed")
    need(header.exercise or header.keep_s >= 259200, "bad-keep")
    header.digest = labelled(b"header digest", payload)
    return header


def open_leg(header, bundled):
    need(len(bundled.path) == 10, "bad-proof")
    leg = leaf_hash(bundled.place.opening)
    need(root_by_path(leg, bundled.place.position, 1024, bundled.path) == header.legs, "bad-proof")
    opening = decode("opening", bundled.place.opening)
    need(is_post(opening.to), "bad-text")
    return SimpleNamespace(id=leg, to=opening.to, sequence=opening.sequence, rungs=[], notes=[],
                           with_=opening.to, forwarder=None, had=[opening.to], state=NONE, head=leg, generation=0, time=0)


# ---- 8 receipts [12, 13] ----

(NONE, STORED, NOTIFIED, OPENED, FORWARDED, ACCEPTED, HANDED_OVER, ACKNOWLEDGED, DECLINED, EXPIRED, WITHDRAWN,
 CLOSED) = range(12)
STATES = ("none stored notified opened forwarded accepted handed_over acknowledged declined expired withdrawn "
          "closed").split()
TERMINAL = {DECLINED, EXPIRED, WITHDRAWN, CLOSED}

# number: (name, who may say it, only a decider)
EVENTS = {1: ("SubmissionAcceptance", "relay", False), 2: ("SubmissionRejection", "relay", False),
          3: ("NotificationForAcceptance", "recipient", False), 4: ("NotificationAccessTracking", "recipient", False),
          5: ("ConsignmentAcceptance", "recipient", True), 6: ("ConsignmentRejection", "recipient", True),
          7: ("ContentHandover", "recipient", False), 8: ("ContentAccessTracking", "recipient", False),
          9: ("AcceptanceRejectionExpiry", "relay", False), 10: ("Withdrawal", "sender", True),
          11: ("Closing", "either", True), 12: ("Forwarding", "recipient", True),
          13: ("ContentConsignmentFailure", "relay", False), 14: ("Resealing", "sealer", False),
          15: ("NotificationForAcceptanceFailure", "recipient", False), 16: ("DisclosureConsent", "either", True)}
MAY_CONSENT = (5, 6, 8, 10, 11, 16)  # what `disclosure` may stand in: accepted, declined, acknowledged, withdrawn, closed, consented
SAID_STORED, SAID_REFUSED, SAID_ACCEPTED, SAID_FORWARDED, SAID_RESEALED, SAID_CONSENTED = 1, 2, 5, 12, 14, 16

BODY, BARE, REPLY = 1, 2, 4  # legs: of a request with body, of one without, of a reply
REQUEST, ALL = BODY | BARE, BODY | BARE | REPLY
STEPS = {(NONE, 1): (STORED, ALL)}
for from_, event, to, kinds in [
        (STORED, 3, NOTIFIED, REQUEST), (STORED, 5, ACCEPTED, REQUEST), (STORED, 6, DECLINED, REQUEST),
        (STORED, 7, HANDED_OVER, REPLY), (STORED, 10, WITHDRAWN, ALL), (STORED, 9, EXPIRED, ALL),
        (NOTIFIED, 4, OPENED, REQUEST), (NOTIFIED, 12, FORWARDED, REQUEST), (NOTIFIED, 5, ACCEPTED, REQUEST),
        (NOTIFIED, 6, DECLINED, REQUEST), (NOTIFIED, 10, WITHDRAWN, REQUEST), (NOTIFIED, 9, EXPIRED, REQUEST),
        (OPENED, 12, FORWARDED, REQUEST), (OPENED, 5, ACCEPTED, REQUEST), (OPENED, 6, DECLINED, REQUEST),
        (OPENED, 10, WITHDRAWN, REQUEST), (OPENED, 9, EXPIRED, REQUEST),
        (FORWARDED, 3, NOTIFIED, REQUEST), (FORWARDED, 10, WITHDRAWN, REQUEST), (FORWARDED, 9, EXPIRED, REQUEST),
        (ACCEPTED, 7, HANDED_OVER, BODY), (ACCEPTED, 8, ACKNOWLEDGED, BARE), (ACCEPTED, 11, CLOSED, REQUEST),
        (ACCEPTED, 9, EXPIRED, REQUEST),
        (HANDED_OVER, 8, ACKNOWLEDGED, ALL), (HANDED_OVER, 11, CLOSED, REQUEST), (HANDED_OVER, 9, EXPIRED, ALL),
        (ACKNOWLEDGED, 11, CLOSED, REQUEST), (ACKNOWLEDGED, 9, EXPIRED, ALL)]:
    STEPS[from_, event] = (to, kinds)
for state in (STORED, NOTIFIED, OPENED, FORWARDED, ACCEPTED):  # sealed again: it stays where it is
    STEPS[state, 13] = STEPS[state, 14] = (state, ALL if state == STORED else REQUEST)
for state in (ACCEPTED, HANDED_OVER, ACKNOWLEDGED):
    STEPS[state, 16] = (state, REQUEST)


def card_of(work, receipt):
    """Under which keys the relay signed it: of an entry those of its directory's size; else those that fit."""
    try:
        record = decode("record", decode("stamped", receipt.record).payload)
        if record.entry is not None:
            return work.directory.card_at(decode("entry", record.entry).size)
    except Refused:
        return work.directory.card_at(FOREVER)
    for index, _ in work.directory.recoveries:
        try:
            card = work.directory.card_at(index)
            check_stamped(b"record", card.statement, receipt.record)
            return card
        except Refused:
            pass
    return work.directory.card_at(FOREVER)


def open_receipt(work, leg, data):
    """Record, statement and entry, each genuine, and of each other, this header and this leg."""
    receipt = decode("receipt", data)
    work.then = card_of(work, receipt)
    record = decode("record", check_stamped(b"record", work.then.statement, receipt.record))
    payload = decode("stamped", receipt.statement).payload
    said = decode("statement", payload)
    need(said.event in EVENTS, "out-of-range")
    check_stamped(b"statement", said.device, receipt.statement)
    said.hash = leaf_hash(payload)
    need(record.statement == said.hash, "mismatch")
    need((record.entry is None) == (record.index is None), "malformed")
    entry = None
    if record.entry is not None:
        entry = decode("entry", record.entry)
        need(entry.leg == said.leg and entry.statement == said.hash and entry.time == record.time, "mismatch")
        need(STEPS.get((entry.from_, said.event), (None,))[0] == entry.to, "wrong-state")
        need((entry.ordinal == 0) == (entry.from_ == NONE), "bad-proof")
        need(entry.ordinal > 0 or entry.previous == entry.leg, "bad-proof")
        entry.hash, entry.index = leaf_hash(record.entry), record.index
    need(said.header == work.header.digest, "mismatch")
    whole = said.event == SAID_REFUSED and said.leg is None  # the relay refused the request, not one leg
    need(whole or said.leg == leg.id, "mismatch")
    return receipt, record, said, entry


def check_speaker(work, said, recipient, forwarder):
    """May it be said by this key, now that the leg is with `recipient`?"""
    _, actor, decider = EVENTS[said.event]
    if actor == "relay":
        need(said.post is None and said.device == work.then.statement, "not-allowed")
        return
    need(said.post is not None, "not-allowed")
    device = work.directory.devices.get(said.device)
    need(device is not None, "unknown-device")
    need(device.post.name == said.post, "not-allowed")
    sender = work.header.from_
    sides = {"recipient": {recipient}, "sender": {sender}, "either": {sender, recipient}, "sealer": {sender, forwarder}}
    need(said.post in sides[actor], "not-allowed")
    need(not said.disclosure or (device.role == DECIDER and said.event in MAY_CONSENT), "not-allowed")
    need(device.role == DECIDER or (device.role == READER and not decider), "not-allowed")


def check_entry(work, leg, data):
    receipt, record, said, entry = open_receipt(work, leg, data)
    need(entry is not None, "missing-field")
    need(entry.ordinal == len(leg.rungs) and entry.previous == leg.head and entry.from_ == leg.state, "bad-proof")
    to, kinds = STEPS[entry.from_, said.event]
    need(kinds & work.kind, "wrong-state")
    if said.event in (SAID_RESEALED, SAID_FORWARDED):
        need(said.generation == leg.generation + 1, "bad-proof")
    if said.event == SAID_FORWARDED:
        need(said.forward is not None and is_post(said.forward) and said.forward != said.post, "bad-proof")
        need(said.post is not None and party_of(said.forward) == party_of(said.post), "bad-proof")
    need(entry.time >= leg.time, "out-of-range")
    need(entry.size <= work.head.size, "bad-proof")
    check_speaker(work, said, leg.with_, leg.forwarder)
    speaker = said.device if said.post is not None else work.header.device if said.event == SAID_STORED else None
    if speaker is not None:  # its words are good only if the key was, there and then
        device = work.directory.devices.get(speaker)
        need(device is not None, "unknown-device")
        need(said.post is not None or device.post.name == work.header.from_, "mismatch")
        need(said.post is not None or device.role != BELL, "not-allowed")
        live_at(device, entry.size, entry.time)
    work.where += ", checkpoint"
    need(receipt.checkpoint is not None, "missing-field")
    head = open_head(work.then, "evidence", receipt.checkpoint, witnesses=False)
    need(head.time >= record.time, "out-of-range")
    work.where = work.where.replace(", checkpoint", ", proof")
    need(receipt.proof is not None, "missing-field")
    need(root_by_path(entry.hash, entry.index, head.size, receipt.proof) == head.root, "bad-proof")
    leg.state, leg.head, leg.time = to, entry.hash, entry.time
    if said.event == SAID_STORED:
        leg.generation = 1
    if said.event in (SAID_RESEALED, SAID_FORWARDED):
        leg.generation = said.generation
    if said.event == SAID_FORWARDED:
        leg.forwarder, leg.with_ = said.post, said.forward
        leg.had.append(said.forward)
    leg.rungs.append(SimpleNamespace(said=said, time=record.time, entry=entry, head=head))


def check_note(work, leg, data):
    receipt, record, said, entry = open_receipt(work, leg, data)
    need(entry is None and receipt.checkpoint is None and receipt.proof is None, "unknown-field")
    need(not leg.notes or leg.notes[-1].said.hash < said.hash, "non-canonical")
    need(said.post is not None or said.event == SAID_REFUSED, "not-allowed")
    post = said.post if said.post in leg.had else None
    check_speaker(work, said, post, post)
    leg.notes.append(SimpleNamespace(said=said, time=record.time, entry=None, head=None))


# ---- 9 one log [26] ----

def check_log(work):
    work.where, roots = "heads of receipts", {}
    for rung in (rung for leg in work.legs for rung in leg.rungs):
        need(roots.setdefault(rung.head.size, rung.head.root) == rung.head.root, "evidence-forked")
    work.evidence, work.steps = None, 0
    if work.bundle.evidence is None:
        work.where = "steps"
        need(not work.bundle.steps, "unknown-field")
        return
    work.where = "evidence head"
    work.evidence = end = open_head(work.directory.card_at(FOREVER), "evidence", work.bundle.evidence, witnesses=True)
    sizes = sorted(roots)
    need(not sizes or sizes[-1] <= end.size, "bad-proof")
    work.where = "steps"
    need(len(work.bundle.steps) == len(sizes), "mismatch")
    for n, (step, size) in enumerate(zip(work.bundle.steps, sizes)):
        work.where = f"step {n + 1}"
        need(step.size == size, "mismatch")
        to, root = (sizes[n + 1], roots[sizes[n + 1]]) if n + 1 < len(sizes) else (end.size, end.root)
        need(size != to or roots[size] == root, "evidence-forked")
        check_consistency(size, roots[size], to, root, step.path)
    work.steps = len(sizes)


# ---- 10 opened content [9] ----

def check_opened(work):
    opened, work.content = work.bundle.opened, None
    if opened is None:
        return
    work.where = "opened part"
    part = work.header.offer if opened.part == 1 else work.header.body
    need(part, "no-body")
    work.where = "opened part, key"
    need(labelled(b"key commitment", opened.key) == part.commitment, "bad-commitment")
    work.where = "opened part, chunks"
    need(len(opened.chunks) == chunks_of(part.length), "bad-digest")
    need([len(chunk) for chunk in opened.chunks] == chunk_sizes(part.length), "bad-digest")
    digests = b"".join(labelled(b"chunk digest", chunk) for chunk in opened.chunks)
    need(labelled(b"part digest", digests) == part.digest, "bad-digest")
    work.where = "opened part, content"
    work.content = read_content(work.header, opened, decrypt(work.header, opened))


def decrypt(header, opened):
    aad = (b"pouch/0 chunk\0" + head_of(5, 5) + head_of(0, 1) + head_of(0, 1) + head_of(0, 2) + head_of(2, 16) +
           header.request + head_of(0, 3) + head_of(2, 32) + header.device + head_of(0, 4) + head_of(0, opened.part) +
           head_of(0, 5) + head_of(7, 20 + header.exercise))
    plain = []
    for i, chunk in enumerate(opened.chunks):
        nonce = bytes(3) + i.to_bytes(8, "big") + bytes([i == len(opened.chunks) - 1])
        try:
            plain.append(nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(chunk, aad, nonce, opened.key))
        except nacl.exceptions.CryptoError:
            refuse("cannot-open")
    return b"".join(plain)


def padded(n):
    if n < 256:
        return 256
    e = n.bit_length() - 1
    low = (1 << e - e.bit_length()) - 1
    return n + low & ~low


def read_content(header, opened, plain):
    cursor = Cursor(plain)
    inside = read_object("offer" if opened.part == 1 else "manifest", cursor)
    files, at = [], cursor.at
    for file in getattr(inside, "files", []):
        need(file.length <= len(plain) - at, "bad-padding")
        files.append((file.name, plain[at:at + file.length]))
        at += file.length
    need(padded(at) == len(plain) and not any(plain[at:]), "bad-padding")
    need((inside.from_, inside.request, inside.exercise) == (header.from_, header.request, header.exercise), "mismatch")
    return SimpleNamespace(inside=inside, files=files)


# ---- 11 what is proven [27] ----

def verify(data, outside=None):
    """The order of section 27. Gives all that was found, or raises Refused with `where`."""
    work = SimpleNamespace(where="file")
    try:
        return verify_in_order(work, data, outside)
    except Refused as refused:
        refused.where = work.where
        raise


def verify_in_order(work, data, outside):
    outer = decode("bundlefile", data)
    work.where, work.digest = "digest", outer.digest
    need(labelled(b"bundle", outer.bundle) == outer.digest, "bad-digest")
    work.where = "bundle"
    work.bundle = bundle = decode("bundle", outer.bundle)

    work.where = "card"
    work.card, work.outside = read_card(bundle.card), outside
    need(work.card.text == bundle.card, "non-canonical")
    need(outside is None or same_registrars(outside, work.card), "wrong-fingerprint")  # its keys: after the leaves

    work.where = "header"
    work.header = header = open_header(bundle.header)
    work.kind = REPLY if header.parent else BODY if header.body else BARE

    work.where = "directory head"
    work.head = open_head(newest_claim(work.card, bundle.leaves), "directory", bundle.directory, witnesses=True)
    trusted = {(w.name, w.key) for w in (outside or work.card).witnesses}
    work.witnesses = [w for w in work.head.witnesses if (w.name, w.key) in trusted]

    work.where, work.legs = "legs", []
    need(bundle.legs, "missing-field")
    need(not header.parent or len(bundle.legs) == 1, "malformed")
    for n, bundled in enumerate(bundle.legs):
        work.where = f"leg {n + 1}"
        need(n == 0 or bundled.place.position > bundle.legs[n - 1].place.position, "non-canonical")
        work.legs.append(open_leg(header, bundled))

    concerned = {party_of(header.from_)} | {party_of(leg.to) for leg in work.legs}
    work.directory = Directory(work.card)
    for leaf in bundle.leaves:
        work.where = f"directory entry {leaf.index}"
        need(leaf.index >= work.directory.size, "non-canonical")
        work.where += ", proof"
        need(root_by_path(leaf_hash(leaf.leaf), leaf.index, work.head.size, leaf.path) == work.head.root, "bad-proof")
        work.where = f"directory entry {leaf.index}"
        work.directory.apply(leaf.index, leaf.leaf, concerned)
    work.where = "card"
    need(work.directory.has_keys(work.card), "mismatch")
    need(outside is None or work.directory.has_keys(outside), "wrong-fingerprint")
    work.where = "header, sender"
    sender = work.directory.devices.get(header.device)
    need(sender is not None, "unknown-device")
    need(sender.post.name == header.from_, "mismatch")

    for n, (leg, bundled) in enumerate(zip(work.legs, bundle.legs)):
        for what, check, receipts in (("receipt", check_entry, bundled.receipts), ("note", check_note, bundled.notes)):
            for m, receipt in enumerate(receipts):
                work.where = f"leg {n + 1}, {what} {m + 1}"
                check(work, leg, receipt)
    check_log(work)
    check_opened(work)
    return work


def newest_claim(card, leaves):
    """The card with the keys that the last recovery among the leaves gives; the replay will see whether it may."""
    for item in leaves:
        try:
            leaf = decode("leaf", item.leaf)
            said = decode("relaychange", open_joint(leaf.statement).payload) if leaf.kind == 12 else None
        except Refused:
            continue
        if said and said.log is not None and said.statement is not None:
            card = with_keys(card, said.log, said.statement)
    return card


ALWAYS = True
PRECEDENCES = "routine priority immediate flash".split()
KINDS = "incident clarification assistance notice ping".split()
TLP = "CLEAR GREEN AMBER AMBER+STRICT RED".split()
TEXTS = ("", "stored", "refused", "notified", "opened", "accepted", "declined", "handed over", "acknowledged", "expired",
         "withdrawn", "closed", "forwarded", "must be sealed again", "sealed again", "cannot be opened by this device",
         "agreed that this may be shown to others")
NOT_PROVEN = {
    "card": "that the keys are this relay's: compare the card's fingerprint with the one that the relay's operator or "
            "another member gives you",
    "later": "that nothing more has happened: later entries can exist that are not in this file",
    "recipients": "whether it was sent to others beside the recipients shown here",
    "directory": "that no entry of the directory was left out: the entries shown stand in the signed directory, but a "
                 "missing one, such as a later revocation, would not be noticed",
    "witnesses": "that others have seen the same directory: no witness has signed its head",
    "one-log": "that the log positions are of one and the same log: the file has no later head that would tie them together",
    "same-for-all": "that the relay shows everybody this same evidence log: compare its head with another member's",
    "holder": "who sat at the device: its key has signed, and 'officer' or 'machine' is what the device said of itself",
    "read": "that any person has read it",
    "clock": "the time by any other clock than the relay's; times of devices are what the devices said",
    "agreement": "that anybody agrees with what was written: accepting takes the text and agrees to nothing",
    "silence": "what silence means: where nothing was decided, that is neither consent nor refusal",
    "offer": "what the summary said: it is not opened here",
    "body": "what the text said: it is not opened here",
    "mark": "whether the sender asked that both sides agree before it is shown: that stands in the summary, which is not "
            "opened here",
    "consent": "that the other side agrees to this being shown: no such word of it is in this file",
    "receipts": "that the receipts of single devices are complete, or that those devices' keys were valid at that moment: "
                "only what moved the request stands in the log",
}


def gaps(work):
    """Which of them stand for this file."""
    request, opened = work.kind != REPLY, work.bundle.opened.part if work.bundle.opened else 0
    undecided = {NONE, STORED, NOTIFIED, OPENED, FORWARDED, EXPIRED, WITHDRAWN}
    stand = {
        "card": work.outside is None,
        "later": any(leg.state not in TERMINAL for leg in work.legs),
        "recipients": request,
        "directory": ALWAYS,
        "witnesses": not work.witnesses,
        "one-log": work.evidence is None,
        "same-for-all": ALWAYS, "holder": ALWAYS, "read": ALWAYS, "clock": ALWAYS,
        "agreement": any(rung.said.event == SAID_ACCEPTED for leg in work.legs for rung in leg.rungs),
        "silence": request and any(leg.state in undecided for leg in work.legs),
        "offer": work.header.offer is not None and opened != 1,
        "body": work.header.body is not None and opened != 2,
        "mark": work.header.offer is not None and opened != 1,
        "consent": request and any(None in consents(work, leg) for leg in work.legs),
        "receipts": any(leg.notes for leg in work.legs),
    }
    return [name for name in NOT_PROVEN if stand[name]]


def consents(work, leg):
    """The first entries by which the sender's side and the recipient's agree that this is shown to others."""
    first = [None, None]
    for rung in leg.rungs:
        said = rung.said
        if said.post is not None and (said.disclosure or said.event == SAID_CONSENTED):
            side = 0 if said.post == work.header.from_ else 1
            first[side] = first[side] or rung
    return first


def utc(ms):
    """2026-01-31T12:00:00Z; null when unset."""
    try:
        return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(ms // 1000)) if ms else None
    except (OverflowError, OSError):
        return "-"


STEERING = "\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what steers a terminal or a text


def words(data):
    """As it stands, if it is text; else without what steers, and each byte that is no text is one replacement."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return re.sub(f"[{STEERING}\udc80-\udcff]", "\ufffd", data.decode("utf-8", "surrogateescape"))


def fingerprint(hashed):
    return " ".join("%05d" % (int.from_bytes(hashed[3 * i:3 * i + 3], "big") % 100000) for i in range(10))


def reference(hashed):
    bits = int.from_bytes(hashed[:4], "big") >> 2
    symbols = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> shift & 31] for shift in range(25, -1, -5))
    return symbols[:3] + "-" + symbols[3:]


def head_facts(head):
    return {"size": head.size, "root": head.root.hex(), "time": utc(head.time)}


def note_words(work, leg, said):
    """Sealed words [11] that the opened key opens, too."""
    opened = work.bundle.opened
    if not opened or not said.note or opened.part != (2 if work.kind == REPLY else 1):
        return None
    prk = hmac.digest(said.nonce, opened.key, "sha256")
    secret = hmac.digest(prk, b"pouch/0 note\0" + work.header.digest + leg.id + b"\1", "sha256")
    try:
        plain = nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(said.note, b"", bytes(12), secret)
    except nacl.exceptions.CryptoError:
        return None
    found = plain.partition(b"\0")[0]
    good = len(plain) == max(64, -(-len(found) // 64) * 64) <= 1024 and not any(plain[len(found):])
    return words(found) if good else None


def rung_facts(work, leg, rung):
    said, entry = rung.said, rung.entry
    facts = {"event": EVENTS[said.event][0], "text": TEXTS[said.event],
             "actor": "relay" if said.post is None else said.post,
             "signer": "relay" if said.post is None else "officer" if said.officer else "machine",
             "key": said.device.hex(), "at": utc(rung.time), "device_time": utc(said.time),
             "disclosure": bool(said.disclosure)}
    if entry is not None:
        facts.update(state=STATES[entry.to], ordinal=entry.ordinal, log_index=entry.index, head_size=rung.head.size,
                     directory_size=entry.size, entry=entry.hash.hex())
    more = {"reason": said.reason, "generation": said.generation, "forward": said.forward or None,
            "grace_s": said.grace, "words": note_words(work, leg, said)}
    facts.update({name: value for name, value in more.items() if value is not None})
    return facts


def leg_facts(work, leg):
    sender, recipient = [rung and utc(rung.time) for rung in consents(work, leg)]
    return {"leg": leg.id.hex(), "to": leg.to, "with": leg.with_, "state": STATES[leg.state],
            "consent": {"sender": sender, "recipient": recipient},
            "events": [rung_facts(work, leg, rung) for rung in leg.rungs],
            "notes": [rung_facts(work, leg, rung) for rung in leg.notes]}


def opened_facts(work):
    if work.content is None:
        return None
    inside = work.content.inside
    if work.bundle.opened.part == 1:
        return {"part": "offer", "subject": inside.subject, "kind": KINDS[inside.kind],
                "tlp": None if inside.tlp is None else TLP[inside.tlp], "summary": inside.summary,
                "disclosure": "both" if inside.disclosure else None}
    texts = [words(data) for name, data in work.content.files if name is None]
    return {"part": "body", "text": texts[-1] if texts else None,
            "attachments": [{"name": name, "length": len(data)} for name, data in work.content.files if name is not None]}


def facts(work):
    header = work.header
    open_gaps = gaps(work)
    return {
        "kind": "bundle", "proven": True, "relay": work.card.name, "card_fingerprint": fingerprint(work.card.hash),
        "id": header.digest[:16].hex(), "ref": reference(header.digest), "from": header.from_,
        "created": utc(header.created), "keep_s": header.keep_s,
        "answer_by": None if header.answer_by is None else utc(header.answer_by),
        "precedence": PRECEDENCES[header.precedence], "exercise": header.exercise,
        "parent": header.parent.header[:16].hex() if header.parent else None,
        "legs": [leg_facts(work, leg) for leg in work.legs], "opened": opened_facts(work),
        "directory": {**head_facts(work.head), "witnesses": [w.name for w in work.head.witnesses],
                      "entries": len(work.bundle.leaves)},
        "evidence": head_facts(work.evidence) if work.evidence else None,
        "header": header.digest.hex(), "file": work.digest.hex(), "card_matches": True if work.outside else None,
        "not_proven": [NOT_PROVEN[name] for name in open_gaps], "gaps": open_gaps,
    }


# ---- 12 the program ----

def plain(value):
    """Foreign text, for one line of a terminal."""
    return re.sub(f"[\t\n{STEERING}]", "\ufffd", str(value))


def quoted(value):
    """Foreign text of many lines: each stands behind a bar, so that none passes for one of ours."""
    return "".join(f"\n  | {plain(line)}" for line in value.split("\n"))


def show(found):
    print("proven: all of it holds\n")
    print(f"{found['ref']}  {found['id']}\nfrom {plain(found['from'])}, made {found['created']}"
          f"{', EXERCISE' if found['exercise'] else ''}")
    for leg in found["legs"]:
        print(f"\nto {plain(leg['to'])}, now with {plain(leg['with'])}: {leg['state']}")
        for rung in leg["events"] + leg["notes"]:
            place = f"log position {rung['log_index']}" if "log_index" in rung else "moved nothing"
            more = "".join(f", {name} {plain(rung[name])}" for name in ("reason", "generation", "forward", "grace_s", "words")
                           if name in rung)
            print(f"  {rung['at']}  {rung['text']}: {plain(rung['actor'])} ({rung['signer']}; its clock "
                  f"{rung['device_time']}), {place}{more}{', agrees to showing it' if rung['disclosure'] else ''}")
        print(f"  agreed that it may be shown: sender {leg['consent']['sender'] or 'no'}, "
              f"recipient {leg['consent']['recipient'] or 'no'}")
    if found["opened"]:
        print("\nopened")
        for name, value in found["opened"].items():
            print(f"  {name}: {quoted(value) if name in ('summary', 'text') and value else plain(value)}")
    print(f"\nrelay {found['relay']}, card {found['card_fingerprint']}"
          f"{' (of --card)' if found['card_matches'] else ''}")
    print(f"directory of {found['directory']['size']} entries, witnesses: "
          f"{', '.join(map(plain, found['directory']['witnesses'])) or 'none'}")
    print("\nnot proven:")
    for gap in found["not_proven"]:
        print(f"- {gap}")


def main(argv):
    card, as_json, files = None, False, []
    rest = iter(argv)
    for word in rest:
        if word == "--card":
            card = next(rest, "")
        elif word == "--json":
            as_json = True
        else:
            files.append(word)
    if len(files) != 1 or files[0].startswith("--") or card == "":
        print(__doc__, file=sys.stderr)
        return 1
    try:
        outside = None
        if card is not None:
            with open(card, encoding="utf-8") as file:
                outside = read_card(file.read())
        with open(files[0], "rb") as file:
            found = facts(verify(file.read(), outside))
    except Refused as refused:
        where = getattr(refused, "where", "--card")
        if as_json:
            print(json.dumps({"error": refused.name, "where": where}), file=sys.stderr)
        else:
            print(f"{files[0]} proves nothing: {where}: {refused.name}", file=sys.stderr)
        return 4
    except (OSError, UnicodeDecodeError) as error:
        print(f"pouch-verify: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found))  # in ASCII: nothing steers a terminal
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
