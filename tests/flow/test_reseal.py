"""Goal: a post without a live device is waited for and sealed to again, never refused; and a request can be passed on to
another post of the party, which then decides.

The only device is revoked, before or after something was sent to it; the sender is told that it waits; a new device joins,
the sender's devices seal it again by themselves, once, and what was sent is read. A request that is forwarded is decided,
read and answered by the other post, and the evidence says so on all sides. A client that is killed in between goes on."""

import json
import os
import signal

from house import ACCEPTED, HANDED_OVER, NOTIFIED, STORED, FlowTest, in_parallel, main, program, run

CANNOT_OPEN = "NotificationForAcceptanceFailure"
REKEY, RESEALED, FORWARDED = "ContentConsignmentFailure", "Resealing", "Forwarding"
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


class Reseal(FlowTest):
    number = 0

    @classmethod
    def furnish(cls):
        cls.house.member("de", name="Germany")
        cls.de = cls.house.home("de-technical")
        cls.second = cls.further("de/technical", "de-second")  # so that it is a sister of what is sent from here on
        cls.de.ok("sync")

    @classmethod
    def further(cls, post, name):
        """A further device of a post, certified by the authority."""
        home = cls.house.home(name)
        home.post = post
        folder = cls.house.folder / f"{name}-papers"
        folder.mkdir()
        home.ok("init", post, "--device", "--no-passphrase", cwd=folder)
        request = next(folder.glob("*.request"))
        cls.house.home(f"{post.split('/')[0]}-authority").ok("authority", "certify", request, "-o", folder / "cert")
        cls.house.join(home, folder / "cert")
        return home

    @classmethod
    def party(cls):
        """A new party with one post and one device; its name."""
        Reseal.number += 1
        name = f"p{Reseal.number}"
        cls.house.member(name)
        return name

    def revoke_devices(self, name):
        post = f"{name}/technical"
        for device in self.de.ok("directory", "show", post).json["device_list"]:
            self.house.home(f"{name}-authority").ok("authority", "revoke", device["device"], "--post", post, "--card",
                                                    self.relay.card)

    def leg(self, home, request):
        return home.sent()[request]["legs"][0]

    def assert_read(self, home, request, text, events):
        """The new device reads it, on the way of every other request."""
        home.ok("sync")
        self.assertEqual(home.inbox()[request]["subject"], "a question")
        home.ok("accept", request)
        self.assertEqual(home.body(request), text)
        for side in (home, self.de):
            side.ok("sync")
            self.assert_entries(side, request, events)
            self.assertEqual(side.ok("status").json["alarms"], [])

    def assert_entries(self, home, request, events):
        entries = [event for event in home.ladder(request)["events"] if event["ordinal"] is not None]
        self.assertEqual([event["event"] for event in entries], events)
        self.assertEqual([event["ordinal"] for event in entries], list(range(len(entries))))
        for event in entries:
            self.assertEqual(event["actor"] == "relay", event["event"] in (STORED, REKEY), event)

    def test_what_is_sent_to_a_post_without_device_waits_and_is_read_by_the_next_one(self):
        name = self.party()
        self.revoke_devices(name)
        request = self.de.send(f"{name}/technical", b"is anybody there?")
        self.de.ok("sync")
        leg = self.leg(self.de, request)
        self.assertEqual((leg["state"], leg.get("needs_rekey")), ("stored", True))
        told = run(program("POUCH") + ["--home", self.de.path, "explain", request], self.house.papers)
        self.assertIn(b"it waits", told.out)
        again = self.further(f"{name}/technical", f"{name}-again")
        for _ in range(3):
            again.ok("sync")
        self.assertIsNone(again.inbox()[request]["subject"], "not sealed for it yet")
        notes = [event for event in again.ladder(request)["events"] if event["event"] == CANNOT_OPEN]
        self.assertEqual([(note["ordinal"], note["reason"]) for note in notes], [(None, "not-for-us")], "said once")
        self.de.ok("sync")
        leg = self.leg(self.de, request)
        self.assertNotIn("needs_rekey", leg)
        self.assert_read(again, request, b"is anybody there?",
                         [STORED, REKEY, RESEALED, NOTIFIED, ACCEPTED, HANDED_OVER])

    def test_the_sender_is_told_at_once(self):
        name = self.party()
        self.revoke_devices(name)
        ran = self.de.ok("send", "--to", f"{name}/technical", "-s", "x", "-", data=b"x")
        self.assertTrue(ran.json["legs"][0].get("needs_rekey"), str(ran))

    def test_a_device_lost_with_an_unread_request_costs_nothing(self):
        name = self.party()
        requests = [self.de.send(f"{name}/technical", b"%d" % i) for i in range(3)]
        self.revoke_devices(name)
        self.second.ok("sync")
        self.assertTrue(self.leg(self.second, requests[0]).get("needs_rekey"))
        again = self.further(f"{name}/technical", f"{name}-again")
        self.second.ok("sync")  # a sister seals them, with the keys of the set for the own post
        for i, request in enumerate(requests):
            self.assert_read(again, request, b"%d" % i, [STORED, REKEY, RESEALED, NOTIFIED, ACCEPTED, HANDED_OVER])

    def test_of_two_sisters_one_seals(self):
        name = self.party()
        requests = [self.de.send(f"{name}/technical", b"%d" % i) for i in range(5)]
        self.revoke_devices(name)
        in_parallel([lambda: self.second.ok("sync"), lambda: self.de.ok("sync")])
        again = self.further(f"{name}/technical", f"{name}-again")
        in_parallel([lambda: self.second.ok("sync"), lambda: self.de.ok("sync")])
        for home in (self.second, self.de):
            home.ok("sync")
            status = home.ok("status").json
            self.assertEqual((status["outbox"], status["alarms"]), (0, []))
        for i, request in enumerate(requests):
            self.assert_read(again, request, b"%d" % i, [STORED, REKEY, RESEALED, NOTIFIED, ACCEPTED, HANDED_OVER])

    def test_what_ended_meanwhile_is_not_sealed_again(self):
        name = self.party()
        request = self.de.send(f"{name}/technical", b"never mind")
        self.revoke_devices(name)
        self.de.ok("sync")
        self.de.ok("withdraw", request)
        self.further(f"{name}/technical", f"{name}-again")
        self.de.ok("sync")
        self.de.ok("sync")
        self.assertEqual(self.de.state(request), "withdrawn")
        self.assertNotIn(RESEALED, self.de.events(request))
        self.assertEqual(self.de.ok("status").json["outbox"], 0)

    def test_a_reply_waits_likewise(self):
        name = self.party()
        first = self.house.home(f"{name}-technical")
        request = self.de.send(f"{name}/technical", b"a question")
        first.ok("accept", request)
        self.revoke_devices(name)
        reply = self.de.ok("reply", request, "-", data=b"one more thing").json["id"]
        again = self.further(f"{name}/technical", f"{name}-again")
        self.de.ok("sync")
        self.de.ok("sync")
        again.ok("sync")
        self.assertEqual(again.body(reply), b"one more thing")

    def test_killed_between_making_and_sending_it_goes_on(self):
        name = self.party()
        request = self.de.send(f"{name}/technical", b"hold on")
        self.revoke_devices(name)
        self.de.ok("sync")
        again = self.further(f"{name}/technical", f"{name}-again")
        token = self.house.folder / f"{name}.token"
        token.touch()
        ran = self.de.run("sync", env={"POUCH_FAULT": f"seal.committed:1:{token}"})
        if token.exists():
            self.skipTest("this build has no fault points")
        self.assertIn(ran.code, KILLED, str(ran))
        self.de.ok("sync")
        self.assert_read(again, request, b"hold on", [STORED, REKEY, RESEALED, NOTIFIED, ACCEPTED, HANDED_OVER])


class Forward(FlowTest):
    @classmethod
    def furnish(cls):
        cls.house.member("de", name="Germany")
        cls.house.member("fj", name="Republic of Fiji")
        cls.house.make("fj/diplomatic")
        cls.de, cls.fj = cls.house.home("de-technical"), cls.house.home("fj-technical")
        cls.other = cls.house.home("fj-diplomatic")
        cls.de.ok("sync")

    def assert_quiet(self):
        for home in (self.de, self.fj, self.other):
            home.ok("sync")
            status = home.ok("status").json
            alarms = [alarm for alarm in status["alarms"] if "refused" not in json.dumps(alarm)]  # told to the officer, too
            self.assertEqual((status["outbox"], alarms), (0, []), home.post)

    def test_another_post_of_the_party_decides_reads_and_answers(self):
        request = self.de.send("fj/technical", b"whose is this?", "--summary", "a summary")
        self.fj.ok("sync")
        done = self.fj.ok("forward", request, "fj/diplomatic").json
        self.assertEqual((done["state"], done["legs"][0]["to"]), ("forwarded", "fj/diplomatic"))
        self.other.ok("sync")
        line = self.other.inbox()[request]
        self.assertEqual((line["from"], line["subject"], line["state"], line["forwarded_by"]),
                         ("de/technical", "a question", "notified", "fj/technical"))
        self.other.ok("accept", request)
        self.assertEqual(self.other.body(request), b"whose is this?")
        events = [STORED, NOTIFIED, FORWARDED, NOTIFIED, ACCEPTED, HANDED_OVER]
        for home in (self.de, self.other):
            home.ok("sync")
            leg = home.ladder(request)
            self.assertEqual([event["event"] for event in leg["events"] if event["ordinal"] is not None], events)
            self.assertEqual((leg["to"], leg["state"]), ("fj/diplomatic", "handed_over"))
            forwarding = next(event for event in leg["events"] if event["event"] == FORWARDED)
            self.assertEqual((forwarding["actor"], forwarding["forward"]), ("fj/technical", "fj/diplomatic"))
        self.assertEqual(self.de.sent()[request]["legs"][0]["forwarded_by"], "fj/technical")
        answer = self.other.ok("reply", request, "-", data=b"ours").json["id"]
        self.de.ok("sync")
        self.assertEqual(self.de.body(answer), b"ours")
        back = self.de.ok("reply", request, "-", data=b"thank you").json["id"]
        self.other.ok("sync")
        self.assertEqual(self.other.body(back), b"thank you")
        self.fj.ok("sync")
        line = self.fj.inbox()[request]
        self.assertEqual((line["state"], line["forwarded_to"]), ("forwarded", "fj/diplomatic"))
        self.assertEqual(self.fj.events(request), [STORED, NOTIFIED, FORWARDED])
        self.assertNotIn(request, {line["id"] for line in self.fj.ok("inbox").lines}, "settled, for this post")
        self.fj.fails(1, "wrong-state", "accept", request)
        self.fj.fails(1, "wrong-state", "forward", request, "fj/diplomatic")
        self.assert_quiet()

    def test_only_a_request_that_is_here_goes_and_only_to_a_sister_post(self):
        request = self.de.send("fj/technical", b"x")
        self.fj.ok("sync")
        self.fj.fails(4, "not-allowed", "forward", request, "de/technical")
        self.fj.fails(1, "usage", "forward", request, "fj/technical")
        self.fj.fails(1, "usage", "forward", request, "fj")
        self.fj.fails(1, "usage", "forward", request)
        self.fj.fails(1, "unknown-post", "forward", request, "fj/nowhere")
        self.de.fails(4, "not-allowed", "forward", request, "fj/diplomatic")
        self.fj.fails(3, "unreachable", "forward", request, "fj/diplomatic", "--offline")
        self.fj.ok("accept", request)
        self.fj.fails(1, "wrong-state", "forward", request, "fj/diplomatic")
        self.assert_quiet()

    def test_a_post_that_has_it_already_is_not_given_it_again(self):
        request = self.de.ok("send", "--to", "fj/technical,fj/diplomatic", "-s", "both", "-", data=b"x").json["id"]
        self.fj.ok("sync")
        self.fj.fails(4, "not-allowed", "forward", request, "fj/diplomatic")
        self.fj.ok("accept", request)
        self.assertEqual(self.fj.body(request), b"x")

    def test_it_may_come_back(self):
        request = self.de.send("fj/technical", b"to and fro")
        self.fj.ok("sync")
        self.fj.ok("forward", request, "fj/diplomatic")
        self.other.ok("sync")
        self.other.ok("forward", request, "fj/technical")
        self.fj.ok("sync")
        self.fj.ok("accept", request)
        self.assertEqual(self.fj.body(request), b"to and fro")
        self.de.ok("sync")
        self.assertEqual(self.de.events(request),
                         [STORED, NOTIFIED, FORWARDED, NOTIFIED, FORWARDED, NOTIFIED, ACCEPTED, HANDED_OVER])
        self.assert_quiet()

    def test_the_sender_may_still_take_it_back(self):
        request = self.de.send("fj/technical", b"x")
        self.fj.ok("sync")
        self.fj.ok("forward", request, "fj/diplomatic")
        self.de.ok("withdraw", request)
        self.other.ok("sync")
        self.assertEqual(self.other.inbox()[request]["state"], "withdrawn")
        self.assert_quiet()

    def test_killed_between_making_and_sending_it_goes_on(self):
        request = self.de.send("fj/technical", b"hold on")
        self.fj.ok("sync")
        token = self.house.folder / "forward.token"
        token.touch()
        ran = self.fj.run("forward", request, "fj/diplomatic", env={"POUCH_FAULT": f"seal.committed:1:{token}"})
        if token.exists():
            os.unlink(token)
            self.skipTest("this build has no fault points")
        self.assertIn(ran.code, KILLED, str(ran))
        self.fj.ok("sync")
        self.assertEqual(self.fj.inbox()[request]["forwarded_to"], "fj/diplomatic")
        self.other.ok("accept", request)
        self.assertEqual(self.other.body(request), b"hold on")
        self.assert_quiet()


if __name__ == "__main__":
    main()
