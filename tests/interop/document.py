"""document.py - what PROTOCOL.md itself provides: the grammar of section 6, its tables, and the values of its worked
example.

The stranger reads the grammar from the document at run time, so a grammar that cannot be encoded by, or a table with a
wrong number, shows here. Nothing of the library is used."""

import os
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PATH = pathlib.Path(os.environ.get("POUCH_PROTOCOL") or SOURCE / "proto" / "PROTOCOL.md")
TEXT = PATH.read_text(encoding="utf-8")


def table(name):
    """The rows of all tables under <!-- name -->, as lists of cells."""
    found = []
    for block in re.findall(rf"\n<!-- {name} -->\n((?:\|.*\n)+)", TEXT):
        for line in block.splitlines()[2:]:
            found.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    assert found, name
    return found


def read_grammar():
    """{object: [(key, field, optional, type)]}; a type is a tuple that begins with its kind."""
    block = re.search(r"```cddl\n(.*?)\n```", TEXT, re.S).group(1)
    grammar = {}
    for name, body in re.findall(r"^(\w+) = \{\n(.*?)^\}", block, re.S | re.M):
        fields = []
        for line in body.splitlines():
            optional, key, kind, field = re.fullmatch(r"  (\? )?(\d+): (.*), ; (\w+)", line).groups()
            fields.append((int(key), field, bool(optional), read_type(kind)))
        grammar[name] = fields
    return grammar


def read_type(kind):
    for pattern, make in (
        (r"suite", lambda: ("uint", 1, 1)),
        (r"instant", lambda: ("uint", 0, (1 << 64) - 1)),
        (r"uint", lambda: ("uint", 0, (1 << 64) - 1)),
        (r"bool", lambda: ("bool",)),
        (r"(\d+)", lambda n: ("uint", int(n), int(n))),
        (r"(\d+)\.\.(\d+)", lambda low, high: ("uint", int(low), int(high))),
        (r"tstr \.size \((\d+)\.\.(\d+)\)", lambda low, high: ("text", int(low), int(high))),
        (r"bstr \.size \((\d+)\.\.(\d+)\)", lambda low, high: ("bytes", int(low), int(high))),
        (r"bstr \.size (\d+)", lambda n: ("bytes", int(n), int(n))),
        (r"\[0\*(\d+) (.*)\]", lambda most, of: ("list", int(most), read_type(of))),
        (r"(\w+)", lambda name: ("object", name)),
    ):
        match = re.fullmatch(pattern, kind)
        if match:
            return make(*match.groups())
    raise ValueError(f"the grammar has a type that this reader does not know: {kind}")


def read_example():
    """{name: bytes or str}"""
    values = {}
    for block in re.findall(r"```example\n(.*?)```", TEXT, re.S):
        for name, lines in re.findall(r"^(\S+) =\n((?:  .*\n)+)", block, re.M):
            pieces = [line.strip() for line in lines.splitlines()]
            quoted = pieces[0].startswith('"')
            values[name] = "".join(p[1:-1] for p in pieces) if quoted else bytes.fromhex("".join(pieces))
    return values


GRAMMAR = read_grammar()
LABELS = {row[0]: row[1].encode() for row in table("labels")}
MESSAGES = {row[1]: (int(row[0]), row[2], row[5]) for row in table("messages")}
MESSAGE_NAMES = {int(row[0]): row[1] for row in table("messages")}
ERRORS = {int(row[0]): row[1] for row in table("errors")}
TRANSIENT = {row[1] for row in table("errors") if row[2] == "transient"}
STATES = {row[1]: int(row[0]) for row in table("states")}
TERMINAL = {int(row[0]) for row in table("states") if row[3] == "yes"}
EVENTS = {row[1]: int(row[0]) for row in table("events")}
EVENT_RULES = {int(row[0]): (row[3], row[4]) for row in table("events")}
LIMITS = {row[0]: int(row[1]) for row in table("limits")}
KINDS = {"ALL": {"body", "offer", "reply"}, "REQUEST": {"body", "offer"}, "WITH_BODY": {"body"},
         "OFFER_ONLY": {"offer"}, "REPLY": {"reply"}}
STEPS = {(STATES[f], EVENTS[e], STATES[t], kind) for f, e, t, kinds in table("steps") for kind in KINDS[kinds]}
LEAVES = {row[2]: int(row[1]) for row in table("values") if row[0] == "leaf.kind"}
