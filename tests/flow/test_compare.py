"""Goal: two members find out by telephone whether the relay shows both the same directory. They have the same digits,
at the smaller of two sizes, too; another card, a forked directory and a slip of the tongue are noticed; and the
directory can be handed on, whole or in public."""

import hashlib
import json
import shutil

from house import FlowTest, main, program, run


def root_of(lines):
    """As PROTOCOL.md section 4 says: the root over leaves given as hex lines."""
    hashes = [hashlib.sha256(b"\0" + bytes.fromhex(line)).digest() for line in lines]

    def root(part):
        if len(part) == 1:
            return part[0]
        half = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(part[:half]) + root(part[half:])).digest()
    return root(hashes).hex()


class Phrase(FlowTest):
    @classmethod
    def furnish(cls):
        cls.fj = cls.house.member("fj", name="Fiji")
        cls.de = cls.house.member("de", name="Germany")

    def phrase(self, home, *args):
        return home.ok("directory", "phrase", *args).json

    def test_1_two_members_have_the_same_digits(self):
        one, two = self.phrase(self.fj), self.phrase(self.de)
        self.assertEqual(one, two)
        self.assertLessEqual({"digits", "root", "size", "witnessed"}, set(one))
        self.assertRegex(one["digits"], r"^(\d{5} ){9}\d{5}$")
        told = self.de.ok("directory", "compare", one["digits"]).json
        self.assertEqual(told, {"size": one["size"], "root": one["root"], "digits": one["digits"], "equal": True})
        self.de.ok("directory", "compare", one["digits"].replace(" ", "-"), "--at", str(one["size"]))
        self.de.ok("directory", "compare", *one["digits"].split())
        people = run(program("POUCH") + ["--home", self.fj.path, "directory", "phrase"], self.house.papers)
        self.assertEqual(people.code, 0, people)
        self.assertIn(one["digits"], people.out.decode())
        self.assertIn(f"--at {one['size']}", people.out.decode())

    def test_2_who_has_seen_less_is_compared_at_that_size(self):
        before = self.phrase(self.de)
        self.house.authority("ke")
        after = self.phrase(self.fj)
        self.assertGreater(after["size"], before["size"])
        self.assertNotEqual(after["digits"], before["digits"])
        self.assertEqual(self.phrase(self.de, "--offline"), before, "has not seen the new party")
        self.assertEqual(self.phrase(self.fj, "--at", str(before["size"])), before)
        self.fj.ok("directory", "compare", before["digits"], "--at", str(before["size"]))
        self.fj.fails(4, "wrong-phrase", "directory", "compare", before["digits"])
        early = self.de.fails(1, "not-mirrored", "directory", "compare", after["digits"], "--at", str(after["size"]),
                              "--offline")
        self.assertIn("sync", early.error["hint"])
        self.de.fails(1, "not-mirrored", "directory", "phrase", "--at", str(after["size"]), "--offline")
        self.de.ok("directory", "compare", after["digits"], "--at", str(after["size"]))
        for size in range(1, after["size"] + 1):
            self.assertEqual(self.phrase(self.fj, "--offline", "--at", str(size)),
                             self.phrase(self.de, "--offline", "--at", str(size)))

    def test_3_wrong_digits_are_told_from_what_are_no_digits(self):
        phrase = self.phrase(self.fj)
        last = str((int(phrase["digits"][-1]) + 1) % 10)
        ran = self.fj.fails(4, "wrong-phrase", "directory", "compare", phrase["digits"][:-1] + last)
        self.assertIn("--at", ran.error["hint"])
        self.assertEqual(ran.out, b"")
        self.fj.fails(4, "wrong-phrase", "directory", "compare", phrase["digits"], "--at", "1")
        for wrong in ([], [phrase["digits"][:-1]], [phrase["digits"] + "0"], ["a" + phrase["digits"][1:]],
                      [phrase["digits"], "--at", "0"], [phrase["digits"], "--at", "x"],
                      [phrase["digits"], "--at", "-1"], [phrase["digits"], "--at", "99999999999999999999"]):
            self.fj.fails(1, "usage", "directory", "compare", *wrong)

    def test_4_another_card_gives_other_digits(self):
        phrase = self.phrase(self.de)
        path = self.de.path / "relay.card"
        kept = path.read_text()
        try:
            path.write_text("# a comment changes nothing\n" + kept)
            self.de.ok("directory", "compare", phrase["digits"], "--offline")
            path.write_text(kept + "freshness 3600\n")
            self.de.fails(4, "wrong-phrase", "directory", "compare", phrase["digits"], "--offline")
            self.assertEqual(self.phrase(self.de, "--offline")["root"], phrase["root"])
        finally:
            path.write_text(kept)

    def test_5_the_exported_directory_has_the_root_that_is_read_aloud(self):
        phrase = self.phrase(self.fj)
        lines = self.fj.ok("directory", "export").lines
        self.assertEqual([line["index"] for line in lines], list(range(phrase["size"])))
        path = self.house.papers / "directory.hex"
        plain = run(program("POUCH") + ["--home", self.fj.path, "directory", "export", "-o", path], self.house.papers)
        self.assertEqual((plain.code, plain.out), (0, b""), plain)
        leaves = path.read_text().splitlines()
        self.assertEqual(leaves, [line["leaf"] for line in lines])
        self.assertEqual(root_of(leaves), phrase["root"])
        earlier = self.phrase(self.fj, "--at", "5")
        self.assertEqual(root_of(leaves[:5]), earlier["root"])

    def test_6_the_public_directory_names_nobody_who_made_nothing_public_and_no_keys(self):
        ran = run(program("POUCH") + ["--home", self.de.path, "directory", "export", "--public"], self.house.papers)
        self.assertEqual(ran.code, 0, ran)
        listing, phrase = json.loads(ran.out), self.phrase(self.de)
        self.assertEqual([listing[key] for key in ("relay", "size", "root", "digits")],
                         ["relay.test", phrase["size"], phrase["root"], phrase["digits"]])
        self.assertEqual(listing["parties"], [])
        self.fj.ok("card", "set", "office", "CERT", "--for", "public")
        ran = self.de.ok("directory", "export", "--public")
        self.assertEqual(ran.json["parties"], [{"party": "fj", "name": "Fiji", "posts": [
            {"post": "fj/technical", "fields": {"office": "CERT"}}]}])
        for home in (self.fj, self.de):
            for device in home.ok("directory", "show", home.post).json["device_list"]:
                self.assertNotIn(device["device"], ran.out.decode())

    def test_7_a_forked_directory_gives_other_digits(self):
        self.fj.ok("sync")
        self.de.ok("sync")
        relay, copy = self.house.relay, self.house.folder / "relay.copy"
        self.house.authority("ng", admit=False)
        self.house.authority("pe", admit=False)
        relay.stop()
        shutil.copytree(relay.folder, copy)
        relay.start()
        self.house.admit("ng")
        seen = self.phrase(self.fj)
        relay.stop()
        shutil.rmtree(relay.folder)
        shutil.copytree(copy, relay.folder)
        relay.start()
        self.house.admit("pe")
        other = self.phrase(self.de)
        self.assertEqual(other["size"], seen["size"], "to the eye, all is well")
        self.assertNotEqual((other["root"], other["digits"]), (seen["root"], seen["digits"]))
        self.de.fails(4, "wrong-phrase", "directory", "compare", seen["digits"], "--at", str(seen["size"]))
        forked = self.fj.run("directory", "phrase")
        self.assertEqual((forked.code, forked.error["error"]), (4, "directory-forked"), forked)
        self.assertEqual(forked.json, seen, "what is compared is still shown")
        common = self.phrase(self.de, "--at", str(seen["size"] - 2))
        self.fj.ok("directory", "compare", common["digits"], "--at", str(common["size"]), "--offline")


if __name__ == "__main__":
    main()
