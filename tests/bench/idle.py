#!/usr/bin/env python3
"""10,000 clients that are connected and wait: what they cost the relay, and how they all come back when it was killed.

    tests/bench/idle.py [--clients 10000] [--guests] [--seconds 70] [--rounds 5] [--build build-bench] [--json FILE]

Each round: a new connection for each of N registered devices (or, with --guests, of N keys that no directory knows), the relay's
memory before and after, its processor time while nobody says anything, then SIGKILL to all of the relay and a new start.
The same with a server that is libzmq and nothing else (idle.c, `bare`), in turn. Beside each other on the same cores:
idle.c, which holds all clients in one process.

How many processes may have so many files open is the machine's matter: `ulimit -Hn` must be above the number of clients."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "flow"))

from house import House, end_process, program, random_port, start, until  # noqa: E402  pylint: disable=wrong-import-position

TICKS = os.sysconf("SC_CLK_TCK")
DOWN_S = 1   # nobody listens for so long
REST_S = 5   # until what only handshakes needed has been given back


def memory(pid):
    """(RSS, PSS) in KiB."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split(":")
        found[key] = int(value.split()[0])
    return found["Rss"], found["Pss"]


def cpu(*pids):
    """Seconds of processor time."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Crowd:
    """idle.c with its clients; each word is answered by one line of JSON."""

    def __init__(self, folder, count, port=None):
        argv = program("BENCH_IDLE") + ["hold", folder, count] + ([port] if port else [])
        self.process = start(argv, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)

    def say(self, word):
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the clients have ended"
        return json.loads(line)

    def ask(self, word):
        self.say(word)
        return self.hear()

    def close(self):
        end_process(self.process)
        self.process.stdin.close()
        self.process.stdout.close()


def idle_cpu(pids, seconds):
    """Percent of one core; after what the connecting left over."""
    time.sleep(min(3, seconds))
    before, began = cpu(*pids), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu(*pids) - before) / (time.monotonic() - began)


def come_back(crowd, kill, launch):
    """Times in seconds from the launch: until the server is ready, until half and all of the clients are back."""
    kill()
    gone = crowd.ask("down")
    assert gone["connected"] == 0, f"{gone['connected']} connections outlive their server"
    time.sleep(DOWN_S)
    crowd.say("back")
    time.sleep(0.5)  # until all have put their question
    began = time.monotonic()
    launch()
    ready = time.monotonic() - began
    back = crowd.hear()
    late = time.monotonic() - began - back["seconds"]  # the crowd's clock began before
    back.update(ready_s=ready, all_s=back["seconds"] + late, half_s=max(0, back["half_seconds"] + late))
    return back


class Idle:
    """A relay with N devices that are registered, or N keys that are not."""

    def __init__(self, count, guests=False, config=None):
        self.count = count
        limits = {"quota.directory": "1000000", "rate.guest": "10000", "limits.connections": str(count + 500)}
        self.house = House(config={**limits, **(config or {})})
        self.folder, self.relay = self.house.folder, self.house.relay
        try:
            self.enrol(guests)
        except BaseException:
            self.close()
            raise

    def idle(self, *words):
        subprocess.run([*program("BENCH_IDLE"), *map(str, words)], check=True, stdin=subprocess.DEVNULL)

    def enrol(self, guests):
        began = time.monotonic()
        if guests:
            self.idle("keys", self.folder, self.count)
        else:
            self.idle("charter", self.folder)
            admitted = self.relay.ctl("admit", str(self.folder / "idle.charter"), "--yes")
            assert admitted.code == 0, str(admitted)
            self.idle("join", self.folder, self.count)
        self.enrol_s = time.monotonic() - began

    def close(self):
        self.house.close()

    def restart(self):
        """Fresh processes: what the last round has left in the gate's heap would count for this one."""
        assert self.relay.stop() == 0
        self.relay.start()

    def pids(self):
        status = self.relay.live_status()
        return status["gate_pid"], status["ledger_pid"]

    def round(self, seconds):
        self.restart()
        gate, ledger = self.pids()
        before = [memory(pid) for pid in (gate, ledger)]
        crowd = Crowd(self.folder, self.count)
        try:
            up = crowd.ask("up")
            assert up["back"] == self.count, up
            time.sleep(REST_S)
            after = [memory(pid) for pid in (gate, ledger)]
            grown = [a[0] - b[0] for a, b in zip(after, before)]
            pss = [a[1] - b[1] for a, b in zip(after, before)]
            busy = idle_cpu((gate, ledger, self.relay.process.pid), seconds)
            back = come_back(crowd, self.relay.kill, self.relay.start)
            return {"up_s": up["seconds"], "gate_before_kib": before[0][0], "gate_rss_kib_each": grown[0] / self.count,
                    "gate_pss_kib_each": pss[0] / self.count, "ledger_rss_kib_each": grown[1] / self.count,
                    "cpu_percent": busy, "back": back}
        finally:
            crowd.close()


class Bare:
    """The library alone."""

    def __init__(self, folder, count):
        self.folder, self.count, self.port, self.process = folder, count, random_port(), None

    def launch(self):
        self.process = start(program("BENCH_IDLE") + ["bare", self.folder, self.port], self.folder, stderr=None)
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self):
        if self.process:
            end_process(self.process)
            self.process.stdout.close()
        self.process = None

    def round(self, seconds):
        self.launch()
        before = memory(self.process.pid)
        crowd = Crowd(self.folder, self.count, self.port)
        try:
            up = crowd.ask("up")
            assert up["back"] == self.count, up
            time.sleep(REST_S)
            after = memory(self.process.pid)
            busy = idle_cpu((self.process.pid,), seconds)
            back = come_back(crowd, self.kill, self.launch)
            return {"up_s": up["seconds"], "rss_kib_each": (after[0] - before[0]) / self.count,
                    "pss_kib_each": (after[1] - before[1]) / self.count, "cpu_percent": busy, "back": back}
        finally:
            crowd.close()
            self.kill()


def spread(values):
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


def print_table(rounds):
    relay, bare = [r["relay"] for r in rounds], [r["bare"] for r in rounds]
    rows = [
        ("memory in the gate, KiB a client (RSS)", [r["gate_rss_kib_each"] for r in relay], "36"),
        ("the same, PSS", [r["gate_pss_kib_each"] for r in relay], ""),
        ("in the library alone", [r["rss_kib_each"] for r in bare], ""),
        ("in the ledger", [r["ledger_rss_kib_each"] for r in relay], ""),
        ("processor while idle, % of a core", [r["cpu_percent"] for r in relay], "1"),
        ("in the library alone", [r["cpu_percent"] for r in bare], ""),
        ("until all are back, s", [r["back"]["all_s"] for r in relay], ""),
        ("of it until the relay listens", [r["back"]["ready_s"] for r in relay], ""),
        ("with the library alone", [r["back"]["all_s"] for r in bare], ""),
        ("ratio", [r["relay"]["back"]["all_s"] / r["bare"]["back"]["all_s"] for r in rounds], "1.2"),
        ("requests of those back, p99 ms", [r["back"]["p99_ms"] for r in relay], "250"),
        ("with the library alone", [r["back"]["p99_ms"] for r in bare], ""),
    ]
    print(f"{'':42}{'min / median / max':>26}{'goal':>8}")
    for name, values, goal in rows:
        print(f"{name:42}{spread(values):>26}{goal:>8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10000)
    parser.add_argument("--guests", action="store_true", help="keys that no directory knows")
    parser.add_argument("--seconds", type=int, default=70,
                        help="how long the idle relay is watched; the clients' heartbeats come once a minute")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=pathlib.Path, help="a build directory whose programs are used")
    parser.add_argument("--json", type=pathlib.Path, help="where the raw figures go")
    given = parser.parse_args()
    if given.build:
        names = {"POUCHD": "relay/pouchd", "POUCHCTL": "relay/pouchctl", "POUCH": "client/pouch",
                 "BENCH_IDLE": "tests/bench/bench_idle"}
        os.environ.update({name: str(given.build.resolve() / path) for name, path in names.items()})
    idle = Idle(given.clients, given.guests)
    bare = Bare(idle.folder, given.clients)
    try:
        print(f"{given.clients} clients, enrolled in {idle.enrol_s:.1f} s", file=sys.stderr)
        rounds = []
        for turn in range(given.rounds):
            rounds.append({"bare": bare.round(given.seconds), "relay": idle.round(given.seconds)})
            print(f"round {turn + 1}: {json.dumps(rounds[-1])}", file=sys.stderr)
            if given.json:
                given.json.write_text(json.dumps({"clients": given.clients, "guests": given.guests, "rounds": rounds}, indent=1))
        print_table(rounds)
    finally:
        bare.kill()
        idle.close()


if __name__ == "__main__":
    main()
