"""Goal: whatever is killed at whatever moment - the gate, the ledger, the whole relay, the clients - nothing that was answered is
lost, doubled or reordered, all tell the same, and no secret is left behind. The short form; `tests/faults/run --kills 1000` is the
long one."""

import os
import pathlib
import random
import shutil
import tempfile
import unittest

import history
import journal
from hammer import Hammer

from house import main, program

KILLS, SECONDS = 60, 40


class RandomKills(unittest.TestCase):
    def test_the_history_of_a_relay_under_random_kills_holds(self):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pouch-kills-"))
        seed = int(os.environ.get("POUCH_SEED") or random.SystemRandom().randrange(1 << 32))
        random.seed(seed)
        print(f"\nseed {seed}, in {folder}", flush=True)
        hammer = Hammer(folder, KILLS, SECONDS)
        lines = journal.read(hammer.run())
        count = history.summary(lines)
        print(f"{hammer.killed} kills in {hammer.hit:.0f} s: {count}")
        self.assertEqual(history.check(lines, folder), {}, f"kept: {folder}")
        self.assertGreaterEqual(hammer.killed, 15, "too few kills for a test")
        self.assertGreaterEqual(count["submissions"], 20)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
