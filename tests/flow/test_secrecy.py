"""Goal: the house is built so that the relay cannot read or admit, and it shows: pouchd contains none of the code that
opens content, uses an endpoint's secrets or signs admissions. What was written is nowhere in clear: not in the relay's
folder or log, not in what goes over the wire, not in the homes."""

import os
import re
import socket
import subprocess
import threading
import unittest

from house import SOURCE, FlowTest, main

MARKER = b"kanarienvogel-7f3a"


def declared(header):
    """The functions that a header declares."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    return set(re.findall(r"^(?:CHECKED |extern )?[a-z][\w \*]*?\b(\w+)\(", text, flags=re.M)) - {"__attribute__"}


def symbols(path):
    ran = subprocess.run(["nm", "--format=posix", path], capture_output=True, text=True, timeout=60, check=True)
    return {line.split()[0] for line in ran.stdout.splitlines() if line}


class House(unittest.TestCase):
    def test_the_relay_contains_nothing_of_the_sealing_library(self):
        sealing = set().union(*(declared(header) for header in (SOURCE / "proto" / "seal").glob("*.h")))
        self.assertGreater(len(sealing), 20, "the headers tell their functions")
        relay, client = symbols(os.environ["POUCHD"]), symbols(os.environ["POUCH"])
        self.assertEqual(sealing & relay, set())
        self.assertEqual({name for name in relay if re.match("(hpke|hkdf|content|wrapping|secret)_", name)}, set())
        self.assertLessEqual({"hpke_open", "content_open_chunk", "wrapping_open", "secret_new"}, sealing & client,
                             "while the client has them: the comparison can fail")

    def test_the_relay_contains_nothing_that_could_admit_anybody(self):
        signing = declared(SOURCE / "relay" / "registrar.h")
        self.assertTrue(signing)
        self.assertEqual(signing & symbols(os.environ["POUCHD"]), set())
        self.assertTrue(signing & symbols(os.environ["POUCHCTL"]), "while its operator's control has it")

    def test_the_relay_links_no_library_of_ours_at_run_time(self):
        ran = subprocess.run(["readelf", "-d", os.environ["POUCHD"]], capture_output=True, text=True, timeout=60,
                             check=True)
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", ran.stdout)
        self.assertTrue(any(name.startswith("libsodium") for name in needed), "the list was read")
        self.assertEqual([name for name in needed if re.search("pouch|seal|proto", name)], [])

    def test_the_build_gives_the_sealing_library_to_the_client_only(self):
        text = (SOURCE / "relay" / "meson.build").read_text()
        self.assertNotRegex(re.sub(r"#.*", "", text), r"\bseal\b")
        self.assertRegex((SOURCE / "client" / "meson.build").read_text(), r"\bseal\b")

    def test_the_rooms_are_where_the_design_says(self):
        here = set(os.listdir(SOURCE))
        self.assertLessEqual({"proto", "config", "relay", "client", "tests", "README.md", "meson.build", "quickstart",
                              "check"}, here)


class Listener:
    """A loopback port that passes everything on and keeps what it saw."""

    def __init__(self, port):
        self.port, self.seen, self.open = port, bytearray(), True
        self.server = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            except OSError:
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self.seen += data
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)  # ends the other pump, too
                except OSError:
                    pass
            source.close()

    def close(self):
        self.open = False
        self.server.close()


class Canary(FlowTest):
    """One word, written everywhere a person can write something, is looked for everywhere something is kept."""

    def holders(self, *places):
        found = []
        for place in places:
            for path in [place] if place.is_file() else place.rglob("*"):
                if path.is_file() and self.word in path.read_bytes():
                    found.append(str(path.relative_to(self.house.folder)))
        return found

    def test_what_is_written_is_nowhere_in_clear(self):
        self.word = MARKER
        word = MARKER.decode()
        wire = Listener(self.relay.ports[0])
        self.addCleanup(wire.close)
        for home in (self.fj, self.de):
            card = home.path / "relay.card"
            card.write_text(card.read_text().replace(f":{self.relay.ports[0]}", f":{wire.own_port}"))
        attachment = self.house.papers / f"{word}.txt"
        attachment.write_bytes(b"in an attachment: " + MARKER)
        self.assertTrue(self.holders(self.house.papers), "the search finds what is there")
        request = self.fj.ok("send", "--to", "de", "-s", f"subject {word}", "--summary", f"summary {word}", "--attach",
                             attachment, "-", data=b"text " + MARKER + b" " * 200_000).json["id"]
        declined = self.fj.send("de/technical", b"again " + MARKER, subject=f"again {word}")
        self.assertEqual(self.de.inbox()[request]["subject"], f"subject {word}", "it did arrive")
        self.de.ok("accept", request, "--note", f"accepting {word}")
        self.de.ok("ack", request, "--note", f"note {word}")
        self.de.ok("reply", request, "-", data=b"reply " + MARKER)
        self.de.ok("decline", declined, "--note", f"declining {word}")
        self.fj.ok("sync")
        self.assertIn(MARKER, self.de.body(request))
        self.assertEqual(self.fj.ladder(declined)["events"][-1]["note"], f"declining {word}")
        self.assertEqual(self.holders(self.relay.folder, self.relay.log_path, self.relay.outputs), [])
        self.assertEqual(self.holders(self.fj.path, self.de.path), [])
        self.assertGreater(len(wire.seen), 200_000, "the traffic went through the listener")
        self.assertNotIn(MARKER, wire.seen)
        for ran in (self.relay.ctl("status"), self.relay.ctl("stats"), self.relay.ctl("check")):
            self.assertNotIn(MARKER, ran.out)
        self.relay.stop()  # what is written at the end is looked at, too
        self.assertEqual(self.holders(self.relay.folder, self.relay.log_path), [])

    def test_a_home_with_a_pass_phrase_keeps_no_key_in_clear(self):
        """The archive key of a home without one lies in its key file; with one, nothing opens without it."""
        papers = self.house.papers
        (papers / "phrase").write_text("a phrase of one's own\n")
        home = self.house.home("sealed")
        home.ok("init", "fj/sealed", "--passphrase-file", papers / "phrase")
        self.word = b"a phrase of one's own"
        self.assertEqual(self.holders(home.path), [])
        for path in home.path.iterdir():
            self.assertEqual(path.stat().st_mode & 0o077, 0, f"{path.name} is readable for others")
        self.assertEqual(home.path.stat().st_mode & 0o077, 0)


if __name__ == "__main__":
    main()
