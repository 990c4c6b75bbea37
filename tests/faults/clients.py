"""clients.py - who hammers the relay: posts that speak the wire themselves (tests/interop's independent client), and desks that run
the real `pouch`. Everything that they ask, are answered and are shown goes into the journal as it happens."""

import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time

for folder in ("interop", "flow"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))

# The paths must be there first.
import zmq  # noqa: E402
from zmq.utils.monitor import recv_monitor_message  # noqa: E402
from cbor import decode  # noqa: E402
from document import ERRORS, MESSAGES, STATES, TRANSIENT  # noqa: E402
from facts import EVENT_TEXTS, STATE_NAMES  # noqa: E402
from seals import x_public  # noqa: E402
from stranger import Failure, Link, Stranger, need  # noqa: E402

CUT_S = 4         # no answer for so long: the question is asked again
PATIENCE_S = 90   # no answer for so long: the test has failed
WIDTH = 4         # submissions under way at once


class Cut(Exception):
    """The connection ended, or nothing came: nobody knows whether it was done."""


class Canaries:
    """Words that nobody but sender and recipient may ever see. All of a run begin alike, so that one search finds any."""

    def __init__(self):
        self.prefix = "Kanarienvogel" + os.urandom(9).hex()

    def new(self):
        return f"{self.prefix}x{os.urandom(6).hex()}"


class Out(Exception):
    """The relay does not let this key in."""


class Wire(Link):
    """A connection that notices when it is cut, and can be made anew. libzmq must not make it anew by itself: of several messages
    under way it would lose the first with the old connection, and bring the rest over the new one, out of order."""

    def __init__(self, card, secret, client):  # pylint: disable=super-init-not-called
        self.card, self.secret, self.client = card, secret, client
        self.context, self.socket, self.number, self.hints = zmq.Context(), None, 0, []
        self.open()

    def open(self):
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndtimeo = 100
        self.socket.reconnect_ivl = -1
        self.socket.curve_serverkey = self.card.curve
        self.socket.curve_publickey = x_public(self.secret)
        self.socket.curve_secretkey = self.secret
        self.events = self.socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        self.socket.connect(self.card.addresses[0])

    def reopen(self):
        self.shut()
        time.sleep(0.02)
        self.open()

    def shut(self):
        self.socket.disable_monitor()
        self.events.close(0)
        self.socket.close(0)

    def close(self):
        self.shut()
        self.context.term()

    def receive(self):
        end = time.monotonic() + CUT_S
        while time.monotonic() < end:
            poller = zmq.Poller()
            poller.register(self.socket, zmq.POLLIN)
            poller.register(self.events, zmq.POLLIN)
            ready = dict(poller.poll(200))
            if self.socket in ready:
                frame = decode("frame", self.socket.recv())
                name = next(name for name, row in MESSAGES.items() if row[0] == frame["type"])
                return frame["number"], name, decode(MESSAGES[name][1], frame["body"])
            if self.events in ready:
                happened = recv_monitor_message(self.events)["event"]
                raise Out if happened == zmq.EVENT_HANDSHAKE_FAILED_AUTH else Cut
        raise Cut

    def send(self, name, value):
        try:
            return super().send(name, value)
        except zmq.Again:  # libzmq has given up the connection: there is nowhere to send to
            happened = recv_monitor_message(self.events)["event"] if self.events.poll(0) else 0
            raise Out if happened == zmq.EVENT_HANDSHAKE_FAILED_AUTH else Cut from None

    def once(self, name, value):
        """Asked once: the answer, Cut, or Failure."""
        answer, found = self.answer(self.send(name, value))
        if answer == "FAILURE":
            raise Failure(found)
        need(answer == MESSAGES[name][2], "malformed", answer)
        return found

    def call(self, name, value):
        """Asked until it is answered: none of these has an effect that a repeat could double."""
        end = time.monotonic() + PATIENCE_S
        while True:
            asked = self.client.journal.call(client=self.client.name, post=self.client.me.post, verb=name.lower())
            outcome, found = "silent", None
            try:
                found = self.once(name, value)
                outcome = "answered"
                return found
            except Cut:
                self.reopen()
            except Failure as failure:
                outcome = "later" if failure.name in TRANSIENT else "refused"
                if failure.name not in TRANSIENT:
                    raise
                time.sleep(0.05)
            finally:
                self.client.journal.answer(asked, outcome)
                if found:
                    self.client.saw(asked, name, value, found)
            assert time.monotonic() < end, f"{self.client.name}: {name} is not answered"


class Post(Stranger):
    """A post on the wire. One thread owns it."""

    def __init__(self, hammer, identity, restless=True):
        self.name, self.hammer, self.journal, self.restless = identity.post, hammer, hammer.journal, restless
        super().__init__(hammer.card, identity)
        self.link.close()
        self.link = Wire(self.card, identity.transport, self)
        self.places, self.open, self.met, self.known_keys = {}, {}, set(), []
        self.out = False  # its key was revoked
        self.intents = 0

    # ---- what it sees ----

    def saw(self, asked, name, value, found):
        notes = {"HELLO": [("directory", "checkpoint"), ("evidence", "evidence")], "GETLEAVES": [("directory", "checkpoint")],
                 "GETLOG": [("evidence", "note")]}.get(name, [])
        for log, field in notes:
            if field in found:
                self.journal.write("head", client=self.name, log=log, note=found[field].decode(), newest=True, call=asked)
        if name == "GETLOG":
            newest = int(found["note"].split(b"\n")[1])
            for old, new, path in zip(value["sizes"], [*value["sizes"][1:], newest], found["proofs"]):
                self.journal.write("proof", client=self.name, log="evidence", old=old, new=new, path=path)

    def take_receipt(self, request, leg, data):
        self.journal.write_once("receipt", client=self.name, post=self.me.post, bytes=data)
        record = decode("record", decode("stamped", decode("receipt", data)["record"])["payload"])
        entry = decode("entry", record["entry"]) if "entry" in record else None
        if entry and entry["size"] > self.directory.size:
            self.mirror()
        statement = super().take_receipt(request, leg, data)
        if entry:
            self.places[leg.id, entry["ordinal"]] = record["index"]
        return statement

    def take_offered(self, offered):
        request = super().take_offered(offered)
        if request and request.id not in self.met:
            self.met.add(request.id)
            leg = next(leg for leg in request.legs.values() if leg.opening["to"] == self.me.post)
            self.journal.write("arrived", client=self.name, post=self.me.post, feed=self.after, id=request.id,
                               device=request.header["device"], leg=leg.id, to=leg.opening["to"],
                               sequence=leg.opening["sequence"])
            self.open[request.id] = (request, leg)
        return request

    def open_offer(self, request, leg):
        try:
            super().open_offer(request, leg)
        except Failure as failure:
            if failure.name != "erased":  # it was withdrawn before anybody looked: the feed will tell
                raise

    # ---- what it does ----

    def write(self, posts, parent=None, size=None):
        """A request of which nobody has heard yet: (request, the words of its calls)."""
        text = (f"body {self.hammer.canaries.new()} ".encode() +
                os.urandom(size or random.choice((10, 900, 4000, 20000))).hex().encode())
        subject = None if parent else f"subject {self.hammer.canaries.new()}"
        more = {} if parent else {"summary": f"summary {self.hammer.canaries.new()}"}
        request = self.compose(posts, text, subject, parent=parent, **more)
        self.intents += 1
        for leg in request.legs.values():
            self.journal.write("place", id=request.id, leg=leg.id, to=leg.opening["to"],
                               device=self.me.device.public, sequence=leg.opening["sequence"])
        self.known_keys = (self.known_keys + list(request.keys.values()))[-6:]
        return request, {"intent": f"{self.name} {self.intents}", "subject": subject, "to": posts, "id": request.id,
                         "body": hashlib.sha256(text).hexdigest(), "exercise": False, "device": self.me.device.public,
                         "parent": parent.request.id if parent else None}

    def bring(self, written):
        """Brings several requests at once, until each leg was answered for good."""
        waiting = [(request, words, None) for request, words in written]
        end = time.monotonic() + PATIENCE_S
        while waiting:
            self.mirror()
            waiting = [(request, words, submit or self.submission(request)) for request, words, submit in waiting]
            calls = [self.journal.call(client=self.name, post=self.me.post, verb="submit", **words) for _, words, _ in waiting]
            numbers, cut = [], None
            try:
                numbers += [self.link.send("SUBMIT", submit) for _, _, submit in waiting]
            except (Cut, Out) as error:
                cut = error
            asked = [(n, number, *each) for n, number, each in zip(calls, numbers or [None] * len(calls), waiting)]
            if self.restless and random.random() < 0.03:
                self.journal.write("fault", what="cut", whom=self.name)
                time.sleep(random.uniform(0, 0.02))
                cut = cut or Cut()
            waiting = self.gather_answers(asked, cut)
            assert time.monotonic() < end, f"{self.name}: submissions are not answered"
            if self.out:
                return
            if waiting:
                time.sleep(0.02)

    def gather_answers(self, asked, cut):
        """What must be asked again, in the order in which it was."""
        answers = {}
        numbers = {number for _, number, *_ in asked}
        try:
            while not cut and numbers - answers.keys():
                number, name, found = self.link.receive()
                answers[number] = (name, found)
        except (Cut, Out) as error:
            cut = error
        again = []
        for n, number, request, words, submit in asked:
            if number not in answers:
                self.journal.answer(n, "silent")
                again.append((request, words, submit))
            elif not self.judge(n, request, *answers[number]):
                again.append((request, words, None))
        if isinstance(cut, Out):
            raise cut
        if cut:
            self.link.reopen()
        return again

    def judge(self, n, request, name, found):
        """True when it is settled for good."""
        if name == "FAILURE":
            error = ERRORS[found["error"]]
            self.journal.answer(n, "later" if error in TRANSIENT else "refused", error=error)
            self.out = self.out or error == "revoked"
            return error not in TRANSIENT
        need(name == "SUBMITTED" and found["header"] == request.digest, "mismatch")
        need(not found["wants"], "malformed", "all pieces were there")
        results = {}
        for result in found["results"]:
            leg = request.legs[result["subject"]]
            self.take_result(request, leg, result)
            results[leg.opening["to"]] = "stored" if result["error"] == 0 else ERRORS[result["error"]]
        self.journal.answer(n, "answered", id=request.id, results=results)
        self.hammer.counts["submit"] += 1
        self.hammer.counts["reply"] += "parent" in request.header and set(results) <= set(self.hammer.living)
        return not TRANSIENT & set(results.values())

    def tell(self, request, leg, event, **more):
        """A statement, the same bytes again until they are answered."""
        stamped = self.statement(request, leg, event, **more)
        end = time.monotonic() + PATIENCE_S
        while True:
            n = self.journal.call(client=self.name, post=self.me.post, verb="say", id=request.id, leg=leg.id, event=event,
                                  device=self.me.device.public)
            try:
                answer = self.link.once("STATE", {"said": [{"statement": stamped}]})
                result, = answer["results"]
                if "receipt" in result:
                    if self.is_early(leg, result["receipt"]):
                        self.catch_up(request, leg)
                    self.take_receipt(request, leg, result["receipt"])
                error = ERRORS[result["error"]]
                transient = error in TRANSIENT
                self.journal.answer(n, "answered" if error == "ok" else "later" if transient else "refused", error=error)
                self.hammer.counts[event] += error == "ok"
                if not transient:
                    return error
            except (Cut, Out) as error:
                self.journal.answer(n, "silent")
                if isinstance(error, Out):
                    raise
                self.link.reopen()
            except Failure as failure:
                self.journal.answer(n, "later" if failure.name in TRANSIENT else "refused", error=failure.name)
                if failure.name not in TRANSIENT:
                    self.out = self.out or failure.name == "revoked"
                    return failure.name
                time.sleep(0.05)
            assert time.monotonic() < end, f"{self.name}: a statement is not answered"

    def decide(self, request, leg):
        """What a desk does with a request, down to the answer."""
        note = f"note {self.hammer.canaries.new()}"
        if "parent" in request.header:
            if self.read_reply(request, leg):
                self.tell(request, leg, "HANDED_OVER")
            return
        self.tell(request, leg, "NOTIFIED")
        choice = random.random()
        if choice < 0.15:
            return  # silence
        if choice < 0.3:
            self.tell(request, leg, "DECLINED", officer=True, note=note)
            return
        if self.tell(request, leg, "ACCEPTED", officer=True, note=note) != "ok":
            return
        self.read(request, leg)
        self.tell(request, leg, "HANDED_OVER")
        if choice > 0.5:
            self.tell(request, leg, "ACKNOWLEDGED", note=note)
        if choice > 0.85 and request.header["from"] in self.directory.posts:
            self.bring([self.write([request.header["from"]], parent=leg)])

    def read(self, request, leg):
        self.open_body(request, leg)
        self.journal.write("body", client=self.name, post=self.me.post, id=request.id,
                           sha256=hashlib.sha256(request.text).hexdigest())

    def read_reply(self, request, leg):
        """False: its sender has taken it back since it was last looked at, and the log says so."""
        try:
            self.read(request, leg)
        except Failure as failure:
            if failure.name not in ("not-accepted", "erased"):
                raise
            self.sync()
            assert leg.state == STATES["WITHDRAWN"], f"{self.name}: a reply is {failure.name}, and was not withdrawn"
            return False
        return True

    def turn(self):
        """One round: something sent, something answered."""
        others = self.hammer.others(self.me.post)
        choice = random.random()
        if choice < 0.6:
            to = [random.choice(others)]
            self.bring([self.write(to) for _ in range(random.choice((1, 1, WIDTH)))])
        else:
            self.bring([self.write(random.sample(others, min(2, len(others))))])
        mine = [(request, leg) for request in list(self.requests.values())[-3:] for leg in request.legs.values()
                if request.header["from"] == self.me.post and leg.state in (STATES["STORED"], STATES["NOTIFIED"])]
        if mine and choice > 0.95:
            self.tell(*random.choice(mine), "WITHDRAWN", officer=True)
        self.answer_all()
        if choice > 0.7:
            self.prove_log()

    def answer_all(self):
        self.sync()
        for request, leg in list(self.open.values()):
            del self.open[request.id]
            if leg.state not in (STATES["WITHDRAWN"], STATES["EXPIRED"]):
                self.decide(request, leg)

    def work(self):
        while not self.hammer.over() and not self.out:
            try:
                self.turn()
            except Failure as failure:
                if failure.name != "revoked":
                    raise
                self.out = True
            except Out:
                self.out = True
                assert self is self.hammer.gone, f"{self.name} is not let in"
            self.hammer.pause()

    # ---- at the end ----

    def rest(self):
        """True when nothing new was there."""
        before = self.after
        if not self.out:
            self.answer_all()
            if self.log_roots:
                self.prove_log()
        return self.after == before

    def report(self):
        inbox, sent = [], []
        for request in self.requests.values():
            mine = request.header["from"] == self.me.post
            legs = [leg for leg in request.legs.values() if mine or leg.opening["to"] == self.me.post]
            if not legs or (mine and not any(leg.entries for leg in legs)):
                continue
            parent = request.header.get("parent")
            item = {"id": request.id, "from": request.header["from"], "exercise": request.header["exercise"],
                    "subject": request.offer["subject"] if request.offer else None,
                    "parent": parent["header"][:16].hex() if parent else None, "state": STATE_NAMES[legs[0].state]}
            (sent if mine else inbox).append(item)
            told = [{"to": leg.opening["to"], "state": STATE_NAMES[leg.state], "events": [
                {"event": EVENT_TEXTS[statement["event"]], "ordinal": ordinal, "log_index": self.places[leg.id, ordinal]}
                for ordinal, (statement, _) in enumerate(leg.entries)]} for leg in legs if leg.entries]
            self.journal.write("trail", client=self.name, post=self.me.post, id=request.id, legs=told)
        self.journal.write("box", client=self.name, post=self.me.post, box="inbox", items=inbox)
        self.journal.write("box", client=self.name, post=self.me.post, box="sent", items=sent)
        self.journal.write("keys", client=self.name, keys=self.known_keys)
        self.journal.write("status", client=self.name, post=self.me.post, outbox=0, alarms=[])


class Desk:
    """A post that runs the real program. The killer may end it at any moment."""

    def __init__(self, hammer, home):
        self.hammer, self.journal, self.home, self.name = hammer, hammer.journal, home, home.post
        self.post, self.running, self.lock, self.intents = home.post, None, threading.Lock(), 0
        self.answered, self.replied = set(), set()

    def kill(self):
        """SIGKILL, if something runs."""
        with self.lock:
            if not self.running or self.running.poll() is not None:
                return False
            self.journal.write("fault", what="SIGKILL", whom="client", pid=self.running.pid)
            self.running.send_signal(signal.SIGKILL)
            return True

    def run(self, *args, data=None):
        """(exit code, the JSON objects on its output). -9: it was killed."""
        process = self.home.start(*args, data=data)
        with self.lock:
            self.running = process
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            with self.lock:
                self.running = None
        code = process.returncode
        known = (0, 1, 3, 4, 5, 6, 7, -signal.SIGKILL)  # 4: to a post that was revoked meanwhile
        assert code in known, f"{self.name}: {args} ended with {code}\n{err.decode(errors='replace')}"
        if code == -signal.SIGKILL:
            return code, []
        return code, [json.loads(line) for line in out.decode().splitlines() if line.strip()]

    def settle(self):
        """Until nothing waits in the outbox: what a killed program left is then there, or was never kept."""
        end = time.monotonic() + PATIENCE_S
        while True:
            code, _ = self.run("sync")
            status = self.run("status", "--offline") if code == 0 else (code, [])
            if status[0] == 0 and status[1][0]["outbox"] == 0:
                return
            assert time.monotonic() < end, f"{self.name} does not come to rest"
            time.sleep(0.02)

    def items(self, box):
        """A list; asked again when the program was killed meanwhile."""
        for _ in range(200):
            code, lines = self.run(box, "--all", "--offline")
            if code == 0:
                return lines
        raise AssertionError(f"{self.name} cannot list its {box}")

    def bring(self, args, text, is_mine, **words):
        """Sends until it is in the home: a killed program may have kept nothing, and is asked again then."""
        self.intents += 1
        words = {"intent": f"{self.name} {self.intents}", "body": hashlib.sha256(text).hexdigest(), "exercise": False, **words}
        for _ in range(20):
            n = self.journal.call(client=self.name, post=self.post, verb="submit", **words)
            code, lines = self.run(*args, data=text)
            if code == -signal.SIGKILL:
                self.journal.answer(n, "silent")
            elif code in (1, 4):
                self.journal.answer(n, "refused", error=f"exit code {code}")
                return
            elif not lines:
                self.journal.answer(n, "later", error=f"exit code {code}")
            else:
                results = {leg["to"]: leg["state"] for leg in lines[0]["legs"]}
                self.journal.answer(n, "answered" if code == 0 else "kept", id=lines[0]["id"], results=results)
                return
            self.settle()
            if any(is_mine(item) for item in self.items("sent")):
                return
        raise AssertionError(f"{self.name}: never taken")

    def send(self):
        to = random.choice(self.hammer.others(self.post))
        subject = f"subject {self.hammer.canaries.new()}"
        text = f"body {self.hammer.canaries.new()} ".encode() + os.urandom(random.choice((10, 2000, 9000))).hex().encode()
        args = ["send", "--to", to, "-s", subject, "--summary", f"summary {self.hammer.canaries.new()}"]
        if random.random() < 0.3:
            paper = self.hammer.house.papers / f"{self.hammer.canaries.new()}.txt"
            paper.write_text(f"attached {self.hammer.canaries.new()}")
            args += ["--attach", str(paper)]
        self.bring([*args, "-"], text, lambda item: item["subject"] == subject and not item["parent"],
                   subject=subject, to=[to], parent=None)

    def say(self, event, item, *more):
        n = self.journal.call(client=self.name, post=self.post, verb="say", id=item["id"], event=event)
        code, _ = self.run(event, item["id"], *more)
        self.journal.answer(n, {0: "answered", -signal.SIGKILL: "silent", 1: "refused", 4: "refused"}.get(code, "later"))
        return code

    def answer_one(self):
        waiting = [item for item in self.items("inbox") if not item["parent"] and item["id"] not in self.answered
                   and item["state"] in ("stored", "notified", "opened", "accepted", "handed_over")]
        if not waiting:
            return
        item = random.choice(waiting)
        note = ("--note", f"note {self.hammer.canaries.new()}")
        if item["state"] in ("accepted", "handed_over"):
            if item["id"] not in self.replied and random.random() < 0.3:
                self.replied.add(item["id"])
                text = f"reply {self.hammer.canaries.new()}".encode()
                self.bring(["reply", item["id"], "-"], text, lambda each: each["parent"] == item["id"], subject=None,
                           to=[item["from"]], parent=item["id"])
            elif self.say("ack", item, *note) != -signal.SIGKILL:
                self.answered.add(item["id"])
        elif random.random() < 0.2:
            self.answered.add(item["id"])
        else:
            self.say("accept" if random.random() < 0.8 else "decline", item, *note)

    def work(self):
        while not self.hammer.over():
            if random.random() < 0.5:
                self.send()
            self.run("sync")
            self.answer_one()
            self.hammer.pause()

    # ---- at the end ----

    def rest(self):
        before = self.items("inbox"), self.items("sent")
        self.settle()
        return (self.items("inbox"), self.items("sent")) == before

    def report(self):
        journal, home = self.journal, self.home
        for box in ("inbox", "sent"):
            items = home.ok(box, "--all").lines
            journal.write("box", client=self.name, post=self.post, box=box, items=items)
            for item in items:
                legs = home.ok("track", item["id"]).json["legs"]
                journal.write("trail", client=self.name, post=self.post, id=item["id"], legs=legs)
                path = self.hammer.folder / "bundles" / f"{self.post.replace('/', '-')}-{item['id']}"
                home.ok("evidence", item["id"], "-o", path)
                journal.write("bundle", client=self.name, post=self.post, id=item["id"],
                              path=str(path.relative_to(self.hammer.folder)))
                if box == "inbox" and item["state"] in ("handed_over", "acknowledged"):
                    body = home.ok("show", item["id"], "--body", "-").out
                    journal.write("body", client=self.name, post=self.post, id=item["id"],
                                  sha256=hashlib.sha256(body).hexdigest())
        status = home.ok("status").json
        journal.write("status", client=self.name, post=self.post, outbox=status["outbox"], alarms=status["alarms"])

