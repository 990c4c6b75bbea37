#!/usr/bin/python3
"""hammer.py - a load of several posts on a real relay while everything is killed at random moments: the gate, the ledger, the whole
relay, the clients. It writes a journal; history.py judges it.

    hammer.py [--kills N] [--seconds S] [--folder DIR] [--seed N]       POUCHD, POUCHCTL and POUCH name the programs

It ends after N kills or S seconds, whichever comes first. Half of the posts are tests/interop's independent client, which keeps
several submissions under way and cuts its own connection now and then; half run `pouch`, which is killed with SIGKILL. One post's
keys are revoked half-way; it goes on trying."""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

from clients import PATIENCE_S, Canaries, Desk, Post  # first: it sets the path

import gather
import history
import journal as journals
from house import House, until
from stranger import Card, Identity, Link

DESKS = ("fj/technical", "de/technical")
STRANGERS = ("org.a", "org.b")
REVOKED = "org.gone"
CONFIG = {"quota.requests": 1000000, "quota.pair": 1000000, "rate.member": 100000, "rate.guest": 10000,
          "quota.directory": 100000}
VICTIMS = ("gate", "gate", "ledger", "ledger", "relay", "client", "client", "client")
IMAGES = 6  # of the store's log after a kill: so many are kept


class Hammer:
    def __init__(self, folder, kills, seconds, enough=None):
        """enough: of the counts of what was done, whether it may end; so that it does not, when the kills are soon done."""
        self.folder = pathlib.Path(folder)
        for name in ("bundles", "images", "house"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.kills, self.seconds, self.killed, self.wals = kills, seconds, 0, 0
        self.enough, self.counts = enough or (lambda counts: True), collections.Counter()
        self.journal = journals.Journal(self.folder / "journal")
        self.canaries = Canaries()
        self.done, self.calm, self.failures = threading.Event(), threading.Event(), []
        self.house = House(config=CONFIG, relay=False, folder=self.folder / "house")
        self.posts, self.desks = [], []
        self.begun = time.monotonic()

    def furnish(self):
        from house import Relay  # pylint: disable=import-outside-toplevel
        self.house.relay = Relay(self.house.folder / "relay", config=CONFIG).start()
        self.relay = self.house.relay
        self.card = self.relay.card.read_text()
        for post in DESKS:
            party = post.split("/")[0]
            self.house.member(party)
            self.desks.append(Desk(self, self.house.home(f"{party}-technical")))
        for party in (*STRANGERS, REVOKED):
            self.posts.append(Post(self, self.admitted(party)))
        self.gone = self.posts[-1]
        self.living = [client.name for client in (*self.desks, *self.posts[:-1])]
        self.journal.write("world", relay="relay.test", card=self.card, canary=self.canaries.prefix,
                           posts=[client.name for client in (*self.desks, *self.posts)])
        for post in self.posts:
            post.join()

    def admitted(self, party):
        identity = Identity(party)
        charter = self.house.papers / f"{party}.charter"
        charter.write_bytes(identity.charter_file())
        ran = self.relay.ctl("admit", str(charter), "--fingerprint", identity.charter_fingerprint())
        assert ran.code == 0, ran
        return identity

    # ---- for the clients ----

    def others(self, post):
        """To whom it may write: the one that will be revoked only writes."""
        return [each for each in self.living if each != post]

    def over(self):
        return self.done.is_set()

    def pause(self):
        time.sleep(random.expovariate(100))

    # ---- killing ----

    def strike(self):
        whom = random.choice(VICTIMS)
        time.sleep(random.uniform(0, 0.08))
        if whom == "client":
            return self.strike_client()
        if whom == "relay":
            return self.strike_relay()
        return self.strike_child(whom)

    def strike_client(self):
        desk = random.choice(self.desks)
        if not until(lambda: desk.running, 1, 0.0005):
            return False
        time.sleep(random.uniform(0, 0.025))
        return desk.kill()

    def child(self, name):
        """The process id of gate or ledger, when both serve."""
        ran = self.relay.ctl("status")
        return (ran.json[f"{name}_pid"] or None) if ran.code == 0 else None

    def strike_child(self, name):
        pid = self.child(name)
        if not pid:
            return False
        self.journal.write("fault", what="SIGKILL", whom=name, pid=pid)
        self.relay.kill_pid(pid)
        return True

    def strike_relay(self):
        supervisor = self.relay.process.pid
        pids = [supervisor, *gather.children(supervisor)]
        random.shuffle(pids)
        self.journal.write("fault", what="SIGKILL", whom="relay", pid=supervisor)
        for pid in pids:
            self.relay.kill_pid(pid)
        self.relay.process.wait(timeout=PATIENCE_S)
        self.relay.process = None
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids[1:]), 10, 0.002)
        if self.wals < IMAGES:
            path = self.folder / "images" / f"wal-{self.wals}"
            self.wals += gather.wal(self.relay.folder, path)
        self.relay.start()
        return True

    def killer(self):
        revoked = False
        while not self.over() and self.killed < self.kills and time.monotonic() - self.begun < self.seconds:
            before = self.journal.number
            until(lambda: self.journal.number > before + 20 or self.over(), 20, 0.005)
            self.killed += bool(self.strike())
            if not revoked and (self.killed >= self.kills // 2 or time.monotonic() - self.begun > self.seconds / 2):
                self.revoke()
                revoked = True
        if not revoked:
            self.revoke()
        until(lambda: self.over() or self.enough(self.counts), PATIENCE_S)
        time.sleep(0.3)

    def revoke(self):
        """The post's slip, by anybody's connection; asked again until it is answered."""
        device = self.gone.me.device.public
        slip, card = self.gone.me.revocation(), Card(self.card)
        end = time.monotonic() + PATIENCE_S
        while True:
            n = self.journal.call(client="anyone", post="anyone", verb="revoke", device=device)
            link = Link(card, os.urandom(32))
            try:
                number = link.send("DECLARE", {"statements": [slip]})
                name = link.answer(number)[0] if link.socket.poll(3000) else None
                entries = None
                if name == "DONE":
                    number = link.send("HELLO", {"version": 0, "size": 0})
                    entries = link.answer(number)[1]["entries"] if link.socket.poll(3000) else None
            finally:
                link.close()
            self.journal.answer(n, "answered" if name == "DONE" else "silent")
            if entries is not None:
                self.journal.write("revoked", device=device, entries=entries)
                return
            assert time.monotonic() < end, "the revocation is not answered"

    # ---- the run ----

    def guard(self, work):
        def guarded():
            try:
                work()
            except BaseException as failure:  # pylint: disable=broad-except
                self.failures.append(f"{failure!r}\n{traceback.format_exc()}")
                self.done.set()
        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def run(self):
        """The journal's path."""
        try:
            self.furnish()
            self.begun = time.monotonic()
            threads = [self.guard(client.work) for client in (*self.desks, *self.posts)]
            try:
                self.killer()  # in the thread that started the relay: the relay ends with it
            finally:
                self.done.set()
                for thread in threads:
                    thread.join()
            self.hit = time.monotonic() - self.begun
            self.raise_failures()
            self.relay.live_status()
            self.come_to_rest()
            self.gather()
        except BaseException:
            print(self.relay.tail() if self.house.relay else "", file=sys.stderr)
            raise
        finally:
            for post in self.posts:
                post.close()
            self.journal.close()
        return self.journal.path

    def raise_failures(self):
        if self.failures:
            raise AssertionError("\n".join(self.failures))

    def come_to_rest(self):
        """Rounds until nobody learns anything new."""
        for post in self.posts:
            post.restless = False
        quiet = 0
        for _ in range(40):
            quiet = quiet + 1 if all([client.rest() for client in (*self.desks, *self.posts)]) else 0
            if quiet == 2:
                return
        raise AssertionError("the posts do not come to rest")

    def gather(self):
        for client in (*self.desks, *self.posts):
            client.report()
        gather.over_the_wire(self.journal, self.posts[0])
        for name in ("gate", "ledger"):
            path = self.folder / "images" / name
            gather.memory(self.relay.live_status()[f"{name}_pid"], path)
            self.image("memory", name, path, b"org.a/desk")
        gather.from_the_store(self.journal, self.relay.folder)
        assert self.relay.stop() == 0, self.relay.tail()
        assert not self.relay.dirty(), self.relay.dirty()
        self.image("disk", "the relay's folder", self.relay.folder, b"org.a/desk")
        for number in range(self.wals):
            self.image("disk", "the store's log at a kill", self.folder / "images" / f"wal-{number}", b"\x37\x7f\x06")
        self.image("log", "the relay", self.relay.log_path, b"ended by signal 9" if self.relay.kills else b"pouchd")

    def image(self, what, whose, path, control):
        if path.exists() and (path.is_dir() or path.stat().st_size):
            self.journal.write("image", what=what, of=whose, path=os.path.relpath(path, self.folder), control=control)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--folder", help="kept; without it a temporary one that is kept only when something was found")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args(argv)
    random.seed(chosen.seed)
    print(f"seed {chosen.seed}", flush=True)
    folder = chosen.folder or tempfile.mkdtemp(prefix="pouch-hammer-")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    hammer = Hammer(folder, chosen.kills, chosen.seconds)
    path = hammer.run()
    print(f"{hammer.killed} kills in {hammer.hit:.0f} s of load")
    lines = journals.read(path)
    found = history.check(lines, folder)
    print(json.dumps(history.summary(lines)))
    for name, told in found.items():
        print(f"{name}: {history.RULES[name][0]}: NOT SO")
        for each in told[:20]:
            print(f"    {each}")
    if found:
        print(f"kept: {folder}")
    elif not chosen.folder:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
