"""directory.py - section 7 of PROTOCOL.md: the directory log, replayed."""

import re

from cbor import Refused, decode
from document import LEAVES, LIMITS
from seals import check_sign_key, leaf_hash, peek, tree_root, verify, x_shared

KIND_NAMES = {number: name for name, number in LEAVES.items()}
LABEL_OF = {"charter": "CHARTER", "admission": "ADMISSION", "post": "POST", "device": "DEVICE",
            "countersign": "COUNTERSIGN", "revocation": "REVOCATION"}
PARTY = re.compile(r"[a-z][a-z0-9.-]{0,31}")
NEVER = 1 << 63
POST = re.compile(r"[a-z][a-z0-9.-]{0,31}/[a-z][a-z0-9-]{0,31}")


def need(condition, name, detail=""):
    if not condition:
        raise Refused(name, detail)


class Directory:
    def __init__(self, registrars):
        self.registrars = registrars
        self.hashes, self.statements, self.keys = [], set(), set(registrars)
        self.parties, self.posts, self.devices = {}, {}, {}
        self.time = 0

    @property
    def size(self):
        return len(self.hashes)

    def root(self, size=None):
        return tree_root(self.hashes[:self.size if size is None else size])

    def apply(self, data):
        leaf = decode("leaf", data)
        kind = KIND_NAMES.get(leaf["kind"])
        need(kind in LABEL_OF, "unknown-version")
        need(leaf["time"] >= self.time, "out-of-range")
        what = peek(leaf["statement"], kind)
        name = leaf_hash(decode("stamped", leaf["statement"])["payload"])
        need(name not in self.statements, "conflict")
        signer, effect = getattr(self, kind)(what, name, leaf["time"])
        verify(LABEL_OF[kind], signer, leaf["statement"])
        effect()
        self.statements.add(name)
        self.hashes.append(leaf_hash(data))
        self.time = leaf["time"]

    def charter(self, what, name, _):
        need(PARTY.fullmatch(what["party"]) and not re.search(r"[\0-\x1f\x7f]", what["name"]), "bad-text")
        need(what["party"] not in self.parties, "conflict")
        keys = [what[field] for field in ("authority", "recovery") if field in what]
        for key in keys:
            check_sign_key(key)

        def effect():
            self.parties[what["party"]] = {**what, "hash": name, "admitted": False, "suspended": False}
            self.keys.update(keys)
        return what["authority"], effect

    def admission(self, what, _, __):
        need(what["registrar"] in self.registrars, "unknown-registrar")
        party = self.parties.get(what["party"])
        need(party, "unknown-party")
        need(what.get("charter", party["hash"]) == party["hash"], "mismatch")
        if what["action"] == 0:
            need(not party["admitted"], "conflict")
            need("charter" in what, "missing-field")
        else:
            need(party["admitted"], "not-admitted")
        return what["registrar"], lambda: party.update(admitted=True, suspended=what["action"] == 1)

    def post(self, what, _, __):
        need(POST.fullmatch(what["post"]), "bad-text")
        party = self.parties.get(what["post"].split("/")[0])
        need(party, "unknown-party")
        need(party["admitted"], "not-admitted")
        need(what["authority"] == party["authority"], "foreign-certificate")
        keys = [what[field] for field in ("key", "revoker") if field in what]
        for key in keys:
            check_sign_key(key)
        before = self.posts.get(what["post"], {"revoked": 0, "devices": []})
        need(not before["revoked"], "revoked")

        def effect():
            self.posts[what["post"]] = {**what, "revoked": 0, "devices": before["devices"], "party": party}
            self.keys.update(keys)
        return what["authority"], effect

    def device(self, what, name, time):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        need(not post["revoked"], "revoked")
        need(what["issuer"] == post["key"], "foreign-certificate")
        need(0 < what["not_after"] - what["not_before"] <= LIMITS["DEVICE_VALIDITY_MAX_MS"], "out-of-range")
        check_sign_key(what["device"])
        x_shared(b"\1" * 32, what["transport"])
        keys = {what["device"], what["transport"]}
        need(len(keys) == 2 and not keys & self.keys, "conflict")
        standing = [d for d in post["devices"] if not d["revoked"] and time < d["not_after"]]
        need(len(standing) < LIMITS["DEVICES_PER_POST_MAX"], "not-allowed")

        def effect():
            device = {**what, "hash": name, "countersigned": NEVER, "revoked": 0}
            self.devices[what["device"]] = device
            post["devices"].append(device)
            self.keys.update(keys)
        return what["issuer"], effect

    def countersign(self, what, _, time):
        found = [d for d in self.devices.values() if d["hash"] == what["certificate"]]
        need(found, "unknown-device")
        device, post = found[0], self.posts[found[0]["post"]]
        need(not device["revoked"] and not post["revoked"], "revoked")
        if what["signer"] != post["party"]["authority"]:
            sister = self.devices.get(what["signer"])
            need(sister and sister["post"] == device["post"], "not-allowed")
            need(self.live(sister, time), "not-allowed")
        vouched = min(device["countersigned"], self.size + 1)
        return what["signer"], lambda: device.update(countersigned=vouched)

    def revocation(self, what, _, __):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        may = {post["party"]["authority"], post["key"], post.get("revoker"), what.get("device")} - {None}
        need(what["signer"] in may, "not-allowed")
        target = post
        if "device" in what:
            target = self.devices.get(what["device"])
            need(target and target["post"] == what["post"], "unknown-device")
        need(not target["revoked"], "revoked")
        return what["signer"], lambda: target.update(revoked=self.size + 1)

    def live(self, device, time, size=None):
        """Now, or when the log had `size` leaves. Records say with which leaf a device was vouched for or revoked."""
        size = self.size if size is None else size
        revoked = [at for at in (device["revoked"], self.posts[device["post"]]["revoked"]) if at and at <= size]
        return device["countersigned"] <= size and not revoked and device["not_before"] <= time < device["not_after"]

    def readers(self, post, time):
        return [d["device"] for d in self.posts[post]["devices"] if d["role"] != 2 and self.live(d, time)][:16]
