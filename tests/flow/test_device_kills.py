"""Goal: linking a device, giving parcels to sisters and revoking one survive being killed between any two steps: repeating the
command leads to the same end, with one certificate and nothing lost."""

import re
import signal

import test_devices
from house import PATIENCE, SOURCE, end_process, finish, main

LINK_POINTS = ("link.asked", "link.joined")
INVITE_POINTS = ("invite.kept", "invite.certified", "invite.declared", "invite.greeted", "invite.given")
OTHER_POINTS = ("parcel.unanswered", "parcel.archived", "device.revoked")


class Kills(test_devices.Devices):
    def killed(self, home, point, words):
        """The run dies there; whether it did."""
        token = self.house.folder / f"token-{point}"
        token.touch()
        ran = home.start(*words, env={"POUCH_FAULT": f"{point}:1:{token}"})
        return ran, token

    def test_an_invite_killed_anywhere_goes_on_with_the_same_code(self):
        for point in INVITE_POINTS:
            with self.subTest(point):
                new = self.second()
                made = self.code(self.fj)
                first, token = self.killed(self.fj, point, ("device", "invite", "--yes"))
                linking = new.start("link", made["payload"], "--no-passphrase")
                first.communicate(timeout=60 * PATIENCE)
                self.assertEqual(first.returncode, -signal.SIGKILL)
                self.assertFalse(token.exists())
                again = self.fj.start("device", "invite", "--yes")
                linked = finish(linking, new.argv())
                self.assertEqual(linked.code, 0, f"{linked}\n{self.relay.tail()}")
                if point == "invite.given":
                    end_process(again, signal.SIGINT)
                    again.communicate()
                else:
                    ran = finish(again, self.fj.argv())
                    self.assertEqual((ran.code, ran.lines[0]["code"]), (0, made["code"]), str(ran))
                mine = [line for line in self.fj.ok("device", "list").lines
                        if line["device"] == linked.json["device"]]
                self.assertEqual([line["live"] for line in mine], [True], "one certificate, live")
                self.fj.ok("device", "revoke", linked.json["device"])  # sixteen are the most a post may have

    def test_a_link_killed_anywhere_goes_on_when_repeated(self):
        for point in LINK_POINTS:
            with self.subTest(point):
                new = self.second()
                made = self.code(self.fj)
                inviting = self.fj.start("device", "invite", "--yes")
                first, token = self.killed(new, point, ("link", made["payload"], "--no-passphrase"))
                first.communicate(timeout=60 * PATIENCE)
                self.assertEqual(first.returncode, -signal.SIGKILL)
                self.assertFalse(token.exists())
                again = new.run("link", made["payload"])
                if point == "link.joined":
                    self.assertEqual((again.code, again.error["error"]), (1, "home-exists"), str(again))
                    self.assertEqual(new.run("sync").code, 0)
                else:
                    self.assertEqual(again.code, 0, f"{again}\n{self.relay.tail()}")
                self.assertEqual(finish(inviting, self.fj.argv()).code, 0)
                self.assertTrue(next(line for line in new.ok("device", "list").lines if line["this"])["live"])
                self.fj.ok("device", "revoke", self.device_of(new))


    def test_a_parcel_arrives_whoever_is_killed_on_its_way(self):
        new = self.second()
        self.link(new)
        secrets = []
        for point, home in (("parcel.unanswered", self.fj), ("parcel.archived", new)):
            with self.subTest(point):
                self.fj.ok("pair", "new", "de", "--offline")
                secrets = sorted(line["id"] for line in self.fj.ok("pair", "list", "--offline").lines)
                if home is new:
                    self.fj.ok("sync")
                killed, token = self.killed(home, point, ("sync",))
                killed.communicate(timeout=60 * PATIENCE)
                self.assertEqual(killed.returncode, -signal.SIGKILL)
                self.assertFalse(token.exists())
                self.fj.ok("sync")
                new.ok("sync")
                self.assertEqual(sorted(line["id"] for line in new.ok("pair", "list").lines), secrets)
                self.assertEqual(new.ok("status").json["alarms"], [])
        self.fj.ok("device", "revoke", self.device_of(new))

    def test_a_revocation_that_was_sent_holds_whatever_became_of_its_sender(self):
        new = self.second()
        self.link(new)
        killed, _ = self.killed(self.fj, "device.revoked", ("device", "revoke", self.device_of(new)))
        killed.communicate(timeout=60 * PATIENCE)
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        new.fails(4, "revoked", "sync")
        self.assertEqual(self.fj.run("sync").code, 0)

    def test_these_tests_know_every_fault_point_of_devices(self):
        found = set()
        for path in (SOURCE / "client").rglob("*.c"):
            found |= set(re.findall(r'FAULT\("((?:invite|link|parcel|device)\.[^"]+)"\)', path.read_text()))
        self.assertEqual(found, {*LINK_POINTS, *INVITE_POINTS, *OTHER_POINTS})


if __name__ == "__main__":
    main()
