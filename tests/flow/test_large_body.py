"""Goal: a large body travels in chunks and arrives byte for byte, also when the relay dies on the way."""

import hashlib
import os
import random
import time

from house import LARGE_ADVISORY, FlowTest, finish, main

MIB = 1024 * 1024


class LargeBody(FlowTest):
    def send_file(self, path, subject):
        return self.fj.ok("send", "--to", "de", "-s", subject, path).json["id"]

    def test_eight_mebibytes_arrive_byte_for_byte(self):
        path = self.house.papers / "eight"
        path.write_bytes(os.urandom(8 * MIB))
        begun = time.monotonic()
        request = self.send_file(path, "eight")
        sent = time.monotonic()
        self.de.ok("accept", request)
        body = self.de.body(request)
        print(f"\n8 MiB: sent in {sent - begun:.2f} s, accepted and read in {time.monotonic() - sent:.2f} s")
        self.assertEqual(hashlib.sha256(body).hexdigest(), hashlib.sha256(path.read_bytes()).hexdigest())
        self.assertEqual(len(body), 8 * MIB)

    def test_sizes_around_a_chunk_arrive_byte_for_byte(self):
        """0, 1, and around 64 KiB, where the last chunk is full or holds one byte."""
        sizes = [0, 1, 65535, 65536, 65537, 2 * 65536, LARGE_ADVISORY.stat().st_size]
        for size in sizes:
            with self.subTest(size=size):
                path = self.house.papers / f"size-{size}"
                path.write_bytes(LARGE_ADVISORY.read_bytes()[:size] if size <= LARGE_ADVISORY.stat().st_size else b"")
                request = self.send_file(path, f"size {size}")
                self.de.ok("accept", request)
                self.assertEqual(self.de.body(request), path.read_bytes())

    def test_an_upload_survives_the_death_of_the_gate_and_of_the_ledger(self):
        path = self.house.papers / "interrupted"
        path.write_bytes(os.urandom(12 * MIB))
        sending = self.fj.start("send", "--to", "de", "-s", "interrupted", path)
        for name in ("gate_pid", "ledger_pid", "gate_pid"):
            time.sleep(random.uniform(0.05, 0.25))
            self.relay.kill_pid(self.relay.live_status()[name])
        ran = finish(sending, ["send"])
        self.assertIn(ran.code, (0, 3, 6), ran)
        if ran.code:
            self.fj.ok("sync")
        request = ran.json["id"]
        self.de.ok("accept", request)
        self.assertEqual(hashlib.sha256(self.de.body(request)).digest(), hashlib.sha256(path.read_bytes()).digest())
        self.assertEqual(self.relay.live_status()["staged"], 0)


if __name__ == "__main__":
    main()
