"""test_cards.py - goal: a post alone says what stands on its contact card and who may see which field.

A field for one party is seen by that party; another party and the relay's disk never hold it. What is replaced or
erased is gone from the relay. Senders are told the hour, the languages, who is away and who stands in. The public
directory holds what was made public, and nothing else."""

import contextlib
import json
import os
import pty
import re
import sqlite3
import subprocess
import time
import unittest
from html.parser import HTMLParser

import house
from house import FlowTest, end_process, main, program

SECRET = "+49 170 5550123"
FORMER = "+49 30 5550100"


def plain(home, *args, **more):
    """A run for people, not for scripts."""
    return house.run(program("POUCH") + ["--home", home.path, *args], home.house.papers, **more)


def card(home, post=None):
    return home.ok("card", "show", *([post] if post else [])).json


def field(home, post, name):
    return card(home, post)["fields"].get(name, {}).get("value")


def relay_holds(relay, text):
    """In any file of the relay's folder, its journal included."""
    return [path.name for path in relay.folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def home_holds(home, text):
    return [path.name for path in home.path.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


class Audiences(FlowTest):
    """Fields for parties, members, everybody, nobody."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.fr = cls.house.member("fr", name="France")

    def test_a_field_for_one_party_is_seen_by_that_party_only(self):
        self.de.ok("card", "set", "mobile", SECRET, "--for", "fj")
        self.de.ok("card", "set", "phone", "+49 30 5550111", "--for", "members")
        self.de.ok("card", "set", "person", "Erika Mustermann", "--for", "nobody")
        self.assertEqual(field(self.fj, "de/technical", "mobile"), SECRET)
        self.assertEqual(card(self.fj, "de/technical")["fields"]["mobile"]["for"], ["fj"])
        seen = card(self.fr, "de/technical")
        self.assertEqual(seen["fields"]["phone"], {"value": "+49 30 5550111", "for": "members"})
        self.assertNotIn("mobile", seen["fields"])
        self.assertEqual(seen["sealed"], 1, "France is told that there is more")
        for other in (self.fj, self.fr):
            self.assertNotIn("person", card(other, "de/technical")["fields"])
        self.assertEqual(field(self.de, None, "person"), "Erika Mustermann")
        for text in (SECRET, "5550111", "Mustermann"):
            self.assertEqual(relay_holds(self.relay, text), [], f"the relay's disk holds {text}")
            for home in (self.de, self.fj, self.fr):
                self.assertEqual(home_holds(home, text), [], "a home's store is sealed")

    def test_what_is_public_lies_plain_at_the_relay_and_is_gone_when_it_is_replaced(self):
        self.fr.ok("card", "set", "office", "Bureau " + FORMER, "--for", "public")
        self.assertTrue(relay_holds(self.relay, FORMER), "a public sheet is readable; else this test proves nothing")
        self.assertEqual(field(self.fj, "fr/technical", "office"), "Bureau " + FORMER)
        self.fr.ok("card", "set", "office", "Bureau nouveau", "--for", "public")
        self.assertEqual(relay_holds(self.relay, FORMER), [])
        self.assertEqual(field(self.fj, "fr/technical", "office"), "Bureau nouveau")
        erased = self.fr.ok("card", "erase").json
        self.assertEqual((erased["fields"], erased["there"]), ({}, False))
        self.assertEqual(relay_holds(self.relay, "Bureau nouveau"), [])
        self.assertEqual(card(self.fj, "fr/technical")["there"], False)
        size = self.fj.ok("directory", "phrase").json["size"]
        self.fr.ok("card", "set", "person", "Jeanne", "--for", "nobody")
        self.assertEqual(self.fj.ok("directory", "phrase").json["size"], size, "what nobody sees publishes nothing")

    def test_who_joins_later_is_sealed_to_at_the_next_sync(self):
        self.fj.ok("card", "set", "e-mail", "desk@cert.example.fj")
        ke = self.house.member("ke", name="Kenya")
        self.assertIsNone(field(ke, "fj/technical", "e-mail"))
        self.fj.ok("sync")
        self.assertEqual(field(ke, "fj/technical", "e-mail"), "desk@cert.example.fj")
        policy = self.house.make("ke/policy")
        self.fj.ok("sync")
        self.assertEqual(field(policy, "fj/technical", "e-mail"), "desk@cert.example.fj")

    def test_a_card_that_was_edited_without_the_relay_goes_with_the_next_sync(self):
        ran = self.de.run("card", "set", "region", "Europe", "--offline")
        self.assertEqual(ran.code, 3, str(ran))
        self.assertEqual(ran.json["state"], "to be published")
        self.de.ok("sync")
        self.assertEqual(card(self.de)["state"], "published")
        self.assertEqual(field(self.fj, "de/technical", "region"), "Europe")

    def test_the_text_form_reads_back_what_it_shows(self):
        text = ("office: Lage- und Führungszentrum  [public]\nlanguages: de, en\n"
                "hours: Mon-Fri 08:00-17:00, Sat 09:00-12:00 [fj, fr]\n# a remark\n#note: no\n")
        self.de.ok("card", "edit", "-", data=text.encode())
        fields = card(self.de)["fields"]
        self.assertEqual(fields["office"], {"value": "Lage- und Führungszentrum", "for": "public"})
        self.assertEqual(fields["languages"], {"value": "de, en", "for": "members", "list": ["de", "en"]})
        self.assertEqual(fields["hours"]["for"], ["fj", "fr"])
        self.assertEqual(sorted(fields), ["hours", "languages", "office"])
        editor = self.house.folder / "editor"
        editor.write_text("#!/bin/sh\ncp \"$1\" \"$0.seen\"; sed -i 's/de, en/de, fr/' \"$1\"\n")
        editor.chmod(0o700)
        self.edit_on_a_terminal(str(editor))
        seen = (self.house.folder / "editor.seen").read_text()
        self.assertIn("languages: de, en  [members]", seen)
        self.assertIn("hours: Mon-Fri 08:00-17:00, Sat 09:00-12:00  [fj, fr]", seen)
        self.assertEqual(field(self.de, None, "languages"), "de, fr")
        self.assertEqual(card(self.de)["fields"]["hours"]["for"], ["fj", "fr"])

    def edit_on_a_terminal(self, editor):
        primary, secondary = pty.openpty()
        env = dict(os.environ, EDITOR=editor, VISUAL="")
        process = subprocess.Popen(program("POUCH") + ["--home", str(self.de.path), "card", "edit"], stdin=secondary,
                                   stdout=subprocess.PIPE, stderr=secondary, env=env, cwd=self.house.papers)
        os.close(secondary)
        try:
            process.communicate(timeout=house.RUN_S)
            self.assertEqual(process.returncode, 0)
        finally:
            end_process(process)
            os.close(primary)

    def test_what_is_no_such_thing_is_refused_by_name(self):
        before = card(self.de)
        for words in (["phone", "call me"], ["languages", "German"], ["hours", "always"], ["time-zone", "../passwd"],
                      ["level", "boss"], ["fallback", "fj/technical"], ["stand-in", "de/technical"], ["nonsense", "x"],
                      ["note", "a\u202eb"], ["note", "x", "--for", "No!"], ["away-until", "tomorrow"],
                      ["e-mail", "nobody"]):
            self.de.fails(1, "usage", "card", "set", *words)
        self.de.fails(1, "unknown-party", "card", "set", "note", "x", "--for", "atlantis")
        self.de.fails(1, "unknown-post", "card", "set", "fallback", "de/nowhere")
        self.de.fails(1, "usage", "card", "edit", "-", data=b"phone +49 30 1")
        self.de.fails(1, "needs-terminal", "card", "edit")
        self.assertEqual(card(self.de), before)


class Senders(FlowTest):
    """What a sender is told before a request goes."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.national = cls.house.make("de/national")
        cls.diplomatic = cls.house.make("de/diplomatic")

    def said(self, *words):
        """What is said on stderr when a request is sent."""
        ran = plain(self.fj, "send", *words, "-s", "x", "-", data=b"text")
        self.assertEqual(ran.code, 0, str(ran))
        return ran.err

    def test_the_hour_there_and_the_languages_are_said(self):
        self.diplomatic.ok("card", "set", "time-zone", "Pacific/Kiritimati")
        self.diplomatic.ok("card", "set", "languages", "de, en, tlh")
        there = time.gmtime(time.time() + 14 * 3600)
        weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][there.tm_wday]
        other = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][(there.tm_wday + 3) % 7]
        self.diplomatic.ok("card", "set", "hours", f"{other} 08:00-09:00")
        said = self.said("--to", "de/diplomatic")
        self.assertRegex(said, r"de/diplomatic: \d\d:\d\d there \(Pacific/Kiritimati\), outside its hours")
        hour = int(re.search(r": (\d\d):\d\d there", said).group(1))
        self.assertIn(hour, (there.tm_hour, (there.tm_hour + 1) % 24))
        self.assertIn("reads German, English, tlh", said)
        self.diplomatic.ok("card", "set", "hours", f"{weekday} 00:00-24:00, {other} 00:00-24:00")
        self.assertIn("within its hours", self.said("--to", "de/diplomatic"))
        self.diplomatic.ok("card", "set", "time-zone", "Nowhere/Atlantis")
        self.assertNotIn("there (", self.said("--to", "de/diplomatic"))

    def test_an_absence_and_who_stands_in_are_seen_by_senders(self):
        self.de.ok("away", "--until", "3d", "--to", "de/national")
        said = self.said("--to", "de/technical")
        self.assertRegex(said, r"de/technical: away until \d{4}-\d\d-\d\dT.*; instead there is de/national")
        line = [one for one in self.fj.ok("directory", "list").lines if one["post"] == "de/technical"][0]
        self.assertEqual(line["stand_in"], "de/national")
        self.assertIsNotNone(line["away_until"])
        self.de.fails(1, "usage", "away", "--until", "3d", "--to", "fj/technical")
        self.de.fails(1, "usage", "away", "--until", "2001-01-01")
        self.de.ok("away", "--end")
        self.assertNotIn("away", self.said("--to", "de/technical"))
        self.assertIsNone(field(self.fj, "de/technical", "stand-in"))

    def test_on_a_terminal_the_stand_in_is_offered_and_taken(self):
        self.de.ok("away", "--until", "3d", "--to", "de/national")
        self.fj.ok("sync")
        primary, secondary = pty.openpty()
        text = self.house.folder / "text"
        text.write_text("a text")
        words = ["--home", str(self.fj.path), "send", "--to", "de/technical", "-s", "instead", str(text)]
        process = subprocess.Popen(program("POUCH") + words,
                                   stdin=secondary, stdout=subprocess.PIPE, stderr=secondary, cwd=self.house.papers)
        os.close(secondary)
        shown = b""
        try:
            for question in (b"Send to de/national instead? [y/N] ", b"Send? [y/N] "):
                while question not in shown:
                    shown += os.read(primary, 4096)
                os.write(primary, b"y\n")
            process.communicate(timeout=house.RUN_S)
            self.assertEqual(process.returncode, 0, shown)
        finally:
            end_process(process)
            os.close(primary)
            self.de.ok("away", "--end")
        legs = [line["legs"] for line in self.fj.sent().values() if line["subject"] == "instead"]
        self.assertEqual([leg["to"] for leg in legs[0]], ["de/national"])

    def test_ranks_that_differ_are_said_and_the_counterpart_is_named(self):
        self.fj.ok("card", "set", "level", "director")
        self.de.ok("card", "set", "level", "working")
        self.assertIn("its level is working; this post's is director", self.said("--to", "de/technical"))
        self.diplomatic.ok("card", "set", "level", "director")
        said = self.said("--to", "de/technical")
        self.assertIn("instead there is de/diplomatic", said)
        self.assertNotIn("level", self.said("--to", "de/diplomatic"))

    def test_a_post_that_nobody_can_answer_from_names_its_fallback(self):
        policy = self.house.make("de/policy")
        policy.ok("card", "set", "fallback", "de/diplomatic, de/national")
        self.fj.ok("sync")
        policy.ok("sync")
        line = [one for one in self.fj.ok("directory", "list").lines if one["post"] == "de/policy"][0]
        self.assertEqual(line["fallback"], ["de/diplomatic", "de/national"])
        device = [one["device"] for one in self.fj.ok("directory", "show", "de/policy").json["device_list"]][0]
        self.house.home("de-authority").ok("authority", "revoke", device, "--post", "de/policy", "--card",
                                           self.relay.card)
        said = self.said("--to", "de/policy")
        self.assertIn("no device that is live", said)
        self.assertIn("instead there is de/diplomatic", said)


class Sisters(FlowTest):
    """A post with two devices, a program that is killed, a relay that lies."""

    @classmethod
    def furnish(cls):
        super().furnish()
        made = cls.de.ok("device", "invite", "--no-wait", "--new").json
        started = cls.de.start("device", "invite", "--yes")
        cls.sister = cls.house.home("sister")
        cls.sister.post = "de/technical"
        cls.sister.ok("link", made["payload"], "--no-passphrase", "--name", "sister")
        assert house.finish(started, cls.de.argv()).code == 0

    def test_a_sister_has_the_draft_and_goes_on_with_it(self):
        self.de.ok("card", "set", "person", "Erika Mustermann", "--for", "nobody")
        self.de.ok("card", "set", "office", "Lagezentrum")
        self.sister.ok("sync")
        self.assertEqual(field(self.sister, None, "person"), "Erika Mustermann")
        self.assertEqual(field(self.sister, None, "office"), "Lagezentrum")
        self.sister.ok("card", "set", "office", "Lagezentrum Bonn")
        self.de.ok("sync")
        self.assertEqual(field(self.de, None, "office"), "Lagezentrum Bonn")
        self.assertEqual(field(self.de, None, "person"), "Erika Mustermann")
        self.assertEqual(field(self.fj, "de/technical", "office"), "Lagezentrum Bonn")
        self.assertNotIn("contact card of de", json.dumps(self.de.ok("status").json["alarms"]))

    def leaves(self):
        """How many contact statements the directory holds: leaves of kind 11."""
        return [line["leaf"][:6] for line in self.fj.ok("directory", "export").lines].count("a3010b")

    @unittest.skipUnless(os.environ.get("POUCH_FAULTS"), "built without fault points")
    def test_an_edit_that_is_killed_on_its_way_is_published_once(self):
        for number, point in enumerate(("card.kept", "card.answered", "card.wrapped")):
            token = self.house.folder / f"token-{point}"
            token.touch()
            before = self.leaves()
            ran = self.de.run("card", "set", "region", f"region {number}", env={"POUCH_FAULT": f"{point}:1:{token}"})
            self.assertEqual(ran.code, -9, str(ran))
            self.assertFalse(token.exists())
            self.de.ok("sync")
            self.assertEqual(self.leaves(), before + 1, point)
            self.assertEqual(card(self.de)["state"], "published")
            self.assertEqual(field(self.fj, "de/technical", "region"), f"region {number}", point)

    def test_a_card_that_the_relay_changed_is_an_alarm_and_is_not_shown(self):
        ke = self.house.member("ke", name="Kenya")
        ke.ok("card", "set", "phone", "+254 20 5550100", "--for", "public")
        self.relay.stop()
        with contextlib.closing(sqlite3.connect(self.relay.folder / "store.sqlite")) as store:
            found = store.execute("SELECT data, commitment FROM sheet WHERE post = 'ke/technical'")
            data, commitment = found.fetchone()
            changed = data.replace(b"5550100", b"5550199")
            self.assertNotEqual(changed, data)
            store.execute("UPDATE sheet SET data = ? WHERE commitment = ?", (changed, commitment))
            store.commit()
        self.relay.start()
        for _ in range(3):
            self.assertNotIn("phone", card(self.fj, "ke/technical")["fields"])
        alarms = json.dumps(self.fj.ok("status").json["alarms"])
        self.assertEqual(alarms.count("the contact card of ke/technical"), 1, alarms)
        listing = self.fj.ok("directory", "export", "--public").out
        self.assertNotIn(b"5550199", listing)
        self.relay.stop()
        with contextlib.closing(sqlite3.connect(self.relay.folder / "store.sqlite")) as store:
            store.execute("DELETE FROM sheet WHERE post = 'ke/technical'")
            store.commit()
        self.relay.start()
        for _ in range(3):
            self.assertNotIn("phone", card(self.de, "ke/technical")["fields"])
        self.assertIn("the relay keeps back a part of it", json.dumps(self.de.ok("status").json["alarms"]))


class Page(HTMLParser):
    """The texts of a page, and whatever could fetch something."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.tags, self.links, self.headings = [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


HOSTILE = "<script>alert(1)</script> & \"quoted\" 'it'"
ARABIC = "\u0645\u0631\u0643\u0632 \u0627\u0644\u0627\u062a\u0635\u0627\u0644"


class Public(FlowTest):
    """The public directory."""

    @classmethod
    def furnish(cls):
        super().furnish()
        cls.eg = cls.house.member("eg", name="\u062c\u0645\u0647\u0648\u0631\u064a\u0629 \u0645\u0635\u0631")
        cls.house.make("de/national")
        cls.de.ok("card", "set", "office", HOSTILE, "--for", "public")
        cls.de.ok("card", "set", "e-mail", "desk@cert.example.de", "--for", "public")
        cls.de.ok("card", "set", "phone", "+49 30 5550111", "--for", "members")
        cls.eg.ok("card", "set", "office", ARABIC, "--for", "public")
        cls.fj.ok("card", "set", "office", "for members")

    def test_only_what_was_made_public_is_exported(self):
        listing = self.fj.ok("directory", "export", "--public").json
        self.assertEqual([(party["party"], [post["post"] for post in party["posts"]]) for party in listing["parties"]],
                         [("de", ["de/technical"]), ("eg", ["eg/technical"])])
        self.assertEqual(listing["parties"][0]["posts"][0]["fields"],
                         {"office": HOSTILE, "e-mail": "desk@cert.example.de"})
        self.assertEqual(listing["parties"][1]["posts"][0]["fields"], {"office": ARABIC})
        self.assertEqual(sorted(listing), ["at", "digits", "parties", "relay", "root", "size"])
        self.assertEqual(sorted(listing["parties"][0]), ["name", "party", "posts"])

    def test_the_page_needs_nothing_beside_it_and_escapes_what_it_shows(self):
        path = self.house.folder / "directory.html"
        self.fj.ok("directory", "export", "--public", "--html", "-o", path)
        text = path.read_text()
        page = Page(text)
        self.assertIn(HOSTILE, page.texts)
        self.assertIn(ARABIC, page.texts)
        self.assertIn("Germany", page.texts)
        self.assertIn("dir=\"auto\"", text)
        self.assertEqual(page.links, ["mailto:desk@cert.example.de"], "links fetch nothing by themselves")
        self.assertFalse(page.tags & {"script", "img", "link", "iframe", "object", "embed", "svg", "form"}, page.tags)
        self.assertNotIn("url(", text)
        self.assertNotIn("@import", text)
        for hidden in ("5550111", "for members", "de/national", "fj/technical", "Fiji"):
            self.assertNotIn(hidden, text)
        self.fj.fails(1, "usage", "directory", "export", "--html")


if __name__ == "__main__":
    main()
