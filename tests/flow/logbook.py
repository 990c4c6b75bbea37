"""What lies in a relay's store of its evidence log, read without any of the project's code: rows, a little CBOR, SHA-256."""

import base64
import hashlib
import sqlite3

TILE = 256


def decode(data, at=0):
    """One CBOR item of the deterministic kind, and where the next begins."""
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True}[low], at
    if low < 24:
        value = low
    else:
        size = 1 << (low - 24)
        value = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return value, at
    if major in (2, 3):
        return data[at:at + value], at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = decode(data, at)
            items.append(item)
        return items, at
    pairs = {}
    for _ in range(value):
        key, at = decode(data, at)
        pairs[key], at = decode(data, at)
    return pairs, at


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes):
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node(root(hashes[:half]), root(hashes[half:]))


def climb(value, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    last = size - 1
    for sibling in path:
        assert last > 0, "the path is too long"
        if index & 1 or index == last:
            value = node(sibling, value)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            value = node(value, sibling)
        index >>= 1
        last >>= 1
    assert last == 0, "the path is too short"
    return value


def head(note):
    """Origin, size, root and time of a head."""
    lines = note.decode().split("\n")
    word, time = lines[3].split()
    assert word == "time", note
    return lines[0], int(lines[1]), base64.b64decode(lines[2]), int(time)


class Logbook:
    def __init__(self, relay):
        self.folder = relay.folder
        store = sqlite3.connect(f"file:{relay.folder / 'store.sqlite'}?mode=ro", uri=True, timeout=20)
        try:
            store.execute("BEGIN")
            self.receipts = list(store.execute("SELECT idx, bytes FROM receipt WHERE idx IS NOT NULL ORDER BY idx"))
            self.tiles = {row[:2]: row[2] for row in
                          store.execute("SELECT level, idx, hashes FROM tile WHERE log = 2 ORDER BY level, idx")}
            self.newest = store.execute("SELECT note FROM head WHERE who = 'evidence '").fetchone()
            self.notes = store.execute("SELECT count(*) FROM receipt WHERE idx IS NULL").fetchone()[0]
        finally:
            store.close()

    def check(self, test, late=0):
        """Every receipt's head and proof, the tiles, the newest head, the file beside the store: all one log. late: how many
        entries are older than it."""
        hashes, heads = [], {}
        for index, (row, data) in enumerate(self.receipts):
            test.assertEqual(row, index, "an index is missing")
            receipt, end = decode(data)
            test.assertEqual(end, len(data))
            record = decode(decode(receipt[2])[0][1])[0]
            test.assertEqual(record[5], index)
            hashes.append(leaf(record[4]))
            heads[index] = (head(receipt[4]), receipt[3], record[3])
        roots = {}
        for index, ((origin, size, its_root, time), path, at) in heads.items():
            test.assertEqual(origin, "relay.test/evidence")
            test.assertLessEqual(size, len(hashes), "a head that is larger than the log")
            if size not in roots:
                roots[size] = root(hashes[:size])
            test.assertEqual(its_root, roots[size], f"the head of {size} is of another log")
            test.assertEqual(climb(hashes[index], index, size, path), its_root, "the proof does not lead to the head")
            if index >= late:
                test.assertEqual(time, at, "signed in the batch that recorded it")
        for origin, size, its_root, _ in self.newest_heads(test):
            test.assertLessEqual(size, len(hashes), "a head that is larger than the log")
            test.assertEqual((origin, its_root), ("relay.test/evidence", root(hashes[:size])))
        level, values = 0, hashes
        while values:
            for number in range((len(values) + TILE - 1) // TILE):
                test.assertEqual(self.tiles.pop((level, number), None),
                                 b"".join(values[number * TILE:(number + 1) * TILE]), f"tile {level}/{number}")
            values = [root(values[i:i + TILE]) for i in range(0, len(values) - TILE + 1, TILE)]
            level += 1
        test.assertEqual(self.tiles, {}, "tiles of nothing")
        return len(hashes)

    def newest_heads(self, test):
        if not self.receipts:
            test.assertIsNone(self.newest)
            return
        newest = head(self.newest[0])
        test.assertEqual(newest[1], len(self.receipts), "the newest head is of all there is")
        yield newest
        yield head((self.folder / "evidence.head").read_bytes())
