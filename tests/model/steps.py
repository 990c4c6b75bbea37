"""The table of proto/leg.def as the model reads it: `steps.py LEG.DEF KIND` prints a part in Promela, for legs of that
kind (with_body, offer_only, reply)."""
import re
import sys

WITH_BODY, OFFER_ONLY, REPLY = 1, 2, 4
KINDS = {"with_body": WITH_BODY, "offer_only": OFFER_ONLY, "reply": REPLY}
COLUMN = {"WITH_BODY": WITH_BODY, "OFFER_ONLY": OFFER_ONLY, "REQUEST": WITH_BODY | OFFER_ONLY, "REPLY": REPLY,
          "ALL": WITH_BODY | OFFER_ONLY | REPLY}


class Legs:
    """states: name -> (number, terminal); events: name -> (number, actor); steps: (from, event, to, kinds) by name."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        self.states = {name: (int(number), terminal == "true") for name, number, terminal in re.findall(
            r'^STATE\((\w+), (\d+), "\w+", (true|false), ', text, re.M)}
        self.events = {name: (int(number), actor) for name, number, actor in re.findall(
            r'^EVENT\((\w+), (\d+), "\w+", (\w+), \w+, ', text, re.M)}
        self.steps = re.findall(r"^STEP\((\w+), (\w+), (\w+), (\w+)\)$", text, re.M)
        rows = len(re.findall(r"^(?:STATE|EVENT|STEP)\([A-Z]", text, re.M))
        if rows != len(self.states) + len(self.events) + len(self.steps) or not self.steps:
            raise ValueError("leg.def has rows that are not understood here")

    def arrows(self):
        """Every arrow for every kind of leg that has it: (from, event, to, kind's bit)."""
        return {(a, event, b, bit)
                for a, event, b, kinds in self.steps for bit in KINDS.values() if COLUMN[kinds] & bit}

    def reached(self, bit):
        """The states that a leg of this kind can come to."""
        found = {"NONE"}
        while True:
            more = {b for a, _, b, kind in self.arrows() if kind == bit and a in found} - found
            if not more:
                return found
            found |= more


def read(path):
    with open(path, encoding="utf-8") as file:
        return Legs(file.read())


def promela(legs, kind):
    """States, events, who may say them, and `next`: where an event takes a leg of this kind; 0, nowhere."""
    lines = ["/* Made by steps.py from leg.def: nothing here is written by hand. */"]
    lines += [f"#define STATE_{name} {number}" for name, (number, _) in legs.states.items()]
    lines += [f"#define EVENT_{name} {number}" for name, (number, _) in legs.events.items()]
    lines += [f"#define KIND_{name.upper()} {bit}" for name, bit in KINDS.items()]
    lines.append(f"#define KIND {KINDS[kind]}")
    ends = " || ".join(f"(state) == {number}" for number, terminal in legs.states.values() if terminal)
    lines.append(f"#define TERMINAL(state) ({ends})")
    for actor in sorted({actor for _, actor in legs.events.values()}):
        who = " || ".join(f"(event) == {number}" for number, by in legs.events.values() if by == actor)
        lines.append(f"#define BY_{actor}(event) ({who})")
    width = max(number for number, _ in legs.events.values()) + 1
    lines.append(f"#define NEXT(state, event) next[(state) * {width} + (event)]")
    lines.append(f"hidden byte next[{len(legs.states) * width}];")
    lines.append(f"hidden short starts[{width}]; /* the states that have a step by this event */")
    lines.append("inline read_steps() {")
    for a, event, b, kinds in legs.steps:
        if COLUMN[kinds] & KINDS[kind]:
            lines.append(f"    NEXT(STATE_{a}, EVENT_{event}) = STATE_{b};")
            lines.append(f"    starts[EVENT_{event}] = starts[EVENT_{event}] | (1 << STATE_{a});")
    lines.append("}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(promela(read(sys.argv[1]), sys.argv[2]))
