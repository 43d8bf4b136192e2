"""The Merkle tree against the recursive definition of RFC 6962 §2.1, written down here once more."""

from __future__ import annotations

import hashlib

import pytest

from sessions import tree

# Leaves and roots of the reference vectors used by Certificate Transparency implementations.
VECTOR_LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


LEAVES = [bytes([n]) * n for n in range(70)]
HASHES = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in LEAVES]


def test_roots_are_those_of_the_reference_vectors() -> None:
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in VECTOR_LEAVES]
    assert [tree.root(hashes[: n + 1]).hex() for n in range(len(hashes))] == VECTOR_ROOTS


def test_the_frontier_gives_the_root_of_the_recursive_definition_at_every_size() -> None:
    frontier = tree.Frontier()
    for size, leaf_hash in enumerate(HASHES):
        assert frontier.root() == naive_root(LEAVES[:size])
        again = tree.Frontier.from_bytes(frontier.size, frontier.to_bytes())
        assert (again.size, again.root()) == (size, frontier.root())
        frontier.append(leaf_hash)


def test_every_leaf_has_a_proof_of_inclusion_and_no_other_leaf_has_it() -> None:
    for size in range(1, 34):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            proof = tree.inclusion_proof(HASHES[:size], index)
            tree.verify_inclusion(HASHES[index], index, size, proof, root)
            for wrong in ((HASHES[index + 1], index, size), (HASHES[index], index + 1, size)):
                with pytest.raises(tree.ProofInvalid):
                    tree.verify_inclusion(*wrong, proof, root)
            with pytest.raises(tree.ProofInvalid):
                tree.verify_inclusion(HASHES[index], index, size, [*proof, HASHES[0]], root)


def test_every_older_tree_is_proved_to_be_a_beginning_of_the_newer() -> None:
    for new in range(1, 34):
        new_root = naive_root(LEAVES[:new])
        for old in range(1, new + 1):
            old_root = naive_root(LEAVES[:old])
            proof = tree.consistency_proof(HASHES[:new], old)
            tree.verify_consistency(old, old_root, new, new_root, proof)
            with pytest.raises(tree.ProofInvalid):
                tree.verify_consistency(old, HASHES[0][::-1], new, new_root, proof)
            with pytest.raises(tree.ProofInvalid):
                tree.verify_consistency(old, old_root, new, new_root, [*proof, HASHES[0]])


def test_what_is_outside_the_tree_has_no_proof() -> None:
    with pytest.raises(tree.ProofInvalid):
        tree.inclusion_proof(HASHES[:3], 3)
    for old in (0, 4):
        with pytest.raises(tree.ProofInvalid):
            tree.consistency_proof(HASHES[:3], old)
    with pytest.raises(tree.ProofInvalid):
        tree.verify_inclusion(HASHES[0], 1, 1, [], HASHES[0])


def test_a_frontier_that_does_not_fit_its_size_is_refused() -> None:
    for size, hashes in ((1, []), (3, HASHES[:1]), (1, [b"short"]), (-1, [])):
        with pytest.raises(tree.ProofInvalid):
            tree.Frontier(size, hashes)
