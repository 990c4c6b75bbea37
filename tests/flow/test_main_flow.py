"""Goal: one relay and two parties do the whole job. An incident goes out and is offered; it is accepted, read byte for
byte, acknowledged and answered; a second is declined and its body never handed over; an exercise expires. The sender
holds the evidence of every step of all three. Several recipients do not see each other, and the relay serves on several
addresses."""

import os
import pathlib

from house import (PATIENCE, ACCEPTED, ACKNOWLEDGED, ADVISORY, CLOSED, DECLINED, EXPIRED, HANDED_OVER, LARGE_ADVISORY, NOTIFIED,
                   SETTLED, STORED, WITHDRAWN, FlowTest, main, program, run)


class MainFlow(FlowTest):
    house_options = {"addresses": 2}

    def test_an_incident_is_offered_accepted_read_acknowledged_and_answered(self):
        advisory = ADVISORY.read_bytes()
        sent = self.fj.ok("send", "--to", "de", "--kind", "incident", "--tlp", "AMBER", "--precedence", "immediate",
                          "--answer-by", "24h", "-s", "Advisory VA-24-254-02", "--summary",
                          "Please check your control systems", ADVISORY).json
        request = sent["id"]
        self.assertRegex(request, r"^[0-9a-f]{32}$")
        self.assertEqual([(leg["to"], leg["state"]) for leg in sent["legs"]], [("de/technical", "stored")])

        offer = self.de.inbox()[request]
        self.assertEqual(offer["from"], "fj/technical")
        self.assertEqual((offer["subject"], offer["kind"], offer["tlp"], offer["precedence"]),
                         ("Advisory VA-24-254-02", "incident", "AMBER", "immediate"))
        self.assertEqual((offer["exercise"], offer["parent"], offer["ref"]), (False, None, sent["ref"]))
        self.assertIsNotNone(offer["answer_by"])

        shown = self.de.ok("show", request).json
        self.assertIsNone(shown["body"])
        self.assertEqual(shown["summary"], "Please check your control systems")
        early = self.de.fails(1, "not-accepted", "show", request, "--body", "-")
        self.assertEqual(early.out, b"")

        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), advisory, "the body, byte for byte")
        self.de.ok("ack", request, "--note", "we have it")
        self.de.ok("reply", request, "-", data=b"No affected systems so far.\n")

        replies = [line for line in self.fj.inbox().values() if line["parent"] == request]
        self.assertEqual([line["from"] for line in replies], ["de/technical"])
        self.assertEqual(self.fj.body(replies[0]["id"]), b"No affected systems so far.\n")
        self.fj.ok("reply", request, "-", data=b"Thank you.\n")
        answer = [line["id"] for line in self.de.inbox().values() if line["parent"] == request]
        self.assertEqual([self.de.body(each) for each in answer], [b"Thank you.\n"])

        leg = self.assert_ladder(self.fj, request, SETTLED, "acknowledged")
        self.assertEqual([e["actor"] for e in leg["events"][1:]], ["de/technical"] * 4)
        self.assertEqual([e.get("note") for e in leg["events"] if e["event"] == ACKNOWLEDGED], ["we have it"])
        self.assertEqual(self.de.events(request), SETTLED, "both sides hold the same ladder")
        explained = self.fj.run("explain", request)
        self.assertEqual(explained.code, 0, explained)
        self.assertTrue(explained.out.strip())
        status = self.fj.ok("status").json
        self.assertEqual((status["outbox"], status["alarms"], status["post"]), (0, [], "fj/technical"))

    def test_a_declined_request_hands_its_body_to_nobody(self):
        text = os.urandom(1024 * 1024)
        self.de.ok("sync")
        before = self.de.size()
        request = self.fj.send("de/technical", text, "--kind", "assistance", subject="a second request")
        self.assertIn(request, self.de.inbox())
        self.de.ok("decline", request, "--reason", "no-capacity", "--note", "please ask again on Monday")
        for _ in range(2):
            never = self.de.run("show", request, "--body", "-")
            self.assertEqual((never.code, never.out), (1, b""), never)
            self.assertEqual(never.error["error"], "not-accepted")
            self.de.ok("sync")
        leg = self.assert_ladder(self.fj, request, [STORED, NOTIFIED, DECLINED], "declined")
        last = leg["events"][-1]
        self.assertEqual((last["reason"], last["note"]), ("no-capacity", "please ask again on Monday"))
        self.assertNotIn(HANDED_OVER, self.de.events(request))
        self.assertLess(self.de.size() - before, len(text) // 2,
                        "the body is not in the recipient's home, sealed or not")
        self.assertEqual(self.fj.body(request), text, "the sender still has its own text")

    def test_an_exercise_that_nobody_answers_expires(self):
        keep = f"{4 if PATIENCE == 1 else 30}s"  # long enough for the recipient to look, whatever watches the programs
        sent = self.fj.ok("send", "--to", "de", "--kind", "ping", "--exercise", "--keep", keep, "-s", "are you there?",
                          "-", data=b"This is an exercise.\n").json
        request = sent["id"]
        line = self.de.inbox()[request]
        self.assertTrue(line["exercise"])
        self.fj.ok("wait", request, "--for", "expired", "--timeout", "60s")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, EXPIRED], "expired")
        self.assertEqual(self.de.state(request), "expired")
        self.de.fails(1, "wrong-state", "accept", request)
        self.assertEqual(self.de.run("show", request, "--body", "-").out, b"")

    def test_an_exercise_stays_an_exercise_in_its_replies(self):
        request = self.fj.send("de/technical", b"drill", "--exercise", "--keep", "1h", subject="drill")
        self.de.ok("accept", request)
        self.de.ok("reply", request, "-", data=b"drill answered")
        marks = [line["exercise"] for line in self.fj.inbox().values() if line["parent"] == request]
        self.assertEqual(marks, [True])

    def test_wait_ends_with_6_when_time_runs_out_and_with_0_when_the_state_is_reached(self):
        request = self.fj.send("de/technical", b"wait for it", subject="waiting")
        self.fj.fails(6, "timed-out", "wait", request, "--for", "accepted", "--timeout", "1s")
        waiting = self.fj.start("wait", request, "--for", "accepted", "--timeout", "60s")
        try:
            self.de.ok("accept", request)
            self.assertEqual(waiting.wait(timeout=60), 0)
        finally:
            waiting.kill()
            waiting.communicate()
        self.fj.fails(1, "wrong-state", "wait", request, "--for", "declined", "--timeout", "5s")

    def test_an_offer_alone_is_accepted_and_acknowledged_without_a_body(self):
        request = self.fj.ok("send", "--to", "de", "--kind", "notice", "--offer-only", "-s", "a notice").json["id"]
        self.de.ok("accept", request)
        self.de.fails(1, "no-body", "show", request, "--body", "-")
        self.de.ok("ack", request)
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, ACCEPTED, ACKNOWLEDGED], "acknowledged")

    def test_attachments_come_with_their_names_and_bytes(self):
        request = self.fj.ok("send", "--to", "de", "-s", "two files", "--attach", ADVISORY, "--attach", LARGE_ADVISORY,
                             "-", data=b"see the files\n").json["id"]
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"see the files\n")
        saved = self.de.ok("show", request, "--save", self.house.folder / "saved").json["saved"]
        self.assertEqual({pathlib.Path(path).name: pathlib.Path(path).read_bytes() for path in saved},
                         {path.name: path.read_bytes() for path in (ADVISORY, LARGE_ADVISORY)})

    def test_either_side_closes_and_the_sender_withdraws(self):
        request = self.fj.send("de/technical", b"to be closed", subject="closing")
        self.de.ok("accept", request)
        self.fj.ok("close", request)
        self.assert_ladder(self.de, request, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER, CLOSED], "closed")
        self.de.fails(1, "wrong-state", "reply", request, "-", data=b"too late")
        second = self.fj.send("de/technical", b"to be taken back", subject="withdrawing")
        self.fj.ok("withdraw", second)
        self.assertEqual(self.de.state(second), "withdrawn", "withdrawn requests are announced, too")
        self.de.fails(1, "wrong-state", "accept", second)
        self.assertEqual(self.fj.events(second)[-1], WITHDRAWN)

    def test_the_list_number_the_reference_and_a_prefix_name_the_same_request(self):
        sent = self.fj.ok("send", "--to", "de", "-s", "many names", "-", data=b"x").json
        table = run(program("POUCH") + ["--home", self.fj.path, "sent", "--all"], self.house.papers).out.decode()
        number = next(line.split()[0] for line in table.splitlines() if sent["ref"] in line)
        for name in (sent["ref"], sent["ref"].lower(), sent["id"][:10], sent["id"]):
            self.assertEqual(self.fj.ok("show", name).json["id"], sent["id"], name)
        self.assertEqual(self.fj.ok("show", number).json["id"], sent["id"], "the number of the list")

    def test_the_relay_serves_on_each_of_its_addresses(self):
        card = self.relay.card.read_text()
        lines = [line for line in card.splitlines() if line.startswith("address")]
        self.assertEqual(len(lines), 2)
        for keep in lines:
            only = self.house.papers / "one-address.card"
            only.write_text("\n".join(l for l in card.splitlines() if not l.startswith("address") or l == keep) + "\n")
            home = self.de.path / "relay.card"
            kept = home.read_text()
            home.write_text(only.read_text())
            self.assertTrue(self.de.ok("status").json["reachable"], keep)
            home.write_text(kept)


class SeveralRecipients(FlowTest):
    @classmethod
    def furnish(cls):
        for party, name, kind in (("fj", "Fiji", "state"), ("de", "Germany", "state"), ("ke", "Kenya", "state"),
                                  ("org.first", "FIRST", "observer")):
            cls.house.member(party, name=name, kind=kind)
        cls.fj, cls.de = cls.house.home("fj-technical"), cls.house.home("de-technical")
        cls.ke, cls.first = cls.house.home("ke-technical"), cls.house.home("org.first-technical")

    def test_recipients_decide_each_for_itself_and_do_not_see_each_other(self):
        sent = self.fj.ok("send", "--to", "de,ke", "--to", "org.first", "-s", "to three", "-", data=b"for three\n").json
        request = sent["id"]
        self.assertEqual({leg["to"] for leg in sent["legs"]}, {"de/technical", "ke/technical", "org.first/technical"})
        self.de.ok("accept", request)
        self.ke.ok("decline", request, "--reason", "not-competent")
        self.first.ok("sync")
        self.assertEqual(self.de.body(request), b"for three\n")
        self.assertEqual(self.ke.run("show", request, "--body", "-").out, b"")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, ACCEPTED, HANDED_OVER], "handed_over", "de/technical")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED, DECLINED], "declined", "ke/technical")
        self.assert_ladder(self.fj, request, [STORED, NOTIFIED], "notified", "org.first/technical")
        others = {self.de: ("ke/technical", "org.first"), self.ke: ("de/technical", "org.first"),
                  self.first: ("ke/technical", "de/technical")}
        for home, hidden in others.items():
            seen = home.ok("show", request).out + home.ok("track", request).out + home.ok("inbox", "--all").out
            for name in hidden:
                self.assertNotIn(name.encode(), seen, f"{home.post} learns of {name}")
        self.assertEqual(self.fj.sent()[request]["state"], "mixed")

    def test_one_of_several_recipients_is_withdrawn_alone(self):
        request = self.fj.ok("send", "--to", "de,ke", "-s", "one less", "-", data=b"x").json["id"]
        self.fj.ok("withdraw", request, "--to", "ke/technical")
        states = {leg["to"]: leg["state"] for leg in self.fj.ok("track", request).json["legs"]}
        self.assertEqual(states["ke/technical"], "withdrawn")
        self.assertIn(states["de/technical"], ("stored", "notified"))
        self.de.ok("accept", request)
        self.assertEqual(self.de.body(request), b"x")

    def test_all_members_see_the_same_directory(self):
        views = []
        for home in (self.fj, self.de, self.ke, self.first):
            lines = home.ok("directory", "list").lines
            views.append(sorted((line["post"], line["standing"], line["devices"]) for line in lines))
        self.assertEqual(views[0], views[1])
        self.assertEqual(views[0], views[2])
        self.assertEqual(views[0], views[3])
        self.assertEqual([post for post, _, _ in views[0]],
                         ["de/technical", "fj/technical", "ke/technical", "org.first/technical"])


if __name__ == "__main__":
    main()
