"""Goal: the one table of fault points (config/fault.def) is true and whole: every FAULT() of the source stands in it and the other
way round, each once, in the file that it names; and each is named by a test that kills there."""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r'^FAULT_POINT\("([^"]+)", (\w+), "([^"]+)", "([^"]+)"\)$', re.MULTILINE)
PROGRAMS = {"LEDGER": "relay/", "GATE": "relay/", "POUCHD": "relay/", "POUCHCTL": "relay/", "POUCH": "client/"}


def table():
    return ROW.findall((SOURCE / "config" / "fault.def").read_text())


def points_in_source():
    """(name, file) of every FAULT()."""
    found = []
    for folder in ("proto", "config", "relay", "client"):
        for path in sorted((SOURCE / folder).rglob("*.[ch]")):
            if path.name != "fault.h":
                names = re.findall(r'\bFAULT\(\s*"([^"]+)"\s*\)', path.read_text())
                found += [(name, str(path.relative_to(SOURCE))) for name in names]
    return found


def points_in_tests():
    """Every string that stands alone in a test that kills at points."""
    found = set()
    for folder in ("flow", "faults"):
        for path in (SOURCE / "tests" / folder).glob("*.py"):
            text = path.read_text()
            if "POUCH_FAULT\"" in text and path != pathlib.Path(__file__).resolve():
                found |= set(re.findall(r'"([a-z-]+\.[a-z-]+)"', text))
                found |= set(re.findall(r'"([a-z-]+\.[a-z-]+):\d+:', text))
    return found


class FaultPoints(unittest.TestCase):
    maxDiff = None

    def test_every_line_of_the_table_is_read(self):
        text = (SOURCE / "config" / "fault.def").read_text()
        self.assertEqual(len(table()), len(re.findall(r"^FAULT_POINT\(", text, re.MULTILINE)))
        self.assertGreater(len(table()), 60)

    def test_no_name_stands_twice(self):
        for what, names in (("table", [row[0] for row in table()]), ("source", [name for name, _ in points_in_source()])):
            twice = [name for name, count in collections.Counter(names).items() if count > 1]
            self.assertEqual(twice, [], what)

    def test_the_table_and_the_source_agree(self):
        self.assertEqual(sorted((name, file) for name, _, file, _ in table()), sorted(points_in_source()))

    def test_each_point_lies_in_a_file_of_its_program(self):
        for name, program, file, what in table():
            self.assertIn(program, PROGRAMS, name)
            self.assertTrue(file.startswith(PROGRAMS[program]), name)
            self.assertGreater(len(what.split()), 2, f"{name}: what has happened there")

    def test_no_point_is_made_of_anything_but_its_name(self):
        """A FAULT() of a variable would escape the comparison."""
        for folder in ("proto", "config", "relay", "client"):
            for path in sorted((SOURCE / folder).rglob("*.[ch]")):
                if path.name != "fault.h":
                    found = re.findall(r"\b(?:FAULT|fault_point)\((?!\")(?!const char)[^)]*\)", path.read_text())
                    self.assertEqual(found, [], path)

    def test_each_point_is_killed_at_by_a_test(self):
        self.assertEqual({row[0] for row in table()} - points_in_tests(), set(), "no test names these")


class Unknown(unittest.TestCase):
    def test_a_program_told_to_die_at_a_point_that_does_not_exist_says_so(self):
        if not os.environ.get("POUCH_FAULTS"):
            self.skipTest("built without fault points")
        with tempfile.TemporaryDirectory() as folder:
            token = pathlib.Path(folder) / "token"
            token.touch()
            pouch = [os.environ["POUCH"], "--home", f"{folder}/home", "authority"]
            subprocess.run([*pouch, "init", "fj", "--name", "Fiji", "--kind", "state", "--no-passphrase"], check=True,
                           stdout=subprocess.DEVNULL, cwd=folder)
            ran = subprocess.run([*pouch, "succeed"], env={**os.environ, "POUCH_FAULT": f"succession.never:1:{token}"},
                                 capture_output=True, check=False, cwd=folder)
            self.assertEqual(ran.returncode, -6, ran)
            self.assertIn(b"succession.never", ran.stderr)
            self.assertTrue(token.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
