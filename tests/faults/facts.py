"""facts.py - a journal, read and sorted for the rules of history.py: who asked for what, what was answered, what lies in the log,
what each side tells. Objects are decoded by the grammar of PROTOCOL.md (tests/interop); the trees are merkle.py's."""

import base64
import collections
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))

# The path must be there first.
from cbor import Refused, decode  # noqa: E402
from directory import Directory  # noqa: E402
from document import ERRORS, STATES, TRANSIENT, table  # noqa: E402
from heads import NoteKey  # noqa: E402
from seals import labelled  # noqa: E402

import merkle  # noqa: E402

STATE_NAMES = {number: name.lower() for name, number in STATES.items()}
EVENT_TEXTS = {int(row[0]): row[2] for row in table("events")}  # as `track` says them
PROMISED = set(STATE_NAMES.values()) - {"none"}
FINAL = {name for name in ERRORS.values() if name not in TRANSIENT} - {"ok"}


class Receipt:
    """A receipt, taken apart and not believed. `entry` is None when it has none."""

    def __init__(self, data):
        self.data = data
        outer = decode("receipt", data)
        self.stamped, self.recorded = outer["statement"], outer["record"]
        self.proof, self.checkpoint = outer.get("proof"), outer.get("checkpoint")
        self.payload = decode("stamped", self.stamped)["payload"]
        self.statement = decode("statement", self.payload)
        self.record = decode("record", decode("stamped", self.recorded)["payload"])
        self.entry_bytes = self.record.get("entry")
        self.entry = decode("entry", self.entry_bytes) if self.entry_bytes else None
        self.index = self.record.get("index")
        self.id = self.statement["header"][:16].hex()
        self.leg = self.statement.get("leg")
        self.event = self.statement["event"]

    def __str__(self):
        name = EVENT_TEXTS.get(self.event, self.event)
        where = f"at {self.index}" if self.entry else "without entry"
        return f"{name} of {self.id} {where}"


@functools.lru_cache(maxsize=None)
def parsed(text):
    """The receipt in hex, or what is wrong with it."""
    try:
        return Receipt(bytes.fromhex(text))
    except (Refused, ValueError, KeyError) as error:
        return str(error)


@functools.lru_cache(maxsize=None)
def unpacked(data):
    """(places, receipts in hex) of a bundle file, or what is wrong with it."""
    places, receipts = [], []
    try:
        whole = decode("bundle", decode("bundlefile", data)["bundle"])
        payload = decode("stamped", whole["header"])["payload"]
        header = decode("header", payload)
        request = labelled("HEADER_DIGEST", payload)[:16].hex()
        for leg in whole["legs"]:
            opening = decode("opening", leg["place"]["opening"])
            places.append({"id": request, "leg": merkle.leaf(leg["place"]["opening"]).hex(), "to": opening["to"],
                           "device": header["device"].hex(), "sequence": opening["sequence"]})
            receipts += [each.hex() for each in leg["receipts"] + leg["notes"]]
    except Refused as error:
        return str(error)
    return places, receipts


@functools.lru_cache(maxsize=8)
def replayed(leaves, registrars, threshold):
    """(the directory as far as it holds, what is wrong with the next leaf)"""
    directory = Directory([bytes.fromhex(key) for key in registrars], threshold)
    for number, data in enumerate(leaves):
        try:
            directory.apply(bytes.fromhex(data))
        except Refused as error:
            return directory, f"leaf {number}: {error}"
    return directory, None


class Note:
    """A head's text. Who signed it is a question of its own."""

    def __init__(self, text):
        self.text = text
        lines = text.split("\n")
        self.origin, self.size, self.root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
        self.log = self.origin.rpartition("/")[2]

    def signed_by(self, key):
        at = self.text.rindex("\n\n")
        for line in self.text[at + 2:].splitlines():
            _, name, signature = line.split(" ")
            signature = base64.b64decode(signature)
            if name == key.name and signature[:4] == key.hash:
                try:
                    key.signed(self.text[:at + 1].encode(), signature[4:])
                    return True
                except Refused:
                    return False
        return False


class Intent:
    """Something that a client wanted brought, however often it asked."""

    def __init__(self, call):
        self.name, self.post, self.client = call["intent"], call["post"], call["client"]
        self.subject, self.to, self.body = call.get("subject"), list(call["to"]), call["body"]
        self.exercise, self.parent = call.get("exercise", False), call.get("parent")
        self.calls, self.ids, self.promised, self.refused = [], set(), set(), set()
        self.unanswered = False

    def asked(self, call, answers):
        self.calls.append(call)
        if call.get("id"):
            self.ids.add(call["id"])
        for answer in answers:
            if answer.get("id"):
                self.ids.add(answer["id"])
            results = answer.get("results", {})
            if answer["outcome"] == "answered":
                self.promised |= {post for post, said in results.items() if said in PROMISED}
            if answer["outcome"] == "kept":
                self.promised |= set(self.to)
            self.refused |= {post for post, said in results.items() if said in FINAL}
            # Who asked without an answer, was revoked, and asks again, is turned away whatever became of the first.
            turned_away = answer.get("error") == "revoked" and self.unanswered
            if answer["outcome"] == "refused" and not turned_away:
                self.refused |= set(self.to)
            self.unanswered = self.unanswered or answer["outcome"] == "silent"

    def __str__(self):
        return f"{self.post} to {', '.join(self.to)}: {self.subject or 'a reply'} ({self.name})"


class Facts:
    def __init__(self, lines, folder):
        self.lines, self.folder = lines, pathlib.Path(folder)
        self.kinds = collections.defaultdict(list)
        for line in lines:
            self.kinds[line.get("kind")].append(line)
        self.world = self.kinds["world"][0]
        self.card = {}
        for line in self.world["card"].splitlines():
            words = line.split("#")[0].split()
            if len(words) == 2:
                self.card.setdefault(words[0], []).append(words[1])
        self.statement_key = bytes.fromhex(self.card["statement"][0])
        self.unreadable = []
        self.notes, self.bundles = {}, {}
        self.read_calls()
        self.read_log()
        self.read_directory()
        self.read_sides()
        self.read_places()

    def of(self, kind):
        return self.kinds[kind]

    # ---- calls ----

    def read_calls(self):
        self.calls = {line["n"]: line for line in self.of("call")}
        self.answers = collections.defaultdict(list)
        for line in self.of("answer"):
            self.answers[line["call"]].append(line)
        self.intents = {}
        for call in self.of("call"):
            if call["verb"] == "submit":
                intent = self.intents.setdefault(call["intent"], Intent(call))
                intent.asked(call, self.answers[call["n"]])

        self.delayed = {call["id"] for call in self.of("call") for answer in self.answers[call["n"]]
                        if call.get("id") and (answer["outcome"] == "later" or
                                               TRANSIENT & set(answer.get("results", {}).values()))}

    def good(self, call):
        return any(answer["outcome"] == "answered" for answer in self.answers[call["n"]])

    # ---- the log, and receipts ----

    def receipt(self, text, where):
        """The receipt in hex, or None: then it is among the unreadable."""
        found = parsed(text)
        if isinstance(found, str):
            self.unreadable.append(f"{where}: {found}")
            return None
        return found

    def note(self, text, where):
        if text not in self.notes:
            try:
                self.notes[text] = Note(text)
            except (ValueError, IndexError) as error:
                self.notes[text] = None
                self.unreadable.append(f"{where}: {error}")
        return self.notes[text]

    def read_log(self):
        """log: {index: receipt}, as the relay has it at the end. handed: [(who, receipt)], as clients were given them."""
        self.log, self.rows = {}, []
        for store in self.of("store"):
            for index, data in store["receipts"]:
                found = self.receipt(data, "the store")
                self.rows.append((index, found))
                if found and found.entry:
                    self.log.setdefault(index, found)
        self.handed = [(line["client"], self.receipt(line["bytes"], f"line {line['n']}")) for line in self.of("receipt")]
        for line in self.of("bundle"):
            self.handed += [(line["client"], each) for each in self.bundle(line)[1]]
        self.handed = [(who, each) for who, each in self.handed if each]
        self.legs = collections.defaultdict(list)  # {(id, leg): receipts by place in the log}
        for index in sorted(self.log):
            self.legs[self.log[index].id, self.log[index].leg].append(self.log[index])
        self.heads = []  # (the line, note)
        for line in self.of("head"):
            self.heads.append((line, self.note(line["note"], f"line {line['n']}")))
        for line in self.of("store"):
            for text in [*line["heads"], *line["files"]]:
                self.heads.append(({**line, "newest": False, "client": "the store"}, self.note(text, "the store")))
        for text in {each.checkpoint for _, each in self.handed if each.checkpoint}:
            self.heads.append(({"n": 0, "newest": False, "client": "a receipt"}, self.note(text.decode(), "a receipt")))
        self.heads = [(line, note) for line, note in self.heads if note]
        self.leaf_hashes = {}
        for line in self.of("hashes"):
            self.leaf_hashes[line["log"], line["from"]] = split(bytes.fromhex(line["hashes"]))
        self.roots = {}
        for log in ("directory", "evidence"):
            hashes = self.leaf_hashes.get((log, "wire"), [])
            sizes = {note.size for _, note in self.heads if note.log == log} | {len(hashes)}
            self.roots[log] = merkle.roots_at(hashes, sizes)
        self.log_key = NoteKey(f"{self.world['relay']}/evidence", 1, bytes.fromhex(self.card["log"][0]))
        self.directory_key = NoteKey(f"{self.world['relay']}/directory", 1, bytes.fromhex(self.card["log"][0]))

    def bundle(self, line):
        """(places, receipts) of a bundle file."""
        path = line["path"]
        if path not in self.bundles:
            try:
                found = unpacked((self.folder / path).read_bytes())
            except OSError as error:
                found = str(error)
            if isinstance(found, str):
                self.unreadable.append(f"{path}: {found}")
                found = [], []
            self.bundles[path] = found[0], [self.receipt(each, path) for each in found[1]]
        return self.bundles[path]

    # ---- the directory ----

    def read_directory(self):
        leaves = tuple(data for line in self.of("leaves") for data in line["leaves"])
        self.directory, self.bad_leaf = replayed(leaves, tuple(self.card["registrar"]), int(self.card["threshold"][0]))

    def device(self, key):
        return self.directory.devices.get(key, {})

    # ---- what the sides tell ----

    def read_sides(self):
        self.boxes, self.bodies, self.trails = {}, collections.defaultdict(list), collections.defaultdict(dict)
        for line in self.of("box"):
            self.boxes[line["post"], line["box"]] = line["items"]
        for line in self.of("body"):
            self.bodies[line["post"], line["id"]].append(line["sha256"])
        for line in self.of("trail"):
            self.trails[line["id"]][line["post"]] = line["legs"]
        self.mute = {self.device(bytes.fromhex(line["device"])).get("post") for line in self.of("revoked")}  # not let in any more
        self.told = {}  # {(post, body): ids}: which requests have it
        for (post, request), sums in self.bodies.items():
            for each in sums:
                self.told.setdefault((post, each), set()).add(request)

    def items(self, post, box, intent):
        """What a side's list has of an intent, each occurrence."""
        found = []
        by_body = self.told.get((post, intent.body), set()) if box == "inbox" else set()
        for item in self.boxes.get((post, box), []):
            same = intent.subject is not None and not item["parent"] and item["subject"] == intent.subject
            if item["id"] in intent.ids or same or item["id"] in by_body:
                found.append(item)
        return found

    # ---- who sent which leg ----

    def read_places(self):
        self.places = {}  # {(id, leg in hex): {to, device, sequence}}
        for line in [*self.of("place"), *self.of("arrived"),
                     *(place for line in self.of("bundle") for place in self.bundle(line)[0])]:
            known = self.places.setdefault((line["id"], line["leg"]), {})
            known.update({name: line[name] for name in ("to", "device", "sequence") if name in line})

    def place(self, receipt):
        return self.places.get((receipt.id, receipt.leg.hex() if receipt.leg else None), {})

    def actor(self, receipt):
        """The key of who moved it: for what the relay stored, of who brought it. None when that is not known."""
        if receipt.statement["device"] != self.statement_key:
            return receipt.statement["device"]
        device = self.place(receipt).get("device")
        return bytes.fromhex(device) if device and receipt.entry and receipt.entry["ordinal"] == 0 else None

    def stored_at(self, request, to):
        """Where the log has it that this request was stored for that post; None when not."""
        for (found, leg), receipts in self.by_request.get(request, {}).items():
            known = self.places.get((found, leg.hex()), {}).get("to")
            if known == to or (known is None and len(self.by_request[request]) == 1):
                return receipts[0].index
        return None

    @property
    def by_request(self):
        if not hasattr(self, "requests"):
            self.requests = collections.defaultdict(dict)
            for (request, leg), receipts in self.legs.items():
                self.requests[request][request, leg] = receipts
        return self.requests


def split(data):
    return [data[at:at + 32] for at in range(0, len(data), 32)]
