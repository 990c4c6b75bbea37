"""Goal: a recipient is free. A standing policy accepts, asks, declines or ignores - after "notified", as a machine,
once, on each device by its own rules -; that an offer was opened is told to all senders or to none; consent to show
an exchange is given by either side, once; and machine and officer are told apart wherever somebody has spoken."""

import json
import os
import re
import signal
import unittest

from house import (ACCEPTED, ACKNOWLEDGED, CLOSED, DECLINED, HANDED_OVER, NOTIFIED, PATIENCE, SOURCE, STORED, WITHDRAWN,
                   FlowTest, finish, in_parallel, main, run)

OPENED, CONSENTED = "NotificationAccessTracking", "DisclosureConsent"


class PolicyHouse(FlowTest):
    """fj writes, de receives; de's policy is taken away after each test."""

    def setUp(self):
        self.policy(self.de, "")

    def policy(self, home, text, *args):
        return home.ok("policy", "set", "-", *args, data=text.encode())

    def ask(self, *args, subject="a question", to="de/technical", sender=None):
        sender = sender or self.fj
        return sender.ok("send", "--to", to, "-s", subject, *args, "-", data=b"the text").json["id"]

    def ping(self, *args, sender=None, to="de/technical"):
        sender = sender or self.fj
        return sender.ok("send", "--to", to, "-s", "a check", "--kind", "ping", "--exercise", "--offer-only",
                         *args).json["id"]

    def line(self, home, request):
        return home.inbox()[request]

    def is_listed(self, home, request):
        return request in {line["id"] for line in home.ok("inbox").lines}

    def signers(self, home, request, to=None):
        return {event["event"]: event["signer"] for event in home.ladder(request, to)["events"]}


class Policy(PolicyHouse):
    def test_without_a_policy_a_person_is_asked_about_everything(self):
        request = self.ask()
        self.de.ok("sync")
        self.assertEqual(self.line(self.de, request)["state"], "notified")
        self.assertEqual(self.line(self.de, request)["policy"], {"decision": "ask", "line": None, "late": False})
        self.assertTrue(self.is_listed(self.de, request))

    def test_the_first_rule_that_fits_decides_and_a_machine_says_so(self):
        self.policy(self.de, """
opened: not-disclosed
rules:
  - {from: fj, kind: ping, exercise: yes, then: accept}
  - {from: fj/technical, kind: notice, then: decline, reason: no-capacity}
  - {from: [fj], precedence: [immediate, flash], then: ask}
  - {kind: assistance, exercise: no, then: accept}
  - {kind: assistance, then: decline}
""")
        ping, notice = self.ping(), self.ask("--kind", "notice")
        urgent = self.ask("--kind", "assistance", "--precedence", "flash")
        help_, drill = self.ask("--kind", "assistance"), self.ask("--kind", "assistance", "--exercise")
        other = self.ask()
        done = self.de.ok("sync").json
        self.assertEqual((done["decided"], done["ignored"]), (4, 0))
        self.assert_ladder(self.fj, ping, [STORED, NOTIFIED, ACCEPTED], "accepted")
        self.assert_ladder(self.fj, notice, [STORED, NOTIFIED, DECLINED], "declined")
        self.assert_ladder(self.fj, urgent, [STORED, NOTIFIED], "notified")
        self.assert_ladder(self.fj, help_, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER], "handed_over")
        self.assert_ladder(self.fj, drill, [STORED, NOTIFIED, DECLINED], "declined")
        self.assert_ladder(self.fj, other, [STORED, NOTIFIED], "notified")
        for request in (ping, notice, help_, drill):
            self.assertEqual(set(self.signers(self.fj, request).values()), {"machine"}, "no officer has spoken")
        reasons = [event.get("reason") for event in self.fj.ladder(notice)["events"]]
        self.assertEqual(reasons, [None, None, "no-capacity"])
        self.assertEqual(self.line(self.de, ping)["policy"], {"decision": "accept", "line": 4, "late": False})
        self.assertEqual(self.line(self.de, other)["policy"]["line"], None)
        self.assertEqual(self.de.body(help_), b"the text")
        self.assertIn("accepted by the standing policy (line 4)", self.people(self.de, "show", ping))
        self.assertIn("a machine", self.people(self.fj, "explain", ping))

    def people(self, home, *args):
        """What a person reads; the words come through without --json."""
        argv = [word for word in home.argv(*args) if word != "--json"]
        ran = run(argv, self.house.papers)
        self.assertEqual(ran.code, 0, str(ran))
        return ran.out.decode()

    def test_what_is_ignored_is_out_of_sight_and_only_notified(self):
        before = self.de.ok("status").json["inbox_open"]
        self.policy(self.de, "rules:\n  - {from: fj/technical, then: ignore}\n")
        request = self.ask("--precedence", "flash")
        done = self.de.ok("sync").json
        self.assertEqual((done["offered"], done["ignored"], done["decided"]), (0, 1, 0))
        self.assertFalse(self.is_listed(self.de, request))
        self.assertEqual(self.de.ok("status").json["inbox_open"], before)
        line = self.line(self.de, request)
        self.assertEqual((line["ignored"], line["state"]), (True, "notified"))
        self.assertIn("notified, ignored", self.people(self.de, "inbox", "--all"))
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED], "notified")
        waited = self.de.run("wait", "--for", "notified", "--any", "--timeout", "1s")
        self.assertNotIn(request, waited.out.decode(), "who waits for requests waits on")
        self.de.ok("show", request, "--officer")  # looking changes nothing
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED], "notified")
        self.de.ok("accept", request, "--officer")  # a person may think better of it
        self.assertFalse(self.line(self.de, request)["ignored"])
        self.assertTrue(self.is_listed(self.de, request))
        self.assertEqual(self.signers(self.fj, request)[ACCEPTED], "officer")

    def test_the_agent_rings_for_nothing_that_is_ignored_and_tells_what_it_decided(self):
        self.policy(self.de, "rules:\n  - {kind: notice, then: ignore}\n  - {kind: ping, then: accept}\n")
        ignored, ping, asked = self.ask("--kind", "notice"), self.ping(), self.ask()
        lines = self.de.ok("agent", "--once").lines
        told = {line["id"]: line["policy"]["decision"] for line in lines if line["event"] == "request"}
        self.assertEqual(told, {ping: "accept", asked: "ask"})
        self.assertNotIn(ignored, json.dumps(lines))

    def test_a_policy_holds_for_what_comes_and_not_for_what_was_asked_about(self):
        request = self.ask()
        self.de.ok("sync")
        self.policy(self.de, "rules:\n  - {then: decline}\n")
        self.de.ok("sync")
        self.assertEqual(self.fj.state(request), "notified")
        self.assertEqual(self.fj.state(self.settled(self.ask())), "declined")

    def settled(self, request):
        self.de.ok("sync")
        return request

    def test_a_decision_is_said_once_however_often_the_device_syncs(self):
        self.policy(self.de, "rules:\n  - {then: accept}\n")
        request = self.ask()
        for _ in range(3):
            self.de.ok("sync")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER], "handed_over")
        self.assertEqual(len(self.fj.ladder(request)["events"]), 4)

    def test_two_desks_whose_policies_accept_all_do_not_keep_each_other_busy(self):
        for home in (self.fj, self.de):
            self.policy(home, "rules:\n  - {then: accept}\n")
        request = self.ask()
        self.de.ok("sync")
        self.de.ok("ack", request)
        reply = self.de.ok("reply", request, "-", data=b"an answer").json["id"]
        back = self.ask(sender=self.de, to="fj/technical")
        quiet = 0
        for _ in range(6):
            done = [home.ok("sync").json for home in (self.fj, self.de)]
            quiet = quiet + 1 if all(not d["sent"] and not d["decided"] and not d["changed"] for d in done) else 0
        self.assertGreaterEqual(quiet, 3, "it comes to rest")
        self.assertEqual(self.fj.events(reply), [STORED, HANDED_OVER])
        self.assertEqual(self.fj.inbox()[reply]["policy"], None, "a reply is not judged")
        self.assertEqual(self.fj.state(back), "handed_over")
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED, ACCEPTED, HANDED_OVER, ACKNOWLEDGED])
        self.policy(self.fj, "")

    def test_a_request_with_a_warning_is_asked_about_whatever_a_rule_says(self):
        self.de.ok("pair", "require", "fj")
        self.policy(self.de, "rules:\n  - {kind: notice, then: decline}\n  - {then: accept}\n")
        asked, declined = self.ask(), self.ask("--kind", "notice")
        self.de.ok("sync")
        self.de.ok("pair", "require", "fj", "--off")
        self.assertTrue(self.de.ok("show", asked).json["shared_secret_missing"])
        self.assertEqual((self.fj.state(asked), self.fj.state(declined)), ("notified", "declined"))

    # ---- the file ----

    def test_every_mistake_in_a_policy_is_named_with_its_place_and_what_to_do(self):
        mistakes = [
            ("opened: disclosd", "1:9", "write disclosed or not-disclosed"),
            ("opened:\n", "1:8", "disclosed or not-disclosed"),
            ("opend: disclosed", "1:1", "did you mean opened?"),
            ("limits: 3", "1:1", "there are opened and rules"),
            ("- a", "1:1", "keys are wanted here"),
            ("rules: accept", "1:8", "a list is wanted"),
            ("rules:\n  - accept", "2:5", "a rule is wanted here"),
            ("rules:\n  - {from: DE, then: ask}", "2:12", "write it in small letters"),
            ("rules:\n  - {from: [de, any], then: ask}", "2:17", "any stands alone"),
            ("rules:\n  - {from: [], then: ask}", "2:12", "the list is empty"),
            ("rules:\n  - {from: , then: ask}", "2:12", "the value is missing"),
            ("rules:\n  - {from: [[de]], then: ask}", "2:13", "a word is wanted"),
            ("rules:\n  - {kind: pings, then: ask}", "2:12", "write incident, clarification"),
            ("rules:\n  - {kind: {a: b}, then: ask}", "2:12", "one word, a list"),
            ("rules:\n  - {precedence: now, then: ask}", "2:18", "write routine, priority"),
            ("rules:\n  - {exercise: perhaps, then: ask}", "2:16", "write yes, no or any"),
            ("rules:\n  - {then: drop}", "2:12", "write accept, ask, decline or ignore"),
            ("rules:\n  - {kind: ping}", "2:5", "add then:"),
            ("rules:\n  - {then: accept, reason: other}", "2:20", "remove it"),
            ("rules:\n  - {then: decline, reason: because}", "2:29", "there are system-resource"),
            ("rules:\n  - {then: ask, opened: disclosed}", "2:17", "move it out of the rule"),
            ("rules:\n  - {then: ask, frm: de}", "2:17", "did you mean from?"),
            ("rules:\n  - {then: ask, then: accept}", "2:17", "remove one"),
            ("rules:\n  - &a {then: ask}\n  - *a", "2:5", "write the value out"),
            ("rules:\n  - !!map {then: ask}", "2:5", "leave it out"),
            ("rules: [{then: ask}\n", "2:1", "this is not YAML"),
            ("---\nrules: []\n---\nrules: []\n", "3:1", "one is all there may be"),
            ("rules:\n" + "  - {then: ask}\n" * 300, "258:5", "more than 256"),
        ]
        kept = self.de.ok("policy", "show").json
        for text, place, words in mistakes:
            for command in ("check", "set"):
                with self.subTest(text=text[:60], command=command):
                    path = self.house.papers / "bad.yaml"
                    path.write_text(text)
                    ran = self.de.fails(1, "config", "policy", command, path)
                    said = [line for line in ran.err.splitlines() if line.startswith(f"{path}:{place}: ")]
                    self.assertTrue(said and words in said[0], f"{path}:{place}: ... {words}\n{ran}")
        self.assertEqual(self.de.ok("policy", "show").json, kept, "what does not hold changes nothing")
        (self.house.papers / "big.yaml").write_bytes(b"#" * 65537)
        self.assertIn("big.yaml:1:1", self.de.fails(1, "config", "policy", "check", "big.yaml").error["message"])
        self.de.fails(1, "no-file", "policy", "set", self.house.papers / "nowhere.yaml")

    def test_a_rule_that_can_never_apply_and_an_unknown_name_are_pointed_out(self):
        text = ("rules:\n  - {from: fj, then: ask}\n  - {from: fj/technical, kind: ping, then: accept}\n"
                "  - {from: zz, then: ask}\n")
        ran = self.policy(self.de, text)
        self.assertIn("standard input:3:5: note: this rule has nothing to do: the one on line 2", ran.err)
        self.assertIn("standard input:4:12: note: zz is not in the directory", ran.err)
        shown = self.de.ok("policy", "show").json
        self.assertEqual(shown["text"], text)
        self.assertEqual([rule["from"] for rule in shown["rules"]], [["fj"], ["fj/technical"], ["zz"]])
        self.assertEqual(shown["rules"][1], {"line": 3, "from": ["fj/technical"], "kind": ["ping"], "precedence": None,
                                             "exercise": None, "then": "accept", "reason": None})
        self.assertEqual(self.people(self.de, "policy", "show"), text)

    def test_the_policy_is_not_in_plain_sight_on_the_disk_and_nothing_of_it_goes_to_the_relay(self):
        text = "rules:\n  - {from: fj/technical, then: ignore}   # canary-7f3a\n"
        before = self.relay.status()
        self.policy(self.de, text)
        after = self.relay.status()
        for name in ("entries", "receipts", "legs"):
            self.assertEqual(before.get(name), after.get(name))
        for path in self.de.path.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"canary-7f3a", path.read_bytes(), path)

    # ---- opened ----

    def test_opened_is_told_to_nobody_unless_the_policy_discloses_it(self):
        request = self.ask()
        self.de.ok("show", request, "--officer")
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED])

    def test_opened_is_told_at_the_first_look_of_an_officer_by_a_machine(self):
        self.policy(self.de, "opened: disclosed\n")
        request, other = self.ask(), self.ask()
        self.de.ok("inbox", "--officer")
        self.de.ok("show", request, "--machine")
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED], "a script is nobody who looks")
        for _ in range(2):
            self.de.ok("show", request, "--officer")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, OPENED], "opened")
        self.assertEqual(self.signers(self.fj, request)[OPENED], "machine", "nobody has said anything")
        self.assertEqual(self.fj.events(other), [STORED, NOTIFIED])
        self.de.ok("show", other, "--officer", "--offline")
        self.assertEqual(self.fj.events(other), [STORED, NOTIFIED])
        self.de.ok("sync")
        self.assertEqual(self.fj.events(other), [STORED, NOTIFIED, OPENED], "what was kept goes out later")
        self.de.ok("accept", request, "--officer")
        self.de.ok("show", request, "--officer")
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED, OPENED, ACCEPTED, HANDED_OVER])

    def test_opened_is_not_told_of_what_is_ignored(self):
        self.policy(self.de, "opened: disclosed\nrules:\n  - {then: ignore}\n")
        request = self.ask()
        self.de.ok("sync")
        self.de.ok("show", request, "--officer")
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED])

    # ---- machine and officer ----

    def test_machine_and_officer_are_told_apart_in_every_statement(self):
        if "de-other" not in self.house.homes:
            self.house.make("de/other")
        for flag, who in (("--officer", "officer"), ("--machine", "machine")):
            open_ = {name: self.ask(subject=name) for name in ("accepted", "declined", "withdrawn", "forwarded")}
            self.de.ok("accept", open_["accepted"], flag)
            self.de.ok("ack", open_["accepted"], flag)
            self.de.ok("consent", open_["accepted"], flag)
            self.fj.ok("close", open_["accepted"], flag)
            self.de.ok("decline", open_["declined"], flag)
            self.de.ok("sync")
            self.fj.ok("withdraw", open_["withdrawn"], flag)
            self.de.ok("forward", open_["forwarded"], "de/other", flag)
            said = {}
            for request in open_.values():
                said.update(self.signers(self.fj, request))
            persons = {ACCEPTED, ACKNOWLEDGED, CONSENTED, CLOSED, DECLINED, WITHDRAWN, "Forwarding"}
            self.assertEqual({event: signer for event, signer in said.items() if event in persons},
                             dict.fromkeys(persons, who))
            self.assertEqual({said[NOTIFIED], said[HANDED_OVER], said[STORED]}, {"machine"})
            shown = {request: self.fj.ok("show", request).json["legs"][0]["signer"] for request in open_.values()}
            self.assertEqual(set(shown.values()), {who})
            for request, word in zip(open_.values(), ("closed", "declined", "withdrawn", "forwarded")):
                for home in (self.fj, self.de):
                    self.assertRegex(self.people(home, "explain", request), rf"\(an? {who}\): {word}")
                    self.assertRegex(self.people(home, "track", request), rf"{word} +\S+ +{who}")
                spoken = "said by an officer" if who == "officer" else "said by a machine"
                self.assertIn(spoken, self.people(self.fj, "show", request))

    # ---- consent ----

    def exchange(self, *args):
        request = self.ask(*args)
        self.de.ok("accept", request, "--officer")
        self.de.ok("ack", request, "--officer")
        return request

    def test_either_side_consents_once_and_both_see_who_did(self):
        request = self.exchange("--disclosure", "both")
        shown = self.de.ok("show", request).json
        self.assertEqual((shown["disclosure"], shown["legs"][0]["consents"]), ("both", []))
        self.assertIn("only if both sides agree", self.people(self.de, "show", request))
        self.assertIn("pouch consent", self.people(self.de, "explain", request))
        deadline = shown["expires"]
        for _ in range(2):
            self.de.ok("consent", request, "--officer")
            self.fj.ok("consent", request, "--machine")
        ladder = self.assert_ladder(self.fj, request, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER, ACKNOWLEDGED, CONSENTED,
                                                       CONSENTED], "acknowledged")
        spoken = [(event["actor"], event["signer"]) for event in ladder["events"] if event["event"] == CONSENTED]
        self.assertEqual(spoken, [("de/technical", "officer"), ("fj/technical", "machine")])
        for home in (self.fj, self.de):
            shown = home.ok("show", request).json
            self.assertEqual(shown["legs"][0]["consents"], ["fj/technical", "de/technical"])
            self.assertEqual(shown["expires"], deadline)
            self.assertIn("fj/technical and de/technical", self.people(home, "show", request))
            self.assertIn("agreed that this may be shown to others", self.people(home, "explain", request))
            self.assertNotIn("pouch consent", self.people(home, "explain", request))

    def test_consent_goes_with_a_step_too(self):
        accepted, declined, withdrawn, closed = self.ask(), self.ask(), self.ask(), self.exchange()
        self.de.ok("accept", accepted, "--consent", "--officer")
        self.de.ok("decline", declined, "--consent")
        self.fj.ok("withdraw", withdrawn, "--consent")
        self.fj.ok("close", closed, "--consent", "--officer")
        for request, event, who in ((accepted, ACCEPTED, "de/technical"), (declined, DECLINED, "de/technical"),
                                    (withdrawn, WITHDRAWN, "fj/technical"), (closed, CLOSED, "fj/technical")):
            for home in (self.fj, self.de):
                steps = [line["event"] for line in home.ladder(request)["events"] if line.get("disclosure")]
                self.assertEqual((steps, home.ok("show", request).json["legs"][0]["consents"]), ([event], [who]))
        self.assertIn("and agreed that this may be shown", self.people(self.fj, "explain", accepted))
        self.de.ok("consent", accepted)
        self.assertEqual(self.de.events(accepted).count(CONSENTED), 0, "this side has consented already")
        self.de.ok("ack", accepted)
        self.assertIn("pouch consent", self.de.fails(1, "wrong-state", "accept", closed, "--consent").error["hint"]
                      + self.de.fails(1, "wrong-state", "ack", self.exchange(), "--consent").error["hint"])

    def test_consent_before_acceptance_or_after_the_end_is_refused_with_a_way_out(self):
        request = self.ask()
        for home in (self.fj, self.de):
            self.assertIn("--consent", home.fails(1, "wrong-state", "consent", request).error["hint"])
        self.de.ok("decline", request)
        for home in (self.fj, self.de):
            home.fails(1, "wrong-state", "consent", request)
        self.fj.fails(1, "usage", "send", "--to", "de", "--disclosure", "one", "-", data=b"x")

    def test_a_repeated_consent_of_a_sister_is_a_receipt_and_no_entry(self):
        second = self.house.homes.get("de-second") or self.sister()
        request = self.exchange()
        second.ok("sync")
        self.de.fails(3, "unreachable", "consent", request, "--offline")
        second.ok("consent", request)
        self.de.ok("sync")
        events = self.de.ladder(request)["events"]
        entries = [event["ordinal"] is not None for event in events if event["event"] == CONSENTED]
        self.assertEqual(entries, [True, False])
        self.assertEqual(self.fj.events(request).count(CONSENTED), 1)
        self.assertEqual(self.de.ok("status").json["alarms"], [])

    # ---- several devices ----

    def sister(self, role="decider", name="de-second"):
        home = self.house.home(name)
        invite = ("device", "invite", "--yes", "--role", role, "--post-key", str(self.de.path / "post.key"))
        made = self.de.ok(*invite, "--no-wait").lines[0]
        inviting = self.de.start(*invite)
        linked = home.run("link", made["payload"], "--no-passphrase")
        invited = finish(inviting, self.de.argv())
        self.assertEqual((linked.code, invited.code), (0, 0), f"{linked}\n{invited}")
        home.post = "de/technical"
        return home

    def test_two_devices_with_different_policies_make_one_decision_and_no_noise(self):
        second = self.house.homes.get("de-second") or self.sister()
        self.policy(self.de, "rules:\n  - {then: accept}\n")
        self.policy(second, "rules:\n  - {then: decline, reason: policy}\n")
        alarms = [len(home.ok("status").json["alarms"]) for home in (self.de, second)]
        requests = [self.ask(subject=f"number {i}") for i in range(8)]
        in_parallel([lambda: self.de.ok("sync"), lambda: second.ok("sync")])
        for request in requests:
            events = self.fj.events(request)
            self.assertEqual(events[:2], [STORED, NOTIFIED])
            self.assertEqual(sum(event in (ACCEPTED, DECLINED) for event in events), 1, events)
        for home in (self.de, second):
            home.ok("sync")
        after = [len(home.ok("status").json["alarms"]) for home in (self.de, second)]
        self.assertEqual(after, alarms, "a lost race is no alarm")
        self.policy(second, "")

    def test_the_slower_device_tells_quietly_that_another_decision_was_first(self):
        second = self.house.homes.get("de-second") or self.sister()
        second.ok("sync")
        self.policy(self.de, "rules:\n  - {then: accept}\n")
        self.policy(second, "rules:\n  - {then: decline}\n")
        token = self.house.folder / "token-late"
        if not os.environ.get("POUCH_FAULTS"):
            self.skipTest("needs fault points")
        request = self.ask()
        token.touch()
        killed = second.start("sync", env={"POUCH_FAULT": f"policy.decided:1:{token}"})
        killed.communicate(timeout=60 * PATIENCE)
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.de.ok("sync")
        second.ok("sync")
        self.assertEqual(second.ok("status").json["alarms"], [])
        self.assertEqual(self.line(second, request)["policy"], {"decision": "decline", "line": 2, "late": True})
        self.assertIn("came too late", self.people(second, "show", request))
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED, ACCEPTED, HANDED_OVER])
        self.policy(second, "")

    def test_a_reader_tells_opened_and_ignores_and_cannot_decide(self):
        reader = self.house.homes.get("de-reader") or self.sister("reader", "de-reader")
        ran = self.policy(reader, "opened: disclosed\nrules:\n  - {kind: notice, then: ignore}\n  - {then: accept}\n")
        asked, ignored = self.ask(), self.ask("--kind", "notice")
        reader.ok("sync")
        self.assertEqual(self.line(reader, asked)["policy"]["decision"], "ask")
        self.assertTrue(self.line(reader, ignored)["ignored"])
        reader.ok("show", asked, "--officer")
        self.assertEqual(self.fj.events(asked), [STORED, NOTIFIED, OPENED])
        reader.fails(4, "not-allowed", "consent", self.exchange())
        reader.fails(4, "not-allowed", "ack", asked, "--consent")


@unittest.skipUnless(os.environ.get("POUCH_FAULTS"), "needs a build with fault points")
class Kills(PolicyHouse):
    """Killed at any point between "notified" and the decision: exactly one decision after the restart."""

    def test_a_decision_is_made_once_wherever_the_device_is_killed(self):
        points = [("offer.archived", 1), ("statement.committed", 1), ("statement.unanswered", 1), ("policy.due", 1),
                  ("policy.decided", 1), ("policy.decided", 2), ("statement.committed", 2), ("statement.unanswered", 2)]
        self.policy(self.de, "rules:\n  - {kind: ping, then: accept}\n  - {kind: notice, then: decline}\n"
                             "  - {then: ignore}\n")
        for point, nth in points:
            with self.subTest(point=point, nth=nth):
                requests = [self.ping(), self.ask("--kind", "notice"), self.ask()]
                token = self.house.folder / f"token-{point}-{nth}"
                token.touch()
                killed = self.de.start("sync", env={"POUCH_FAULT": f"{point}:{nth}:{token}"})
                killed.communicate(timeout=60 * PATIENCE)
                self.assertEqual((killed.returncode, token.exists()), (-signal.SIGKILL, False))
                for request in requests:
                    events = self.fj.events(request)
                    self.assertIn(events[:2], ([STORED], [STORED, NOTIFIED]), "nothing is decided before notified")
                for _ in range(2):
                    self.de.ok("sync")
                for request, last in zip(requests, (ACCEPTED, DECLINED, NOTIFIED)):
                    events = [event["event"] for event in self.fj.ladder(request)["events"]]
                    self.assertEqual(events, [STORED, NOTIFIED] + ([last] if last != NOTIFIED else []))
                    own = [event["event"] for event in self.de.ladder(request)["events"]]
                    self.assertEqual(own, events, "nothing was said twice")
                self.assertTrue(self.line(self.de, requests[2])["ignored"])
        self.assertEqual(self.de.ok("status").json["alarms"], [])

    def test_these_tests_know_every_fault_point_of_the_policy(self):
        found = set()
        for path in (SOURCE / "client").rglob("*.c"):
            found |= set(re.findall(r'FAULT\("(policy\.[^"]+)"\)', path.read_text()))
        self.assertEqual(found, {"policy.due", "policy.decided"})


if __name__ == "__main__":
    main()
