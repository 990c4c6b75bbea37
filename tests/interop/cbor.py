"""cbor.py - sections 3 and 6 of PROTOCOL.md: deterministic CBOR, and objects as the grammar says."""

from document import GRAMMAR

DEPTH_MAX = 16


class Refused(Exception):
    """Bytes that are not what the protocol asks for. `name` is that of section 19."""

    def __init__(self, name, detail=""):
        super().__init__(f"{name} {detail}".strip())
        self.name = name


# ---- items ----

def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for more, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | more]) + n.to_bytes(size, "big")
    raise ValueError(n)


def put(value):
    """An item of a Python value. Maps come with rising keys; see encode."""
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(put, value))
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(put(k) + put(v) for k, v in value.items())
    raise TypeError(value)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Refused("truncated")
        piece = self.data[self.at:self.at + n]
        self.at += n
        return piece

    def head(self):
        first = self.take(1)[0]
        major, more = first >> 5, first & 31
        if more < 24:
            return major, more
        if major == 7 or more > 27:
            raise Refused("non-canonical" if more == 31 else "malformed")
        size = 1 << (more - 24)
        n = int.from_bytes(self.take(size), "big")
        if n < 24 or (size > 1 and n < 1 << 4 * size):
            raise Refused("non-canonical")
        return major, n

    def item(self, depth=0):
        major, n = self.head()
        if major == 0:
            return n
        if major == 2:
            return self.take(n)
        if major == 3:
            try:
                return self.take(n).decode("utf-8")
            except UnicodeDecodeError:
                raise Refused("bad-text") from None
        if major in (4, 5):
            if depth >= DEPTH_MAX:
                raise Refused("too-deep")
            if n > len(self.data) - self.at:
                raise Refused("truncated")
            return self.array(n, depth) if major == 4 else self.map(n, depth)
        if major == 7 and n in (20, 21):
            return n == 21
        raise Refused("malformed")

    def array(self, n, depth):
        return [self.item(depth + 1) for _ in range(n)]

    def map(self, n, depth):
        found, last = {}, -1
        for _ in range(n):
            major, key = self.head()
            if major != 0:
                raise Refused("malformed")
            if key <= last:
                raise Refused("non-canonical")
            found[key] = self.item(depth + 1)
            last = key
        return found


def read(data):
    """The one item that the bytes are."""
    value, rest = read_first(data)
    if rest:
        raise Refused("trailing-bytes")
    return value


def read_first(data):
    reader = Reader(data)
    return reader.item(), data[reader.at:]


# ---- objects ----

def fits(kind, value):
    """Checks a value against its type, and gives what it decodes to."""
    if kind[0] == "bool":
        good = isinstance(value, bool)
    elif kind[0] == "uint":
        good = isinstance(value, int) and not isinstance(value, bool)
        if good and not kind[1] <= value <= kind[2]:
            raise Refused("out-of-range")
    elif kind[0] in ("bytes", "text"):
        good = isinstance(value, bytes if kind[0] == "bytes" else str)
        if good and not kind[1] <= len(value if kind[0] == "bytes" else value.encode()) <= kind[2]:
            raise Refused("out-of-range")
    elif kind[0] == "list":
        good = isinstance(value, list)
        if good and len(value) > kind[1]:
            raise Refused("out-of-range")
        if good:
            return [fits(kind[2], each) for each in value]
    else:
        return from_map(kind[1], value)
    if not good:
        raise Refused("malformed", str(kind))
    return value


def from_map(name, value):
    if not isinstance(value, dict):
        raise Refused("malformed", name)
    fields = {key: (field, kind) for key, field, _, kind in GRAMMAR[name]}
    for key, field, optional, _ in GRAMMAR[name]:
        if not optional and key not in value:
            raise Refused("missing-field", f"{name}.{field}")
    found = {}
    for key, each in value.items():
        if key not in fields:
            raise Refused("unknown-field", f"{name} {key}")
        field, kind = fields[key]
        if field == "suite" and each != 1:
            raise Refused("unknown-suite")
        found[field] = fits(kind, each)
    return found


def decode(name, data):
    return from_map(name, read(data))


def to_map(name, value):
    value = dict(value)
    found = {}
    for key, field, optional, kind in GRAMMAR[name]:
        if field == "suite":
            value.setdefault("suite", 1)
        if value.get(field) is None:
            assert optional, f"{name}.{field} is missing"
            value.pop(field, None)
            continue
        found[key] = to_plain(kind, value.pop(field))
    assert not value, f"{name} has no {list(value)}"
    return found


def to_plain(kind, value):
    if kind[0] == "object":
        return to_map(kind[1], value)
    if kind[0] == "list":
        return [to_plain(kind[2], each) for each in value]
    return value


def encode(name, value):
    data = put(to_map(name, value))
    decode(name, data)
    return data
