"""The relay as it ships: its defaults but for what would refuse the benchmark's load (rates and quotas, see `limits`)."""
import array
import json
import os
import pathlib
import re
import subprocess
import time

from . import common

# Two parties send each other more in a minute than a quota for people allows.
LIMITS = {"quota.requests": "1000000", "quota.pair": "1000000", "quota.bytes": "1TiB", "rate.member": "100000",
          "limits.body": "256MiB"}


class Pouch(common.Server):
    name = "pouch"
    survivors = "p1"
    durability = "synced to disk, entered into the signed log, before it is acknowledged"

    def __init__(self, folder, pairs=32):
        super().__init__(folder)
        self.pairs = pairs

    def _run(self, *words):
        done = subprocess.run([str(word) for word in words], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")

    def _set(self, key, value):
        """A key of the relay.yaml that `pouchd init` wrote."""
        config = self.folder / "relay" / "relay.yaml"
        section, name = key.split(".")
        text, count = re.subn(rf"(?ms)^({section}:.*?^\s+){name}: [^\n]*", rf"\g<1>{name}: {value}", config.read_text(), count=1)
        if not count:
            raise RuntimeError(f"relay.yaml has no {key}")
        config.write_text(text)

    def command(self):
        return [os.environ["POUCHD"], "--config", self.folder / "relay" / "relay.yaml"]

    def ready(self):
        return "ready" in (self.folder / "server.log").read_text(errors="replace")

    def launch(self):
        (self.folder / "server.log").write_text("")
        super().launch()

    def prepare(self):
        """A new relay with the posts of all pairs, running when this returns."""
        port = common.free_port()
        self._run(os.environ["POUCHD"], "init", self.folder / "relay", "--name", "relay.bench", "--listen", f"tcp://127.0.0.1:{port}")
        for key, value in LIMITS.items():
            self._set(key, value)
        self.restart()
        self._run(os.environ["BENCH_ENROL"], "charters", self.folder)
        for party in ("aa", "bb"):
            self._run(os.environ["POUCHCTL"], "--config", self.folder / "relay" / "relay.yaml", "--yes", "admit",
                      self.folder / f"{party}.charter")
        self._run(os.environ["BENCH_ENROL"], "join", self.folder, self.pairs)


    def _driver(self, role, pair, *words):
        return subprocess.Popen([common.program("setpriv"), "--pdeathsig", "KILL", os.environ["BENCH_DRIVER"], "pouch", role, "--folder",
                                 str(self.folder), "--pair", pair, *map(str, words)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder, process_group=0)

    def deposit(self, queue, count, size):
        """Letters that nobody fetches yet; queue: a pair. How many of them the relay has answered."""
        with self._driver("sender", queue, "--window", common.DEPOSIT_BATCH, "--size", size, "--count", count, "--kept", 1) as driver:
            said, _ = driver.communicate(b"\n", timeout=300)
        return json.loads(said.splitlines()[-1])["letters"]

    def collect(self, queue):
        """The letters' numbers, from 1, in the order in which the recipient has opened them; each was accepted and answered."""
        path = self.folder / "collected"
        path.unlink(missing_ok=True)
        with self._driver("recipient", queue, "--samples", path, "--earlier", 1) as driver:
            size, quiet = -1, time.monotonic() + common.QUIET_SECONDS
            while time.monotonic() < quiet and driver.poll() is None:
                time.sleep(0.05)
                if path.exists() and path.stat().st_size != size:
                    size, quiet = path.stat().st_size, time.monotonic() + common.QUIET_SECONDS
            driver.communicate(timeout=60)
        if driver.returncode:
            raise RuntimeError("what the kill left could not be fetched")
        return list(array.array("Q", path.read_bytes()))

    def seed(self, depth, size=4096):
        """So many undelivered legs of other pairs than p0, by the ledger's own code on its own store (seed.c): the size is that
        of a short text, since what is measured is how the relay finds its way among them. Running again when this returns."""
        self.stop()
        self._run(os.environ["BENCH_SEED"], self.folder, depth, self.pairs)
        self.restart()


def start(folder, pairs=32):
    server = Pouch(pathlib.Path(folder), pairs)
    server.prepare()
    return server
