"""Goal: a disk that is full keeps nobody from reading and loses nothing. The relay's folder lies on a file system of a few MiB that traffic
fills: what is new is refused as store-full and stays in the outbox, what was answered is there, the relay stays up and gives
out what it holds; when there is room again it goes on by itself. The same for a client's home.

The file system is a real tmpfs in a mount namespace of this test alone, so every ENOSPC is the kernel's."""

import ctypes
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from house import House, Relay, main, until  # noqa: E402
from test_kills import Traffic  # noqa: E402

MIB = 1024 * 1024
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REMOUNT, MS_REC, MS_PRIVATE = 32, 16384, 1 << 18


def enter_namespace():
    """Why mounts of our own are not possible here; None when they are."""
    uid, gid, flags = os.getuid(), os.getgid(), CLONE_NEWNS
    if uid != 0:
        flags |= CLONE_NEWUSER
    if LIBC.unshare(flags) != 0:
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    if uid != 0:
        pathlib.Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        pathlib.Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        pathlib.Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    if LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return f"mounts cannot be made private: {os.strerror(ctypes.get_errno())}"
    with tempfile.TemporaryDirectory() as folder:
        if LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=64k") != 0:
            return f"no tmpfs: {os.strerror(ctypes.get_errno())}"
        LIBC.umount2(folder.encode(), 2)
    return None


class Disk:
    """A small file system."""

    def __init__(self, folder, size):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mount(size, 0)

    def mount(self, size, flags):
        if LIBC.mount(b"tmpfs", str(self.folder).encode(), b"tmpfs", flags, f"size={size},mode=0700".encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")

    def resize(self, size):
        self.mount(size, MS_REMOUNT)

    @property
    def room(self):
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize

    def unmount(self):
        LIBC.umount2(str(self.folder).encode(), 2)


WHY_NOT = enter_namespace() if __name__ == "__main__" else "run as a program of its own"


@unittest.skipIf(WHY_NOT, WHY_NOT)
class FullDisk(Traffic):
    relay_mib, config = 4, {}

    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pouch-full-"))
        cls.disk = Disk(folder / "relay", f"{cls.relay_mib}m")
        cls.house = House(folder=folder, relay=False)
        cls.house.relay = cls.relay = Relay(folder / "relay", config=cls.config).start()
        try:
            cls.furnish()
        except BaseException:
            print(cls.relay.tail(), file=sys.stderr)
            cls.house.close()
            cls.disk.unmount()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            cls.disk.unmount()
            shutil.rmtree(cls.house.folder, ignore_errors=True)

    def pids(self):
        status = self.relay.live_status()
        return status["ledger_pid"], status["gate_pid"]

    def fill(self, name, size):
        """Sends until the relay has no room: what was stored and what waits, by subject."""
        stored, waiting = [], []
        for number in range(400):
            subject = f"{name} {number}"
            ran = self.fj.run("send", "--to", "de", "-s", subject, "-", data=os.urandom(size))
            if ran.code == 0:
                self.assertEqual(waiting, [], "an earlier one waits: it must not be overtaken")
                stored.append(subject)
                continue
            self.assertEqual((ran.code, ran.error.get("error")), (3, "store-full"), ran)
            waiting.append(subject)
            if len(waiting) == 3:
                return stored, waiting
        self.fail(f"the disk is never full: {self.disk.room} bytes are left")
        return None

    def assert_waits(self, stored, waiting):
        states = {line["subject"]: line["state"] for line in self.fj.sent("--offline").values()}
        for subject in stored:
            self.assertNotEqual(states[subject], "waiting", subject)
        outbox = self.fj.ok("status", "--offline").json["outbox"]
        self.assertEqual(outbox, len(waiting))

    def assert_given_out(self, stored):
        """Whatever was stored can be read, though nobody can say so."""
        ran = self.de.run("sync")
        self.assertIn(ran.code, (0, 3), ran)
        if ran.code:
            self.assertEqual(ran.error["error"], "store-full", ran)
        inbox = {line["subject"] for line in self.de.inbox("--offline").values()}
        self.assertLessEqual(set(stored), inbox)

    def make_room(self, subjects):
        """The disk is larger; nobody tells the relay."""
        self.disk.resize(f"{8 * self.relay_mib}m")
        self.settle(self.fj)
        self.settle(self.de)
        inbox = [line["subject"] for line in self.de.inbox().values() if line["subject"] in subjects]
        self.assertEqual(sorted(inbox), sorted(subjects), "each exactly once")
        self.round()


class NothingKeptFree(FullDisk):
    """store.reserve is 0: the disk is filled to its last page, and SQLite meets ENOSPC wherever it writes."""

    config = {"store.reserve": "0B"}

    def test_a_relay_on_a_full_disk_stays_up_and_goes_on_when_there_is_room(self):
        self.round()
        pids = self.pids()
        stored, waiting = self.fill("to the brim", 100_000)
        more, small = self.fill("the crumbs", 500)
        self.assertEqual(more, [], "what came first waits, so nothing overtakes it")
        self.assertGreater(len(stored), 3)
        self.assert_waits(stored, waiting + small)
        self.assert_given_out(stored)
        self.assertEqual(self.pids(), pids, "nobody has ended")
        print(f"\nfull with {len(stored)} bodies of 100 kB stored, {self.disk.room} bytes left")
        self.make_room(stored + waiting + small)
        self.assertEqual(self.pids(), pids)


class KilledThere(FullDisk):
    config = {"store.reserve": "0B"}

    def test_a_relay_that_is_killed_on_a_full_disk_comes_up_and_gives_out_what_it_holds(self):
        self.round()
        stored, waiting = self.fill("before the kill", 100_000)
        for whom in ("ledger_pid", "gate_pid"):
            pid = self.relay.live_status()[whom]
            self.relay.kill_pid(pid)
            self.assertTrue(until(lambda was=(whom, pid): self.relay.live_status()[was[0]] != was[1]))
            self.assert_given_out(stored)
        self.relay.kill()
        self.relay.start()
        self.assert_given_out(stored)
        self.make_room(stored + waiting)


class SomeKeptFree(FullDisk):
    """store.reserve keeps room: what is new is refused early, and decisions and evidence of what is there go on."""

    relay_mib, config = 6, {"store.reserve": "2MiB"}

    def test_decisions_and_evidence_go_on_when_new_requests_must_wait(self):
        stored, waiting = self.fill("up to the reserve", 100_000)
        self.assert_waits(stored, waiting)
        self.assert_given_out(stored)
        by_subject = {line["subject"]: request for request, line in self.de.inbox().items()}
        for number, subject in enumerate(stored):
            request = by_subject[subject]
            if number % 3 == 0:
                self.de.ok("decline", request)
            else:
                self.de.ok("accept", request)
                self.de.ok("ack", request)
        self.assertGreater(self.disk.room, MIB // 2, "the reserve was not used up")
        self.make_room(stored + waiting)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class ClientsDisk(Traffic):
    """Both clients' homes are small disks; the relay has all the room it wants."""

    @classmethod
    def furnish(cls):
        cls.disks = []
        for party in ("fj", "de"):
            cls.disks.append(Disk(cls.house.folder / f"{party}-technical", "8m"))
            cls.house.member(party)
        cls.fj, cls.de = cls.house.home("fj-technical"), cls.house.home("de-technical")

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            for disk in cls.disks:
                disk.unmount()
            shutil.rmtree(cls.house.folder, ignore_errors=True)

    def brim(self, disk, left):
        """Leaves so many bytes free, rounded to pages."""
        ballast = disk.folder / "ballast"
        with open(ballast, "ab") as file:
            while disk.room > left:
                file.write(bytes(min(4096, disk.room - left)))
                file.flush()
        return ballast

    def assert_full(self, ran):
        self.assertEqual((ran.code, ran.error.get("error")), (3, "disk-full"), ran)

    def test_a_sender_without_room_has_not_sent_and_says_so(self):
        disk = self.disks[0]
        self.round()
        kept, refused = [], 0
        ballast = self.brim(disk, 600_000)
        for number in range(60):
            subject = f"no room to send {number}"
            ran = self.fj.run("send", "--to", "de", "-s", subject, "-", data=os.urandom(60_000))
            if ran.code == 0:
                kept.append(subject)
                continue
            self.assert_full(ran)
            refused += 1
            if refused == 4:
                break
        self.assertEqual(refused, 4, f"{disk.room} bytes are left")
        ballast.unlink()
        self.settle(self.fj)
        self.settle(self.de)
        arrived = [line["subject"] for line in self.de.inbox().values() if line["subject"].startswith("no room to send")]
        sent = [line["subject"] for line in self.fj.sent().values() if line["subject"].startswith("no room to send")]
        self.assertEqual(sorted(arrived), sorted(sent))
        self.assertEqual(len(sent), len(set(sent)))
        self.assertLessEqual(set(kept), set(sent))
        self.round()

    def test_a_recipient_without_room_has_not_taken_it_and_takes_it_later(self):
        disk, text = self.disks[1], os.urandom(900_000)
        large = self.fj.send("de/technical", text, subject="larger than what is free")
        self.de.ok("sync")
        for left in (300_000, 0):
            with self.subTest(left=left):
                ballast = self.brim(disk, left)
                more = self.fj.send("de/technical", b"one more", subject=f"with {left} left")
                ran = self.de.run("accept", large)
                self.assert_full(ran)
                self.assertIn(self.de.run("sync").code, (0, 3))
                self.assertNotIn("handed_over", self.fj.state(large))
                ballast.unlink()
                self.settle(self.de)
                self.assertIn(more, self.de.inbox())
                if self.de.state(large) != "notified":
                    break
        self.step_once(self.de, large, ("accepted", "handed_over"), "accept", large)
        self.assertEqual(self.de.body(large), text)
        self.round()


if __name__ == "__main__":
    main()
