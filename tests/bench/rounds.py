"""rounds.py - the measuring itself: drivers in pairs, one run, a round of runs, what an acknowledgement is worth.

A run is one carrier under one load for a few seconds. A round is every load with every carrier, each carrier's run of a load
right after the other's, who is first changing from load to load; so what the machine does meanwhile meets all alike, and ratios
are taken within a round. Every round begins with fresh servers on empty folders.

A run that fails is a run without figures: its reason is kept, its server begins anew, the rest goes on."""
import array
import collections
import json
import os
import pathlib
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

import machine
import servers
from servers import common

PAIRS = 32
READY_S = 180   # GnuPG makes its keys at the first opening
PATIENCE_S = 240  # a run's end after the last letter was sent
SYNC_CALLS = "fsync,fdatasync,msync,sync_file_range"
LOADS = (25, 50, 75)  # percent of the carrier's own peak
LOAD_PAIRS = 4

# size in bytes, pairs, window of each; percent: open loop at that part of the peak of PEAK (None: closed loop).
Load = collections.namedtuple("Load", "size pairs window percent", defaults=[None])
SIZES = (256, 4096, 65536, 1048576)
SHAPES = ((1, 1), (1, 64), (PAIRS, 8))
PEAK = Load(4096, PAIRS, 8)
CLOSED = tuple(Load(size, *shape) for size in SIZES for shape in SHAPES)
OPEN = tuple(Load(4096, LOAD_PAIRS, 8, percent) for percent in LOADS)
QUICK = tuple(Load(4096, *shape) for shape in SHAPES) + (Load(4096, LOAD_PAIRS, 8, 50),)


class Failed(Exception):
    """A run without figures; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Crew:
    """Everything that was started, so that all of it can be ended."""

    def __init__(self):
        self.servers, self.processes = [], []

    def add(self, process):
        self.processes.append(process)
        return process

    def end_processes(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    try:
                        stream.close()
                    except OSError:
                        pass
        self.processes = []

    def end(self):
        """By SIGKILL: nothing here is worth an orderly end."""
        self.end_processes()
        for server in self.servers:
            try:
                server.kill()
            except Exception as error:  # the others have to go as well
                say(f"{server.name} does not end: {error}")
        self.servers = []


class Post:
    """A server on a folder of its own, and where the numbers of its pairs stand."""

    def __init__(self, name, folder, crew):
        self.name, self.folder, self.crew, self.server = name, folder, crew, None
        self.next = collections.defaultdict(lambda: 1)

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.next.clear()
        self.server = servers.load(self.name).start(self.folder)
        self.crew.servers.append(self.server)
        if not (self.folder / "p0.ends").exists():
            subprocess.run([os.environ["BENCH_ENROL"], "keys", self.folder, str(PAIRS)], check=True)
        return self

    def end(self):
        if self.server in self.crew.servers:
            self.crew.servers.remove(self.server)
            self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def again(self):
        """After a failure nobody knows what lies in the queues."""
        self.end()
        self.start()


# ---- one run ---------------------------------------------------------------------------------------------------------------

def _start_driver(post, role, pair, load, *words):
    argv = [common.program("setpriv"), "--pdeathsig", "KILL", os.environ["BENCH_DRIVER"], post.name, role, "--folder", post.folder,
            "--pair", pair, "--window", load.window, "--size", load.size, *words]
    with open(post.folder / f"{pair}.{role}.err", "wb") as errors:
        return post.crew.add(subprocess.Popen(
            [str(word) for word in argv], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            cwd=post.folder, env={**os.environ, **post.server.environment}, process_group=0))


def _complaints(post):
    """What the drivers said, each saying once."""
    texts = {path.read_text(errors="replace").strip()[-300:] for path in post.folder.glob("*.err")}
    return "; ".join(sorted(filter(None, texts)))[:1000]


def _hear(post, process, seconds):
    """One line of a driver."""
    if not select.select([process.stdout], [], [], max(0, seconds))[0]:
        raise Failed(f"a driver says nothing for {seconds:.0f} s. {_complaints(post)}")
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise Failed(_complaints(post) or f"a driver ended with {process.returncode}")
    return line


def _read_samples(path):
    data = path.read_bytes()
    kept, done = struct.unpack_from("=QQ", data)
    times = array.array("I", data[16:16 + 4 * (kept + done)])
    return times[:kept], times[kept:]


def percentile(values, percent):
    """The value that so many percent of them do not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _times(samples):
    kept, receipts = (array.array("I", b"".join(part.tobytes() for part in parts)) for parts in zip(*samples))
    return {f"{name}_p{percent}_us": percentile(values, percent)
            for name, values in (("kept", kept), ("receipt", receipts)) for percent in (50, 99, 100)}


def _start_pairs(post, load, pairs, words):
    recipients = [_start_driver(post, "recipient", pair, load) for pair in pairs]
    for process in recipients:
        _hear(post, process, READY_S)
    senders = [_start_driver(post, "sender", pair, load, "--first", post.next[pair], "--samples", f"{pair}.samples", *words)
               for pair in pairs]
    for process in senders:
        _hear(post, process, READY_S)
    return recipients, senders


def _go(senders, apart_s):
    """All begin together, or, where each keeps a pace, spread over one of its intervals."""
    begun = time.monotonic()
    for at, process in enumerate(senders):
        time.sleep(max(0, begun + at * apart_s - time.monotonic()))
        process.stdin.write(b"\n")


def _pace(load, rate):
    """How many pairs send how many letters a second each. The driver takes whole numbers."""
    pairs = max(1, min(load.pairs, round(rate)))
    return pairs, max(1, round(rate / pairs))


def _measure(post, load, seconds, count, rate):
    pairs, each = _pace(load, rate) if rate else (load.pairs, 0)
    words = ["--count", count] if count else ["--seconds", seconds]
    if each:
        words += ["--rate", each]
    os.sync()  # what others have left to write is not this one's
    recipients, senders = _start_pairs(post, load, [f"p{n}" for n in range(pairs)], words)
    busy, before, began = machine.busy_s(), post.server.cpu(), time.monotonic()
    _go(senders, 1 / each / pairs if each else 0)
    sent = [json.loads(_hear(post, process, seconds + PATIENCE_S)) for process in senders]
    after, busy, wall = post.server.cpu(), machine.busy_s() - busy, time.monotonic() - began
    memory = post.server.memory()
    for process in recipients:
        process.stdin.close()
    taken = [json.loads(_hear(post, process, 60)) for process in recipients]
    for process in senders + recipients:
        process.wait(60)
    return pairs, each, sent, taken, [a - b for a, b in zip(after, before)], memory, busy, wall


def run(post, load, seconds, count=0, rate=0):
    """One carrier under one load. A letter is one whose receipt has come back and holds."""
    for path in [*post.folder.glob("*.err"), *post.folder.glob("*.samples")]:
        path.unlink()
    try:
        pairs, each, sent, taken, server, memory, busy, wall = _measure(post, load, seconds, count, rate)
        times = _times([_read_samples(post.folder / f"{one['pair']}.samples") for one in sent])
    finally:
        post.crew.end_processes()
    letters = sum(one["letters"] for one in sent)
    if not letters:
        raise Failed("not a single letter came through")
    for one in sent:
        post.next[one["pair"]] += one["letters"]
    client = sum(one["cpu_user_s"] + one["cpu_sys_s"] for one in sent + taken)
    return {"letters": letters, "per_s": letters / max(one["seconds"] for one in sent), **times,
            "server_user_us": 1e6 * server[0] / letters, "server_sys_us": 1e6 * server[1] / letters,
            "server_us": 1e6 * sum(server) / letters, "client_us": 1e6 * client / letters,
            "server_memory": memory, "offered_per_s": pairs * each if each else None,
            # Cores that neither the server nor the drivers used. Their start is among theirs, so a little too low.
            "others": max(0.0, busy - sum(server) - client) / wall}


def try_run(post, load, seconds, **more):
    """The run's figures, or why there are none."""
    try:
        figures = run(post, load, seconds, **more)
    except Failed as failed:
        figures = {"failed": str(failed)}
        say(f"    {post.name}: {failed}")
        post.again()
    return {"carrier": post.name, **load._asdict(), **figures}


# ---- the bound -------------------------------------------------------------------------------------------------------------

def bound(size, seconds, folder):
    """bench_bound's figures for letters of one size, or None where it was not built. One JSON object, of which are read:
    relay_us, client_us (processor time of the unavoidable primitives a letter, at the relay and at both ends), letters_per_s (what
    the cores allow with all of it on them), round_trip_us, verify_us, commit_us (what one letter alone waits for)."""
    if "BENCH_BOUND" not in os.environ:
        return None
    argv = [os.environ["BENCH_BOUND"], "--folder", folder, "--size", size, "--seconds", seconds]
    try:
        done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return {"size": size, "failed": "did not end"}
    if done.returncode:
        return {"size": size, "failed": done.stderr.strip()[-500:]}
    return json.loads(done.stdout)


# ---- what an acknowledgement is worth --------------------------------------------------------------------------------------

def count_calls(text):
    """The calls in a summary of `strace -c`: the number before the name, and perhaps errors between the two."""
    found = re.findall(r"(?m)^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", text)
    return sum(int(count) for count, name in found if name != "total")


def syncs(post, load, count):
    """Syncs of the server a letter with its receipt, while strace counts them."""
    strace = common.program("strace")
    summary = post.folder / "strace"
    # -I 2: a summary is printed at SIGINT even while a call is being waited for.
    argv = [strace, "-f", "-c", "-I", "2", "-o", str(summary), "-e", f"trace={SYNC_CALLS}"]
    for pid in post.server.pids():
        argv += ["-p", str(pid)]
    watcher = post.crew.add(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, process_group=0))
    common.wait_until(lambda: _watched(post.server.pids(), watcher.pid), 20, "strace")
    post.crew.processes.remove(watcher)  # run() ends what it finds
    try:
        done = run(post, load, 0, count=count)
    finally:
        if watcher.poll() is None:
            watcher.send_signal(signal.SIGINT)
        watcher.wait(20)
    return count_calls(summary.read_text()) / done["letters"]


def _watched(pids, watcher):
    if not os.path.exists(f"/proc/{watcher}"):
        raise Failed("strace may not watch the server")
    for pid in pids:
        try:
            traced = [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")]
        except OSError:
            continue
        if not all(f"TracerPid:\t{watcher}\n" in text for text in traced):
            return False
    return True


def worth(post, kill):
    """Syncs a letter: alone on the way, when nothing can be shared, and many together. Then what a kill leaves."""
    found = {"carrier": post.name, "text": post.server.durability}
    for name, load, count in (("syncs_alone", Load(4096, 1, 1), 50), ("syncs_many", Load(4096, 1, 64), 400)):
        try:
            found[name] = syncs(post, load, count)
        except (Failed, FileNotFoundError, TimeoutError) as failed:
            found.setdefault("failed", str(failed))
            say(f"    {post.name}: syncs not counted: {failed}")
            post.again()
    if kill:
        try:
            found["kill"] = post.server.kill_and_count()
        except NotImplementedError:
            say(f"    {post.name}: has no way to count what a kill leaves")
        except (Failed, OSError, RuntimeError) as failed:
            found.setdefault("failed", str(failed))
            say(f"    {post.name}: {failed}")
        post.again()
    return found


# ---- rounds ----------------------------------------------------------------------------------------------------------------

def rotated(names, by):
    by %= len(names) or 1
    return names[by:] + names[:by]


def built_with(name):
    """Whether the driver has this carrier: a library may be missing."""
    asked = subprocess.run([os.environ["BENCH_DRIVER"], name, "sender"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    return "no carrier" not in asked.stderr


def start_all(names, folder, crew, skipped):
    """The carriers that can be had; `skipped` gets the others with the reason."""
    posts = []
    for name in names:
        if not built_with(name):
            skipped[name] = "its client library was not there when the driver was built (tests/bench/packages)"
            say(f"{name} is left out: {skipped[name]}")
            continue
        try:
            posts.append(Post(name, folder / name, crew).start())
        except (OSError, RuntimeError, ImportError, KeyError, subprocess.CalledProcessError) as error:
            skipped[name] = f"its server does not start: {error}"
            say(f"{name} is left out: {skipped[name]}")
    return posts


def _label(load):
    size = f"{load.size} B" if load.size < 1024 else f"{load.size // 1024} KiB" if load.size < 1 << 20 else f"{load.size >> 20} MiB"
    shape = f"{load.pairs} pair{'s' if load.pairs > 1 else ''}"
    return f"{size}, {shape}, " + (f"{load.percent} % of peak" if load.percent else f"window {load.window}")


def peak_of(runs, name):
    """What the carrier did this round under the load that counts as its peak; 0: nothing to go by."""
    for one in runs:
        if one["carrier"] == name and (one["size"], one["pairs"], one["window"], one["percent"]) == tuple(PEAK):
            return one.get("per_s", 0)
    return 0


def one_round(number, posts, loads, seconds, folder, on_run):
    """All runs of a round, handed to on_run one by one, and the bound of each size."""
    runs, bounds = [], {}
    for at, load in enumerate(loads):
        if load.size not in bounds:
            bounds[load.size] = bound(load.size, seconds, folder)
        said = []
        for post in rotated(posts, number + at):
            rate = 0
            if load.percent:
                rate = peak_of(runs, post.name) * load.percent / 100
                if not rate:
                    continue
            figures = try_run(post, load, seconds, rate=rate)
            runs.append(figures)
            on_run(figures)
            said.append(f"{post.name} {figures['per_s']:.0f}/s" if "per_s" in figures else f"{post.name} failed")
        say(f"  {_label(load)}: {', '.join(said)}")
    return {"runs": runs, "bound": {str(size): found for size, found in bounds.items() if found}}


class Deep:
    """Relays that hold so many legs already, made once and asked in every round."""

    def __init__(self, depths, folder, crew, skipped):
        self.posts = {}
        for depth in depths:
            post = Post("pouch", folder / f"depth{depth}", crew).start()
            began = time.monotonic()
            try:
                if depth:
                    say(f"storing {depth} legs")
                    post.server.seed(depth)
                    say(f"  stored in {time.monotonic() - began:.0f} s")
                post.server.stop()
                self.posts[depth] = post
            except (NotImplementedError, RuntimeError, OSError) as error:
                skipped[f"depth {depth}"] = f"not seeded: {error or type(error).__name__}"
                say(f"depth {depth} is left out: {error or type(error).__name__}")
                post.end()

    def round(self, number, seconds):
        found = []
        for depth in rotated(list(self.posts), number):
            post = self.posts[depth]
            post.server.restart()
            for load in (Load(4096, 1, 1), Load(4096, 1, 64)):
                try:
                    found.append({"depth": depth, **load._asdict(), **run(post, load, seconds)})
                    say(f"  depth {depth}, {_label(load)}: {found[-1]['per_s']:.0f}/s")
                except Failed as failed:
                    post.next["p0"] += 1000000  # nobody knows how many of them are there
                    found.append({"depth": depth, **load._asdict(), "failed": str(failed)})
                    say(f"  depth {depth}: {failed}")
            post.server.stop()
        return found

    def end(self):
        for post in self.posts.values():
            post.end()
