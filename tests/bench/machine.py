"""machine.py - where the benchmark ran: what was built, on what, beside what."""
import os
import pathlib
import platform
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
# What is named beside the figures: servers and libraries on which they depend. What is not installed is left out.
PACKAGES = ("gcc", "libsodium23", "libzmq5", "libsqlite3-0", "mosquitto", "libmosquitto1", "nats-server", "libnats3.4",
            "rabbitmq-server", "erlang-base", "librabbitmq4", "postfix", "gpg", "libssl3")
PROGRAMS = {"POUCHD": "relay/pouchd", "POUCHCTL": "relay/pouchctl", "BENCH_DRIVER": "tests/bench/bench_driver",
            "BENCH_ENROL": "tests/bench/bench_enrol", "BENCH_BOUND": "tests/bench/bench_bound",
            "BENCH_SEED": "tests/bench/bench_seed",
            "BENCH_IDLE": "tests/bench/bench_idle"}
NOT_A_DISK = ("tmpfs", "ramfs", "overlay")


class Missing(Exception):
    """Something that the benchmark cannot do without; the text says what."""


def _run(*words):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Missing(f"{' '.join(map(str, words))} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def build(folder):
    """A release build, without fault points, of what the benchmark starts. Returns the options that it was built with."""
    folder = pathlib.Path(folder)
    for tool in ("meson", "ninja"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed: .ci/install .ci/packages .ci/packages.tests tests/bench/packages")
    if not (folder / "build.ninja").exists():
        print(f"building in {folder}", file=sys.stderr)
        _run("meson", "setup", folder, SOURCE, "--buildtype=release", "-Dfaults=false", "-Dbench=auto")
    targets = _run("ninja", "-C", folder, "-t", "targets", "all")
    wanted = [path for path in PROGRAMS.values() if f"\n{path}: " in f"\n{targets}"]
    _run("ninja", "-C", folder, *wanted)


def use(folder):
    """Names the programs of a build to everybody who starts one."""
    for name, path in PROGRAMS.items():
        path = pathlib.Path(folder).resolve() / path
        if path.exists():
            os.environ[name] = str(path)
        else:
            os.environ.pop(name, None)
    for needed in ("POUCHD", "POUCHCTL", "BENCH_DRIVER", "BENCH_ENROL"):
        if needed not in os.environ:
            raise Missing(f"{folder} has no {PROGRAMS[needed]}")


def file_system(path):
    """(kind, source) of what the path lies on: the longest mount point above it."""
    best = ("", "", "")
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point, (kind, source) = before.split()[4], after.split()[:2]
        if pathlib.Path(path).resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind, source)
    return best[1], best[2]


def _versions():
    found = {}
    for name in PACKAGES:
        asked = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", name], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
        status, _, version = asked.stdout.partition(" ")
        if asked.returncode == 0 and status == "installed":
            found[name] = version
    return found


def _processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit():
    """Of the source, if it is a clone: the commit and whether anything differs from it."""
    try:
        commit = subprocess.run(["git", "--no-optional-locks", "-C", SOURCE, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(["git", "--no-optional-locks", "-C", SOURCE, "status", "--porcelain"], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return commit.stdout.strip() + (" with changes" if changed.stdout.strip() else "") if commit.returncode == 0 else ""


def describe(folder):
    kind, source = file_system(folder)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": len(os.sched_getaffinity(0)), "processor": _processor(), "memory_bytes": memory, "kernel": platform.release(),
            "file_system": f"{kind} on {source}", "packages": _versions(), "commit": _commit()}


def busy_s():
    """Seconds that all cores together were not idle since the machine started; steal counts, waiting for a disk does not."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
