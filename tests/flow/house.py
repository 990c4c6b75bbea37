"""house.py - what the flow tests share: a relay on a temporary folder, authorities, posts, and runs of the programs.

Real processes and real sockets. POUCHD, POUCHCTL and POUCH name the programs; POUCH_WRAP (for example
"valgrind --error-exitcode=99") is put before each, so that the same flow runs under other builds and tools.
Every run ends: by itself or by its time limit. Whatever was started is ended by its own process id."""

import ctypes
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = SOURCE / "tests" / "data"
ADVISORY = DATA / "csaf-va-24-254-02.json"
LARGE_ADVISORY = DATA / "csaf-icsa-24-235-03.json"
WRAP = shlex.split(os.environ.get("POUCH_WRAP", ""))
PATIENCE = 10 if WRAP else 1
RUN_S = 60 * PATIENCE
LIBC = ctypes.CDLL(None)

# What a tool that watches the program prints when it found something; such a run has failed whatever its exit code.
FINDINGS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: |SUMMARY: \w+Sanitizer|"
                      r"exit code 99")


def program(name):
    path = os.environ.get(name)
    if not path:
        raise unittest.SkipTest(f"{name} does not name the program; run this through meson test")
    return WRAP + [path]


def random_port():
    """A free loopback port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    choose = random.SystemRandom()
    while True:
        port = choose.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def until(condition, seconds=20, step=0.02):
    """What `condition` gives once it is true; None when time runs out."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            return None
        time.sleep(step)


def end_process(process, number=signal.SIGKILL):
    if process.poll() is None:
        process.send_signal(number)
    process.wait(timeout=RUN_S)


class Ran:
    """One finished run of a program."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.seconds = argv, code, out, seconds
        self.err = err.decode(errors="replace")

    def __str__(self):
        return (f"{shlex.join(map(str, self.argv))}\n  exit code {self.code} after {self.seconds:.2f} s\n"
                f"  stdout: {self.out[:2000]!r}\n  stderr: {self.err[:4000]}")

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.decode().splitlines() if line.strip()]

    @property
    def json(self):
        lines = self.lines
        assert len(lines) == 1, f"one JSON object is expected\n{self}"
        return lines[0]

    @property
    def error(self):
        """The JSON object of the error: the last line on stderr that is one."""
        found = {}
        for line in self.err.splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and "error" in value:
                found = value
        return found


def die_with_parent():
    """A relay must not outlive a test that was ended from outside (PR_SET_PDEATHSIG is 1)."""
    LIBC.prctl(1, signal.SIGKILL)


def start(argv, cwd, stdin=None, env=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec=None):
    whole = {k: v for k, v in os.environ.items() if k not in ("POUCH_HOME", "POUCH_FAULT")}
    whole.update(env or {})
    return subprocess.Popen([str(a) for a in argv], cwd=cwd, env=whole, stdin=stdin or subprocess.DEVNULL,
                            stdout=stdout, stderr=stderr, preexec_fn=preexec)


def finish(process, argv, data=None, timeout=None):
    begun = time.monotonic()
    try:
        out, err = process.communicate(data, timeout=timeout or RUN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        ran = Ran(argv, process.returncode, out, err, time.monotonic() - begun)
        raise AssertionError(f"this did not end in time\n{ran}") from None
    ran = Ran(argv, process.returncode, out, err, time.monotonic() - begun)
    assert not FINDINGS.search(ran.err) and ran.code != 99, f"a tool found something\n{ran}"
    crashes = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL)
    assert ran.code not in crashes, f"the program crashed\n{ran}"
    return ran


def run(argv, cwd, data=None, env=None, timeout=None):
    process = start(argv, cwd, subprocess.PIPE if data is not None else None, env)
    return finish(process, argv, data, timeout)


class Relay:
    """A relay's folder and, while it runs, its process."""

    def __init__(self, folder, addresses=1, config=None, prepared=False, init=(), host="127.0.0.1"):
        """config: {"limits.body": "64KiB"}. prepared: the folder exists and is meant to be used. init: more words for
        `pouchd init`. host: where it listens."""
        self.folder = pathlib.Path(folder)
        self.ports = [random_port() for _ in range(addresses)]
        self.card = self.folder / "relay.card"
        self.config = self.folder / "relay.yaml"
        self.outputs = self.folder.parent / f"{self.folder.name}.out"
        self.log_path = self.folder.parent / f"{self.folder.name}.log"
        self.process = None
        self.kills = 0  # how many ends by a signal the tests have asked for
        listen = [word for port in self.ports for word in ("--listen", f"tcp://{host}:{port}")]
        made = run(program("POUCHD") + ["init", self.folder, "--name", "relay.test", "--json", *init] + listen,
                   self.folder.parent)
        assert made.code == 0, str(made)
        self.fingerprint = made.json["fingerprint"]
        for key, value in (config or {}).items():
            self.set(key, value)

    def set(self, key, value):
        """Sets a key of relay.yaml that init has written."""
        section, _, name = key.rpartition(".")
        lines, inside, done = [], section == "", False
        for line in self.config.read_text().splitlines():
            if section and re.match(r"\S", line) and not line.startswith("#"):
                inside = line.startswith(section + ":")
            if inside and re.match(rf"\s*{name}:", line):
                line = line[:line.index(name)] + f"{name}: {value}"
                done = True
            lines.append(line)
        assert done, f"relay.yaml has no {key}"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, env=None, ready=True):
        assert self.process is None
        with open(self.outputs, "wb") as out, open(self.log_path, "ab") as log:
            self.process = start(program("POUCHD") + ["--config", self.config], self.folder.parent, env=env,
                                 stdout=out, stderr=log, preexec=die_with_parent)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        until(lambda: self.process.poll() is not None or b"ready" in self.outputs.read_bytes(), 20)
        serves = self.process.poll() is None and b"ready" in self.outputs.read_bytes()
        assert serves, f"the relay is not ready\n{self.tail()}"

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def tail(self):
        return "the relay's log ends so:\n" + "\n".join(self.log().splitlines()[-25:])

    def stop(self):
        """A clean end; the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=30 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the relay did not stop\n{self.tail()}") from None
        self.process = None
        return code

    def kill(self):
        """Ends all of it at once, as a power cut does."""
        pids = [self.process.pid]
        try:
            status = self.status()
            pids += [status["ledger_pid"], status["gate_pid"]]
        except AssertionError:
            pass
        for pid in pids:
            self.kill_pid(pid)
        self.process.wait(timeout=RUN_S)
        self.process = None

    def kill_pid(self, pid):
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGKILL)
            self.kills += 1
        except ProcessLookupError:
            pass

    def ctl(self, *args, timeout=None):
        return run(program("POUCHCTL") + ["--config", self.config, "--json", *args], self.folder.parent,
                   timeout=timeout)

    def status(self):
        ran = self.ctl("status")
        assert ran.code == 0, f"{ran}\n{self.tail()}"
        return ran.json

    def live_status(self, seconds=20):
        """The status, also while a part of the relay is being restarted."""
        def ask():
            ran = self.ctl("status")
            return ran.json if ran.code == 0 and ran.json["gate_pid"] else None
        status = until(ask, seconds, 0.01)
        assert status, f"the relay does not come back\n{self.tail()}"
        return status

    def dirty(self):
        """What the log says that no test has asked for."""
        log = self.log()
        found = [line for line in log.splitlines() if FINDINGS.search(line)]
        ended = [line for line in log.splitlines() if "was ended by signal" in line]
        if not self.kills:
            found += ended
        return found + [line for line in ended if "signal 9 " not in line]


class Home:
    """A post's or an authority's home and the runs of pouch on it."""

    def __init__(self, house, name):
        self.house, self.name, self.path = house, name, house.folder / name
        self.post = None

    def argv(self, *args):
        return program("POUCH") + ["--home", self.path, "--json", *args]

    def run(self, *args, data=None, env=None, timeout=None, cwd=None):
        return run(self.argv(*args), cwd or self.house.papers, data, env, timeout)

    def start(self, *args, data=None, env=None):
        """A run that goes on beside the test, for finish(process, argv). Its input is a file: no pipe can stall."""
        stdin = None
        if data is not None:
            stdin = tempfile.TemporaryFile(dir=self.house.folder)
            stdin.write(data)
            stdin.seek(0)
        process = start(self.argv(*args), self.house.papers, stdin, env)
        if stdin:
            stdin.close()
        return process

    def ok(self, *args, **more):
        ran = self.run(*args, **more)
        assert ran.code == 0, f"{ran}\n{self.house.relay.tail() if self.house.relay else ''}"
        return ran

    def fails(self, code, name, *args, **more):
        """The run ends with this exit code and this error's JSON name, and says what happened and what to do."""
        ran = self.run(*args, **more)
        error = ran.error
        assert (ran.code, error.get("error")) == (code, name), f"expected exit code {code} and {name}\n{ran}"
        assert error.get("message") and error.get("hint"), f"an error without its message or hint\n{ran}"
        return ran

    def send(self, to, text, *args, **more):
        """Sends a text; its id."""
        subject = more.pop("subject", "a question")
        return self.ok("send", "--to", to, "-s", subject, *args, "-", data=text, **more).json["id"]

    def body(self, request):
        return self.ok("show", request, "--body", "-").out

    def inbox(self, *args):
        return {line["id"]: line for line in self.ok("inbox", "--all", *args).lines}

    def sent(self, *args):
        return {line["id"]: line for line in self.ok("sent", "--all", *args).lines}

    def ladder(self, request, to=None):
        """The events of one leg."""
        legs = self.ok("track", request).json["legs"]
        found = [leg for leg in legs if to in (None, leg["to"])]
        assert len(found) == 1, f"one leg is expected: {legs}"
        return found[0]

    def events(self, request, to=None):
        return [event["event"] for event in self.ladder(request, to)["events"] if event["ordinal"] is not None]

    def state(self, request, to=None):
        return self.ladder(request, to)["state"]

    def size(self):
        """Bytes of all files of the home."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def fingerprint(self):
        """Everything in the home that a failed command must leave alone: what `sent`, `inbox` and the outbox say."""
        status = self.ok("status", "--offline").json
        return (self.ok("sent", "--all", "--offline").out, self.ok("inbox", "--all", "--offline").out,
                status.get("outbox"))


class House:
    """One temporary folder with a relay, authorities and posts."""

    def __init__(self, addresses=1, config=None, relay=True, folder=None, init=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="pouch-flow-"))
        self.papers = self.folder / "papers"
        self.papers.mkdir()
        self.relay = None
        self.homes = {}
        self.registrar_keys = []  # none: the one that `pouchd init` makes
        if relay:
            try:
                self.relay = Relay(self.folder / "relay", addresses, config, init=init).start()
            except BaseException:
                self.close()
                raise

    def close(self):
        try:
            if self.relay and self.relay.process:
                self.relay.stop()
        finally:
            if os.environ.get("POUCH_KEEP"):
                print(f"kept: {self.folder}", file=sys.stderr)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    def home(self, name):
        if name not in self.homes:
            self.homes[name] = Home(self, name)
        return self.homes[name]

    def authority(self, party, name=None, admit=True, kind="state"):
        home = self.home(f"{party}-authority")
        home.ok("authority", "init", party, "--name", name or party.upper(), "--kind", kind, "--no-passphrase")
        if admit:
            self.admit(party)
        return home

    def admit(self, party):
        sheet = (self.papers / f"{party}.nomination").read_text()
        fingerprint = re.search(r"(?:\d{5} ){9}\d{5}", sheet).group()
        keys = [word for key in self.registrar_keys for word in ("--registrar-key", str(key))]
        ran = self.relay.ctl("admit", str(self.papers / f"{party}.charter"), "--fingerprint", fingerprint, *keys)
        assert ran.code == 0, f"{ran}\n{self.relay.tail()}"

    def certify(self, post, certificate=None, functions="diplomatic,policy,technical"):
        """The authority certifies the request of the post that was made last."""
        party = post.split("/")[0]
        certificate = certificate or self.papers / f"{post.replace('/', '-')}.cert"
        request = self.papers / f"{post.replace('/', '-')}.request"
        self.home(f"{party}-authority").ok("authority", "certify", request, "--functions", functions, "-o", certificate)
        return certificate

    def init(self, post, name=None, cwd=None):
        home = self.home(name or post.replace("/", "-"))
        home.post = post
        home.ok("init", post, "--no-passphrase", cwd=cwd)
        return home

    def join(self, home, certificate):
        home.ok("join", "--card", self.relay.card, "--cert", certificate, "--fingerprint", self.relay.fingerprint)
        return home

    def make(self, post, name=None):
        """A post of a party that is there: keys, certificate, joined."""
        home = self.init(post, name)
        return self.join(home, self.certify(post))

    def member(self, party, desk="technical", **more):
        """A new party with one post."""
        self.authority(party, **more)
        return self.make(f"{party}/{desk}")


class FlowTest(unittest.TestCase):
    """Tests that share one house; `furnish` fills it once."""

    longMessage = True
    maxDiff = None
    house_options = {}

    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        cls.house = House(**cls.house_options)
        cls.relay = cls.house.relay
        try:
            cls.furnish()
        except BaseException:
            print(cls.relay.tail() if cls.relay else "", file=sys.stderr)
            cls.house.close()
            raise

    @classmethod
    def furnish(cls):
        cls.house.member("fj", name="Republic of Fiji")
        cls.house.member("de", name="Germany")
        cls.fj, cls.de = cls.house.home("fj-technical"), cls.house.home("de-technical")

    @classmethod
    def tearDownClass(cls):
        try:
            running = cls.relay is not None and cls.relay.process is not None
            code = cls.relay.stop() if running else 0
            dirty = cls.relay.dirty() if cls.relay else []
            assert code == 0, f"the relay stopped with exit code {code}\n{cls.relay.tail()}"
            assert not dirty, f"the relay's log tells of trouble: {dirty}"
        finally:
            cls.house.close()

    # ---- what must hold ----

    def assert_ladder(self, home, request, events, state, to=None):
        """The ladder has these events, ordinals without a gap, and rising places in the log and times."""
        leg = home.ladder(request, to)
        entries = [event for event in leg["events"] if event["ordinal"] is not None]
        self.assertEqual([event["event"] for event in entries], events)
        self.assertEqual(leg["state"], state)
        self.assertEqual([event["ordinal"] for event in entries], list(range(len(entries))))
        places = [event["log_index"] for event in entries]
        self.assertEqual(places, sorted(set(places)), "places in the log rise")
        times = [event["at"] for event in entries]
        self.assertEqual(times, sorted(times), "ledger time never goes back")
        for event in entries:
            by_relay = event["event"] in ("SubmissionAcceptance", "AcceptanceRejectionExpiry")
            self.assertEqual(event["actor"] == "relay", by_relay, event)
            self.assertIn(event["signer"], ("machine", "officer"))
        return leg

    def assert_exactly_once(self, sender, recipient, texts):
        """Each of these texts, accepted, is with the recipient once; nothing else is."""
        found = {}
        for request, line in recipient.inbox().items():
            if line["parent"] is None and line["from"] == sender.post:
                found.setdefault(line["subject"], []).append(request)
        self.assertEqual(sorted(found), sorted(texts))
        for subject, requests in found.items():
            self.assertEqual(len(requests), 1, f"{subject} is there more than once")
        return {subject: requests[0] for subject, requests in found.items()}


STORED, NOTIFIED, ACCEPTED = "SubmissionAcceptance", "NotificationForAcceptance", "ConsignmentAcceptance"
HANDED_OVER, ACKNOWLEDGED, DECLINED = "ContentHandover", "ContentAccessTracking", "ConsignmentRejection"
EXPIRED, WITHDRAWN, CLOSED = "AcceptanceRejectionExpiry", "Withdrawal", "Closing"
SETTLED = [STORED, NOTIFIED, ACCEPTED, HANDED_OVER, ACKNOWLEDGED]


def in_parallel(functions):
    """Runs all at once; the first failure is raised, the results are in order."""
    results, failures = [None] * len(functions), []

    def work(index):
        try:
            results[index] = functions[index]()
        except BaseException as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def main():
    unittest.main(verbosity=2)
