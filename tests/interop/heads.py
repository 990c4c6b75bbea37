"""heads.py - sections 22, 23 and 26 of PROTOCOL.md: signed heads of the two logs, witnesses, promises."""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cbor import Refused, decode
from directory import need
from seals import leaf_hash, node_hash, verify

LOG, COSIGNATURE = 1, 4


def unbase64(text):
    """Padded, and no stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("malformed") from None
    need(base64.b64encode(data).decode() == text, "malformed")
    return data


class NoteKey:
    def __init__(self, name, algorithm, public):
        self.name, self.algorithm, self.public = name, algorithm, public
        key = bytes([algorithm]) + public
        self.hash = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
        self.verifier = f"{name}+{self.hash.hex()}+{base64.b64encode(key).decode()}"

    @staticmethod
    def read(verifier):
        name, hashed, key = verifier.split("+", 2)
        key = unbase64(key)
        made = NoteKey(name, key[0], key[1:])
        need(made.hash.hex() == hashed and len(key) == 33, "malformed")
        return made

    def signed(self, text, signature):
        """What a cosignature says of the time; 0 for the log's own."""
        when, signature = (signature[:8], signature[8:]) if self.algorithm == COSIGNATURE else (b"", signature)
        said = int.from_bytes(when, "big")
        prefix = f"cosignature/v1\ntime {said}\n".encode() if when else b""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, prefix + text)
        except (InvalidSignature, ValueError):
            raise Refused("bad-signature") from None
        return said

    def line(self, signature):
        return f"\u2014 {self.name} {base64.b64encode(self.hash + signature).decode()}\n".encode()


def cosign(key, secret, note, time_s):
    """The whole note with a witness's line."""
    text = note[:note.rindex(b"\n\n") + 1]
    when = time_s.to_bytes(8, "big")
    return note + key.line(when + secret.key.sign(b"cosignature/v1\ntime %d\n" % time_s + text))


class Head:
    """A note, opened: size, root, time, and the time in each witness's word by its name."""

    def __init__(self, card, data, log="directory"):
        log = NoteKey(f"{card.fields['name'][0]}/{log}", LOG, bytes.fromhex(card.fields["log"][0]))
        witnesses = [NoteKey.read(each) for each in card.fields.get("witness", [])]
        at = data.rfind(b"\n\n")
        need(at > 0 and data.endswith(b"\n") and len(data) > at + 2, "malformed")
        text, self.words, found = data[:at + 1], {}, False
        need(not any(byte < 32 and byte != 10 or byte == 127 for byte in data), "malformed")
        lines = text.decode().split("\n")[:-1]
        need(len(lines) == 4 and lines[3].startswith("time "), "malformed")
        need(lines[0] == log.name, "mismatch")
        for line in data[at + 2:-1].decode().split("\n"):
            dash, name, signature = line.split(" ")
            need(dash == "\u2014", "malformed")
            signature = unbase64(signature)
            for key in [log, *witnesses]:
                if (key.name, key.hash) == (name, signature[:4]):
                    said = key.signed(text, signature[4:])
                    found = found or key is log
                    if key is not log:
                        self.words[name] = said
        need(found, "bad-signature")
        self.size, self.root, self.time = int(lines[1]), unbase64(lines[2]), int(lines[3][5:])
        need(len(self.root) == 32 and str(self.size) == lines[1] and lines[3] == f"time {self.time}", "malformed")


def read_request(body):
    """A witness is asked: (old, proof, note)."""
    head, note = body.split(b"\n\n", 1)
    lines = head.decode().splitlines()
    need(lines[0].startswith("old "), "malformed")
    return int(lines[0][4:]), [unbase64(line) for line in lines[1:]], note


def continues(old, old_root, size, root, proof):
    """RFC 9162 section 2.1.4.2."""
    if old in (0, size):
        return not proof and (old == 0 or old_root == root)
    proof = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not proof:
        return False
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for each in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(each, fr), node_hash(each, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, each)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr, sn) == (old_root, root, 0)


def open_promise(card, data, statements):
    """It names all that was brought."""
    promise = decode("promise", verify("PROMISE", card.statement, data))
    need(promise["deadline"] >= promise["time"], "out-of-range")
    for each in statements:
        payload = decode("stamped", each["statement"])["payload"]
        need(leaf_hash(payload) in promise["statements"], "withheld")
    return promise
