"""The relay as it ships: its defaults but for what would refuse the benchmark's load (rates and quotas, see `limits`)."""
import os
import pathlib
import re
import subprocess

from . import common

# Two parties send each other more in a minute than a quota for people allows.
LIMITS = {"quota.requests": "1000000", "quota.pair": "1000000", "quota.bytes": "1TiB", "rate.member": "100000",
          "limits.body": "256MiB"}


class Pouch(common.Server):
    name = "pouch"
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


def start(folder, pairs=32):
    server = Pouch(pathlib.Path(folder), pairs)
    server.prepare()
    return server
