"""journal.py - what a harness writes down while a load runs: every call, answer and fault, one JSON object a line.

Each line has `n` (its number, from 0, without a hole), `at` (seconds since the journal was opened) and `kind`. Bytes stand in hex.
A line is in the file before the thing that it tells of goes on: a call before it is made, an answer when it has come. Lines:

    world    relay, card (its text), canary (what every secret marker begins with), posts (all that take part)
    call     client, post, verb, and: of `submit` intent (the same whenever the same thing is asked again), subject, to, body
             (SHA-256), exercise, parent, and where the client knows them before: id, device; of `say` id and event; of `revoke` device
    answer   call, outcome, and: id, results ({post: state or error}), error
               answered  the relay's answer came, and its receipts hold
               kept      the client has it in its outbox, and promises to bring it
               refused   refused for good
               later     refused for now
               silent    nothing came: the connection or the client was cut
    fault    what was done, and to whom
    revoked  device, entries (size of the evidence log when the revocation had been answered)
    head     client, log, note, newest (the relay calls it its newest), call (in whose answer it came)
    proof    client, log, old, new, path: what the relay gives to show that one log goes on from the other
    receipt  client, post, bytes: as it was handed to a client
    arrived  client, post, feed, id, device, leg, sequence: a request as it reached a recipient, in order
    place    id, leg, device, to, sequence: what a sender says of a leg

and, when all has come to rest, what can be got from outside:

    box      client, post, box (inbox or sent), items
    body     client, post, id, sha256
    trail    client, post, id, legs: how a side tells what happened
    status   client, post, outbox, alarms
    bundle   client, post, id, path
    leaves   the directory
    hashes   log, from (wire or store), hashes: the leaf hashes of a log
    store    receipts, heads, file: what lies at the relay, read only
    image    what (disk, log or memory), of, path, control (something that must be found in it: else nothing was looked at)
    end      calls, faults"""

import json
import threading
import time


class Journal:
    """The writer; several threads may share it."""

    def __init__(self, path):
        self.path, self.begun, self.number, self.calls, self.faults = path, time.monotonic(), 0, 0, 0
        self.file = open(path, "w", encoding="utf-8")  # pylint: disable=consider-using-with
        self.lock = threading.Lock()
        self.once = set()

    def write(self, kind, **fields):
        """The line's number."""
        with self.lock:
            n = self.number
            self.number += 1
            self.calls += kind == "call"
            self.faults += kind == "fault"
            line = {"n": n, "at": round(time.monotonic() - self.begun, 6), "kind": kind, **plain(fields)}
            self.file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self.file.flush()
            return n

    def call(self, **fields):
        return self.write("call", **fields)

    def answer(self, call, outcome, **fields):
        self.write("answer", call=call, outcome=outcome, **fields)

    def write_once(self, kind, **fields):
        """Not again what was written with the very same words: receipts and heads come many times over."""
        key = (kind, json.dumps(plain(fields), sort_keys=True))
        with self.lock:
            if key in self.once:
                return
            self.once.add(key)
        self.write(kind, **fields)

    def close(self):
        self.write("end", calls=self.calls, faults=self.faults)
        self.file.close()


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(each) for each in value]
    return value


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_lines(path, lines):
    """A journal made of another's lines."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
