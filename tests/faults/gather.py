"""gather.py - what can be got from a relay from outside: its leaves and hashes as any member gets them, its store read only, images
of its disk, log and memory."""

import os
import re
import shutil
import sqlite3

from document import LIMITS

PIECE = 1 << 20


def over_the_wire(journal, post):
    """The directory, and the leaf hashes of both logs, as the relay gives them to a member."""
    leaves = []
    while True:
        answer = post.link.call("GETLEAVES", {"from": len(leaves), "max": LIMITS["LEAVES_MAX"]})
        leaves += answer["leaves"]
        if len(leaves) >= answer["size"] or not answer["leaves"]:
            break
    journal.write("leaves", leaves=leaves)
    for number, log in ((1, "directory"), (2, "evidence")):
        hashes = b""
        while True:
            answer = post.link.call("GETHASHES", {"log": number, "from": len(hashes) // 32, "max": LIMITS["LOG_HASHES_MAX"]})
            if not answer["hashes"]:
                break
            hashes += answer["hashes"]
        journal.write("hashes", log=log, **{"from": "wire"}, hashes=hashes)


def from_the_store(journal, folder):
    """Every row that tells of the log. The relay may be running."""
    store = sqlite3.connect(f"file:{folder / 'store.sqlite'}?mode=ro", uri=True, timeout=20)
    try:
        store.execute("BEGIN")
        receipts = [[index, data.hex()] for index, data in
                    store.execute("SELECT idx, bytes FROM receipt WHERE idx IS NOT NULL ORDER BY idx")]
        heads = [row[0].decode() for row in store.execute("SELECT note FROM head")]
        tiles = {log: b"".join(row[0] for row in store.execute(
            "SELECT hashes FROM tile WHERE log = ? AND level = 0 ORDER BY idx", (log,))) for log in (1, 2)}
    finally:
        store.close()
    # The files are overwritten in place and filled up with empty lines (relay/ledger/headfile.c).
    files = [(folder / name).read_text().rstrip("\n") + "\n" for name in ("directory.head", "evidence.head") if (folder / name).exists()]
    journal.write("store", receipts=receipts, heads=heads, files=files)
    for log, name in ((1, "directory"), (2, "evidence")):
        if tiles[log]:
            journal.write("hashes", log=name, **{"from": "store"}, hashes=tiles[log])


def memory(pid, path):
    """All that the process may write to, as it is now; what cannot be read is passed over."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem, \
            open(path, "wb") as image:
        for line in maps:
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if rights.startswith("rw") and "[vvar]" not in line:
                copy(mem, int(begin, 16), int(end, 16), image)


def copy(mem, at, end, image):
    while at < end:
        try:
            mem.seek(at)
            piece = mem.read(min(PIECE, end - at))
        except OSError:
            piece = b""
        if not piece:
            return
        if piece.strip(b"\0"):
            image.write(piece)
        at += len(piece)


def children(pid):
    """Of all threads of a process."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


def wal(folder, path):
    """What a kill has left in the log of the store, before anybody recovers it."""
    source = folder / "store.sqlite-wal"
    if source.exists() and source.stat().st_size < 256 << 20:
        shutil.copyfile(source, path)
        return True
    return False
