"""The Merkle tree of the record: RFC 6962 hashes, an append-only frontier, both kinds of proof. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofInvalid(ValueError):
    """A proof, root or frontier that does not hold."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 over a one byte and both children (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: one hash per perfect subtree, largest first. Appends and knows the root.

    Raises ProofInvalid when the number of hashes is not the number of ones in the binary form of `size`.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(hashes) != size.bit_count() or any(len(h) != HASH_BYTES for h in hashes):
            msg = f"not the frontier of a tree of {size} leaves"
            raise ProofInvalid(msg)
        self.size = size
        self._hashes = list(hashes)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf hash (32 bytes) at the end. Amortised constant time."""
        node, size = leaf_hash, self.size
        while size & 1:
            node = node_hash(self._hashes.pop(), node)
            size >>= 1
        self._hashes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves appended so far; of no leaves, the hash of nothing."""
        if not self._hashes:
            return EMPTY_ROOT
        node = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            node = node_hash(left, node)
        return node

    def to_bytes(self) -> bytes:
        """Return the hashes one after the other, for storing beside the size."""
        return b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Return the frontier stored by `to_bytes`. Raises ProofInvalid when it does not fit `size`."""
        return cls(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


class Subtrees:
    """All perfect subtrees over leaf hashes: many proofs of one tree, each in logarithmic time. Twice its memory."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        self.size = len(leaf_hashes)
        self._levels = [list(leaf_hashes)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return what `inclusion_proof` of the same leaves does. Raises ProofInvalid outside the tree."""
        if not 0 <= index < self.size:
            msg = f"no leaf {index} in a tree of {self.size}"
            raise ProofInvalid(msg)
        proof, start, end = [], 0, self.size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._root(middle, end))
                end = middle
            else:
                proof.append(self._root(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """Return what `consistency_proof` of the same leaves does. Raises ProofInvalid unless 0 < old <= new."""
        if not 0 < old_size <= self.size:
            msg = f"no consistency proof from {old_size} to {self.size}"
            raise ProofInvalid(msg)
        proof, start, end, whole = [], 0, self.size, True
        while old_size != end:
            middle = start + _split(end - start)
            if old_size <= middle:
                proof.append(self._root(middle, end))
                end = middle
            else:
                proof.append(self._root(start, middle))
                start, whole = middle, False
        return ([] if whole else [self._root(start, end)]) + proof[::-1]

    def _root(self, start: int, end: int) -> bytes:
        size = end - start
        if size & (size - 1) == 0:  # a perfect subtree, and every split leaves those at multiples of their size
            level = size.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(size)
        return node_hash(self._root(start, middle), self._root(middle, end))


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return PATH(index, leaves) of RFC 6962 §2.1.1, leaf first. Raises ProofInvalid outside the tree."""
    if not 0 <= index < len(leaf_hashes):
        msg = f"no leaf {index} in a tree of {len(leaf_hashes)}"
        raise ProofInvalid(msg)
    if len(leaf_hashes) == 1:
        return []
    split = _split(len(leaf_hashes))
    if index < split:
        return [*inclusion_proof(leaf_hashes[:split], index), root(leaf_hashes[split:])]
    return [*inclusion_proof(leaf_hashes[split:], index - split), root(leaf_hashes[:split])]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return PROOF(old_size, leaves) of RFC 6962 §2.1.2. Raises ProofInvalid unless 0 < old <= new."""
    if not 0 < old_size <= len(leaf_hashes):
        msg = f"no consistency proof from {old_size} to {len(leaf_hashes)}"
        raise ProofInvalid(msg)
    return _subproof(leaf_hashes, old_size, whole=True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Check that a leaf hash is number `index` of the tree with this size and root (RFC 9162 §2.1.3.2).

    Raises ProofInvalid when it is not.
    """
    if not 0 <= index < size:
        msg = f"no leaf {index} in a tree of {size}"
        raise ProofInvalid(msg)
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            msg = "the proof is too long"
            raise ProofInvalid(msg)
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or node != expected:
        msg = "the proof does not lead to the root"
        raise ProofInvalid(msg)


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `new_size` begins with the tree of `old_size` (RFC 9162 §2.1.4.2).

    Raises ProofInvalid when it does not.
    """
    if not 0 < old_size <= new_size:
        msg = f"no consistency from {old_size} to {new_size}"
        raise ProofInvalid(msg)
    if old_size == new_size:
        _require(not proof and old_root == new_root)
        return
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    _require(bool(path))
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        _require(last != 0)
        if position & 1 or position == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_node = node_hash(new_node, sibling)
        position, last = position >> 1, last >> 1
    _require(last == 0 and old_node == old_root and new_node == new_root)


def _require(holds: bool) -> None:
    if not holds:
        msg = "the proof does not connect the two roots"
        raise ProofInvalid(msg)


def _split(size: int) -> int:
    """The largest power of two below `size`, which must be at least two."""
    return 1 << ((size - 1).bit_length() - 1)


def _subproof(leaf_hashes: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    size = len(leaf_hashes)
    if old_size == size:
        return [] if whole else [root(leaf_hashes)]
    split = _split(size)
    if old_size <= split:
        return [*_subproof(leaf_hashes[:split], old_size, whole=whole), root(leaf_hashes[split:])]
    return [
        *_subproof(leaf_hashes[split:], old_size - split, whole=False),
        root(leaf_hashes[:split]),
    ]
