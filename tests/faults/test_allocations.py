"""Goal: whichever allocation fails - in the ledger, in the gate, in a client, while they start or in the midst of traffic - the process
answers an error or ends, whoever supervises it starts it again, and nothing that was answered is lost or doubled. No damage is
ever blamed on a disk that is sound.

allocfault.c makes the nth allocation fail in the programs as they are shipped; libzmq then ends its process, which is allowed
(crash-only). The short form takes a sample of all n, POUCH_LONG=1 every one up to some hundreds."""

import mmap
import os
import pathlib
import signal
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from house import FlowTest, Ran, main, program, run, start, until  # noqa: E402
from test_kills import NOT_NOW, Traffic  # noqa: E402

LONG = bool(os.environ.get("POUCH_LONG"))
ORDER = struct.Struct("16sqqqq")  # allocfault.c: who, left, count, seen, failed
NO_MEMORY = 2                     # error.def
# What an end without an answer looks like: libzmq's abort, the C library's, the dynamic linker's.
ENDED = (-signal.SIGABRT, 127)


def numbers(short, long_to, then):
    """The n to be tried: a sample, or every one up to some hundreds and a sample of the rest."""
    return [*range(1, long_to + 1), *then] if LONG else short


class Order:
    """The file that allocfault.c maps."""

    def __init__(self, path):
        path.write_bytes(bytes(ORDER.size))
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ORDER.size)

    def arm(self, who, nth, count=1):
        """The nth allocation fails, and those after it, count in all. `left` is written last: it makes the order valid."""
        self.map[:ORDER.size] = ORDER.pack(who.encode(), 0, count, 0, 0)
        self.map[16:24] = struct.pack("q", nth + count - 1)

    def disarm(self):
        self.map[16:24] = struct.pack("q", 0)

    @property
    def failed(self):
        return ORDER.unpack(self.map[:ORDER.size])[4]

    @property
    def env(self):
        return {"LD_PRELOAD": os.environ["ALLOCFAULT"], "POUCH_ALLOC_FAULT": str(self.path)}


class Allocations(Traffic):
    @classmethod
    def furnish(cls):
        super().furnish()
        cls.order = Order(cls.house.folder / "order")
        assert cls.relay.stop() == 0
        cls.relay.kills += 1
        cls.relay.start(env=cls.order.env)

    @classmethod
    def tearDownClass(cls):
        """Aborts of the gate are asked for here; everything else that the log tells of is not."""
        log = cls.relay.log()
        cls.relay.log_path.write_text(log.replace("the gate was ended by signal 6", "the gate was made to end"))
        assert "damaged" not in log and "corrupt" not in log, cls.relay.tail()
        super().tearDownClass()


class InTheRelay(Allocations):
    def fail_each(self, who, ns, least, before=lambda: None):
        struck = 0
        for n in ns:
            with self.subTest(who=who, n=n):
                before()
                self.order.arm(who, n)
                self.round()
                struck += self.order.failed
                self.order.disarm()
                self.assertIsNone(self.relay.process.poll(), "the relay has ended")
        self.assertGreaterEqual(struck, least, "too few allocations have failed")

    def test_an_allocation_of_the_ledger_fails_in_the_midst_of_traffic(self):
        ns = numbers((1, 9, 90, 700, 2000, 4500), 300, range(310, 5000, 67))
        self.fail_each("ledger", ns, len(ns) * 9 // 10)

    def test_an_allocation_of_the_gate_fails_in_the_midst_of_traffic(self):
        ns = numbers((1, 13, 233, 3000), 300, range(310, 4000, 67))
        self.fail_each("gate", ns, len(ns) * 9 // 10)

    def restarted(self, who, n):
        """That process is ended, and the nth allocation of the one that takes its place fails; the relay is back by itself."""
        pid = self.relay.live_status()[f"{who}_pid"]
        self.order.arm(who, n)
        self.relay.kill_pid(pid)

        def back():
            ran = self.relay.ctl("status")
            return ran.code == 0 and ran.json["gate_pid"] and ran.json[f"{who}_pid"] != pid
        self.assertTrue(until(back, 20), self.relay.tail())
        self.assertIsNone(self.relay.process.poll(), f"the relay has ended\n{self.relay.tail()}")
        struck = self.order.failed
        self.order.disarm()
        return struck

    def test_an_allocation_fails_while_the_relay_starts_again(self):
        struck, tried = 0, 0
        ledger = numbers((1, 2, 3, 10, 60, 120, 500, 1500, 4000), 400, range(410, 5400, 41))
        gate = numbers((1, 4, 20, 80, 130), 140, ())
        for who, ns in (("ledger", ledger), ("gate", gate)):
            for n in ns:
                with self.subTest(who=who, n=n):
                    tried += 1
                    struck += self.restarted(who, n)
                    if tried % 10 == 0:
                        self.round()
        self.round()
        self.assertGreater(struck, tried * 8 // 10)

    def test_all_allocations_fail_for_a_while(self):
        for who in ("ledger", "gate"):
            with self.subTest(who=who):
                self.order.arm(who, 100, 50)
                self.round()
                self.assertGreater(self.order.failed, 3)
                self.order.disarm()


class AtTheStart(FlowTest):
    def test_a_relay_without_memory_for_its_start_says_so_and_starts_later(self):
        order = Order(self.house.folder / "order")
        self.assertEqual(self.relay.stop(), 0)
        struck = 0
        ns = numbers((1, 5, 20, 60), 200, ())
        for n in ns:
            with self.subTest(n=n):
                order.arm("pouchd", n)
                argv = program("POUCHD") + ["--config", self.relay.config]
                with open(self.relay.log_path, "ab") as log:
                    process = start(argv, self.relay.folder.parent, env=order.env, stdout=log, stderr=log)
                until(lambda: process.poll() is not None or order.failed, 3)
                ended = until(lambda: process.poll() is not None, 1)
                if order.failed and ended:
                    struck += 1
                    self.assertIn(process.returncode, (1, NO_MEMORY, 3, *ENDED))
                process.terminate()
                process.wait(timeout=30)
                order.disarm()
        self.assertGreater(struck, 0)
        self.relay.start()
        self.relay.live_status()


class AtTheClient(Allocations):
    def short_of_memory(self, home, n, *args, data=None):
        """The command with its nth allocation failing; its exit code and whether that was reached."""
        self.order.arm("pouch", n)
        process = home.start(*args, data=data, env=self.order.env)
        out, err = process.communicate(timeout=60)
        failed = self.order.failed
        self.order.disarm()
        ran = Ran(args, process.returncode, out, err, 0)
        if not failed:
            self.assertEqual(ran.code, 0, ran)
        self.assertIn(ran.code, (0, NO_MEMORY, *NOT_NOW, *ENDED), ran)
        if ran.code == NO_MEMORY and ran.error:
            self.assertEqual(ran.error["error"], "no-memory", ran)
        self.assertNotIn("damaged", ran.err, ran)
        return ran, failed

    def test_an_allocation_of_a_client_fails_in_any_command(self):
        """Whether it was done is what the home says afterwards; it is there once, and a command that said yes has done it."""
        short = (1, 2, 3, 8, 30, 120, 330, 800, 1800, 3000, 4500)
        struck, subjects = 0, []
        for n in numbers(short, 400, range(410, 9000, 37)):
            with self.subTest(n=n):
                subject = f"short of memory {n}"
                ran, failed = self.short_of_memory(self.fj, n, "send", "--to", "de", "-s", subject, "-", data=os.urandom(1500))
                struck += failed
                self.settle(self.fj)
                found = [r for r, line in self.fj.sent().items() if line["subject"] == subject]
                self.assertLessEqual(len(found), 1)
                self.assertTrue(found or ran.code != 0, "it said that it was sent")
                request = found[0] if found else self.send_once(subject, b"again")
                subjects.append(subject)
                struck += self.short_of_memory(self.de, n, "sync")[1]
                self.settle(self.de)
                struck += self.short_of_memory(self.de, n, "accept", request)[1]
                self.settle(self.de)
                self.step_once(self.de, request, ("accepted", "handed_over"), "accept", request)
                self.assertTrue(self.de.body(request))
                struck += self.short_of_memory(self.de, n, "ack", request)[1]
                self.settle(self.de)
                if self.de.state(request) != "acknowledged":
                    self.step_once(self.de, request, ("acknowledged",), "ack", request)
        self.assertGreater(struck, len(subjects) * 2)
        inbox = [line["subject"] for line in self.de.inbox().values() if line["subject"].startswith("short of memory")]
        self.assertEqual(sorted(inbox), sorted(subjects))
        self.round()


if __name__ == "__main__":
    main()
