"""Goal: a network that breaks loses nothing and doubles nothing. Sender, relay and recipient are hosts of their own; between them
packets vanish without a word - in both directions, in one, or because a cable is out - for a second, for some, in the long form
for minutes, in the midst of sending, deciding, reading, and of a large body. A command in between goes on, or ends with its
error's name and exit code; afterwards everything comes to rest by itself. A large body goes on where it was cut: the bytes on the
wire are counted. A host that is gone, or has another address now, is found."""

import hashlib
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
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from hosts import Host, Hosts, enter_namespace  # noqa: E402
from house import RUN_S, Relay, end_process, finish, main, start, until  # noqa: E402
from test_kills import NOT_NOW, Traffic  # noqa: E402

LONG = bool(os.environ.get("POUCH_LONG"))
MIB = 1024 * 1024
SAID = {"unreachable": 3, "timed-out": 6}
KINDS = ("lose_all", "lose_sent", "lose_received", "unplug")
SHORT_S, LONGER_S = 1, 5
LARGE = 24 * MIB
AGAIN = 4 * MIB      # of a body of LARGE, at most so much may travel twice
COMMAND_S = 45       # what a command may take that meets a broken network: its own patience is 20 s
REST_S = 60          # until what runs by itself has noticed that the network is back

WHY_NOT = enter_namespace() if __name__ == "__main__" else "run as a program of its own"


@unittest.skipIf(WHY_NOT, WHY_NOT)
class OnHosts(Traffic):
    """fj, de and the relay, each a host."""

    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pouch-net-"))
        cls.hosts = {name: Host(name) for name in ("relay", "fj", "de")}
        cls.house = Hosts(cls.hosts, folder=folder)
        try:
            cls.house.relay = cls.relay = Relay(folder / "relay", host=cls.hosts["relay"].address)
            with cls.hosts["relay"].starting():
                cls.relay.start()
            cls.furnish()
        except BaseException:
            print(cls.house.relay.tail() if cls.house.relay else "", file=sys.stderr)
            cls.house.close()
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.house.folder, ignore_errors=True)

    def setUp(self):
        self.addCleanup(lambda: [host.heal() for host in self.hosts.values()])

    broken_s = 0  # for so long the network may be broken while something is waited for

    def settle(self, home):
        def quiet():
            return home.run("sync").code == 0 and home.ok("status").json["outbox"] == 0
        at_rest = until(quiet, REST_S + self.broken_s)
        self.assertTrue(at_rest, f"{home.post} does not come to rest\n{self.relay.tail()}")

    def said_so(self, ran):
        """Done, or ended because of the network and by its name."""
        self.assertLess(ran.seconds, COMMAND_S, f"too long, whatever came of it\n{ran}")
        self.assertIn(ran.code, (0, *NOT_NOW), ran)
        if ran.code != 0:
            self.assertEqual(SAID.get(ran.error.get("error")), ran.code, ran)
            self.assertTrue(ran.error.get("message") and ran.error.get("hint"), ran)
        return ran


class Partitions(OnHosts):
    """Rounds of traffic (test_kills.py); before each step of one host's commands its network may break, and heal after a while."""

    def break_at(self, home, at, host, kind, seconds, first):
        """The home's network command number `at` meets a broken network: it begins just before, or (first) afterwards."""
        plain, told, count = home.run, [], 0

        def broken(begun):
            if not first:
                time.sleep(random.uniform(0, 0.04))  # in the midst of it: it takes some 50 ms
            getattr(host, kind)()
            begun.set()
            time.sleep(seconds)
            host.heal()

        def run(*args, **more):
            nonlocal count
            count += args[0] in ("send", "accept", "decline", "ack", "reply", "sync")
            if count != at or told:
                return self.said_so(plain(*args, **more))
            begun = threading.Event()
            breaking = threading.Thread(target=broken, args=(begun,))
            breaking.start()
            if first:
                begun.wait()
            try:
                ran = self.said_so(plain(*args, **more))
            finally:
                breaking.join()
            told.append(f"{args[0]}: {ran.seconds:.1f} s, exit code {ran.code}")
            return ran
        home.run = run
        return told

    def broken_round(self, home, at, host, kind, seconds, first=False):
        with self.subTest(home=home.post, at=at, host=host.name, kind=kind, seconds=seconds, first=first):
            self.broken_s = seconds
            told, begun = self.break_at(home, at, host, kind, seconds, first), time.monotonic()
            try:
                self.round()
            finally:
                del home.run
            print(f"{host.name} {kind} {seconds} s: {', '.join(told)}; round {time.monotonic() - begun:.1f} s", flush=True)
            self.assertEqual(len(told), 1, "the network was never broken")

    def test_rounds_of_traffic_while_the_network_breaks_for_a_second(self):
        for first, kind in enumerate(KINDS):
            for home, steps in ((self.fj, (1, 2, 3)), (self.de, (1, 2, 3, 4, 5))):
                for at in steps if LONG else (random.choice(steps),):
                    self.broken_round(home, at, self.hosts[home.post[:2]], kind, SHORT_S, bool(first % 2))

    def test_rounds_of_traffic_while_it_breaks_for_longer(self):
        self.broken_round(self.fj, 1, self.hosts["fj"], "lose_all", LONGER_S)
        self.broken_round(self.de, 3, self.hosts["relay"], "lose_all", LONGER_S, True)

    @unittest.skipUnless(LONG, "minutes: in the long form (POUCH_LONG=1)")
    def test_rounds_of_traffic_while_it_breaks_for_minutes(self):
        for kind in KINDS:
            for home, steps in ((self.fj, 3), (self.de, 5)):
                for host in (self.hosts[home.post[:2]], self.hosts["relay"]):
                    at, seconds = random.randrange(1, steps + 1), random.choice((30, 120))
                    self.broken_round(home, at, host, kind, seconds, random.random() < 0.5)


class LargeBodies(OnHosts):
    def cut_while(self, host, process, direction, enough):
        """Breaks the network once so many bytes of the body are through. How many went in all until then."""
        begun = host.bytes()[direction]
        there = until(lambda: host.bytes()[direction] - begun >= enough or process.poll() is not None, 60, 0.001)
        self.assertTrue(there, "the body does not travel")
        self.assertIsNone(process.poll(), "it was over before it could be cut")
        host.lose_all()
        return begun

    def large(self, name):
        path = self.house.papers / name
        path.write_bytes(os.urandom(LARGE))
        return path, hashlib.sha256(path.read_bytes()).digest()

    def moved(self, host, direction, begun):
        moved = host.bytes()[direction] - begun
        print(f"{LARGE / MIB:.0f} MiB, {moved / MIB:.1f} MiB on the wire", flush=True)
        self.assertGreater(moved, LARGE)
        return moved

    def finished(self, home, process, what):
        """It goes on by itself, or the next command does."""
        ran = self.said_so(finish(process, [what], timeout=RUN_S))
        self.settle(home)
        return ran

    def upload(self, seconds):
        host, (path, digest) = self.hosts["fj"], self.large("up")
        sending = self.fj.start("send", "--to", "de", "-s", f"up {seconds}", path)
        begun = self.cut_while(host, sending, 1, LARGE // 2)
        time.sleep(seconds)
        host.heal()
        ran = self.finished(self.fj, sending, "send")
        request = ran.json["id"]
        self.assertLess(self.moved(host, 1, begun), LARGE + AGAIN, "it began anew")
        self.assertEqual([line["id"] for line in self.de.inbox().values() if line["subject"] == f"up {seconds}"], [request])
        self.assertEqual(self.relay.live_status()["staged"], 0)
        self.de.ok("accept", request)
        self.assertEqual(hashlib.sha256(self.de.body(request)).digest(), digest)

    def download(self, seconds):
        host, (path, digest) = self.hosts["de"], self.large("down")
        request = self.fj.ok("send", "--to", "de", "-s", f"down {seconds}", path).json["id"]
        self.de.ok("sync")
        accepting = self.de.start("accept", request)
        begun = self.cut_while(host, accepting, 0, LARGE // 2)
        time.sleep(seconds)
        host.heal()
        self.finished(self.de, accepting, "accept")
        self.assertEqual(hashlib.sha256(self.de.body(request)).digest(), digest)
        self.assertLess(self.moved(host, 0, begun), LARGE + AGAIN, "it began anew")
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(request), "handed_over")

    def test_an_upload_that_is_cut_goes_on_where_it_was(self):
        for seconds in (LONGER_S, 30, 120) if LONG else (LONGER_S,):
            with self.subTest(seconds=seconds):
                self.upload(seconds)

    def test_a_download_that_is_cut_goes_on_where_it_was(self):
        for seconds in (LONGER_S, 30, 120) if LONG else (LONGER_S,):
            with self.subTest(seconds=seconds):
                self.download(seconds)

    def test_an_upload_whose_command_was_ended_in_the_partition_goes_on_at_the_next(self):
        host, (path, digest) = self.hosts["fj"], self.large("ended")
        sending = self.fj.start("send", "--to", "de", "-s", "ended", path)
        begun = self.cut_while(host, sending, 1, LARGE // 2)
        end_process(sending)
        self.assertEqual(sending.returncode, -signal.SIGKILL)
        sending.communicate()
        ran = self.said_so(self.fj.run("sync"))
        self.assertNotEqual(ran.code, 0, "there was no network")
        host.heal()
        self.settle(self.fj)
        self.assertLess(self.moved(host, 1, begun), LARGE + AGAIN, "it began anew")
        found = [request for request, line in self.de.inbox().items() if line["subject"] == "ended"]
        self.assertEqual(len(found), 1)
        self.de.ok("accept", found[0])
        self.assertEqual(hashlib.sha256(self.de.body(found[0])).digest(), digest)


class Agents(OnHosts):
    """What runs all the time finds out by itself."""

    def watch(self, home):
        out = open(self.house.folder / "agent.out", "w+b")  # pylint: disable=consider-using-with
        self.addCleanup(out.close)
        agent = start(home.argv("agent"), self.house.papers, stdout=out, stderr=out)
        self.addCleanup(end_process, agent)
        self.assertTrue(until(lambda: "started" in self.events_of(out), 20), "the agent does not start")
        return agent, out

    @staticmethod
    def events_of(out):
        text = pathlib.Path(out.name).read_text(errors="replace")
        return [json.loads(line).get("event") for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def notified(self, request):
        self.fj.run("sync")
        return self.fj.state(request) == "notified"

    def test_an_agent_gets_what_was_sent_while_it_was_cut_off(self):
        agent, _ = self.watch(self.de)
        for seconds in (LONGER_S, 30, 150) if LONG else (LONGER_S,):
            with self.subTest(seconds=seconds):
                self.hosts["de"].lose_all()
                request = self.fj.send("de/technical", b"while you were away", subject=f"away {seconds}")
                time.sleep(seconds)
                self.assertEqual(self.fj.state(request), "stored")
                self.hosts["de"].heal()
                begun = time.monotonic()
                self.assertTrue(until(lambda: self.notified(request), REST_S, 0.2), "the agent does not come back")
                print(f"\ncut off for {seconds} s, told after {time.monotonic() - begun:.1f} s", flush=True)
                self.assertIsNone(agent.poll())

    def test_an_agent_whose_host_has_another_address_connects_from_there(self):
        agent, _ = self.watch(self.de)
        host = self.hosts["de"]
        before = host.address
        host.take_address(f"10.77.{host.number}.3")
        self.addCleanup(host.take_address, before)
        request = self.fj.send("de/technical", b"to the new address", subject="moved")
        begun = time.monotonic()
        self.assertTrue(until(lambda: self.notified(request), REST_S, 0.2), "the agent does not come back")
        print(f"\nanother address: told after {time.monotonic() - begun:.1f} s", flush=True)
        self.assertIsNone(agent.poll())

    @unittest.skipUnless(LONG, "a minute and more: in the long form (POUCH_LONG=1)")
    def test_a_host_that_vanished_is_put_out_and_another_connection_of_its_key_is_served_at_once(self):
        before = self.relay.live_status()["connections"]
        agent, _ = self.watch(self.de)
        self.assertTrue(until(lambda: self.relay.live_status()["connections"] > before, 20))
        self.hosts["de"].lose_all()
        end_process(agent)  # its RST is lost
        time.sleep(1)
        self.assertGreater(self.relay.live_status()["connections"], before, "the relay has been told")
        gone = until(lambda: self.relay.live_status()["connections"] <= before, 100, 1)
        self.assertTrue(gone, "the dead connection is held for ever")
        self.hosts["de"].heal()
        self.round()


if __name__ == "__main__":
    main()
