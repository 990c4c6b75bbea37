"""linking.py - section 25 of PROTOCOL.md: boxes, the new device's side of an invitation, parcels."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cbor import Refused, decode, encode
from directory import need
from document import LABELS
from seals import expand, extract, hpke_open, labelled, peek, verify


class Invitation:
    """What both ends derive from the code."""

    def __init__(self, secret):
        prk = extract(LABELS["INVITATION"], secret)
        self.hello, self.to_old, self.to_new, self.key_to_old, self.key_to_new = (
            expand(prk, LABELS["INVITATION"] + b"\0" + name, 32)
            for name in (b"box hello", b"box to old", b"box to new", b"key to old", b"key to new"))


def seal_item(key, name, value):
    nonce = os.urandom(12)
    aad = LABELS["INVITATION"] + b"\0" + name.encode()
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, encode(name, value), aad)


def open_item(key, name, item):
    try:
        aad = LABELS["INVITATION"] + b"\0" + name.encode()
        return decode(name, ChaCha20Poly1305(key).decrypt(item[:12], item[12:], aad))
    except (InvalidTag, ValueError):
        raise Refused("cannot-open") from None


def items(link, box, drop=False):
    """What lies in a box; `drop`: and lies there no more."""
    found, after = [], 0
    while True:
        got = link.call("GET", {"box": box, "after": after})
        if "number" not in got:
            return found
        need(got["number"] > after, "malformed")
        found.append(got["data"])
        if not drop:
            return found
        after = got["number"]


def own_box(device):
    return labelled("BOX", device)


def open_parcel(data, me, directory, prekeys, time):
    sealed = peek(data, "sealedparcel")
    need(sealed["device"] == me.device.public, "not-for-us")
    giver = directory.devices.get(sealed["from"])
    need(giver, "unknown-device")
    need(giver["post"] == me.post and giver["role"] != 2 and directory.live(giver, time), "not-allowed")
    verify("PARCEL", sealed["from"], data)
    need(sealed["prekey"] in prekeys, "prekey-gone")
    info = LABELS["PARCEL_INFO"] + b"\0" + encode("parcelinfo", {f: sealed[f] for f in ("from", "device", "prekey")})
    parcel = decode("parcel", hpke_open(prekeys[sealed["prekey"]], sealed["enc"], info, sealed["ciphertext"]))
    need((parcel["from"], parcel["post"]) == (sealed["from"], me.post), "mismatch")
    return parcel
