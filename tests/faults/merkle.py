"""merkle.py - trees of RFC 9162, for the history checker: nothing of the project's code, and nothing of its tests' other clients."""

import hashlib


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


EMPTY = hashlib.sha256(b"").digest()


def roots_at(hashes, sizes):
    """{size: root of the first `size` hashes}, for those sizes that there are, in one pass."""
    wanted, found, peaks = set(sizes), {}, []  # peaks: (how many leaves, root), whole subtrees from the left
    if 0 in wanted:
        found[0] = EMPTY
    for count, each in enumerate(hashes, 1):
        peaks.append((1, each))
        while len(peaks) > 1 and peaks[-2][0] == peaks[-1][0]:
            (width, left), (_, right) = peaks[-2:]
            peaks[-2:] = [(2 * width, node(left, right))]
        if count in wanted:
            at = peaks[-1][1]
            for _, left in reversed(peaks[:-1]):
                at = node(left, at)
            found[count] = at
    return found


def climb(value, index, size, path):
    """RFC 9162 section 2.1.3.2: the root to which the path leads; None when it does not fit."""
    if not 0 <= index < size:
        return None
    first, last = index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if first & 1 or first == last:
            value = node(sibling, value)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            value = node(value, sibling)
        first, last = first >> 1, last >> 1
    return value if last == 0 else None


def goes_on(old, old_root, new, new_root, path):
    """RFC 9162 section 2.1.4.2: the larger tree begins with the smaller one."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    path = list(path)
    if old & (old - 1) == 0:
        path = [old_root, *path]
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    one = two = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            one, two = node(each, one), node(each, two)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            two = node(two, each)
        first, last = first >> 1, last >> 1
    return (one, two, last) == (old_root, new_root, 0)
