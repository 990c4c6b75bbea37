"""Goal: what was answered outlives a power failure, at the relay and at a client; power_loss_*.c say how. This runs both in the long
form; `./check` runs the programs themselves."""

import os
import pathlib
import subprocess
import unittest


class PowerLoss(unittest.TestCase):
    def run_program(self, name):
        program = pathlib.Path(os.environ["POUCH_BUILD"]) / "tests" / "faults" / name
        ran = subprocess.run([program], capture_output=True, text=True, check=False)
        print(ran.stdout, ran.stderr)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_at_the_relay(self):
        self.run_program("power_loss_relay")

    def test_at_a_client(self):
        self.run_program("power_loss_client")


if __name__ == "__main__":
    unittest.main()
