"""Goal: a witness that is killed between writing down what it cosigns and giving the signature away comes back, gives
it then, and never vouches for anything else."""

import signal

from house import main
from test_witness import Witnessed, forge_head


class Kills(Witnessed):
    def test_what_was_written_down_before_the_kill_is_cosigned_after_it_and_nothing_else(self):
        for point in ("witness.stored", "witness.signed"):
            with self.subTest(point=point):
                self.cosign(self.one, self.two)
                self.grow()
                token = self.house.folder / "token"
                token.write_text("")
                ran = self.one.run("witness", "run", "--card", self.relay.card, "--once",
                                   env={"POUCH_FAULT": f"{point}:1:{token}"})
                self.assertEqual(ran.code, -signal.SIGKILL, str(ran))
                self.assertFalse(token.exists())
                kept = self.one.ok("witness", "status").json["logs"][0]
                size = self.fj.ok("directory", "phrase").json["size"]
                self.assertEqual(kept["size"], size)
                self.assertFalse(self.fresh(self.fj)["witnesses"][0]["current"])
                forged = self.house.papers / "forged.txt"
                forged.write_text(f"old {size}\n\n" + forge_head(self.relay, size, b"\7" * 32))
                self.one.fails(4, "fraud", "witness", "sign", forged, "--card", self.relay.card, "-o",
                               self.house.papers / "never")
                again = self.cosign(self.one)[0]
                self.assertEqual((again["size"], again["root"]), (kept["size"], kept["root"]))
                self.assertTrue(self.fresh(self.fj)["witnesses"][0]["current"])


if __name__ == "__main__":
    main()
