"""Goal: a directory that too few witnesses have seen is not used for sending, and the late ones are named; a witness
vouches for one directory only; a relay that shows two is caught, and anybody can check the proof offline.

Two witnesses, both asked for. What the relay would have to do for a fraud is done here with its own log key."""

import base64
import ctypes
import ctypes.util
import hashlib
import re
import shutil
import time
import unittest

from house import SOURCE, FlowTest, House, Relay, main, program, run

NAMES = ("one.example", "two.example")


def forge_note(relay, lines):
    """A note with these lines, signed by the relay's log key, as only the relay could."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    seed = bytes.fromhex((relay.folder / "log.key").read_text().strip())
    public, secret, signature = (ctypes.create_string_buffer(n) for n in (32, 64, 64))
    assert sodium.crypto_sign_seed_keypair(public, secret, seed) == 0
    text = "".join(line + "\n" for line in lines).encode()
    assert sodium.crypto_sign_detached(signature, None, text, ctypes.c_ulonglong(len(text)), secret) == 0
    name = lines[0]
    key_hash = hashlib.sha256(name.encode() + b"\n\x01" + public.raw).digest()[:4]
    return text.decode() + "\n\u2014 " + name + " " + base64.b64encode(key_hash + signature.raw).decode() + "\n"


def forge_head(relay, size, root, ms=None):
    return forge_note(relay, ["relay.test/directory", str(size), base64.b64encode(root).decode(),
                              f"time {ms or int(time.time() * 1000)}"])


class Witnessed(FlowTest):
    """A relay whose card asks for both of two witnesses, and two members."""

    quorum = 2

    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        cls.house = House(relay=False)
        try:
            cls.witnesses = {name: cls.house.home(name) for name in NAMES}
            keys = [home.ok("witness", "init", name, "--no-passphrase").json["vkey"]
                    for name, home in cls.witnesses.items()]
            words = [word for key in keys for word in ("--witness", key)] + ["--witnesses", str(cls.quorum)]
            cls.relay = cls.house.relay = Relay(cls.house.folder / "relay", init=words).start()
            cls.one, cls.two = (cls.witnesses[name] for name in NAMES)
            cls.furnish()
        except BaseException:
            cls.house.close()
            raise

    def cosign(self, *homes):
        """Each looks at the relay once. What they say of the directory."""
        return [home.ok("witness", "run", "--card", self.relay.card, "--once").lines[0] for home in homes]

    def grow(self):
        """The directory gets entries that no witness has seen."""
        Witnessed.number = getattr(Witnessed, "number", 0) + 1
        self.house.authority(f"p{Witnessed.number}")

    def fresh(self, home):
        return home.ok("status").json


class Evidence(Witnessed):
    def look(self, home):
        return {line["log"]: line for line in home.ok("witness", "run", "--card", self.relay.card, "--once").lines}

    def test_each_log_is_cosigned_by_itself_and_the_evidence_log_waits_for_nobody(self):
        before = self.look(self.one).get("relay.test/evidence", {"size": 0})
        self.cosign(self.two)
        request = self.fj.send("de/technical", b"text")
        logs = self.look(self.one)
        self.assertEqual(list(logs), ["relay.test/directory", "relay.test/evidence"])
        self.assertGreater(logs["relay.test/evidence"]["size"], before["size"])
        self.de.ok("sync")
        self.de.ok("accept", request)  # the newest evidence head is nobody's yet
        later = self.look(self.one)["relay.test/evidence"]
        self.assertGreater(later["size"], logs["relay.test/evidence"]["size"])
        status = self.one.ok("witness", "status").json["logs"]
        self.assertEqual([log["log"] for log in status], ["relay.test/directory", "relay.test/evidence"])
        self.assertEqual((status[1]["size"], status[1]["root"]), (later["size"], later["root"]))

    def test_a_head_of_the_evidence_log_is_cosigned_from_a_file(self):
        self.cosign(self.one, self.two)
        self.fj.send("de/technical", b"text")
        ran = self.relay.ctl("witness", "request", "--log", "evidence", "-o", self.house.folder / "evidence.request")
        self.assertEqual(ran.code, 0, ran)
        said = self.two.ok("witness", "sign", self.house.folder / "evidence.request", "--card", self.relay.card, "-o",
                           self.house.folder / "evidence.note").json
        self.assertEqual(said["log"], "relay.test/evidence")
        added = self.relay.ctl("witness", "add", self.house.folder / "evidence.note")
        self.assertEqual(added.code, 0, added)


class Sending(Witnessed):
    def test_a_routine_request_waits_for_the_late_witness_and_goes_when_it_has_cosigned(self):
        self.grow()
        self.cosign(self.one)
        ran = self.fj.fails(3, "not-witnessed", "send", "--to", "de", "-s", "waits", "-", data=b"text")
        self.assertIn("two.example", ran.error["message"])
        self.assertNotIn("one.example", ran.error["message"])
        self.assertIn("kept in the outbox", ran.error["hint"])
        status = self.fresh(self.fj)
        self.assertEqual((status["outbox"], status["witnessed"], status["quorum"]), (1, False, 2))
        self.assertEqual([w["current"] for w in status["witnesses"]], [True, False])
        self.assertEqual([w["name"] for w in status["witnesses"]], list(NAMES))
        self.assertEqual(status["witnesses"][0]["size"], status["directory_size"])
        self.assertEqual(self.fresh(self.de)["inbox_open"], 0)
        self.cosign(self.two)
        status = self.fresh(self.fj)
        self.assertEqual((status["outbox"], status["witnessed"]), (0, True))
        self.assertEqual([line["subject"] for line in self.de.inbox().values()], ["waits"])

    def test_flash_goes_at_once_with_a_warning_and_priority_does_not(self):
        self.cosign(self.one, self.two)
        self.grow()
        ran = self.fj.ok("send", "--to", "de", "-s", "urgent", "--precedence", "flash", "-", data=b"text")
        self.assertIn("warning", ran.err)
        for name in NAMES:
            self.assertIn(name, ran.err)
        self.assertIn("urgent", [line["subject"] for line in self.de.inbox().values()])
        self.fj.fails(3, "not-witnessed", "send", "--to", "de", "-s", "less urgent", "--precedence", "priority", "-",
                      data=b"text")
        self.cosign(self.one, self.two)
        self.fj.ok("sync")
        self.assertIn("less urgent", [line["subject"] for line in self.de.inbox().values()])
        quiet = self.fj.ok("send", "--to", "de", "-s", "vouched for", "--precedence", "flash", "-", data=b"text")
        self.assertNotIn("warning", quiet.err)

    def test_decisions_and_replies_never_wait(self):
        self.cosign(self.one, self.two)
        request = self.fj.send("de", b"question", subject="to be answered")
        self.grow()
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"question")
        self.de.ok("reply", request, "-", data=b"answer")
        self.de.ok("ack", request)
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(request), "acknowledged")
        self.assertFalse(self.fresh(self.fj)["witnessed"])
        replies = [r for r, line in self.fj.inbox().items() if line["parent"] == request]
        self.assertEqual([self.fj.body(r) for r in replies], [b"answer"])
        self.assertEqual(self.fresh(self.fj)["alarms"], [])
        self.assertEqual(self.fresh(self.de)["alarms"], [])

    def test_the_phrase_says_whether_the_directory_is_witnessed(self):
        self.grow()
        self.assertFalse(self.fj.ok("directory", "phrase").json["witnessed"])
        self.cosign(self.one, self.two)
        self.assertTrue(self.fj.ok("directory", "phrase").json["witnessed"])


class Witnessing(Witnessed):
    def test_a_witness_remembers_what_it_has_cosigned(self):
        first = self.cosign(self.one)[0]
        log = self.one.ok("witness", "status").json["logs"]
        self.assertEqual([(line["log"], line["size"], line["root"]) for line in log],
                         [("relay.test/directory", first["size"], first["root"])])
        self.grow()
        second = self.cosign(self.one)[0]
        self.assertGreater(second["size"], first["size"])
        self.assertEqual(self.one.ok("witness", "status").json["logs"][0]["size"], second["size"])
        phrase = self.fj.ok("directory", "phrase").json
        self.assertEqual((phrase["size"], phrase["root"]), (second["size"], second["root"]))

    def test_a_witness_runs_on_and_outlives_its_relay(self):
        argv = self.one.argv("witness", "run", "--card", self.relay.card, "--interval", "1s")
        process = self.one.start("witness", "run", "--card", self.relay.card, "--interval", "1s")
        try:
            self.assertEqual(self.relay.stop(), 0)
            time.sleep(1.5)
            self.relay.start()
            self.grow()
            size = self.fj.ok("directory", "phrase").json["size"]
            for _ in range(150):
                witnesses = self.fresh(self.fj)["witnesses"]
                if witnesses[0]["current"]:
                    break
                self.assertIsNone(process.poll(), f"it has ended: {argv}")
                time.sleep(0.2)
            self.assertEqual((witnesses[0]["size"], witnesses[0]["current"]), (size, True))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def test_by_file_the_answer_is_as_good_as_by_the_link(self):
        self.grow()
        old = [log["size"] for log in self.two.ok("witness", "status").json["logs"]] or [0]
        request, answer = self.house.papers / "request.txt", self.house.papers / "cosigned.txt"
        ran = self.relay.ctl("witness", "request", "--old", str(old[0]), "-o", str(request))
        self.assertEqual(ran.code, 0, str(ran))
        said = self.two.ok("witness", "sign", request, "--card", self.relay.card, "-o", answer).json
        self.assertEqual(said["size"], self.two.ok("witness", "status").json["logs"][0]["size"])
        note = answer.read_text()
        self.assertIn("\u2014 relay.test/directory ", note)
        self.assertIn("\u2014 two.example ", note)
        ran = self.relay.ctl("witness", "add", str(answer))
        self.assertEqual(ran.code, 0, str(ran))
        two = self.fresh(self.fj)["witnesses"][1]
        self.assertEqual((two["size"], two["current"]), (said["size"], True))

    def test_a_witness_that_the_card_does_not_name_signs_nothing(self):
        stranger = self.house.home("stranger")
        stranger.ok("witness", "init", "stranger.example", "--no-passphrase")
        stranger.fails(4, "unknown-witness", "witness", "run", "--card", self.relay.card, "--once")
        self.assertEqual(stranger.ok("witness", "status").json["logs"], [])
        stranger.fails(1, "home-exists", "witness", "init", "stranger.example", "--no-passphrase")

    def test_a_head_whose_time_is_off_is_refused(self):
        size = self.cosign(self.one)[0]["size"]
        root = base64.b64decode(self.note().splitlines()[2])
        late = forge_head(self.relay, size, root, int(time.time() * 1000) - 11 * 60 * 1000)
        self.sign_fails(f"old {size}\n\n{late}", "head-time")
        self.sign_fails(f"old {size - 1}\n\n{late}", "conflict")

    # ---- helpers ----

    def note(self):
        """The newest head as the relay gives it to witnesses."""
        path = self.house.papers / "newest.txt"
        self.assertEqual(self.relay.ctl("witness", "request", "-o", str(path)).code, 0)
        return path.read_text().split("\n\n", 1)[1]

    def sign_fails(self, request, error):
        path = self.house.papers / "forged.txt"
        path.write_text(request)
        out = self.house.papers / "never"
        ran = self.one.fails(4, error, "witness", "sign", path, "--card", self.relay.card, "-o", out)
        self.assertFalse(out.exists())
        return ran


class Fraud(Witnessed):
    """A relay that signs two directories: at the witness, and in the proof that remains."""

    def forged_proof(self):
        size = self.cosign(self.one)[0]["size"]
        path, out = self.house.papers / "forged.txt", self.house.papers / "never"
        path.write_text(f"old {size}\n\n" + forge_head(self.relay, size, b"\7" * 32))
        ran = self.one.fails(4, "fraud", "witness", "sign", path, "--card", self.relay.card, "-o", out)
        self.assertFalse(out.exists())
        found = re.search(r"proof: (\S+\.proof)", ran.error["message"])
        self.assertTrue(found, str(ran))
        return size, found.group(1)

    def test_two_directories_of_one_size_end_the_witness_and_prove_fraud(self):
        size, proof = self.forged_proof()
        before = self.one.ok("witness", "status").json["logs"]
        told = run(program("POUCH") + ["verify", proof, "--json"], self.house.papers)
        self.assertEqual(told.code, 0, str(told))
        self.assertEqual((told.json["kind"], told.json["proven"], told.json["relay"]), ("heads", True, "relay.test"))
        self.assertEqual({told.json["older"]["size"], told.json["newer"]["size"]}, {size})
        self.assertIn("07" * 32, (told.json["older"]["root"], told.json["newer"]["root"]))
        self.assertIn(before[0]["root"], (told.json["older"]["root"], told.json["newer"]["root"]))
        self.assertEqual(told.json["card_fingerprint"], self.relay.fingerprint)
        self.assertTrue(any("card" in gap for gap in told.json["not_proven"]))
        people = run(program("POUCH") + ["verify", proof, "--card", self.relay.card], self.house.papers)
        self.assertEqual(people.code, 0, str(people))
        self.assertIn(b"proven: the relay relay.test has signed two directories", people.out)
        self.assertIn(b"not proven", people.out)
        self.assertEqual(self.one.ok("witness", "status").json["logs"], before)

    def test_a_proof_that_was_touched_or_is_of_another_relay_proves_nothing(self):
        _, proof = self.forged_proof()
        with open(proof, "rb") as file:
            whole = file.read()
        bad = self.house.papers / "bad.proof"
        for touched in (whole[:-1], whole + b"\0", whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:], b""):
            bad.write_bytes(touched)
            ran = run(program("POUCH") + ["verify", bad, "--json"], self.house.papers)
            self.assertEqual((ran.code, ran.out), (4, b""), str(ran))
            self.assertTrue(ran.error.get("error"), str(ran))
        other = Relay(self.house.folder / "other")
        ran = run(program("POUCH") + ["verify", proof, "--card", other.card, "--json"], self.house.papers)
        self.assertEqual((ran.code, ran.error.get("error")), (4, "wrong-fingerprint"), str(ran))
        missing = run(program("POUCH") + ["verify", "nothing.proof", "--json"], self.house.papers)
        self.assertEqual((missing.code, missing.error.get("error")), (1, "no-file"), str(missing))


class Fork(Witnessed):
    """The relay leads two directories under the same keys: first one, then the other."""

    def swap(self, kept, other):
        """The folder as it is goes to `kept`; the relay goes on with `other`."""
        self.assertEqual(self.relay.stop(), 0)
        self.relay.folder.rename(kept)
        other.rename(self.relay.folder)
        self.relay.start()

    def check_proof(self, message, folder):
        found = re.search(r"proof: (\S+\.proof)", message)
        self.assertTrue(found, message)
        self.assertTrue(found.group(1).startswith(str(folder)), message)
        told = run(program("POUCH") + ["verify", found.group(1), "--card", self.relay.card, "--json"],
                   self.house.papers)
        self.assertEqual(told.code, 0, str(told))
        self.assertEqual((told.json["kind"], told.json["proven"]), ("heads", True))
        return told.json

    def test_members_and_witnesses_who_saw_the_one_prove_the_other(self):
        first, second = self.house.folder / "first", self.house.folder / "second"
        self.assertEqual(self.relay.stop(), 0)
        shutil.copytree(self.relay.folder, second)
        self.relay.start()
        self.grow()
        seen = self.cosign(self.one)[0]
        self.fj.ok("sync")
        self.swap(first, second)
        for _ in range(3):
            self.grow()
        self.de.ok("sync")  # has seen nothing that is contradicted
        ran = self.one.fails(4, "fraud", "witness", "run", "--card", self.relay.card, "--once")
        told = self.check_proof(ran.error["message"], self.one.path)
        self.assertEqual((told["older"]["size"], told["older"]["root"]), (seen["size"], seen["root"]))
        self.assertEqual(self.one.ok("witness", "status").json["logs"][0]["root"], seen["root"])
        ran = self.fj.fails(4, "directory-forked", "sync")
        told = self.check_proof(ran.error["message"], self.fj.path)
        self.assertEqual((told["older"]["size"], told["older"]["root"]), (seen["size"], seen["root"]))
        self.fj.fails(4, "directory-forked", "send", "--to", "de", "-s", "no", "-", data=b"text")
        status = self.fj.run("status", "--offline")
        self.assertEqual(status.json["directory_size"], seen["size"])
        self.assertEqual(len(status.json["alarms"]), 1, status)
        self.assertIn(".proof", status.json["alarms"][0]["text"])
        # The one that de has seen is not the one that came back: fewer entries than it knows, and other ones.
        self.swap(second, first)
        self.fj.ok("sync")
        ran = self.de.fails(4, "directory-forked", "sync")
        self.check_proof(ran.error["message"], self.de.path)


class Verify(unittest.TestCase):
    """What pouch verify says of proofs of each kind, without home and network."""

    vectors = SOURCE / "tests" / "vectors" / "fraud"

    def verify(self, name, *args):
        ran = run(program("POUCH") + ["verify", self.vectors / name, *args], self.vectors)
        self.assertEqual((ran.code, ran.err), (0, ""), str(ran))
        return ran

    def test_each_kind_of_proof_is_told_with_its_keys_and_what_it_leaves_open(self):
        card = self.vectors / "relay.card"
        keys = dict(line.split() for line in card.read_text().splitlines() if len(line.split()) == 2)
        for kind, key in (("heads", "log"), ("entries", "statement"), ("promise", "statement")):
            told = self.verify(f"{kind}.proof", "--json").json
            self.assertEqual((told["kind"], told["proven"], told["relay"]), (kind, True, "relay.test"))
            self.assertEqual((told["key"], told["card_matches"], len(told["not_proven"])), (keys[key], None, 3))
            told = self.verify(f"{kind}.proof", "--json", "--card", card).json
            self.assertEqual((told["card_matches"], len(told["not_proven"])), (True, 2))
            people = self.verify(f"{kind}.proof").out.decode()
            self.assertTrue(people.startswith("proven: the relay relay.test has "), people)
            self.assertIn(told["card_fingerprint"], people)
            self.assertIn(keys[key], people)
            self.assertIn("not proven:", people)

    def test_each_kind_says_what_contradicts_what(self):
        heads = self.verify("heads.proof", "--json").json
        self.assertEqual((heads["older"]["size"], heads["newer"]["size"]), (7, 11))
        self.assertNotEqual(heads["root"], heads["older"]["root"])
        entries = self.verify("entries.proof", "--json").json
        self.assertEqual((entries["ordinal"], entries["leg"][:2]), (0, "04"))
        self.assertNotEqual(entries["older"]["entry"], entries["newer"]["entry"])
        promise = self.verify("promise.proof", "--json").json
        self.assertEqual((promise["older"]["size"], promise["newer"]["size"], promise["statements"]), (9, 12, 1))
        self.assertLessEqual(promise["deadline"], promise["newer"]["time"])
        self.assertNotEqual(promise["root"], promise["older"]["root"])


class Unproven(Witnessed):
    """A card that asks for no witnesses."""

    quorum = 0

    @classmethod
    def setUpClass(cls):
        FlowTest.setUpClass.__func__(cls)

    def test_without_witnesses_the_freshness_is_unproven_and_sending_goes_on(self):
        ran = run(program("POUCH") + ["--home", self.fj.path, "send", "--to", "de", "-s", "hello", "-"],
                  self.house.papers, b"text")
        self.assertEqual(ran.code, 0, str(ran))
        self.assertIn("freshness unproven", ran.err)
        status = self.fresh(self.fj)
        self.assertEqual((status["witnessed"], status["quorum"], status["witnesses"]), (False, 0, []))
        people = run(program("POUCH") + ["--home", self.fj.path, "status"], self.house.papers)
        self.assertIn(b"freshness unproven", people.out)

    def test_a_revoker_gets_a_promise_and_everybody_sees_that_it_is_kept(self):
        self.house.authority("gone")
        gone = self.house.make("gone/technical")
        slip = self.house.papers / "gone-technical.revocation"
        told = gone.ok("authority", "revoke", slip, "--card", self.relay.card).json
        self.assertEqual((told["sent"], told["promise"]), (True, f"{slip}.promise"))
        self.assertTrue(told["deadline"])
        self.assertGreater(len((self.house.papers / "gone-technical.revocation.promise").read_bytes()), 100)
        listed = self.fj.ok("directory", "list").lines
        self.assertEqual([line["standing"] for line in listed if line["post"] == "gone/technical"], ["revoked"])


if __name__ == "__main__":
    main()
