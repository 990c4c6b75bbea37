"""Goal: who is admitted, and who may send, is decided by those who are trusted to decide it, and by no one else. A relay of
three registrars, of whom two must sign: whoever runs it has none of their keys. Orders are carried as files and signed on
computers that know of no relay. A suspended party still reads, keeps its evidence and answers what is open."""

import os
import pty
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from house import ACCEPTED, HANDED_OVER, NOTIFIED, STORED, FlowTest, House, main, program, run

DIGITS = re.compile(r"(?:\d{5} ){9}\d{5}")


def pouchctl(*words, cwd, env=None):
    """Without a configuration: as on a registrar's own computer."""
    return run(program("POUCHCTL") + ["--json", *words], cwd, env=env)


class Registrars(FlowTest):
    """two_of_three: keys are in `office`, a folder that stands for three computers off the network."""

    @classmethod
    def setUpClass(cls):
        for name in ("POUCHD", "POUCHCTL", "POUCH"):
            program(name)
        cls.office = Path(tempfile.mkdtemp(prefix="pouch-registrars-"))
        cls.addClassCleanup(shutil.rmtree, cls.office, True)
        cls.keys, cls.public = [], []
        for name in ("one.key", "two.key", "three.key", "stranger.key"):
            made = pouchctl("registrar", "new", cls.office / name, cwd=cls.office)
            assert made.code == 0, str(made)
            cls.keys.append(cls.office / name)
            cls.public.append(made.json["registrar"])
        words = [word for key in cls.public[:3] for word in ("--registrar", key)]
        cls.house_options = {"init": (*words, "--threshold", "2")}
        super().setUpClass()

    @classmethod
    def furnish(cls):
        cls.house.registrar_keys = cls.keys[:2]
        super().furnish()

    # ---- small helpers ----

    def key(self, number):
        return ("--registrar-key", self.keys[number])

    def fails(self, ran, code, name):
        self.assertEqual((ran.code, ran.error.get("error")), (code, name), str(ran))
        self.assertTrue(ran.error.get("message") and ran.error.get("hint"), str(ran))
        self.assertEqual(ran.out, b"", "nothing is said on stdout")
        return ran

    def ctl(self, *words):
        ran = self.relay.ctl(*words)
        self.assertEqual(ran.code, 0, f"{ran}\n{self.relay.tail()}")
        return ran.json

    def sign(self, order, number, *words):
        ran = pouchctl("sign", order, *self.key(number), *words, cwd=self.office)
        self.assertEqual(ran.code, 0, str(ran))
        return ran.json

    def party(self, home, name):
        found = [line for line in home.ok("directory", "list").lines if line.get("party") == name]
        return found[0] if found else None

    def charter_of(self, party):
        """A party's authority makes its key; the charter and its fingerprint."""
        self.house.authority(party, admit=False)
        sheet = (self.house.papers / f"{party}.nomination").read_text()
        return self.house.papers / f"{party}.charter", DIGITS.search(sheet).group()

    # ---- what must hold ----

    def test_a_registrars_key_is_made_for_its_owner_only_and_never_twice(self):
        key = self.keys[0]
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        before = key.read_bytes()
        self.fails(pouchctl("registrar", "new", key, cwd=self.office), 1, "home-exists")
        self.assertEqual(key.read_bytes(), before)
        self.assertRegex(self.public[0], r"^[0-9a-f]{64}$")
        self.assertFalse((self.relay.folder / "registrar.key").exists(), "the relay never had one")
        card = self.relay.card.read_text()
        for public in self.public[:3]:
            self.assertIn(public, card)
        self.assertRegex(card, r"(?m)^threshold\s+2$")

    def test_one_signature_admits_nobody_and_the_message_says_what_to_do(self):
        charter, digits = self.charter_of("nz")
        ran = self.fails(self.relay.ctl("admit", charter, "--fingerprint", digits, *self.key(0)), 4, "too-few-signers")
        self.assertIn("1 of 2", ran.error["message"])
        self.assertIn("-o FILE", ran.error["hint"])
        self.fails(self.relay.ctl("admit", charter, "--fingerprint", digits, *self.key(3)), 4, "unknown-registrar")
        self.fails(self.relay.ctl("admit", charter, "--fingerprint", digits), 1, "no-file")
        self.fails(self.relay.ctl("admit", charter, "--fingerprint", digits, *self.key(0), *self.key(0)), 4, "conflict")
        self.assertIsNone(self.party(self.fj, "nz"))

    def test_the_relay_itself_refuses_what_too_few_have_signed(self):
        """With a card of his own an operator gets past pouchctl, and no further."""
        charter, digits = self.charter_of("au")
        lax = self.office / "lax.card"
        lax.write_text(re.sub(r"(?m)^threshold.*$", "threshold 1", self.relay.card.read_text()))
        for number in (0, 3):
            card = self.office / f"lax-{number}.card"
            card.write_text(lax.read_text().replace(self.public[0], self.public[number]))
            ran = self.relay.ctl("admit", charter, "--fingerprint", digits, *self.key(number), "--card", card)
            self.fails(ran, 4, "unknown-registrar" if number == 3 else "too-few-signers")
        self.assertIsNone(self.party(self.fj, "au"))

    def test_an_order_is_carried_signed_apart_joined_and_recorded(self):
        charter, digits = self.charter_of("to")
        order, first, second, whole = (self.office / name for name in ("to.order", "to.1", "to.2", "to.whole"))
        made = pouchctl("admit", charter, "--fingerprint", digits, "-o", order, "--legs", "7", "--bytes", "3MiB",
                        cwd=self.office)  # off the network: no configuration, no card, no key
        self.assertEqual(made.code, 0, str(made))
        self.assertEqual((made.json["signatures"], made.json["recorded"]), (0, False))
        self.assertEqual((made.json["legs"], made.json["bytes"]), (7, 3 << 20))
        self.assertNotIn("needed", made.json)
        self.fails(pouchctl("sign", order, *self.key(0), cwd=self.office), 1, "needs-terminal")
        wrong = digits[:-1] + ("0" if digits[-1] != "0" else "1")
        self.fails(pouchctl("sign", order, *self.key(0), "--fingerprint", wrong, cwd=self.office), 4,
                   "wrong-fingerprint")
        self.fails(pouchctl("sign", order, "--fingerprint", digits, cwd=self.office), 1, "usage")
        one = self.sign(order, 0, "--fingerprint", digits, "-o", first)
        self.assertEqual((one["signatures"], one["fingerprint"], one["party"]), (1, digits, "to"))
        two = self.sign(order, 2, "--fingerprint", digits, "-o", second, "--card", self.relay.card)
        self.assertEqual((two["signatures"], two["needed"]), (1, 2))
        self.fails(pouchctl("sign", order, *self.key(3), "--yes", "--card", self.relay.card, cwd=self.office), 4,
                   "unknown-registrar")
        self.fails(pouchctl("sign", first, *self.key(0), "--yes", cwd=self.office), 4, "conflict")
        self.fails(self.relay.ctl("record", first), 4, "too-few-signers")
        joined = pouchctl("combine", first, second, "-o", whole, cwd=self.office)
        self.assertEqual((joined.code, joined.json["signatures"]), (0, 2), str(joined))
        self.assertIsNone(self.party(self.fj, "to"))
        done = self.ctl("record", whole)
        self.assertEqual((done["recorded"], done["state"], done["needed"]), (True, "admitted", 2))
        self.assertEqual(self.party(self.fj, "to")["standing"], "admitted")
        # what is recorded already is not recorded twice, and it is no error to carry the file again
        self.ctl("record", whole)
        self.house.make("to/technical")

    def test_orders_of_different_words_are_not_joined(self):
        made = []
        for name in ("x.order", "y.order"):
            ran = pouchctl("suspend", "to", "--reason", "a test", "-o", self.office / name, *self.key(0),
                           cwd=self.office)
            self.assertEqual((ran.code, ran.json["signatures"]), (0, 1), str(ran))
            made.append(self.office / name)
        self.fails(pouchctl("combine", *made, "-o", self.office / "z", cwd=self.office), 4, "mismatch")
        self.assertFalse((self.office / "z").exists())
        damaged = self.office / "damaged.order"
        damaged.write_bytes(made[0].read_bytes().replace(b"a test", b"a rest"))
        self.fails(pouchctl("sign", damaged, *self.key(1), "--yes", cwd=self.office), 4, "bad-signature")
        self.fails(pouchctl("sign", self.relay.card, *self.key(1), "--yes", cwd=self.office), 4, "malformed")
        self.fails(pouchctl("sign", self.office / "nothing", *self.key(1), "--yes", cwd=self.office), 1, "no-file")

    def test_a_nominated_party_is_listed_before_it_has_keys(self):
        both = (*self.key(1), *self.key(2))
        self.fails(self.relay.ctl("nominate", "ws", "--name", "Samoa", *self.key(1)), 4, "too-few-signers")
        self.fails(self.relay.ctl("nominate", "ws", *both), 1, "usage")
        said = self.ctl("nominate", "ws", "--name", "Samoa", "--kind", "observer", *both)
        self.assertEqual((said["state"], said["name"], said["kind"]), ("nominated", "Samoa", "observer"))
        line = self.party(self.fj, "ws")
        self.assertEqual((line["name"], line["standing"]), ("Samoa", "nominated"))
        charter, digits = self.charter_of("ws")
        self.ctl("admit", charter, "--fingerprint", digits, *both)
        line = self.party(self.fj, "ws")
        self.assertEqual((line["name"], line["standing"]), ("WS", "admitted"))
        self.fails(self.relay.ctl("nominate", "ws", "--name", "Samoa", *both), 4, "conflict")

    def test_a_suspended_party_reads_and_answers_and_sends_nothing_new(self):
        both = (*self.key(0), *self.key(2))
        opened = self.fj.send("de", b"open before the suspension")
        self.de.ok("sync")
        self.fails(self.relay.ctl("suspend", "de", *both), 1, "usage")
        self.fails(self.relay.ctl("suspend", "de", "--reason", "a letter", *self.key(2)), 4, "too-few-signers")
        said = self.ctl("suspend", "de", "--reason", "see letter of 3 May", *both)
        self.assertEqual((said["state"], said["reason"], said["signatures"]), ("suspended", "see letter of 3 May", 2))
        self.assertEqual(self.party(self.fj, "de")["standing"], "suspended", "all members see it")
        late = self.fj.send("de", b"sent while suspended")
        self.assertEqual({opened, late} & set(self.de.inbox()), {opened, late}, "it reads")
        self.de.ok("accept", opened)
        self.assertEqual(self.de.body(opened), b"open before the suspension")
        self.de.ok("decline", late)
        self.de.ok("ack", opened)
        self.fj.ok("sync")
        self.assertEqual(self.fj.state(opened), "acknowledged", "it answers what is open")
        self.assertEqual(self.de.events(opened)[:4], [STORED, NOTIFIED, ACCEPTED, HANDED_OVER], "it keeps evidence")
        self.de.fails(4, "suspended", "send", "--to", "fj", "-s", "no", "-", data=b"nothing new")
        self.assertNotIn("no", [line["subject"] for line in self.fj.inbox().values()])
        self.ctl("resume", "de", *both)
        self.assertEqual(self.party(self.fj, "de")["standing"], "admitted")
        again = self.de.send("fj", b"back again")
        self.assertIn(again, self.fj.inbox())

    def test_a_party_departs_by_itself_and_is_admitted_again_by_the_registrars(self):
        charter, digits = self.charter_of("tv")
        both = (*self.key(1), *self.key(2))
        self.ctl("admit", charter, "--fingerprint", digits, *both)
        desk = self.house.make("tv/technical")
        opened = self.fj.send("tv", b"open before the departure")
        desk.ok("sync")
        self.house.home("tv-authority").ok("authority", "depart", "--reason", "merged", "--card", self.relay.card,
                                           "--yes")
        self.assertEqual(self.party(self.fj, "tv")["standing"], "departed", "all members see it")
        desk.ok("accept", opened)
        self.assertEqual(desk.body(opened), b"open before the departure", "what is open is answered")
        desk.fails(4, "departed", "send", "--to", "fj/technical", "-s", "no", "-", data=b"nothing new")
        self.fj.fails(4, "departed", "send", "--to", "tv/technical", "-s", "no", "-", data=b"nothing new")
        self.fails(self.relay.ctl("admit", charter, "--fingerprint", digits, *self.key(1)), 4, "too-few-signers")
        self.ctl("admit", charter, "--fingerprint", digits, *both)
        self.assertEqual(self.party(self.fj, "tv")["standing"], "admitted")
        self.assertIn(self.fj.send("tv", b"welcome back"), desk.inbox())
        self.assertIn(desk.send("fj", b"thank you"), self.fj.inbox())

    def test_a_notice_of_another_authority_key_is_public(self):
        """After total loss the party makes its authority anew; the registrars give notice of the key."""
        anew = self.house.home("fj-authority-anew")
        place = self.house.papers / "anew"
        place.mkdir()
        anew.ok("authority", "init", "fj", "--name", "Fiji", "--no-passphrase", cwd=place)
        digits = DIGITS.search((place / "fj.nomination").read_text()).group()
        both = (*self.key(0), *self.key(1))
        self.fails(self.relay.ctl("takeover", place / "fj.charter", "--fingerprint", digits, *both), 1, "usage")
        self.fails(self.relay.ctl("takeover", place / "fj.charter", "--reason", "fire", *both), 1, "needs-terminal")
        order = self.office / "fj.notice"
        made = self.relay.ctl("takeover", place / "fj.charter", "--fingerprint", digits, "--reason", "fire", "-o",
                              order, *self.key(0))
        self.assertEqual((made.code, made.json["signatures"], made.json["needed"]), (0, 1, 2), str(made))
        self.assertEqual((made.json["action"], made.json["fingerprint"]), ("takeover", digits))
        self.sign(order, 2, "--fingerprint", digits)
        done = self.ctl("record", order)
        self.assertEqual((done["state"], done["reason"]), ("notice", "fire"))
        self.fj.ok("sync")
        self.assertTrue(self.fj.send("de", b"the old keys still send"))


class LyingOperator(unittest.TestCase):
    """Members hold the card that they were given: what the operator writes into his own binds nobody."""

    def test_who_lowers_the_threshold_in_his_own_card_admits_nobody(self):
        place = Path(tempfile.mkdtemp(prefix="pouch-registrars-"))
        self.addCleanup(shutil.rmtree, place, True)
        keys, words = [place / "one", place / "two"], []
        for key in keys:
            words += ["--registrar", pouchctl("registrar", "new", key, cwd=place).json["registrar"]]
        house = House(init=(*words, "--threshold", "2"))
        self.addCleanup(house.close)
        house.registrar_keys = keys
        fj = house.member("fj")
        before = [line for line in fj.ok("directory", "list").lines]
        given = place / "given.card"
        given.write_bytes(house.relay.card.read_bytes())
        self.assertEqual(house.relay.stop(), 0)
        house.relay.card.write_text(re.sub(r"(?m)^threshold.*$", "threshold 1", given.read_text()))
        house.relay.start()
        house.registrar_keys = keys[:1]
        house.authority("xx")  # his relay records it
        house.relay.ctl("status")
        ran = fj.run("sync")
        self.assertEqual(ran.code, 4, str(ran))
        self.assertIn(ran.error.get("error"), ("too-few-signers", "false-entry"), str(ran))
        after = [line for line in fj.ok("directory", "list", "--offline").lines]
        self.assertEqual(after, before, "nothing of it was taken")
        # and his honest log is not read by a relay whose card no longer knows who signed it
        self.assertEqual(house.relay.stop(), 0)
        house.relay.card.write_bytes(given.read_bytes())
        house.relay.start(ready=False)
        self.assertEqual(house.relay.process.wait(timeout=60), 4)
        house.relay.process = None
        self.assertIn("fewer registrars have signed", house.relay.log())


class Terminal(unittest.TestCase):
    """What is about to be signed is shown, and asked for; the fingerprint is typed as it was told, not copied."""

    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="pouch-registrars-"))
        self.addCleanup(shutil.rmtree, self.place, True)
        self.key = self.place / "one"
        self.assertEqual(pouchctl("registrar", "new", self.key, cwd=self.place).code, 0)

    def typed(self, text, *words):
        """Exit code and everything that a person sees."""
        master, slave = pty.openpty()
        os.write(master, text.encode() + b"\n")
        done = subprocess.run(program("POUCHCTL") + [str(word) for word in words], stdin=slave, cwd=self.place,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        os.close(slave)
        os.close(master)
        return done.returncode, done.stdout.decode()

    def test_an_order_without_a_charter_is_shown_and_agreed_to(self):
        order = self.place / "order"
        made = pouchctl("suspend", "de", "--reason", "see\tletter \u202e of May", "-o", order, cwd=self.place)
        self.assertEqual(made.code, 0, str(made))
        code, seen = self.typed("n", "sign", order, "--registrar-key", self.key)
        self.assertEqual(code, 130, seen)
        for word in ("de", "suspend this party", "letter"):
            self.assertIn(word, seen)
        self.assertNotIn("\u202e", seen)
        self.assertEqual(made.json["signatures"], 0)
        code, seen = self.typed("y", "sign", order, "--registrar-key", self.key)
        self.assertEqual(code, 0, seen)
        self.assertIn("1 signature", seen)

    def test_the_fingerprint_is_typed_and_not_shown_before(self):
        house = House(relay=False)
        self.addCleanup(house.close)
        house.authority("nr", admit=False)
        digits = DIGITS.search((house.papers / "nr.nomination").read_text()).group()
        order = self.place / "order"
        made = pouchctl("admit", house.papers / "nr.charter", "--yes", "-o", order, cwd=self.place)
        self.assertEqual(made.code, 0, str(made))
        code, seen = self.typed("12345", "sign", order, "--registrar-key", self.key)
        self.assertEqual(code, 4, seen)
        self.assertNotIn(digits[:11], seen)
        code, seen = self.typed(digits, "sign", order, "--registrar-key", self.key)
        self.assertEqual(code, 0, seen)


class Operator(unittest.TestCase):
    """The folder that `pouchd init` makes for registrars who are elsewhere."""

    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="pouch-registrars-"))
        self.addCleanup(shutil.rmtree, self.place, True)
        self.public = []
        for name in ("one", "two", "three"):
            made = pouchctl("registrar", "new", self.place / name, cwd=self.place)
            self.assertEqual(made.code, 0, str(made))
            self.public.append(made.json["registrar"])

    def init(self, *words, json=True):
        return run(program("POUCHD") + ["init", self.place / "relay", *(["--json"] if json else []), *words],
                   self.place)

    def registrars(self, count):
        return [word for key in self.public[:count] for word in ("--registrar", key)]

    def test_more_than_half_must_sign_unless_it_is_said(self):
        made = self.init(*self.registrars(3))
        self.assertEqual(made.code, 0, str(made))
        said = made.json
        self.assertEqual((said["registrars"], said["threshold"], said["registrar_key"]), (3, 2, None))
        self.assertFalse((self.place / "relay" / "registrar.key").exists())

    def test_the_operator_is_told_that_he_can_admit_nobody(self):
        made = self.init(*self.registrars(2), "--threshold", "1", json=False)
        self.assertEqual(made.code, 0, str(made))
        self.assertIn(b"can admit and suspend nobody", made.out)
        self.assertIn(b"1 of 2 must sign", made.out)

    def test_impossible_cards_are_refused_before_anything_is_made(self):
        for words in (["--threshold", "2"], [*self.registrars(2), "--threshold", "3"], ["--registrar", "12"],
                      [*self.registrars(1), *self.registrars(1)], ["--threshold", "0", *self.registrars(1)],
                      ["--witnesses", "1"], ["--witness", "nobody"], ["--freshness", "yesterday"],
                      ["--freshness", "400d"]):
            ran = self.init(*words)
            self.assertEqual((ran.code, ran.error.get("error")), (1, "usage"), str(ran))
            self.assertFalse((self.place / "relay").exists())

    def test_a_card_that_was_changed_by_hand_is_checked(self):
        self.assertEqual(self.init(*self.registrars(2)).code, 0)
        config, card = self.place / "relay" / "relay.yaml", self.place / "relay" / "relay.card"
        text = card.read_text()

        def check():
            return run(program("POUCHD") + ["--config", config, "--check-config", "--json"], self.place)
        good = check()
        self.assertEqual((good.code, good.json["registrars"], good.json["threshold"]), (0, 2, 2), str(good))
        card.write_text(text + f"registrar {self.public[2]}\n")
        self.assertEqual(check().json["registrars"], 3)
        line = text.splitlines().index("threshold  2") + 1
        card.write_text(text.replace("threshold  2", "threshold  two"))
        bad = check()
        self.assertEqual((bad.code, bad.error["error"]), (4, "out-of-range"), str(bad))
        self.assertIn(f"relay.card:{line}", bad.error["message"])
        log = re.search(r"(?m)^log +(\w+)$", text).group(1)
        card.write_text(text.replace(log, self.public[0]))
        bad = check()
        self.assertEqual((bad.code, bad.error["error"]), (4, "wrong-fingerprint"), str(bad))
        self.assertIn("log.key", bad.error["message"])


if __name__ == "__main__":
    main()
