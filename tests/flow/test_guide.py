"""Goal: the manuals do not rot. Every command block (```sh) of client/GUIDE.md and of relay/OPERATING.md is run here,
in its order, in an empty home folder. A wrapper stands in for the person at the keyboard: it answers the questions that a
terminal would ask, and puts what was read aloud (CODE, DIGITS, SIZE) or copied (DEVICE) in its place."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from house import DATA, PATIENCE, SOURCE, die_with_parent, main, program, random_port

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)

# What the person does. `wait_for FILE PATTERN` is looking at the screen.
PERSON = r"""
set -euo pipefail
relay_pid= invite_pid=
trap '[ -z "$relay_pid" ] || builtin kill "$relay_pid" 2>/dev/null || true; wait' EXIT
wait_for() {
    for _ in $(seq 400); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.05; done
    cat "$1" >&2
    return 9
}

pouch() {
    local word words=() from=/dev/null
    for word in "$@"; do
        case "$word" in
            DEVICE) word=$(@POUCH@ --home laptop --json device list |
                    sed -n 's/.*"device": *"\([^"]*\)".*"this": *true.*/\1/p') ;;
            CODE) word=$(cat "$HOME/.code") ;;
            SIZE) word=$(sed -n 's/^size *//p' "$HOME/.phrase") ;;
            DIGITS) word=$(sed -n 's/^digits *//p' "$HOME/.phrase") ;;
        esac
        words+=("$word")
    done
    case " $* " in
        *" device invite "*)
            @POUCH@ --yes "${words[@]}" >"$HOME/.invite" 2>&1 &
            invite_pid=$!
            wait_for "$HOME/.invite" '^....-....'
            sed -n '/^....-....-/{p;q}' "$HOME/.invite" >"$HOME/.code"
            return ;;
        *" link "*)
            @POUCH@ --yes --no-passphrase "${words[@]}" </dev/null
            wait "$invite_pid" || { cat "$HOME/.invite" >&2; return 9; }
            return ;;
        *" directory phrase "*) @POUCH@ "${words[@]}" | tee "$HOME/.phrase"; return ;;
        *" pair new "*)
            @POUCH@ --json "${words[@]}" | sed -n 's/.*"code": *"\([^"]*\)".*/\1/p' >"$HOME/.secret"
            test -s "$HOME/.secret"
            return ;;
        *" pair add "*) words+=(-); from=$HOME/.secret ;;
    esac
    if [ "$from" = /dev/null ] && [ -p /dev/stdin ]; then
        @POUCH@ --yes --no-passphrase "${words[@]}"
        return
    fi
    @POUCH@ --yes --no-passphrase "${words[@]}" <"$from"
}
pouchctl() { @POUCHCTL@ --yes "$@" </dev/null; }
pouchd() {
    case " $* " in
        *" init "*) @POUCHD@ "$@" ;;
        *" --check-config "*) @POUCHD@ "$@" ;;
        *)
            @POUCHD@ "$@" >"$HOME/.relay" 2>>"$HOME/.log" &
            relay_pid=$!
            wait_for "$HOME/.relay" ready ;;
    esac
}
kill() { builtin kill "$@"; wait "$relay_pid" || return 9; relay_pid=; }
"""


class Guide(unittest.TestCase):
    def run_blocks(self, name):
        """One shell runs all blocks; the last one begun is named when it fails."""
        text = (SOURCE / name).read_text()
        script = PERSON
        for which in ("POUCH", "POUCHCTL", "POUCHD"):
            script = script.replace(f"@{which}@", shlex.join(program(which)))
        count = 0
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            body = block.group(1).replace("5870", str(self.port)).replace("5871", str(self.other_port))
            script += f"echo '== {name}:{line}'\n{body}\n"
            count += 1
        self.assertGreater(count, 3, f"{name} has no blocks any more")
        ran = subprocess.run(["bash", "-c", script], cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, env={**os.environ, "HOME": str(self.home), "NO_COLOR": "1"},
                             timeout=120 * PATIENCE, preexec_fn=die_with_parent, check=False)
        if os.environ.get("POUCH_SHOW"):
            print(ran.stdout, ran.stderr)
        begun = [line for line in ran.stdout.splitlines() if line.startswith("== ")]
        log = self.home / ".log"
        self.assertEqual(ran.returncode, 0, f"{begun[-1:]}\n{ran.stdout[-1500:]}\n{ran.stderr[-2500:]}\n"
                                            f"{log.read_text()[-1500:] if log.exists() else ''}")
        return ran

    def setUp(self):
        self.port, self.other_port = random_port(), random_port()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="pouch-guide-"))
        self.addCleanup(shutil.rmtree, self.home, True)
        shutil.copy(DATA / "csaf-va-24-254-02.json", self.home / "advisory.json")
        shutil.copy(SOURCE / "tests" / "vectors" / "fraud" / "heads.proof", self.home / "fraud.proof")

    def test_every_command_of_the_points_of_contacts_guide_works_as_it_is_printed(self):
        self.run_blocks("client/GUIDE.md")

    def test_every_command_of_the_operators_guide_works_as_it_is_printed(self):
        self.run_blocks("relay/OPERATING.md")


if __name__ == "__main__":
    main()
