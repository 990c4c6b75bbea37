"""Goal: the operator's programs work in whatever folder the relay lives, say plainly that a relay is down, and name
every error of a configuration at its place."""

import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from house import Relay, main, program, run

STATUS = ("status", "stats")


class Folders(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="pouch-operator-"))
        self.addCleanup(shutil.rmtree, self.place, True)

    def check_life(self, folder):
        """Made, started, asked, stopped, asked again, started again."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        relay = Relay(folder)
        self.addCleanup(lambda: relay.process and relay.kill())
        self.assert_down(relay)
        relay.start()
        self.assertEqual(relay.status()["parties"], 0)
        self.assertIn(relay.ctl("check").code, (0, 1))
        self.assertEqual(relay.stop(), 0)
        self.assert_down(relay)
        relay.start()
        self.assertEqual(relay.status()["legs_total"], 0)
        relay.kill()  # its sockets stay behind
        self.assert_down(relay)
        relay.start()
        self.assertEqual(relay.stop(), 0)

    def assert_down(self, relay):
        for verb in STATUS:
            ran = relay.ctl(verb)
            self.assertEqual((ran.code, ran.error.get("error")), (3, "relay-not-running"), str(ran))
            self.assertEqual(ran.out, b"", "nothing is said on stdout")
            self.assertIn(str(relay.folder), ran.error["message"], "the folder is named")
        suspend = relay.ctl("suspend", "de", "--reason", "a test")
        self.assertEqual((suspend.code, suspend.error.get("error")), (3, "relay-not-running"), str(suspend))
        check = relay.ctl("check")
        self.assertEqual((check.code, check.json["status"]), (2, "CRITICAL"), str(check))

    def test_a_folder_with_spaces_in_its_name(self):
        self.check_life(self.place / "the relay of  Fiji's desk" / "relay folder")

    def test_a_path_longer_than_a_socket_address(self):
        folder = self.place
        while len(str(folder)) < 200:
            folder = folder / ("deep-" * 9)
        self.assertGreater(len(str(folder)), 200)
        self.check_life(folder)

    def test_a_folder_named_from_where_one_stands(self):
        relay = Relay(self.place / "relay").start()
        self.addCleanup(lambda: relay.process and relay.kill())
        for where, path in ((self.place / "relay", "relay.yaml"), (self.place, "relay/relay.yaml")):
            ran = run(program("POUCHCTL") + ["--config", path, "--json", "status"], where)
            self.assertEqual(ran.code, 0, str(ran))
        self.assertEqual(relay.stop(), 0)


class Configuration(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="pouch-operator-"))
        self.addCleanup(shutil.rmtree, self.place, True)
        self.file = self.place / "relay.yaml"

    def check(self, text, *more):
        self.file.write_text(text)
        return run(program("POUCHD") + ["--config", self.file, "--check-config", *more], self.place)

    def test_every_error_is_named_with_its_line_and_column(self):
        ran = self.check('listen:\n  - "tcp://127.0.0.1:5870"\n  - "udp://nowhere"\nlimits:\n  body: 3 elephants\n'
                         '  recipients: 0\n  recipient: 5\nworkers: 2\nworkers: 3\n')
        self.assertEqual(ran.code, 1, str(ran))
        found = re.findall(rf"^{re.escape(str(self.file))}:(\d+):(\d+): (.+)$", ran.err, re.MULTILINE)
        places = {(int(line), int(column)) for line, column, _ in found}
        self.assertEqual(places, {(3, 5), (5, 9), (6, 15), (7, 3), (9, 1)}, str(ran))
        self.assertTrue(all(len(text) > 10 for _, _, text in found))
        self.assertEqual(ran.out, b"")
        said = self.check(self.file.read_text(), "--json")
        self.assertEqual((said.code, said.error["error"]), (1, "config"), str(said))
        for line, column in places:
            self.assertIn(f":{line}:{column}:", said.error["message"])

    def test_a_good_configuration_is_said_to_be_good_and_starts_nothing(self):
        ran = self.check('listen:\n  - "tcp://127.0.0.1:5870"\n')
        self.assertEqual((ran.code, ran.out.decode().strip()), (0, f"{self.file}: ok"), str(ran))
        self.assertEqual(os.listdir(self.place), ["relay.yaml"])


if __name__ == "__main__":
    main()
