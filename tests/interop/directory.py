"""directory.py - section 7 of PROTOCOL.md: the directory log, replayed."""

import re

from cbor import Refused, decode
from document import LEAVES, LIMITS
from seals import check_sign_key, labelled, leaf_hash, tree_root, verify, verify_joint, x_shared

KIND_NAMES = {number: name for name, number in LEAVES.items()}
LABEL_OF = {name: "COUNTERSIGN" if name == "countersign" else name.upper() for name in LEAVES}
JOINT = ("admission", "notice", "relay")
PARTY = re.compile(r"[a-z][a-z0-9.-]{0,31}")
NEVER = 1 << 63
DAY_MS = 86400 * 1000
POST = re.compile(r"[a-z][a-z0-9.-]{0,31}/[a-z][a-z0-9-]{0,31}")
ADMIT, SUSPEND, _, NOMINATE = range(4)
RENEW, RECOVER, TAKE, OBJECT = range(4)


def need(condition, name, detail=""):
    if not condition:
        raise Refused(name, detail)


def younger(created, last, time):
    """What was signed and kept back undoes nothing; a clock that is ahead by more than a day is not believed."""
    return last < created <= time + DAY_MS


def title_good(name):
    return not re.search(r"[\0-\x1f\x7f]", name)


class Directory:
    def __init__(self, registrars, threshold=1):
        self.registrars, self.threshold = registrars, threshold
        self.hashes, self.statements, self.keys = [], set(), set(registrars)
        self.parties, self.posts, self.devices = {}, {}, {}
        self.time = self.relay_created = 0

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
        joint = kind in JOINT
        payload = decode("joint" if joint else "stamped", leaf["statement"])["payload"]
        what = decode("relaychange" if kind == "relay" else kind, payload)
        name = leaf_hash(payload)
        need(name not in self.statements, "conflict")
        signer, effect = getattr(self, kind)(what, name, leaf["time"])
        if joint:
            verify_joint(LABEL_OF[kind], self.registrars, self.threshold, leaf["statement"])
        else:
            verify(LABEL_OF[kind], signer, leaf["statement"])
        effect()
        self.statements.add(name)
        self.hashes.append(leaf_hash(data))
        self.time = leaf["time"]

    def admitted(self, name):
        party = self.parties.get(name)
        need(party, "unknown-party")
        need(party["admitted"], "not-admitted")
        return party

    # ---- parties ----

    def charter(self, what, name, _):
        need(PARTY.fullmatch(what["party"]) and title_good(what["name"]), "bad-text")
        need(not self.parties.get(what["party"], {"admitted": False})["admitted"], "conflict")
        keys = [what[field] for field in ("authority", "recovery") if field in what]
        for key in keys:
            check_sign_key(key)
        need(len(set(keys)) == len(keys), "conflict")

        def effect():
            self.parties.setdefault(what["party"], {}).update(
                {"recovery": None, **what, "hash": name, "admitted": False, "suspended": False, "departed": False,
                 "nominated": False, "notice": None})
            self.keys.update(keys)
        return what["authority"], effect

    def admission(self, what, _, time):
        party = self.parties.get(what["party"])
        fresh = younger(what["created"], party.get("ordered", 0) if party else 0, time)
        if what["action"] == NOMINATE:
            need("name" in what and "kind" in what, "missing-field")
            need(not {"charter", "legs", "bytes"} & set(what), "malformed")
            need(PARTY.fullmatch(what["party"]) and title_good(what["name"]), "bad-text")
            need(not party or party["nominated"], "conflict")
            listed = {"party": what["party"], "name": what["name"], "kind": what["kind"], "nominated": True,
                      "admitted": False, "ordered": what["created"]}
            need(fresh, "stale-statement")
            return None, lambda: self.parties.setdefault(what["party"], {}).update(listed)
        need("name" not in what and "kind" not in what, "malformed")
        need(party, "unknown-party")
        need(not party["nominated"], "not-admitted")
        need(what.get("charter", party["hash"]) == party["hash"], "mismatch")
        change = {"suspended": what["action"] == SUSPEND, "ordered": what["created"]}
        if what["action"] == ADMIT:
            need(not party["admitted"] or party["departed"], "conflict")
            need("charter" in what, "missing-field")
            change.update(admitted=True, departed=False)
        else:
            need(party["admitted"], "not-admitted")
        need(fresh, "stale-statement")
        return None, lambda: party.update(change)

    def new_key(self, key):
        check_sign_key(key)
        need(key not in self.keys, "conflict")

    def notice(self, what, name, time):
        party = self.admitted(what["party"])
        if action != TAKE:
            self.new_key(what["authority"])
        need(what.get("recovery") != what["authority"], "conflict")
        if what.get("recovery", party["recovery"]) != party["recovery"]:
            self.new_key(what["recovery"])
        need(younger(what["created"], party.get("noticed", 0), time), "stale-statement")
        return None, lambda: party.update(notice={"recovery": None, **what, "hash": name, "since": time},
                                          noticed=what["created"])

    def succession(self, what, _, time):
        party, signer, action = self.admitted(what["party"]), what["signer"], what["action"]
        notice = party["notice"]
        answers = notice and what.get("notice") == notice["hash"]
        if action == OBJECT:
            need(signer in (party["authority"], party["recovery"]), "not-allowed")
            need(answers, "conflict")
            return signer, lambda: party.update(notice=None)
        need("authority" in what and "next" in what, "missing-field")
        new = {"authority": what["authority"], "next": what["next"], "notice": None,
               "recovery": what.get("recovery", party["recovery"])}
        if action == RENEW:
            need(labelled("NEXT_KEY", what["authority"]) == party["next"], "not-allowed")
            need(signer == what["authority"], "not-allowed")
        elif action == RECOVER:
            need(signer == party["recovery"], "not-allowed")
        else:
            need(answers, "conflict")
            need(signer == what["authority"] == notice["authority"], "not-allowed")
            need(time - notice["since"] >= LIMITS["NOTICE_MS"], "notice-running")
            need(what["next"] == notice["next"] and "recovery" not in what, "mismatch")
            new["recovery"] = notice["recovery"]
        self.new_key(what["authority"])
        need(what.get("recovery") != what["authority"], "conflict")
        if "recovery" in what and what["recovery"] != party["recovery"]:
            self.new_key(what["recovery"])

        def effect():
            party.update(new)
            self.keys.update({new["authority"], new["recovery"]} - {None})
        return signer, effect

    def departure(self, what, _, __):
        party = self.admitted(what["party"])
        need(not party["departed"], "departed")
        need(what["authority"] == party["authority"], "foreign-certificate")
        return what["authority"], lambda: party.update(departed=True)

    # ---- posts ----

    def post(self, what, _, time):
        need(POST.fullmatch(what["post"]), "bad-text")
        party = self.admitted(what["post"].split("/")[0])
        need(not party["departed"], "departed")
        need(what["authority"] == party["authority"], "foreign-certificate")
        keys = [what[field] for field in ("key", "revoker") if field in what]
        for key in keys:
            check_sign_key(key)
        before = self.posts.get(what["post"], {"revoked": 0, "devices": [], "into": [], "sheets": []})
        need(not before["revoked"] or what["key"] not in self.keys, "revoked")
        if before["revoked"]:
            before = {**before, "into": [], "sheets": []}
        last = before.get("created", 0)
        same = all(before.get(field) == what.get(field) for field in ("functions", "key", "revoker"))
        need(younger(what["created"], last, time) or (what["created"] <= last and same), "stale-statement")
        stated = max(last, what["created"])

        def effect():
            self.posts[what["post"]] = {**before, "revoker": None, **what, "created": stated, "revoked": 0,
                                        "party": party}
            self.keys.update(keys)
        return what["authority"], effect

    def split(self, what, _, time):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        need(not post["revoked"], "revoked")
        need(not post["party"]["departed"], "departed")
        need(what["authority"] == post["party"]["authority"], "foreign-certificate")
        need((what["action"] == 0) == (not post["into"]), "conflict")
        names = [name.decode() for name in what["into"]]
        need(what["action"] == 0 or not names, "malformed")
        need(younger(what["created"], post.get("parted", 0), time), "stale-statement")
        functions = 0
        for i, name in enumerate(names):
            other = self.posts.get(name)
            need(other, "unknown-post")
            need(other["party"] is post["party"] and name != what["post"], "not-allowed")
            need(not other["revoked"], "revoked")
            need(not other["into"] and name not in names[:i], "conflict")
            functions |= other["functions"]
        need(what["action"] == 1 or names, "missing-field")
        need(what["action"] == 1 or not post["functions"] & ~functions, "mismatch")
        return what["authority"], lambda: post.update(into=names, parted=what["created"])

    def contact(self, what, _, time):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        need(self.decider_of(what["device"], what["post"], time), "not-allowed")
        need(younger(what["created"], post.get("carded", 0), time), "stale-statement")
        return what["device"], lambda: post.update(sheets=what["commitments"], carded=what["created"])

    # ---- devices ----

    def device(self, what, name, time):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        need(not post["revoked"], "revoked")
        if what["issuer"] == what["device"]:
            return self.renewal(what, time)
        need(what["issuer"] in (post["key"], post["party"]["authority"]), "foreign-certificate")
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

    def renewal(self, what, time):
        device = self.devices.get(what["device"])
        same = device and all(device[field] == what[field] for field in ("post", "transport", "role"))
        need(same, "foreign-certificate")
        need(self.live(device, time), "not-allowed")
        need(what["not_before"] <= time and device["not_after"] < what["not_after"], "out-of-range")
        need(what["not_after"] - time <= LIMITS["DEVICE_VALIDITY_MAX_MS"], "out-of-range")
        return what["device"], lambda: device.update(not_after=what["not_after"])

    def countersign(self, what, _, time):
        found = [d for d in self.devices.values() if d["hash"] == what["certificate"]]
        need(found, "unknown-device")
        device, post = found[0], self.posts[found[0]["post"]]
        need(not device["revoked"] and not post["revoked"], "revoked")
        if what["signer"] != post["party"]["authority"]:
            sister = self.devices.get(what["signer"])
            need(sister and sister["post"] == device["post"] and sister["role"] != 2, "not-allowed")
            need(self.live(sister, time), "not-allowed")
        vouched = min(device["countersigned"], self.size + 1)
        return what["signer"], lambda: device.update(countersigned=vouched)

    def decider_of(self, key, post, time):
        device = self.devices.get(key)
        return device and device["post"] == post and device["role"] == 0 and self.live(device, time)

    def revocation(self, what, _, time):
        post = self.posts.get(what["post"])
        need(post, "unknown-post")
        may = {post["party"]["authority"], post["key"], post.get("revoker"), what.get("device")} - {None}
        sister = "device" in what and self.decider_of(what["signer"], what["post"], time)
        need(what["signer"] in may or sister, "not-allowed")
        if "device" in what:
            device = self.devices.get(what["device"])
            if not device:
                need(what["signer"] != what["device"] and what["device"] not in self.keys, "unknown-device")
                return what["signer"], lambda: self.keys.add(what["device"])
            need(device["post"] == what["post"], "unknown-device")
            targets = [device]
        else:
            targets = [post] + [d for d in post["devices"] if not d["revoked"]]
        need(not targets[0]["revoked"], "revoked")
        return what["signer"], lambda: [target.update(revoked=self.size + 1) for target in targets]

    def relay(self, what, _, time):
        """Where the relay is, and after a loss under which keys."""
        fields = ("log", "statement", "size", "root", "entries", "entries_root", "old_log", "old_statement")
        loss = [field for field in fields if field in what]
        recovered = what["action"] == 2
        need(len(loss) == len(fields) if recovered else not loss, "missing-field" if recovered else "malformed")
        need(what["addresses"], "missing-field")
        need(all(re.fullmatch(rb"[!-~]{1,127}", each) for each in what["addresses"]), "bad-text")
        need(len(set(what["addresses"])) == len(what["addresses"]), "conflict")
        x_shared(bytes(32), what["curve"])
        need(younger(what["created"], self.relay_created, time), "stale-statement")
        if recovered:
            need(what["size"] == self.size and what["root"] == self.root(), "mismatch")
            need(what["log"] != what["statement"], "conflict")
            for key in (what["log"], what["statement"]):
                self.new_key(key)
        fresh = {what["log"], what["statement"]} if recovered else set()

        def effect():
            self.relay_created = what["created"]
            self.keys |= fresh
        return None, effect

    def live(self, device, time, size=None):
        """Now, or when the log had `size` leaves. Records say with which leaf a device was vouched for or revoked."""
        size = self.size if size is None else size
        revoked = device["revoked"] and device["revoked"] <= size
        return device["countersigned"] <= size and not revoked and device["not_before"] <= time < device["not_after"]

    def readers(self, post, time):
        return [d["device"] for d in self.posts[post]["devices"] if d["role"] != 2 and self.live(d, time)][:16]
