"""test_client_corners.py - goal: what a tired officer, a strict script or a malicious sender may bring does no harm.

Foreign text steers no terminal and breaks no line; odd bodies, names and ids work or fail by name; decisions made
without a relay are said once, and a contradicting one is refused; output that is lost is an error."""

import os
import pty
import stat
import subprocess
import threading

import house
from house import FlowTest, end_process, main, program, until

HOSTILE = "red\x1b[31m \u202eright to left \u009b2J\u2028{\"id\": \"forged\"}\u2029end"
STEERING = ["\x1b", "\u202e", "\u009b", "\u2028", "\u2029"]


def plain(home, *args, **more):
    """A run for people, not for scripts."""
    return house.run(program("POUCH") + ["--home", home.path, *args], home.house.papers, **more)


class ForeignText(FlowTest):
    """What a sender writes is shown, and cannot do anything."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.request = cls.fj.send("de", b"text\x1b[2J\xff", "--summary", HOSTILE, subject=HOSTILE)
        cls.de.ok("accept", cls.request)
        cls.de.ok("ack", cls.request, "--note", HOSTILE)

    def test_nothing_that_people_read_steers_the_terminal(self):
        for home in (self.de, self.fj):
            for words in (["inbox", "--all"], ["sent", "--all"], ["show", self.request], ["track", self.request],
                          ["explain", self.request], ["status"]):
                ran = plain(home, *words)
                self.assertEqual(ran.code, 0, str(ran))
                for bad in STEERING:
                    self.assertNotIn(bad.encode(), ran.out, f"{words} lets {bad!r} through")

    def test_json_is_one_line_of_ascii_and_loses_nothing(self):
        for home in (self.de, self.fj):
            for words in (["inbox", "--all"], ["sent", "--all"], ["show", self.request], ["track", self.request]):
                ran = home.ok(*words)
                self.assertTrue(ran.out.isascii(), f"{words}: {ran.out[:300]}")
                self.assertEqual(len(ran.out.decode().splitlines()), ran.out.count(b"\n"))
        self.assertEqual(self.de.inbox()[self.request]["subject"], HOSTILE)
        notes = [event.get("note") for event in self.fj.ladder(self.request)["events"]]
        self.assertIn(HOSTILE, notes)

    def test_the_body_itself_comes_untouched(self):
        self.assertEqual(self.de.body(self.request), b"text\x1b[2J\xff")

    def test_every_attachment_is_saved_whatever_its_name(self):
        folders = [self.house.folder / name for name in ("names", "names-again")]
        names = ["x" * 255, "\u00fc" * 127, "\x1b" * 250 + ".pdf", ".profile", "-rf", "a\nb", "c:\\d", "..x", "\u202etxt"]
        words, wanted = [], []
        for folder in folders:
            folder.mkdir()
            for name in names:
                (folder / name).write_bytes(f"{folder.name} {name}".encode())
                wanted.append((folder / name).read_bytes())
                words += ["--attach", folder / name]
        request = self.fj.ok("send", "--to", "de", "-s", "names", *words).json["id"]
        self.de.ok("accept", request)
        out = self.house.folder / "out"
        out.mkdir()
        (out / "profile").write_bytes(b"mine")
        saved = self.de.ok("show", request, "--save", out).json["saved"]
        self.assertEqual(len(set(saved)), len(wanted))
        self.assertEqual(sorted(path.read_bytes() for path in out.iterdir()), sorted(wanted + [b"mine"]))
        self.assertEqual((out / "profile").read_bytes(), b"mine", "a file that was there is overwritten")
        for path in out.iterdir():
            self.assertFalse(path.name.startswith("."), path.name)
            self.assertEqual([c for c in path.name if ord(c) < 32 or c in STEERING], [], path.name)
            self.assertEqual(path.parent, out)
        self.assertTrue(any(path.name.endswith(".pdf") for path in out.iterdir()), "the ending is kept")


class OwnInput(FlowTest):
    """What the officer types: taken as it is, or refused with what to do."""

    def test_bodies_of_odd_sizes_arrive(self):
        for body in (b"", b"\0", bytes(range(256)), b"\xff" * 65536):
            request = self.fj.send("de", body)
            self.de.ok("accept", request)
            self.assertEqual(self.de.body(request), body)
            shown = self.de.ok("show", request).json
            self.assertEqual(shown["body_length"], len(body))

    def test_a_subject_has_its_limit_in_bytes_and_its_own_words(self):
        request = self.fj.send("de", b"x", subject="\u00e9" * 256)
        self.de.ok("sync")
        self.assertEqual(self.de.inbox()[request]["subject"], "\u00e9" * 256)
        self.fj.ok("sync")
        before = self.fj.fingerprint()
        ran = self.fj.fails(1, "too-large", "send", "--to", "de", "-s", "x" * 513, "-", data=b"x")
        self.assertIn("512", ran.error["message"])
        self.assertEqual(self.fj.fingerprint(), before)

    def test_words_that_are_no_utf8_are_the_typists_to_correct(self):
        bad = os.fsdecode(b"\xff\xfe")
        path = self.house.folder / bad
        path.write_bytes(b"x")
        self.fj.fails(1, "usage", "send", "--to", "de", "-s", bad, "-", data=b"x")
        self.fj.fails(1, "usage", "send", "--to", "de", "-s", "x", "--attach", path)
        self.fj.fails(1, "unknown-request", "show", bad)
        self.fj.fails(1, "unknown-party", "send", "--to", bad, "-", data=b"x")

    def test_a_name_that_is_none_is_the_typists_to_correct(self):
        for post in ("fj", "FJ/technical", "fj/", "../fj/x"):
            self.house.home("nobody").fails(1, "usage", "init", post, "--no-passphrase")
        self.house.home("nobody").fails(1, "usage", "authority", "init", "F J", "--name", "x", "--no-passphrase")

    def test_sixty_three_attachments_and_no_more(self):
        path = self.house.folder / "same"
        path.write_bytes(b"again")
        words = ["--attach", path] * 63
        request = self.fj.send("de", b"t", *words)
        self.de.ok("accept", request)
        self.assertEqual([one["name"] for one in self.de.ok("show", request).json["attachments"]], ["same"] * 63)
        self.assertEqual(len(set(self.de.ok("show", request, "--save", self.house.folder / "same-out").json["saved"])), 63)
        self.fj.fails(1, "usage", "send", "--to", "de", *words, "--attach", path, "-", data=b"t")

    def test_one_stream_is_not_both_the_text_and_the_pass_phrase(self):
        for words in (["-"], []):
            self.fj.fails(1, "usage", "send", "--to", "de", "--passphrase-file", "-", *words, data=b"secret\ntext")
        self.assertNotIn("text", [line["subject"] for line in self.fj.sent().values()])

    def test_lost_output_is_an_error(self):
        self.fj.send("de", b"x")
        for argv in (self.fj.argv("sent", "--all"), program("POUCH") + ["--home", self.fj.path, "sent", "--all"]):
            with open("/dev/full", "wb") as full:
                ran = subprocess.run([str(a) for a in argv], stdout=full, stderr=subprocess.PIPE, timeout=house.RUN_S,
                                     check=False)
            self.assertEqual(ran.returncode, 3, ran.stderr)

    def test_a_home_is_its_owners_alone(self):
        self.assertEqual(stat.S_IMODE(self.fj.path.stat().st_mode), 0o700)
        for path in self.fj.path.rglob("*"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path.name)


class WithoutTheRelay(FlowTest):
    """A decision made while the relay is out of reach is kept, is shown as kept, and is said once."""

    def test_the_first_decision_in_the_outbox_stands(self):
        request = self.fj.send("de", b"decide")
        self.de.ok("sync")
        ran = plain(self.de, "accept", request, "--offline")
        self.assertEqual(ran.code, 3, str(ran))
        self.assertIn(b"kept in the outbox", ran.out)
        self.assertEqual(self.de.ok("show", request, "--offline").json["state"], "notified")
        waiting = self.de.ok("status", "--offline").json["outbox"]
        self.assertEqual(self.de.run("accept", request, "--offline").code, 3)
        self.de.fails(1, "wrong-state", "decline", request, "--offline")
        self.assertEqual(self.de.ok("status", "--offline").json["outbox"], waiting, "it is kept twice")
        self.de.ok("sync")
        self.assertEqual(self.de.state(request), "handed_over")
        self.assertEqual(len([e for e in self.de.ladder(request)["events"] if e["event"] == house.ACCEPTED]), 1)

    def test_a_decision_that_came_too_late_is_not_dropped_silently(self):
        request = self.fj.send("de", b"decide")
        self.de.ok("sync")
        self.de.run("accept", request, "--offline")
        self.fj.ok("withdraw", request)
        before = len(self.de.ok("status", "--offline").json["alarms"])
        self.de.ok("sync")
        alarms = self.de.ok("status").json["alarms"]
        self.assertEqual(len(alarms), before + 1, alarms)
        self.assertIn(request[:16], alarms[-1]["text"])
        self.assertEqual(self.de.state(request), "withdrawn")

    def test_what_has_not_left_yet_cannot_be_withdrawn_and_says_why(self):
        ran = self.fj.run("send", "--to", "de", "-s", "unsent", "--offline", "-", data=b"x")
        self.assertEqual((ran.code, ran.error["error"]), (3, "unreachable"), str(ran))
        request = ran.json["id"]
        self.assertEqual(ran.json["state"], "none")
        failed = self.fj.fails(1, "wrong-state", "withdraw", request, "--offline")
        self.assertIn("outbox", failed.error["hint"])
        self.fj.ok("sync")
        self.fj.ok("withdraw", request)
        self.assertEqual(self.fj.state(request), "withdrawn")

    def test_a_wait_lets_others_use_the_home(self):
        request = self.fj.send("de", b"x")
        argv = self.fj.argv("wait", request, "--for", "accepted", "--timeout", "20s")
        waiting = self.fj.start("wait", request, "--for", "accepted", "--timeout", "20s")
        try:
            for _ in range(5):
                self.assertLess(self.fj.ok("status", "--offline").seconds, 5 * house.PATIENCE)
            self.de.ok("accept", request)
            self.assertEqual(house.finish(waiting, argv).code, 0)
        finally:
            end_process(waiting)


class AtTheTerminal(FlowTest):
    """What only a terminal shows."""

    def drive(self, argv, env=None):
        """Starts a program on a terminal of its own; the process and the terminal's other end."""
        outer, inner = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", **(env or {})}
        process = subprocess.Popen([str(a) for a in argv], stdin=inner, stdout=inner, stderr=inner,
                                   cwd=self.house.papers, env=environment, start_new_session=True)
        os.close(inner)
        return process, outer

    def test_an_open_editor_does_not_lock_the_home(self):
        started, go = self.house.folder / "started", self.house.folder / "go"
        editor = self.house.folder / "editor"
        editor.write_text(f"#!/bin/sh\nprintf written > \"$1\"\n: > {started}\nwhile [ ! -e {go} ]; do sleep 0.05; done\n")
        editor.chmod(0o700)
        process, outer = self.drive(program("POUCH") + ["--home", self.fj.path, "send", "--to", "de", "-s", "by hand"],
                                    {"EDITOR": str(editor), "VISUAL": ""})
        said = bytearray()

        def read():
            try:
                while piece := os.read(outer, 4096):
                    said.extend(piece)
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            self.assertTrue(until(started.exists), bytes(said))
            self.assertLess(self.fj.ok("status", "--offline").seconds, 5 * house.PATIENCE)
            go.touch()
            self.assertTrue(until(lambda: b"Send?" in said), bytes(said))
            os.write(outer, b"y\n")
            self.assertEqual(process.wait(timeout=house.RUN_S), 0, bytes(said))
        finally:
            end_process(process)
            reader.join(timeout=5)
            os.close(outer)
        self.assertIn("by hand", [line["subject"] for line in self.fj.sent().values()])

    def test_no_color_is_obeyed_and_markings_stay_words(self):
        self.fj.send("de", b"x", "--tlp", "red", subject="marked")
        for env, colored in (({}, True), ({"NO_COLOR": "1"}, False)):
            process, outer = self.drive(program("POUCH") + ["--home", self.de.path, "inbox"], env)
            said = bytearray()
            try:
                while piece := os.read(outer, 4096):
                    said.extend(piece)
            except OSError:
                pass
            self.assertEqual(process.wait(timeout=house.RUN_S), 0, bytes(said))
            os.close(outer)
            self.assertIn(b"TLP:RED", said)
            self.assertEqual(b"\x1b[" in said, colored, bytes(said))


if __name__ == "__main__":
    main()
