"""Drawings in characters, read back: which state has an arrow to which.

A line of `-`, `|` and joints `+` joins all states that it begins at (it touches them, at most one blank between) with
all states that it has a head at: `>`, `<`, `v`, `^`. Words in round brackets and in lower case are remarks."""
import re

BESIDE = {"-": "LR", "|": "UD", "+": "LRUD", ">": "LR", "<": "LR", "v": "UD", "^": "UD"}
POINTS = {">": "R", "<": "L", "v": "D", "^": "U"}
STEP = {"L": (0, -1), "R": (0, 1), "U": (-1, 0), "D": (1, 0)}
BACK = {"L": "R", "R": "L", "U": "D", "D": "U"}


class Drawing:
    def __init__(self, lines, states):
        self.cells, self.names = {}, {}
        for row, line in enumerate(lines):
            line = re.sub(r"\([^)]*\)", lambda found: " " * len(found.group()), line)
            for word in re.finditer(r"\w+", line):
                if word.group() in states:
                    self.names.update({(row, column): word.group() for column in range(*word.span())})
                elif word.group() == "v":
                    self.cells[row, word.start()] = "v"
            self.cells.update({(row, column): c for column, c in enumerate(line) if c in "-|+<>^"})

    def name_at(self, place, way):
        """The state that a line touches in this way."""
        row, column = place
        down, right = STEP[way]
        near = self.names.get((row + down, column + right))
        return near or (right and self.names.get((row, column + 2 * right))) or None

    def follow(self, start):
        """Everything that hangs together with this cell: the cells, the states it begins at, those it ends at."""
        cells, tails, heads, todo = {start}, set(), set(), [start]
        while todo:
            place = todo.pop()
            c = self.cells[place]
            for way in BESIDE[c]:
                next_to = (place[0] + STEP[way][0], place[1] + STEP[way][1])
                points = POINTS.get(c) == way
                if not points and next_to in self.cells and BACK[way] in BESIDE[self.cells[next_to]]:
                    if next_to not in cells:
                        cells.add(next_to)
                        todo.append(next_to)
                elif self.name_at(place, way) and c != "+":
                    (heads if points else tails).add(self.name_at(place, way))
                elif c != "+":
                    raise ValueError(f"line {place[0] + 1}, column {place[1] + 1}: `{c}` leads nowhere")
        return cells, tails, heads

    def arrows(self):
        found, seen = set(), set()
        for place in self.cells:
            if place in seen:
                continue
            cells, tails, heads = self.follow(place)
            seen |= cells
            if not tails or not heads:
                raise ValueError(f"the line at {place} has no beginning or no head")
            found |= {(tail, head) for tail in tails for head in heads}
        return found


def parts(text, states):
    """The drawings of the document by their headings."""
    block = text[text.index("\n```states\n"):]
    block = block[:block.index("\nEvery arrow")]
    found = re.split(r"^  (a leg of a (?:request|reply))\n", block, flags=re.M)
    return {heading: Drawing(body.split("\n\n  From ")[0].split("\n"), states)
            for heading, body in zip(found[1::2], found[2::2])}
