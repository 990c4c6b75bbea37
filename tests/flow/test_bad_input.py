"""Goal: whatever is typed wrongly, refused, too large, too much or unreachable ends with its own exit code, its own
name and a word on what to do - and nothing has changed: not at the relay, not in the home, not with anybody else."""

import os
import shutil
import subprocess

from house import (DECLINED, EXPIRED, NOTIFIED, STORED, FlowTest, Relay, in_parallel, main, program, random_port, run,
                   until)


class Refusals(FlowTest):
    def setUp(self):
        self.before = self.counts()

    def counts(self):
        status = self.relay.status()
        names = ("requests", "legs_total", "entries", "receipts", "staged", "posts", "devices", "parties",
                 "directory_size")
        return {name: status[name] for name in names}

    def assert_nothing_changed(self):
        self.assertEqual(self.counts(), self.before)

    def refused(self, home, code, name, *args, **more):
        """Refused, and neither the home nor the relay has changed."""
        before = home.fingerprint()
        ran = home.fails(code, name, *args, **more)
        self.assertEqual(ran.out, b"", "nothing is said on stdout")
        self.assertEqual(home.fingerprint(), before)
        self.assert_nothing_changed()
        return ran

    # ---- what is typed ----

    def test_an_unknown_recipient_is_named_before_anything_is_sealed(self):
        ran = self.refused(self.fj, 1, "unknown-post", "send", "--to", "de/nobody", "-s", "x", "-", data=b"x")
        self.assertIn("de/nobody", ran.error["message"])
        self.refused(self.fj, 1, "unknown-party", "send", "--to", "xx", "-s", "x", "-", data=b"x")
        self.refused(self.fj, 1, "unknown-party", "send", "--to", "de,xx", "-s", "x", "-", data=b"x")

    def test_what_the_command_line_does_not_know_is_a_usage_error(self):
        to_de = ["send", "--to", "de"]
        for words in (["--frobnicate"], ["frobnicate"], ["send"], ["send", "--to"], [*to_de, "--kind", "gossip", "-"],
                      [*to_de, "--tlp", "PURPLE", "-"], [*to_de, "--precedence", "slow", "-"],
                      [*to_de, "--frobnicate", "-"], [*to_de, "--keep", "soon", "-"], [*to_de, "--offer-only", "-"],
                      ["accept"], ["accept", "1", "2"], ["show"], ["show", "1", "--body", "file"], ["wait"],
                      ["wait", "1", "--for", "never"], ["decline", "1", "--reason", "mood"], ["inbox", "extra"],
                      ["authority", "frobnicate"], ["init"]):
            with self.subTest(words=words):
                self.fj.fails(1, "usage", *words, data=b"x")
        self.assert_nothing_changed()

    def test_a_misspelt_command_or_option_is_met_with_the_near_one(self):
        self.assertIn("send", self.fj.fails(1, "usage", "sned").error["message"])
        self.assertIn("--precedence", self.fj.fails(1, "usage", "send", "--precedance", "flash").error["message"])

    def test_errors_are_two_lines_for_people(self):
        for words in (["show", "ffffffffff"], ["frobnicate"]):
            ran = run(program("POUCH") + ["--home", self.fj.path, *words], self.house.papers)
            lines = ran.err.splitlines()
            self.assertEqual((ran.code, len(lines), ran.out), (1, 2, b""), ran)
            self.assertTrue(lines[0].startswith("pouch: "), ran)

    def test_the_relays_programs_name_their_usage_errors_too(self):
        for name, words in (("POUCHD", ["--frobnicate"]), ("POUCHD", []), ("POUCHD", ["serve"]), ("POUCHD", ["init"]),
                            ("POUCHD", ["init", str(self.house.folder / "never"), "--listen", "udp://1:2"]),
                            ("POUCHCTL", ["--frobnicate"]), ("POUCHCTL", ["frobnicate"]), ("POUCHCTL", ["status"]),
                            ("POUCHCTL", ["--config", str(self.relay.config), "suspend", "de"])):
            with self.subTest(program=name, words=words):
                ran = run(program(name) + ["--json", *words], self.house.papers)
                self.assertEqual((ran.code, ran.error.get("error")), (1, "usage"), ran)
        self.assertFalse((self.house.folder / "never").exists())
        self.assert_nothing_changed()

    def test_an_id_that_is_nobodys_is_unknown(self):
        for name in ("ffffffffffffffffffffffffffffffff", "9999", "no-such"):
            with self.subTest(name=name):
                self.fj.fails(1, "unknown-request", "show", name)
                self.fj.fails(1, "unknown-request", "accept", name)
        self.assert_nothing_changed()

    def test_a_prefix_of_several_ids_is_ambiguous(self):
        first = {}
        for number in range(40):
            request = self.fj.ok("send", "--to", "de", "--offer-only", "-s", f"number {number}").json["id"]
            if request[0] in first and request[0].isalpha():
                break
            first[request[0]] = request
        else:
            self.fail("forty ids, and no two begin with the same letter")
        self.before = self.counts()
        self.refused(self.fj, 1, "ambiguous", "withdraw", request[0])
        self.assertEqual(self.fj.ok("show", request[:12]).json["id"], request)

    # ---- keys and homes ----

    def test_without_a_home_nothing_is_made(self):
        nowhere = self.house.home("nowhere")
        for words in (["status"], ["inbox"], ["send", "--to", "de", "-"], ["sync"], ["show", "1"]):
            nowhere.fails(1, "no-home", *words, data=b"x")
        self.assertFalse(nowhere.path.exists())

    def test_a_home_that_is_there_is_never_overwritten(self):
        kept = (self.fj.path / "keys").read_bytes()
        self.fj.fails(1, "home-exists", "init", "fj/technical", "--no-passphrase")
        self.fj.fails(1, "home-exists", "authority", "init", "fj", "--name", "Fiji", "--no-passphrase")
        self.assertEqual((self.fj.path / "keys").read_bytes(), kept)
        self.house.home("fj-authority").fails(1, "home-exists", "init", "fj/other", "--no-passphrase")
        self.assert_nothing_changed()

    def test_a_wrong_pass_phrase_opens_nothing(self):
        right, wrong = self.house.papers / "right", self.house.papers / "wrong"
        right.write_text("correct horse battery staple\n")
        wrong.write_text("incorrect horse battery staple\n")
        home = self.house.home("sealed")
        home.ok("init", "fj/sealed", "--passphrase-file", right)
        kept = {path.name: path.read_bytes() for path in home.path.iterdir() if path.is_file()}
        home.fails(4, "bad-passphrase", "status", "--passphrase-file", wrong)
        home.fails(4, "bad-passphrase", "status")
        home.fails(4, "bad-passphrase", "join", "--card", self.relay.card, "--cert", right, "--yes",
                   "--passphrase-file", wrong)
        self.assertEqual({path.name: path.read_bytes() for path in home.path.iterdir() if path.name in kept}, kept)
        home.ok("status", "--passphrase-file", right)
        home.ok("status", "--passphrase-file", "-", data=right.read_bytes())
        self.assert_nothing_changed()

    def test_without_a_terminal_a_new_home_needs_its_pass_phrase_named(self):
        home = self.house.home("unasked")
        home.fails(1, "needs-terminal", "init", "fj/unasked")
        self.assertFalse((home.path / "keys").exists())

    def test_a_foreign_certificate_joins_nobody(self):
        """Another post's certificate, another authority's, and one for other keys of the same name."""
        theirs = self.house.papers / "de-technical.cert"
        home = self.house.init("fj/diplomatic")
        join = ["join", "--card", self.relay.card, "--fingerprint", self.relay.fingerprint, "--cert"]
        home.fails(4, "foreign-certificate", *join, theirs)
        home.fails(4, "foreign-certificate", *join, self.house.papers / "fj-technical.cert")
        mine = self.house.certify("fj/diplomatic")
        elsewhere = self.house.folder / "elsewhere"
        elsewhere.mkdir()
        stranger = self.house.init("fj/diplomatic", "impostor", cwd=elsewhere)
        stranger.fails(4, "foreign-certificate", *join, mine)
        request, bad = self.house.papers / "fj-diplomatic.request", self.house.papers / "bad.cert"
        self.house.home("de-authority").fails(4, "foreign-certificate", "authority", "certify", request, "-o", bad)
        self.assertFalse(bad.exists())
        garbage = self.house.papers / "garbage.cert"
        for bytes_ in (b"", b"not a certificate", mine.read_bytes()[:-1], mine.read_bytes() + b"\0"):
            garbage.write_bytes(bytes_)
            ran = home.run(*join, garbage)
            self.assertEqual(ran.code, 4, ran)
            self.assertTrue(ran.error.get("error"), ran)
        self.assertFalse(home.ok("status").json["joined"])
        self.assert_nothing_changed()

    def test_a_card_with_another_fingerprint_is_not_joined(self):
        home = self.house.init("fj/policy")
        certificate = self.house.certify("fj/policy")
        digits = self.relay.fingerprint.replace(" ", "")
        other = digits[:-1] + str((int(digits[-1]) + 1) % 10)
        home.fails(4, "wrong-fingerprint", "join", "--card", self.relay.card, "--cert", certificate, "--fingerprint",
                   other)
        home.fails(1, "needs-terminal", "join", "--card", self.relay.card, "--cert", certificate)
        home.fails(1, "not-joined", "sync")
        self.assertFalse(home.ok("status").json["joined"])
        self.assert_nothing_changed()

    def test_a_party_that_was_not_admitted_cannot_join_until_it_is(self):
        self.house.authority("ke", name="Kenya", admit=False)
        home = self.house.init("ke/technical")
        certificate = self.house.certify("ke/technical")
        home.fails(4, "not-admitted", "join", "--card", self.relay.card, "--cert", certificate, "--yes")
        self.assertFalse(home.ok("status").json["joined"])
        self.assert_nothing_changed()
        charter = str(self.house.papers / "ke.charter")
        wrong = self.relay.ctl("admit", charter, "--fingerprint", self.relay.fingerprint)
        self.assertEqual((wrong.code, wrong.error["error"]), (4, "wrong-fingerprint"), wrong)
        unasked = self.relay.ctl("admit", charter)
        self.assertEqual((unasked.code, unasked.error["error"]), (1, "needs-terminal"), unasked)
        self.assert_nothing_changed()
        self.house.admit("ke")
        self.house.join(home, certificate)
        self.assertEqual(self.counts()["devices"], self.before["devices"] + 1)

    # ---- content ----

    def test_less_than_72_hours_are_for_exercises_only(self):
        self.refused(self.fj, 1, "bad-keep", "send", "--to", "de", "--keep", "71h", "-s", "x", "-", data=b"x")
        self.refused(self.fj, 1, "bad-keep", "send", "--to", "de", "--keep", "367d", "-s", "x", "-", data=b"x")

    def test_a_file_that_is_not_there_is_named(self):
        missing = str(self.house.folder / "missing.txt")
        ran = self.refused(self.fj, 1, "no-file", "send", "--to", "de", "-s", "x", missing)
        self.assertIn(missing, ran.error["message"])
        self.refused(self.fj, 1, "no-file", "send", "--to", "de", "-s", "x", "--attach", missing, "-", data=b"x")

    def test_a_body_is_not_shown_before_acceptance_nor_after_declining(self):
        request = self.fj.send("de/technical", b"secret until accepted", subject="early")
        for _ in range(2):
            self.assertEqual(self.de.fails(1, "not-accepted", "show", request, "--body", "-").out, b"")
            saved = self.house.folder / "saved"
            self.assertEqual(self.de.fails(1, "not-accepted", "show", request, "--save", saved).out, b"")
            self.assertFalse(saved.exists())
        self.de.ok("decline", request)
        self.assertEqual(self.de.fails(1, "not-accepted", "show", request, "--body", "-").out, b"")

    def test_the_first_decision_stands(self):
        request = self.fj.send("de/technical", b"decide once", subject="once")
        self.de.ok("decline", request, "--reason", "duplicate")
        ladder = self.fj.events(request)
        self.assertEqual(ladder, [STORED, NOTIFIED, DECLINED])
        self.before = self.counts()
        self.refused(self.de, 1, "wrong-state", "accept", request)
        self.refused(self.de, 1, "wrong-state", "ack", request)
        self.refused(self.de, 1, "wrong-state", "reply", request, "-", data=b"x")
        self.refused(self.fj, 1, "wrong-state", "withdraw", request)
        self.assertEqual(self.fj.events(request), ladder)

    def test_after_expiry_there_is_nothing_left_to_decide(self):
        request = self.fj.send("de", b"x", "--exercise", "--keep", "1s", subject="brief")
        self.de.ok("sync")
        self.de.ok("wait", request, "--for", "expired", "--timeout", "60s")
        self.fj.ok("sync")
        self.before = self.counts()
        for words in (["accept", request], ["decline", request], ["ack", request]):
            self.refused(self.de, 1, "wrong-state", *words)
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED, EXPIRED])

    def test_the_sender_cannot_decide_and_the_recipient_cannot_withdraw(self):
        request = self.fj.send("de/technical", b"not yours", subject="roles")
        self.de.ok("sync")
        self.fj.ok("sync")
        for home, word in ((self.fj, "accept"), (self.fj, "decline"), (self.fj, "ack"), (self.de, "withdraw")):
            ran = home.run(word, request)
            self.assertEqual((ran.code, ran.error.get("error")), (4, "not-allowed"), ran)
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED])

    # ---- two at once ----

    def test_many_processes_on_one_home_send_each_text_exactly_once(self):
        subjects = [f"at once {number}" for number in range(8)]
        jobs = [lambda s=subject: self.fj.run("send", "--to", "de", "-s", s, "-", data=s.encode())
                for subject in subjects]
        jobs += [lambda: self.fj.run("sync"), lambda: self.de.run("sync")] * 2
        for ran in in_parallel(jobs):
            self.assertEqual(ran.code, 0, ran)
        arrived = [line["subject"] for line in self.de.inbox().values() if line["subject"].startswith("at once ")]
        self.assertEqual(sorted(arrived), subjects)

    def test_two_decisions_at_once_give_one_decision(self):
        request = self.fj.send("de/technical", b"accept or decline", subject="a race")
        self.de.ok("sync")
        both = in_parallel([lambda: self.de.run("accept", request), lambda: self.de.run("decline", request)])
        self.assertEqual(sorted(ran.code for ran in both), [0, 1], [str(ran) for ran in both])
        self.assertIn(self.fj.state(request), ("handed_over", "declined"))
        self.assertEqual(len(set(self.fj.events(request)) & {"ConsignmentAcceptance", DECLINED}), 1)

    def test_a_second_relay_on_the_same_folder_does_not_start(self):
        ran = run(program("POUCHD") + ["--config", self.relay.config, "--json"], self.house.folder)
        self.assertEqual((ran.code, ran.error.get("error")), (1, "relay-running"), ran)
        again = run(program("POUCHD") + ["init", self.relay.folder, "--json"], self.house.folder)
        self.assertEqual((again.code, again.error.get("error")), (1, "relay-running"), again)
        self.assert_nothing_changed()


class OtherRelays(FlowTest):
    """Tests that need their own parties, because they end with somebody revoked or suspended."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.house.member("ke", name="Kenya")
        cls.ke = cls.house.home("ke-technical")
        for home in (cls.fj, cls.de, cls.ke):
            home.ok("sync")  # so that all know all, also while the relay is away

    def with_card(self, home, change):
        """The home as it is, with another card."""
        path = home.path / "relay.card"
        kept = path.read_text()
        path.write_text("\n".join(change(line) for line in kept.splitlines()) + "\n")
        self.addCleanup(path.write_text, kept)

    def test_a_wrong_relay_key_and_an_unreachable_relay_are_told_apart(self):
        request = self.fj.send("de/technical", b"before", subject="before")
        before = self.relay.status()["requests"]
        curve = next(line.split()[1] for line in self.relay.card.read_text().splitlines() if line.startswith("curve"))
        other = curve[:-2] + ("00" if curve[-2:] != "00" else "01")
        with self.subTest("another key"):
            self.with_card(self.fj, lambda line: line.replace(curve, other))
            self.fj.fails(4, "wrong-relay-key", "sync")
            self.fj.fails(4, "wrong-relay-key", "send", "--to", "de", "-s", "x", "-", data=b"x")
            self.doCleanups()
        with self.subTest("nobody there"):
            self.with_card(self.fj, lambda line: line.replace(f":{self.relay.ports[0]}", f":{random_port()}"))
            self.fj.fails(3, "unreachable", "sync")
            self.assertEqual(self.fj.ok("show", request).json["id"], request, "what is here is shown all the same")
            kept = self.fj.run("send", "--to", "de", "-s", "waits", "-", data=b"kept in the outbox")
            self.assertEqual((kept.code, kept.error["error"]), (3, "unreachable"), kept)
            self.assertIn("outbox", kept.error["message"])
            self.assertEqual(self.fj.ok("status").json["outbox"], 1)
            self.doCleanups()
        self.assertEqual(self.relay.status()["requests"], before)
        self.fj.ok("sync")
        self.assertEqual(self.fj.ok("status").json["outbox"], 0)
        arrived = [line["subject"] for line in self.de.inbox().values()]
        self.assertEqual([subject for subject in arrived if subject in ("before", "waits", "x")], ["before", "waits"])

    def test_a_relay_that_is_down_and_comes_back_gets_what_was_kept(self):
        self.assertEqual(self.relay.stop(), 0)
        kept = self.fj.run("send", "--to", "de", "-s", "while it was down", "-", data=b"x")
        self.relay.start()
        self.assertEqual((kept.code, kept.error["error"]), (3, "unreachable"), kept)
        self.fj.ok("sync")
        self.assertIn("while it was down", [line["subject"] for line in self.de.inbox().values()])

    def test_a_revoked_device_does_nothing_any_more(self):
        home = self.house.make("ke/policy")
        request = self.fj.send("ke/policy", b"for a device that goes", subject="going")
        home.ok("accept", request)
        reply = home.ok("reply", request, "-", data=b"before").json["id"]
        device = next(line for line in self.fj.ok("directory", "show", "ke/policy").json["device_list"])
        authority = self.house.home("ke-authority")
        authority.ok("authority", "revoke", device["device"], "--post", "ke/policy", "--card", self.relay.card)
        before = self.relay.status()
        for words in (["sync"], ["ack", request], ["reply", request, "-"], ["send", "--to", "de", "-s", "x", "-"]):
            ran = home.run(*words, data=b"x")
            self.assertEqual(ran.code, 4, ran)
            self.assertIn(ran.error["error"], ("refused-by-relay", "revoked"), ran)
        after = self.relay.status()
        for name in ("requests", "legs_total", "entries", "devices"):
            self.assertEqual(after[name], before[name], name)
        standing = self.fj.ok("directory", "show", "ke/policy").json["device_list"][0]["standing"]
        self.assertEqual(standing, "revoked")
        self.assertEqual(self.fj.body(reply), b"before", "what it said before stands")

    def test_a_revoked_post_receives_nothing_new(self):
        home = self.house.make("ke/diplomatic")
        slip = self.house.papers / "ke-diplomatic.revocation"
        self.assertTrue(slip.exists())
        run_ = self.house.home("nobody").run("authority", "revoke", slip, "--card", self.relay.card)
        self.assertEqual(run_.code, 0, f"the slip works from any computer\n{run_}")
        before = self.relay.status()["requests"]
        self.fj.fails(4, "revoked", "send", "--to", "ke/diplomatic", "-s", "x", "-", data=b"x")
        self.assertEqual(self.relay.status()["requests"], before)
        self.assertEqual(home.run("sync").code, 4)

    def test_a_suspended_party_sends_nothing_new_and_keeps_its_open_requests(self):
        opened = self.fj.send("ke/technical", b"open before", subject="open before")
        self.ke.ok("sync")
        self.assertEqual(self.relay.ctl("suspend", "ke", "--reason", "key stolen").code, 0)
        try:
            before = self.relay.status()["requests"]
            ran = self.ke.run("send", "--to", "de", "-s", "suspended", "-", data=b"x")
            self.assertEqual((ran.code, ran.error["error"]), (4, "suspended"), ran)
            self.assertEqual(self.relay.status()["requests"], before)
            self.ke.ok("accept", opened)
            self.assertEqual(self.ke.body(opened), b"open before")
        finally:
            self.assertEqual(self.relay.ctl("resume", "ke").code, 0)
        self.ke.ok("send", "--to", "de", "-s", "resumed", "-", data=b"x")


class Limits(FlowTest):
    house_options = {"config": {"limits.body": "64KiB", "quota.requests": "2", "quota.pair": "2",
                                "quota.exercise_requests": "1"}}

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.house.member("ke", name="Kenya")
        cls.ke = cls.house.home("ke-technical")

    def settle(self):
        for home in (self.de, self.ke):
            for request, line in home.inbox().items():
                if line["state"] in ("stored", "notified"):
                    home.ok("decline", request)
        for home in (self.de, self.fj):
            home.ok("sync")
            self.assertEqual(home.ok("status").json["outbox"], 0)

    def test_a_body_above_the_limit_is_refused_by_name_before_it_travels(self):
        before, outbox = self.relay.status(), self.fj.fingerprint()
        ran = self.fj.fails(1, "too-large", "send", "--to", "de", "-s", "large", "-", data=os.urandom(100_000))
        self.assertEqual(ran.out, b"")
        after = self.relay.status()
        for name in ("requests", "staged", "legs_total", "entries"):
            self.assertEqual(after[name], before[name])
        self.assertEqual(self.fj.fingerprint(), outbox)
        request = self.fj.send("de/technical", b"x" * 40_000, subject="fits")
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"x" * 40_000)
        self.de.ok("close", request)

    def test_over_quota_waits_in_the_outbox_and_goes_when_the_earlier_ones_are_settled(self):
        self.settle()
        first, second = (self.fj.send("de/technical", b"x", subject=f"quota {n}") for n in (1, 2))
        third = self.fj.fails(5, "over-quota", "send", "--to", "de", "-s", "quota 3", "-", data=b"the third")
        request = third.json["id"]
        self.assertEqual(self.fj.ok("status").json["outbox"], 1)
        self.assertNotIn(request, self.de.inbox())
        before = self.relay.status()["legs_total"]
        self.fj.ok("sync")
        self.assertEqual(self.relay.status()["legs_total"], before, "trying again does not help")
        self.de.ok("decline", first)
        self.de.ok("decline", second)
        self.fj.ok("sync")
        self.assertEqual(self.fj.ok("status").json["outbox"], 0)
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"the third")
        self.assertEqual(self.fj.state(request), "handed_over")
        self.de.ok("close", request)

    def test_decisions_and_exercises_pass_while_the_quota_is_used_up(self):
        self.settle()
        first, second = (self.fj.send("de/technical", b"x", subject=f"full {n}") for n in (1, 2))
        exercise = self.fj.send("de/technical", b"x", "--exercise", "--keep", "1h",
                                subject="an exercise has its own quota")
        self.de.ok("accept", first)
        self.de.ok("ack", first)
        self.de.ok("reply", first, "-", data=b"answers pass")
        self.assertEqual(self.fj.state(first), "acknowledged")
        for request in (second, exercise):
            self.de.ok("decline", request)
        self.de.ok("close", first)
        self.settle()

    def test_of_several_recipients_those_go_that_can_and_the_rest_follows(self):
        self.settle()
        held = self.fj.send("de/technical", b"x", subject="takes one place")
        ran = self.fj.run("send", "--to", "de,ke", "-s", "one of two", "-", data=b"for both")
        self.assertEqual((ran.code, ran.error.get("error")), (7, "partly-done"), ran)
        request = ran.json["id"]
        self.de.ok("decline", held)
        self.fj.ok("sync")
        for home in (self.de, self.ke):
            home.ok("accept", request)
            self.assertEqual(home.body(request), b"for both")
            home.ok("close", request)


class Configuration(FlowTest):
    """Every error is named with its place, and nothing runs on a configuration that has one."""

    @classmethod
    def furnish(cls):
        pass

    def test_each_bad_line_is_named_with_its_place(self):
        good = self.relay.config.read_text()
        path = self.relay.folder / "bad.yaml"
        cases = {"no_such_key: 1\n": "no_such_key", "limits: {bodi: 1MiB}\n": "bodi", "limits: {body: tiny}\n": "body",
                 "limits: {body: 1TiB}\n": "body", "limits: {staging: soon}\n": "staging", "workers: 0\n": "workers",
                 "workers: 1\nworkers: 2\n": "workers", "listen: [udp://1.2.3.4:5]\n": "listen", "quota: 3\n": "quota",
                 "listen: [tcp://127.0.0.1:99999]\n": "port", "a: [\n": "", "\tx: 1\n": "",
                 "workers: &a 1\nx: *a\n": ""}
        for text, named in cases.items():
            with self.subTest(text=text):
                path.write_text(text)
                ran = run(program("POUCHD") + ["--config", path, "--check-config"], self.house.folder)
                self.assertEqual((ran.code, ran.out), (1, b""), ran)
                self.assertRegex(ran.err, r"bad\.yaml:\d+:\d+: ")
                self.assertIn(named, ran.err)
                refused = run(program("POUCHD") + ["--config", path, "--json"], self.house.folder)
                self.assertEqual((refused.code, refused.error["error"]), (1, "config"), refused)
        self.assertEqual(self.relay.config.read_text(), good)
        ran = run(program("POUCHD") + ["--config", self.relay.config, "--check-config", "--json"], self.house.folder)
        self.assertTrue(ran.json["ok"])

    def test_a_port_in_use_is_named(self):
        other = Relay(self.house.folder / "other")
        text = other.config.read_text().replace(f":{other.ports[0]}", f":{self.relay.ports[0]}")
        other.config.write_text(text)
        ran = run(program("POUCHD") + ["--config", other.config], self.house.folder)
        self.assertEqual(ran.code, 1, ran)
        self.assertIn(f"cannot listen on tcp://127.0.0.1:{self.relay.ports[0]}", ran.err)


class FullDisk(FlowTest):
    """Relay and client on small file systems. When the relay's is full, new requests wait, what is there is safe, and
    decisions pass; when the client's is full, nothing has changed."""

    house_options = {"relay": False}

    @classmethod
    def furnish(cls):
        cls.disk, cls.home_disk = cls.house.folder / "disk", cls.house.folder / "homes"
        cls.reason = None if os.geteuid() == 0 else "mounting a small file system needs root"
        for place, size in ((cls.disk, "16m"), (cls.home_disk, "6m")):
            place.mkdir()
            if cls.reason:
                continue
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)],
                                     timeout=20, capture_output=True, check=False)
            if mounted.returncode:
                cls.reason = f"a small file system cannot be mounted: {mounted.stderr.decode()}"
        if cls.reason:
            return
        cls.relay = cls.house.relay = Relay(cls.disk / "relay", config={"store.reserve": "3MiB"})
        for name in ("outputs", "log_path"):  # not on the full disk
            setattr(cls.relay, name, cls.house.folder / f"relay.{name}")
        cls.relay.start()
        super().furnish()

    @classmethod
    def tearDownClass(cls):
        for place in (cls.disk, cls.home_disk):
            if os.path.ismount(place):
                cls.addClassCleanup(shutil.rmtree, cls.house.folder, ignore_errors=True)
                cls.addClassCleanup(subprocess.run, ["umount", "-l", str(place)], timeout=20, check=False)
        super().tearDownClass()

    def setUp(self):
        if self.reason:
            self.skipTest(self.reason)
        self.ballast = self.disk / "ballast"
        self.addCleanup(self.ballast.unlink, missing_ok=True)

    def fill(self, leave):
        disk = os.statvfs(self.ballast.parent)
        self.ballast.write_bytes(b"\0" * max(0, disk.f_bavail * disk.f_frsize - leave))

    def test_new_requests_wait_while_decisions_and_evidence_pass(self):
        first = self.fj.send("de/technical", b"before it was full", subject="before")
        second = self.fj.send("de/technical", b"declined while full", subject="declined")
        self.de.ok("sync")
        self.fill(leave=2 * 1024 * 1024)
        ran = self.fj.fails(3, "store-full", "send", "--to", "de", "-s", "waits for room", "-", data=b"waited")
        request = ran.json["id"]
        self.assertEqual(self.fj.ok("status").json["outbox"], 1)
        self.assertEqual(self.relay.ctl("check").code, 2, "the operator is told")
        self.de.ok("accept", first)
        self.assertEqual(self.de.body(first), b"before it was full")
        self.de.ok("ack", first)
        self.de.ok("decline", second)
        self.assertEqual((self.fj.state(first), self.fj.state(second)), ("acknowledged", "declined"))
        self.assertNotIn(request, self.de.inbox())
        self.ballast.unlink()
        self.fj.ok("sync")
        self.assertEqual(self.fj.ok("status").json["outbox"], 0)
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"waited")

    def test_with_no_room_at_all_nothing_is_lost_and_all_goes_on_when_there_is_room(self):
        request = self.fj.send("de/technical", b"there before", subject="to the brim")
        self.de.ok("sync")
        self.fill(leave=0)
        ran = self.fj.run("send", "--to", "de", "-s", "no room", "-", data=os.urandom(200_000))
        self.assertEqual(ran.code, 3, ran)
        self.assertTrue(self.fj.ok("status").json["outbox"] >= 1)
        self.ballast.unlink()
        self.relay.live_status()
        for home in (self.fj, self.de):
            self.assertTrue(until(lambda h=home: h.run("sync").code == 0, 20), home.post)
        subjects = [line["subject"] for line in self.de.inbox().values()]
        self.assertEqual(subjects.count("no room"), 1)
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"there before")

    def test_a_client_without_room_changes_nothing_and_goes_on_when_there_is_room(self):
        home = self.house.make("fj/small", name="homes/fj-small")
        waiting = self.fj.send("de/technical", b"x", subject="for later")
        self.assertIn(waiting, self.fj.sent())
        before = home.fingerprint()
        self.ballast = self.home_disk / "ballast"
        self.addCleanup(self.ballast.unlink, missing_ok=True)
        self.fill(leave=64 * 1024)
        text = os.urandom(1_000_000)
        ran = home.fails(3, "disk-full", "send", "--to", "de", "-s", "from a full disk", "-", data=text)
        self.assertEqual(ran.out, b"")
        self.ballast.unlink()
        self.assertEqual(home.fingerprint(), before)
        request = home.send("de/technical", text, subject="from a full disk")
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), text)
        self.assertEqual([line["subject"] for line in self.de.inbox().values()].count("from a full disk"), 1)


if __name__ == "__main__":
    main()
