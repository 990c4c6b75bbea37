"""Goal: a duty desk with several devices. A second device is linked by a one-time code, reads what came before it and what
comes after, both see what the post has sent, the first of two decisions wins, a revoked device is out at once, and the loss
of a laptop costs minutes. Nobody gets in with a stolen code."""

import json
import os
import re
import signal
import threading
import time

from house import PATIENCE, FlowTest, end_process, finish, in_parallel, main, until

CODE = re.compile(r"^(?:[0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$")


class Reader:
    """The lines of a running program's output, as they come."""

    def __init__(self, process):
        self.lines, self.process = [], process
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def close(self):
        self.thread.join(timeout=10)
        self.process.stdout.close()
        self.process.stderr.close()

    def find(self, condition, seconds=20):
        return until(lambda: next((line for line in list(self.lines) if condition(line)), None), seconds)


class Devices(FlowTest):
    number = 0

    def second(self, name=None):
        Devices.number += 1
        home = self.house.home(name or f"second-{Devices.number}")
        home.post = self.fj.post
        return home

    def code(self, home, *args):
        """A code, made and left."""
        made = home.ok("device", "invite", "--no-wait", "--new", *args).json
        self.assertRegex(made["code"], CODE)
        return made

    def link(self, new, *args, inviter=None, invite=("--yes",), env=None):
        """Both ends at work at once; what each printed."""
        inviter = inviter or self.fj
        made = self.code(inviter, *args)
        started = inviter.start("device", "invite", *invite)
        linked = new.run("link", made["payload"], "--no-passphrase", "--name", new.name, env=env)
        invited = finish(started, inviter.argv("device", "invite", *invite))
        self.assertEqual((linked.code, invited.code), (0, 0), f"{linked}\n{invited}\n{self.relay.tail()}")
        return linked.json, invited.lines[-1]

    def device_of(self, home):
        return next(line["device"] for line in home.ok("device", "list").lines if line["this"])


class Linking(Devices):
    def test_1_a_second_device_reads_what_came_before_it_and_what_comes_after(self):
        accepted = self.de.send("fj/technical", b"an old text", subject="old, accepted")
        waiting = self.de.send("fj/technical", b"an old waiting text", subject="old, waiting")
        own = self.fj.send("de/technical", b"sent before", subject="own, old")
        self.fj.ok("accept", accepted)
        self.de.ok("accept", own)
        new = self.second("second")
        linked, invited = self.link(new)
        for key in ("device", "fingerprint", "role", "post", "name"):
            self.assertEqual(linked[key], invited[key], key)
        self.assertEqual(linked["role"], "decider")
        inbox = new.inbox()
        self.assertEqual(inbox[accepted]["subject"], "old, accepted")
        self.assertEqual(inbox[waiting]["subject"], "old, waiting")
        self.assertEqual(new.body(accepted), b"an old text")
        self.assertEqual(new.sent()[own]["subject"], "own, old")
        self.assertEqual(new.body(own), b"sent before")
        self.assertEqual(new.ok("status").json["alarms"], [])
        later = self.de.send("fj/technical", b"a new text", subject="new")
        new.ok("accept", later)
        self.assertEqual(new.body(later), b"a new text")
        self.fj.ok("sync")
        self.assertEqual(self.fj.body(later), b"a new text")

    def test_2_both_devices_see_what_either_has_sent(self):
        new = self.house.home("second")
        from_new = new.send("de/technical", b"from the second", subject="by the second")
        from_old = self.fj.send("de/technical", b"from the first", subject="by the first")
        for home in (self.fj, new):
            sent = home.sent()
            self.assertEqual((sent[from_new]["subject"], sent[from_old]["subject"]), ("by the second", "by the first"))
            self.assertEqual(home.body(from_new), b"from the second")
            self.assertEqual(home.body(from_old), b"from the first")
        self.assertEqual({line["from"] for line in self.de.inbox().values()}, {"fj/technical"})

    def test_3_the_list_tells_the_devices_apart(self):
        new = self.house.home("second")
        lines = self.fj.ok("device", "list").lines
        self.assertEqual([line["number"] for line in lines], [1, 2])
        self.assertEqual([line["this"] for line in lines], [True, False])
        self.assertTrue(all(line["live"] and line["countersigned"] and not line["revoked"] for line in lines))
        self.assertEqual(lines[1]["name"], "second")
        self.assertEqual([line["this"] for line in new.ok("device", "list").lines], [False, True])

    def test_4_the_first_of_two_decisions_wins(self):
        new = self.house.home("second")
        for turn in range(3):
            request = self.de.send("fj/technical", b"which?", subject=f"race {turn}")
            self.fj.ok("sync")
            new.ok("sync")
            ran = in_parallel([lambda: self.fj.run("accept", request), lambda: new.run("decline", request)])
            self.assertEqual(sorted(one.code for one in ran), [0, 1], "\n".join(map(str, ran)))
            loser = next(one for one in ran if one.code)
            self.assertEqual(loser.error["error"], "wrong-state", str(loser))
            won = ("accepted", "handed_over") if ran[0].code == 0 else ("declined",)
            states = set()
            for home in (self.fj, new, self.de):
                home.ok("sync")
                states.add(home.state(request))
                decisions = [e for e in home.events(request) if e in ("ConsignmentAcceptance", "ConsignmentRejection")]
                self.assertEqual(len(decisions), 1, "one decision moved it")
            self.assertEqual(len(states), 1, states)
            self.assertIn(states.pop(), won)

    def test_5_the_loss_of_a_laptop_costs_minutes(self):
        """The old device is revoked from its sister, whose desk gets another one; the next request is readable there."""
        second = self.house.home("second")
        lost = self.device_of(self.fj)
        self.assertTrue(second.ok("device", "revoke", lost[:8], "--reason", "2").json["revoked"])
        self.fj.fails(4, "revoked", "sync")
        self.fj.fails(4, "revoked", "send", "--to", "de/technical", "-s", "x", "-", data=b"never")
        line = next(line for line in second.ok("device", "list").lines if line["device"] == lost)
        self.assertTrue(line["revoked"] and not line["live"])
        third = self.second("third")
        post_key = self.fj.path / "post.key"  # it lies in a safe, says the manual
        self.link(third, inviter=second, invite=("--yes", "--post-key", post_key))
        request = self.de.send("fj/technical", b"after the loss", subject="after the loss")
        for home in (third, second):
            home.ok("sync")
            self.assertEqual(home.inbox()[request]["subject"], "after the loss")
        third.ok("accept", request)
        self.assertEqual(third.body(request), b"after the loss")
        self.fj.fails(4, "revoked", "sync")


class Certified(Devices):
    def test_a_device_that_the_authority_certified_gets_what_its_sisters_have(self):
        """It says that it cannot open what came before it, is handed the keys, and then reads it."""
        old = self.de.send("fj/technical", b"an old text", subject="before the third")
        self.fj.ok("accept", old)
        own = self.fj.send("de/technical", b"our own", subject="sent before the third")
        new = self.second()
        new.ok("init", "fj/technical", "--device", "--role", "reader", "--no-passphrase")
        certificate = self.house.papers / "further.cert"
        self.house.home("fj-authority").ok("authority", "certify", "fj-technical-device.request", "-o", certificate)
        self.house.join(new, certificate)
        new.ok("sync")
        self.assertIsNone(new.inbox()[old]["subject"], "nobody has handed anything yet")
        self.fj.ok("sync")
        new.ok("sync")
        self.assertEqual(new.inbox()[old]["subject"], "before the third")
        self.assertEqual(new.body(old), b"an old text")
        self.assertEqual(new.sent()[own]["subject"], "sent before the third")
        self.assertEqual([line["role"] for line in self.fj.ok("device", "list").lines], ["decider", "reader"])


class Roles(Devices):
    def test_a_reader_reads_and_cannot_decide_and_a_bell_does_neither(self):
        reader, bell = self.second("reader"), self.second("bell")
        linked, _ = self.link(reader, "--role", "reader")
        self.assertEqual(linked["role"], "reader")
        linked, _ = self.link(bell, "--role", "bell")
        self.assertEqual(linked["role"], "bell")
        request = self.de.send("fj/technical", b"read it", subject="for the desk")
        self.assertEqual(reader.inbox()[request]["subject"], "for the desk")
        outbox = reader.ok("status").json["outbox"]
        for verb in ("accept", "decline"):
            reader.fails(4, "not-allowed", verb, request)
        self.assertEqual(reader.ok("status", "--offline").json["outbox"], outbox, "nothing was signed")
        reader.fails(4, "not-allowed", "device", "invite", "--no-wait")
        reader.fails(4, "not-allowed", "device", "revoke", self.device_of(self.fj))
        for words in (("inbox",), ("show", request), ("sent",),
                      ("send", "--to", "de/technical", "-s", "x", "nothing.txt")):
            (self.house.papers / "nothing.txt").write_text("nothing")
            bell.fails(4, "not-allowed", *words)
        bell.ok("sync")
        self.assertEqual(bell.ok("status").json["alarms"], [])
        agent = bell.start("agent")
        lines = Reader(agent)
        self.assertTrue(lines.find(lambda line: line["event"] == "online"))
        self.de.send("fj/technical", b"ring", "--precedence", "flash", subject="ring")
        self.assertTrue(lines.find(lambda line: line["event"] == "ring" and line["precedence"] == "flash"), lines.lines)
        end_process(agent, signal.SIGTERM)
        lines.close()
        self.assertEqual(agent.returncode, 0)
        self.fj.ok("accept", request)
        self.assertEqual(reader.body(request), b"read it")


class Codes(Devices):
    def test_a_mistyped_code_is_named_before_anything_is_done(self):
        made = self.code(self.fj)
        new = self.second()
        first = made["code"][0]
        wrong = ("2" if first != "2" else "3") + made["code"][1:]
        new.fails(1, "bad-code", "link", wrong, "--card", self.relay.card, "--no-passphrase")
        self.assertFalse(new.path.exists())
        new.fails(1, "usage", "link", made["code"], "--no-passphrase")
        said = new.run("link", wrong, "--card", self.relay.card, "--no-passphrase")
        self.assertNotIn(wrong[10:], str(said.error), "an error text is no place for a code")
        new.fails(1, "bad-code", "link", "-", "--card", self.relay.card, "--no-passphrase", data=wrong.encode())
        new.fails(6, "timed-out", "link", "-", "--card", self.relay.card, "--no-passphrase", "--for", "1s",
                  data=made["code"].encode())

    def test_a_code_that_nobody_gave_out_leads_nowhere(self):
        new = self.second()
        new.fails(1, "code-expired", "link", "0000-0000-0000-0000-0000-0000-0000", "--card", self.relay.card,
                  "--no-passphrase")
        self.assertFalse((new.path / "identity").exists())

    def test_a_code_ends_when_its_time_is_over(self):
        made = self.code(self.fj, "--for", "1s")
        time.sleep(1.5)
        self.second().fails(1, "code-expired", "link", made["payload"], "--no-passphrase")

    def test_a_code_that_was_replaced_links_nobody_though_somebody_waits_for_it(self):
        first = self.code(self.fj)
        waiting = self.fj.start("device", "invite", "--yes")
        self.assertIn(first["code"].encode(), waiting.stdout.readline())
        self.code(self.fj)  # the first one may have been overheard
        ran = finish(waiting, self.fj.argv("device", "invite"))
        self.assertEqual((ran.code, ran.error["error"]), (1, "code-expired"), str(ran))
        self.second().fails(6, "timed-out", "link", first["payload"], "--no-passphrase", "--for", "2s")

    def test_nobody_who_answers_is_waited_for_no_longer_than_asked(self):
        made = self.code(self.fj)
        self.second().fails(6, "timed-out", "link", made["payload"], "--no-passphrase", "--for", "2s")

    def test_the_wrong_fingerprint_links_nobody_and_burns_the_code(self):
        made = self.code(self.fj)
        new = self.second()
        before = len(self.fj.ok("device", "list").lines)
        started = self.fj.start("device", "invite", "--fingerprint", "00000 " * 10)
        linking = new.start("link", made["payload"], "--no-passphrase", "--for", "6s")
        invited = finish(started, self.fj.argv())
        self.assertEqual((invited.code, invited.error["error"]), (4, "wrong-fingerprint"), str(invited))
        self.assertEqual(finish(linking, new.argv()).code, 6)
        self.assertEqual(len(self.fj.ok("device", "list").lines), before)
        self.assertNotEqual(self.code(self.fj)["code"], made["code"])

    def test_a_second_device_under_one_code_is_an_alarm_and_links_nobody(self):
        made = self.code(self.fj)
        before = len(self.fj.ok("device", "list").lines)
        alarms = len(self.fj.ok("status").json["alarms"])
        thieves = [self.second(), self.second()]
        for thief in thieves:
            thief.fails(6, "timed-out", "link", made["payload"], "--no-passphrase", "--for", "1s")
        self.fj.fails(4, "conflict", "device", "invite", "--yes")
        self.assertEqual(len(self.fj.ok("device", "list").lines), before)
        told = self.fj.ok("status").json["alarms"]
        self.assertEqual(len(told), alarms + 1)
        self.assertIn("somebody else used the code", told[-1]["text"])

    def test_without_the_post_key_it_says_whose_signature_is_needed(self):
        key = self.fj.path / "post.key"
        away = self.house.papers / "post.key"
        os.rename(key, away)
        try:
            ran = self.fj.fails(1, "no-file", "device", "invite")
            self.assertIn("authority of fj", ran.error["hint"])
            new = self.second()
            self.link(new, invite=("--yes", "--post-key", away))
        finally:
            os.rename(away, key)

    def test_a_device_cannot_be_revoked_from_another_post(self):
        self.de.fails(4, "unknown-device", "device", "revoke", self.device_of(self.fj))

    def test_a_device_revokes_itself(self):
        new = self.second()
        self.link(new)
        device = self.device_of(new)
        new.ok("device", "revoke", device)
        new.fails(4, "revoked", "sync")
        line = next(line for line in self.fj.ok("device", "list").lines if line["device"] == device)
        self.assertTrue(line["revoked"])


class Agent(Devices):
    def start_agent(self, home):
        process = home.start("agent")
        lines = Reader(process)
        self.addCleanup(lambda: (end_process(process), lines.close()))
        self.assertTrue(lines.find(lambda line: line["event"] == "online"), lines.lines)
        return process, lines

    def test_what_comes_is_told_and_commands_work_beside_it(self):
        agent, lines = self.start_agent(self.fj)
        request = self.de.send("fj/technical", b"hello", subject="to the agent")
        told = lines.find(lambda line: line["event"] == "request" and line.get("id") == request)
        self.assertEqual(told["subject"], "to the agent")
        self.fj.ok("accept", request)
        self.assertEqual(self.fj.body(request), b"hello")
        second = self.de.send("fj/technical", b"again", subject="after a command")
        self.assertTrue(lines.find(lambda line: line.get("id") == second), lines.lines)
        end_process(agent, signal.SIGTERM)
        self.assertEqual(agent.returncode, 0)
        self.assertEqual(lines.find(lambda line: line["event"] == "stopped", 5)["event"], "stopped")

    def test_a_relay_that_goes_and_comes_back_is_found_again(self):
        agent, lines = self.start_agent(self.de)
        self.relay.stop()
        self.assertTrue(lines.find(lambda line: line["event"] == "offline", 60), lines.lines)
        self.relay.start()
        again = lines.find(lambda line: line["event"] == "online" and line is not lines.lines[1], 60)
        self.assertTrue(again, lines.lines)
        end_process(agent, signal.SIGINT)
        self.assertEqual(agent.returncode, 0)

    def test_an_agent_whose_device_is_revoked_is_evicted_at_once(self):
        new = self.second()
        self.link(new)
        agent, _ = self.start_agent(new)
        begun = time.monotonic()
        self.fj.ok("device", "revoke", self.device_of(new))
        self.assertEqual(agent.wait(timeout=30 * PATIENCE), 4)
        self.assertLess(time.monotonic() - begun, 20 * PATIENCE)
        self.assertIn(b'"revoked"', agent.stderr.read())

    def test_once_is_once(self):
        self.assertEqual([line["event"] for line in self.de.ok("agent", "--once").lines][0], "started")


if __name__ == "__main__":
    main()
