"""Goal: the drawings of the life of a leg in PROTOCOL.md, read back line by line, have the arrows of leg.def, in both
directions. Steps that leave a leg where it is are not drawn; they stand in the lists beside it, which
test_protocol_document compares."""
import os
import unittest

import drawing
import steps

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "proto")
KINDS = {"a leg of a request": steps.WITH_BODY | steps.OFFER_ONLY, "a leg of a reply": steps.REPLY}
SMALL = """
    ONE ---+---> TWO
     |     |
     v     v (as it may be)
   FOUR  THREE
"""


def read_document():
    path = os.environ.get("POUCH_PROTOCOL", os.path.join(PROTO, "PROTOCOL.md"))
    with open(path, encoding="utf-8") as file:
        return file.read()


class Drawings(unittest.TestCase):
    def test_the_drawings_have_the_arrows_of_the_table(self):
        legs = steps.read(os.path.join(PROTO, "leg.def"))
        found = drawing.parts(read_document(), legs.states)
        self.assertEqual(set(found), set(KINDS))
        for heading, kinds in KINDS.items():
            table = {(a, b) for a, _, b, kind in legs.arrows() if kind & kinds and a != b}
            self.assertEqual(found[heading].arrows() - table, set(), heading + ": drawn, and not in leg.def")
            self.assertEqual(table - found[heading].arrows(), set(), heading + ": in leg.def, and not drawn")

    def test_a_line_joins_all_that_it_touches(self):
        small = drawing.Drawing(SMALL.split("\n"), {"ONE", "TWO", "THREE", "FOUR"})
        self.assertEqual(small.arrows(), {("ONE", "TWO"), ("ONE", "THREE"), ("ONE", "FOUR")})

    def test_every_gap_in_a_line_is_noticed(self):
        states = steps.read(os.path.join(PROTO, "leg.def")).states
        for heading, drawn in drawing.parts(read_document(), states).items():
            right = drawn.arrows()
            for place in list(drawn.cells):
                c = drawn.cells.pop(place)
                with self.subTest(heading, line=place[0] + 1, column=place[1] + 1):
                    try:
                        self.assertNotEqual(drawn.arrows(), right)
                    except ValueError:
                        pass  # the drawing says itself that something is missing
                drawn.cells[place] = c


if __name__ == "__main__":
    unittest.main()
