"""seals.py - sections 4, 5 and 8 to 11 of PROTOCOL.md: digests, trees, signatures, legs, content, wraps, notes."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cbor import Refused, decode, encode, put
from document import LABELS, LIMITS

CHUNK_PLAIN, TAG = LIMITS["CHUNK_PLAIN"], LIMITS["TAG_SIZE"]
DEPTH = LIMITS["LEGS_DEPTH"]


# ---- digests and trees (section 4) ----

def blake(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def labelled(label, data):
    return blake(LABELS[label] + b"\0" + data)


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node_hash(tree_root(hashes[:half]), tree_root(hashes[half:]))


def path_root(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2: where the path leads."""
    if index >= size:
        raise Refused("bad-proof")
    fn, sn, at = index, size - 1, leaf
    for each in path:
        if sn == 0:
            raise Refused("bad-proof")
        if fn & 1 or fn == sn:
            at = node_hash(each, at)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            at = node_hash(at, each)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Refused("bad-proof")
    return at


# ---- keys ----

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(a, b):
    """Extended coordinates, RFC 8032 section 5.1.4."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    i, j, k, l = f - e, h - g, h + g, f + e
    return i * j % P, k * l % P, j * k % P, i * l % P


def check_sign_key(key):
    """Section 5: a canonical point of the prime-order subgroup, not the identity."""
    y, sign = int.from_bytes(key, "little") & (1 << 255) - 1, key[31] >> 7
    if y >= P:
        raise Refused("bad-key")
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P or (x == 0 and sign):
        raise Refused("bad-key")
    x = P - x if x & 1 != sign else x
    at, total, n = (x, y, 1, x * y % P), (0, 1, 1, 0), Q
    while n:
        if n & 1:
            total = point_add(total, at)
        at, n = point_add(at, at), n >> 1
    if total[0] % P or (total[1] - total[2]) % P or (x, y) == (0, 1):
        raise Refused("bad-key")


class SignKey:
    def __init__(self, seed=None):
        self.key = Ed25519PrivateKey.from_private_bytes(seed or os.urandom(32))
        self.public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def x_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(serialization.Encoding.Raw,
                                                                                 serialization.PublicFormat.Raw)


def x_shared(secret, public):
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("bad-key") from None


# ---- signatures (section 5) ----

COSE = bytes.fromhex("d28443a10132a0f65840")


def sig_structure(label, size, root):
    batch = encode("batch", {"size": size, "root": root})
    return b"\x84" + put("Signature1") + put(bytes.fromhex("a10132")) + put(LABELS[label]) + put(batch)


def stamp(label, key, payload):
    signature = COSE + key.key.sign(sig_structure(label, 1, leaf_hash(payload)))
    return encode("stamped", {"payload": payload, "index": 0, "size": 1, "path": [], "signature": signature})


def peek(stamped, name):
    """Who claims to have signed what: to learn the key."""
    return decode(name, decode("stamped", stamped)["payload"])


def verify(label, public, stamped):
    """The payload, once path and signature hold."""
    parts = decode("stamped", stamped)
    if len(parts["signature"]) != 74 or parts["signature"][:10] != COSE:
        raise Refused("malformed")
    root = path_root(leaf_hash(parts["payload"]), parts["index"], parts["size"], parts["path"])
    try:
        signed = sig_structure(label, parts["size"], root)
        Ed25519PublicKey.from_public_bytes(public).verify(parts["signature"][10:], signed)
    except InvalidSignature:
        raise Refused("bad-signature") from None
    return parts["payload"]


def sign_joint(label, keys, payload):
    """What several sign together."""
    structure = b"\x84" + put("Signature1") + put(bytes.fromhex("a10132")) + put(LABELS[label]) + put(payload)
    signers = [{"key": key.public, "signature": COSE + key.key.sign(structure)} for key in keys]
    return encode("joint", {"payload": payload, "signers": sorted(signers, key=lambda signer: signer["key"])})


def verify_joint(label, keys, threshold, joint):
    parts = decode("joint", joint)
    structure = b"\x84" + put("Signature1") + put(bytes.fromhex("a10132")) + put(LABELS[label]) + put(parts["payload"])
    last = b""
    for signer in parts["signers"]:
        if signer["key"] <= last:
            raise Refused("non-canonical")
        if signer["key"] not in keys:
            raise Refused("unknown-registrar")
        if len(signer["signature"]) != 74 or signer["signature"][:10] != COSE:
            raise Refused("malformed")
        try:
            Ed25519PublicKey.from_public_bytes(signer["key"]).verify(signer["signature"][10:], structure)
        except InvalidSignature:
            raise Refused("bad-signature") from None
        last = signer["key"]
    if len(parts["signers"]) < max(threshold, 1):
        raise Refused("too-few-signers")
    return parts["payload"]


# ---- legs (section 8) ----

def legs_node(level, index, leaves, seed):
    """leaves: {position: leg id}"""
    here = {p: leg for p, leg in leaves.items() if p >> level == index}
    if not here:
        return blake(LABELS["PAD"] + b"\0" + bytes([level]) + index.to_bytes(4, "big"), key=seed)
    if level == 0:
        return here[index]
    return node_hash(legs_node(level - 1, 2 * index, here, seed), legs_node(level - 1, 2 * index + 1, here, seed))


def legs_root(leaves, seed):
    return legs_node(DEPTH, 0, leaves, seed)


def legs_path(leaves, seed, position):
    return [legs_node(level, position >> level ^ 1, leaves, seed) for level in range(DEPTH)]


# ---- content (section 9) ----

def padded_size(n):
    if n < LIMITS["CONTENT_MIN"]:
        return LIMITS["CONTENT_MIN"]
    e = n.bit_length() - 1
    m = (1 << e - e.bit_length()) - 1
    return (n + m) & ~m


def chunk_count(length):
    whole, rest = divmod(length, CHUNK_PLAIN + TAG)
    if rest and rest <= TAG:
        raise Refused("malformed")
    return whole + (1 if rest else 0)


def aead(header, part):
    """Associated data of a part's chunks."""
    words = {"request": header["request"], "device": header["device"], "part": part, "exercise": header["exercise"]}
    return LABELS["CHUNK"] + b"\0" + encode("chunkaad", words)


def chunk_nonce(index, last):
    return b"\0\0\0" + index.to_bytes(8, "big") + bytes([last])


def seal_part(header, part, key, plain):
    """(chunks, the header's field)"""
    plain += bytes(padded_size(len(plain)) - len(plain))
    pieces = [plain[at:at + CHUNK_PLAIN] for at in range(0, len(plain), CHUNK_PLAIN)]
    chunks = [ChaCha20Poly1305(key).encrypt(chunk_nonce(i, i == len(pieces) - 1), piece, aead(header, part))
              for i, piece in enumerate(pieces)]
    return chunks, {"length": sum(map(len, chunks)), "digest": labelled("PART_DIGEST", chunk_digests(chunks)),
                    "commitment": labelled("COMMITMENT", key)}


def chunk_digests(chunks):
    return b"".join(labelled("CHUNK_DIGEST", chunk) for chunk in chunks)


def open_part(header, part, key, chunks):
    """The padded plaintext."""
    field = header["offer" if part == 1 else "body"]
    if labelled("COMMITMENT", key) != field["commitment"]:
        raise Refused("bad-commitment")
    if sum(map(len, chunks)) != field["length"] or labelled("PART_DIGEST", chunk_digests(chunks)) != field["digest"]:
        raise Refused("bad-digest")
    try:
        return b"".join(ChaCha20Poly1305(key).decrypt(chunk_nonce(i, i == len(chunks) - 1), chunk, aead(header, part))
                        for i, chunk in enumerate(chunks))
    except InvalidTag:
        raise Refused("cannot-open") from None


def check_inside(header, inside, size, plain):
    """Padding, and that inner and outer agree."""
    if len(plain) != padded_size(size) or any(plain[size:]):
        raise Refused("bad-padding")
    if any(inside[field] != header[field] for field in ("from", "request", "exercise")):
        raise Refused("mismatch")


# ---- HPKE and wraps (section 10) ----

def extract(salt, ikm):
    return hmac.new(salt, ikm, "sha256").digest()


def expand(prk, info, n):
    out, block = b"", b""
    for i in range(1, 1 + -(-n // 32)):
        block = hmac.new(prk, block + info + bytes([i]), "sha256").digest()
        out += block
    return out[:n]


KEM, HPKE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, n):
    return expand(prk, n.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, n)


def hpke_context(shared_point, enc, receiver, info, psk=None):
    """RFC 9180 sections 4.1 and 5.1: key and base nonce. psk: (id, secret), for mode psk."""
    psk_id, psk_secret = psk or (b"", b"")
    prk = labeled_extract(KEM, b"", b"eae_prk", shared_point)
    shared = labeled_expand(KEM, prk, b"shared_secret", enc + receiver, 32)
    context = bytes([bool(psk)]) + labeled_extract(HPKE, b"", b"psk_id_hash", psk_id)
    context += labeled_extract(HPKE, b"", b"info_hash", info)
    secret = labeled_extract(HPKE, shared, b"secret", psk_secret)
    return labeled_expand(HPKE, secret, b"key", context, 32), labeled_expand(HPKE, secret, b"base_nonce", context, 12)


def hpke_seal(receiver, info, plain, ephemeral=None, psk=None):
    """(enc, ciphertext)"""
    ephemeral = ephemeral or os.urandom(32)
    enc = x_public(ephemeral)
    key, nonce = hpke_context(x_shared(ephemeral, receiver), enc, receiver, info, psk)
    return enc, ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def hpke_open(secret, enc, info, ciphertext, psk=None):
    key, nonce = hpke_context(x_shared(secret, enc), enc, x_public(secret), info, psk)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise Refused("cannot-open") from None


def wrap_info(wrapset, wrap):
    words = {"header": wrapset["header"], "leg": wrapset.get("leg"), "generation": wrapset["generation"],
             "mode": wrap["mode"], "device": wrap["device"], "prekey": wrap["prekey"]}
    return LABELS["WRAP_INFO"] + b"\0" + encode("wrapinfo", words)


def seal_wraps(wrapset, keys, targets, ephemeral=None, psk=None):
    """The wrap set's payload; targets: [(device, prekey id, prekey)]; psk: (id, secret)"""
    wraps, plain = [], encode("wrapped", keys)
    for device, name, prekey in targets:
        wrap = {"device": device, "prekey": name, "mode": 1 if psk else 0, "psk": psk[0] if psk else None}
        wrap["enc"], wrap["ciphertext"] = hpke_seal(prekey, wrap_info(wrapset, wrap), plain, ephemeral, psk)
        wraps.append(wrap)
    return encode("wrapset", {**wrapset, "wraps": wraps})


def open_wrap(wrapset, device, secrets, pairs=None):
    """The keys; secrets: {prekey id: secret}; pairs: {id of a pairwise secret: secret}"""
    for wrap in wrapset["wraps"]:
        if wrap["device"] != device:
            continue
        if wrap["prekey"] not in secrets:
            raise Refused("prekey-gone")
        psk = None
        if wrap["mode"] == 1:
            if wrap["psk"] not in (pairs or {}):
                raise Refused("unknown-pair")
            psk = wrap["psk"], pairs[wrap["psk"]]
        info = wrap_info(wrapset, wrap)
        return decode("wrapped", hpke_open(secrets[wrap["prekey"]], wrap["enc"], info, wrap["ciphertext"], psk))
    raise Refused("not-for-us")


# ---- contact sheets (section 24) ----

def seal_sheet(key, commitment, sheet):
    return ChaCha20Poly1305(key).encrypt(bytes(12), sheet, LABELS["SHEET"] + b"\0" + commitment)


def sheet_info(commitment, device, prekey):
    words = {"commitment": commitment, "device": device, "prekey": prekey}
    return LABELS["SHEET_INFO"] + b"\0" + encode("sheetinfo", words)


def wrap_sheet(key, commitment, target):
    device, name, prekey = target
    enc, ciphertext = hpke_seal(prekey, sheet_info(commitment, device, name), key)
    return {"device": device, "prekey": name, "mode": 0, "enc": enc, "ciphertext": ciphertext}


def open_sheet(sealed, secrets):
    """The encoded sheet, held against its commitment by the caller."""
    if sealed["audience"] == 3:
        return sealed["data"]
    if not sealed["wraps"]:
        raise Refused("not-for-us")
    wrap, = sealed["wraps"]
    if wrap["prekey"] not in secrets:
        raise Refused("prekey-gone")
    info = sheet_info(sealed["commitment"], wrap["device"], wrap["prekey"])
    key = hpke_open(secrets[wrap["prekey"]], wrap["enc"], info, wrap["ciphertext"])
    try:
        aad = LABELS["SHEET"] + b"\0" + sealed["commitment"]
        return ChaCha20Poly1305(key).decrypt(bytes(12), sealed["data"], aad)
    except InvalidTag:
        raise Refused("cannot-open") from None


# ---- notes (section 11) ----

def note_key(key, nonce, header, leg):
    return expand(extract(nonce, key), LABELS["NOTE"] + b"\0" + header + leg, 32)


def seal_note(key, nonce, header, leg, words):
    plain = words.encode()
    plain += bytes(max(64, -(-len(plain) // 64) * 64) - len(plain))
    return ChaCha20Poly1305(note_key(key, nonce, header, leg)).encrypt(bytes(12), plain, None)


def open_note(key, nonce, header, leg, note):
    try:
        plain = ChaCha20Poly1305(note_key(key, nonce, header, leg)).decrypt(bytes(12), note, None)
    except InvalidTag:
        raise Refused("cannot-open") from None
    words, _, rest = plain.partition(b"\0")
    if any(rest) or len(plain) != max(64, -(-len(words) // 64) * 64):
        raise Refused("bad-padding")
    return words.decode()


# ---- what people compare (section 18) ----

def fingerprint(digest):
    return " ".join(f"{int.from_bytes(digest[3 * i:3 * i + 3], 'big') % 100000:05}" for i in range(10))


SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def times(a, b):
    """In GF(32), modulo x^5 + x^2 + 1."""
    product = 0
    for bit in range(5):
        product ^= a << bit if b >> bit & 1 else 0
    for bit in range(8, 4, -1):
        product ^= 0b100101 << bit - 5 if product >> bit & 1 else 0
    return product


def code(secret):
    """A secret of rows of 16 bytes, as people type it; the check symbols found by trying."""
    symbols = []
    for row in range(len(secret) // 16):
        bits = int.from_bytes(secret[16 * row:16 * row + 16], "big") << 2
        data = [bits >> shift & 31 for shift in range(125, -1, -5)]
        symbols += next(data + [a, b] for a in range(32) for b in range(32) if checks(data + [a, b], row))
    text = "".join(SYMBOLS[symbol] for symbol in symbols)
    return "-".join(text[at:at + 4] for at in range(0, len(text), 4))


def checks(symbols, row):
    plain, weighted = 0, 0
    for symbol in symbols:
        plain, weighted = plain ^ symbol, times(weighted, 2) ^ symbol
    return plain == row and weighted == 0


def read_code(text):
    typed = [SYMBOLS.index(each) for each in text.upper().translate(str.maketrans("ILO", "110", "- \n"))]
    secret = b""
    for row in range(len(typed) // 28):
        symbols = typed[28 * row:28 * row + 28]
        bits = 0
        for symbol in symbols[:26]:
            bits = bits << 5 | symbol
        if not checks(symbols, row) or bits & 3 or len(typed) % 28:
            raise Refused("bad-code")
        secret += (bits >> 2).to_bytes(16, "big")
    return secret


def reference(digest):
    bits = int.from_bytes(digest[:4], "big") >> 2
    symbols = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[bits >> shift & 31] for shift in range(25, -1, -5))
    return symbols[:3] + "-" + symbols[3:]
