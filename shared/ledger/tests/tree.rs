//! The tree, its proofs and their making, against the definitions of RFC 6962 and RFC 9162 written out naively.

use crypto::Digest;
use ledger::edge::RightEdge;
use ledger::frontier::Frontier;
use ledger::hash::{EMPTY_ROOT, leaf_hash, node_hash};
use ledger::plan::{PlanError, ProofPlan};
use ledger::proof::{
    MAX_PROOF_HASHES, ProofError, verify_consistency, verify_growth, verify_inclusion,
};
use ledger::range::verify_range;
use ledger::tile::{TilePath, changed};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// RFC 9162 §2.1.1, word for word.
fn tree_hash(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&tree_hash(left), &tree_hash(right))
        }
    }
}

/// RFC 9162 §2.1.3.1, word for word.
fn inclusion_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut path, sibling) = if index < split {
        (inclusion_path(index, left), tree_hash(right))
    } else {
        (inclusion_path(index - split, right), tree_hash(left))
    };
    path.push(sibling);
    path
}

/// RFC 9162 §2.1.4.1, word for word.
fn sub_proof(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![tree_hash(leaves)]
        };
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut proof, other) = if old <= split {
        (sub_proof(old, left, whole), tree_hash(right))
    } else {
        (sub_proof(old - split, right, false), tree_hash(left))
    };
    proof.push(other);
    proof
}

fn leaves(count: usize) -> Vec<Digest> {
    (0..count)
        .map(|i| leaf_hash(format!("entry {i}").as_bytes()))
        .collect()
}

/// A log's hash tiles by path, as a directory would hold them.
fn tiles_of(leaves: &[Digest]) -> BTreeMap<TilePath, Vec<Digest>> {
    RightEdge::new()
        .append(leaves)
        .into_iter()
        .map(|tile| (tile.path, tile.hashes))
        .collect()
}

fn assemble(plan: &ProofPlan, tiles: &BTreeMap<TilePath, Vec<Digest>>) -> Vec<Digest> {
    let needed = plan.tiles();
    plan.assemble(|path| {
        assert!(needed.contains(path), "{path} was not announced");
        tiles.get(path).map(Vec::as_slice)
    })
    .expect("the announced tiles are all there")
}

#[test]
fn every_inclusion_proof_below_70_is_the_rfcs_and_verifies_for_its_leaf_alone() {
    for size in 1..70 {
        let all = leaves(size);
        let tiles = tiles_of(&all);
        let root = tree_hash(&all);
        for index in 0..size {
            let plan = ProofPlan::inclusion(index as u64, size as u64).unwrap();
            let proof = assemble(&plan, &tiles);
            assert_eq!(proof, inclusion_path(index, &all), "{index} of {size}");
            for claimed in 0..size {
                let verdict =
                    verify_inclusion(claimed as u64, size as u64, &all[index], &proof, &root);
                assert_eq!(verdict.is_ok(), claimed == index, "{claimed} of {size}");
            }
        }
    }
}

#[test]
fn every_consistency_proof_below_70_is_the_rfcs_and_verifies_for_its_sizes_alone() {
    for new in 1..70 {
        let all = leaves(new);
        let tiles = tiles_of(&all);
        let new_root = tree_hash(&all);
        for old in 1..=new {
            let old_root = tree_hash(&all[..old]);
            let plan = ProofPlan::consistency(old as u64, new as u64).unwrap();
            let proof = assemble(&plan, &tiles);
            assert_eq!(proof, sub_proof(old, &all, true), "{old} to {new}");
            for claimed in 1..=new {
                let verdict =
                    verify_consistency(claimed as u64, new as u64, &old_root, &new_root, &proof);
                assert_eq!(verdict.is_ok(), claimed == old, "{claimed} to {new}");
            }
        }
    }
}

/// What a forger might do to a list of hashes.
fn corrupted(proof: &[Digest], roots: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    for extra in roots.iter().chain([&EMPTY_ROOT, &leaf_hash(b"garbage")]) {
        all.push([&[*extra], proof].concat());
        all.push([proof, &[*extra]].concat());
    }
    for at in 0..proof.len() {
        for bit in [0, 4, 7] {
            let mut changed = proof.to_vec();
            let mut bytes = *changed[at].as_bytes();
            bytes[at % 32] ^= 1 << bit;
            changed[at] = Digest::from_bytes(bytes);
            all.push(changed);
        }
        let mut without = proof.to_vec();
        without.remove(at);
        all.push(without);
        let mut twice = proof.to_vec();
        twice.insert(at, proof[at]);
        all.push(twice);
        if at > 0 && proof[at] != proof[at - 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            all.push(swapped);
        }
    }
    all
}

#[test]
fn a_corrupted_proof_fails_whatever_was_done_to_it() {
    for (old, new) in [
        (1, 1),
        (1, 8),
        (2, 8),
        (3, 7),
        (4, 8),
        (6, 8),
        (7, 64),
        (33, 65),
    ] {
        let all = leaves(new);
        let tiles = tiles_of(&all);
        let (old_root, new_root) = (tree_hash(&all[..old]), tree_hash(&all));
        let (old, new) = (old as u64, new as u64);
        let proof = assemble(&ProofPlan::consistency(old, new).unwrap(), &tiles);
        let check =
            |o, n, r1: &Digest, r2: &Digest, p: &[Digest]| verify_consistency(o, n, r1, r2, p);
        check(old, new, &old_root, &new_root, &proof).unwrap();
        for bad in corrupted(&proof, &[old_root, new_root]) {
            assert!(check(old, new, &old_root, &new_root, &bad).is_err());
        }
        for (o, n) in [
            (old - 1, new),
            (old + 1, new),
            (old ^ 2, new),
            (old, new * 2),
            (old, new / 2),
        ] {
            assert!(
                check(o, n, &old_root, &new_root, &proof).is_err(),
                "{o} {n}"
            );
        }
        if old != new {
            assert!(check(old, new, &new_root, &old_root, &proof).is_err());
        }
        assert!(check(old, new, &leaf_hash(b"x"), &new_root, &proof).is_err());
        assert!(check(old, new, &old_root, &leaf_hash(b"x"), &proof).is_err());

        let index = old - 1;
        let leaf = all[index as usize];
        let proof = assemble(&ProofPlan::inclusion(index, new).unwrap(), &tiles);
        verify_inclusion(index, new, &leaf, &proof, &new_root).unwrap();
        for bad in corrupted(&proof, &[new_root, leaf]) {
            assert!(verify_inclusion(index, new, &leaf, &bad, &new_root).is_err());
        }
        for (i, n) in [
            (index + 1, new),
            (index ^ 2, new),
            (index, new * 2),
            (new, new),
        ] {
            assert!(
                verify_inclusion(i, n, &leaf, &proof, &new_root).is_err(),
                "{i} {n}"
            );
        }
        assert!(verify_inclusion(index, new, &leaf_hash(b"x"), &proof, &new_root).is_err());
        assert!(verify_inclusion(index, new, &leaf, &proof, &EMPTY_ROOT).is_err());
    }
}

#[test]
fn a_hash_too_many_is_refused_even_if_it_leads_to_the_root() {
    let (leaf, more) = (leaf_hash(b"leaf"), leaf_hash(b"more"));
    let too_many = Err(ProofError::Length { found: 1 });
    for root in [node_hash(&more, &leaf), node_hash(&leaf, &more)] {
        assert_eq!(verify_inclusion(0, 1, &leaf, &[more], &root), too_many);
        assert_eq!(verify_consistency(1, 1, &leaf, &root, &[more]), too_many);
    }
    let missing = Err(ProofError::Length { found: 0 });
    assert_eq!(verify_consistency(1, 2, &leaf, &leaf, &[]), missing);
    assert_eq!(verify_consistency(3, 4, &leaf, &leaf, &[]), missing);
}

#[test]
fn the_empty_tree_proves_nothing_and_grows_into_anything() {
    let root = leaf_hash(b"only");
    assert_eq!(
        verify_consistency(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]),
        Err(ProofError::FromEmpty)
    );
    assert_eq!(
        verify_inclusion(0, 0, &root, &[], &EMPTY_ROOT),
        Err(ProofError::IndexBeyondSize { index: 0, size: 0 })
    );
    assert_eq!(verify_growth(0, 1, &EMPTY_ROOT, &root, &[]), Ok(()));
    assert!(verify_growth(0, 1, &root, &root, &[]).is_err());
    assert!(verify_growth(0, 1, &EMPTY_ROOT, &root, &[root]).is_err());
    assert!(verify_growth(0, 0, &EMPTY_ROOT, &root, &[]).is_err());
    assert!(ProofPlan::consistency(0, 5).unwrap().nodes().is_empty());
    assert_eq!(
        ProofPlan::inclusion(5, 5),
        Err(PlanError::Impossible(ProofError::IndexBeyondSize {
            index: 5,
            size: 5
        }))
    );
    assert!(ProofPlan::consistency(6, 5).is_err());
    assert_eq!(ProofPlan::root(1 << 63), Err(PlanError::TooLarge(1 << 63)));
}

#[test]
fn a_missing_or_narrow_tile_is_an_error_and_a_wider_one_will_do() {
    let all = leaves(300);
    let plan = ProofPlan::inclusion(299, 300).unwrap();
    assert!(matches!(
        plan.assemble(|_| None),
        Err(PlanError::MissingTile(_))
    ));
    assert!(matches!(
        plan.assemble(|_| Some(&all[..1])),
        Err(PlanError::TileWidth { found: 1, .. })
    ));
    let grown = tiles_of(&leaves(600));
    let proof = plan
        .assemble(|path| {
            grown
                .iter()
                .find(|(tile, _)| tile.kind() == path.kind() && tile.index() == path.index())
                .map(|(_, hashes)| hashes.as_slice())
        })
        .unwrap();
    verify_inclusion(299, 300, &all[299], &proof, &tree_hash(&all)).unwrap();
}

#[test]
fn the_largest_log_has_proofs_within_the_bound() {
    for index in [0, 1, ledger::MAX_SIZE / 3, ledger::MAX_SIZE - 1] {
        let plan = ProofPlan::inclusion(index, ledger::MAX_SIZE).unwrap();
        assert!(plan.nodes().len() <= MAX_PROOF_HASHES);
        let plan = ProofPlan::consistency(index + 1, ledger::MAX_SIZE).unwrap();
        assert!(plan.nodes().len() <= MAX_PROOF_HASHES);
        assert!(plan.tiles().len() <= 64);
    }
}

#[test]
fn a_range_shows_that_no_leaf_is_missing() {
    let all = leaves(45);
    let tiles = tiles_of(&all);
    let root = tree_hash(&all);
    for from in 0..all.len() {
        for to in from + 1..=all.len() {
            let left = assemble(&ProofPlan::frontier(from as u64, 45).unwrap(), &tiles);
            let left = Frontier::from_parts(from as u64, left).unwrap();
            let proof = assemble(&ProofPlan::consistency(to as u64, 45).unwrap(), &tiles);
            let end = verify_range(left.clone(), &all[from..to], 45, &root, &proof).unwrap();
            assert_eq!(end.root(), tree_hash(&all[..to]));
            let short = verify_range(left.clone(), &all[from..to - 1], 45, &root, &proof);
            assert!(short.is_err(), "[{from}, {to}) without its last leaf");
            let mut swapped = all[from..to].to_vec();
            swapped.reverse();
            if to - from > 1 {
                assert!(verify_range(left, &swapped, 45, &root, &proof).is_err());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn larger_logs_prove_what_they_hold(size in 1_usize..70_000, a in any::<u64>(), b in any::<u64>()) {
        let all = leaves(size);
        let tiles = tiles_of(&all);
        let mut frontier = Frontier::new();
        frontier.extend(all.iter().copied());
        let (n, index, old) = (size as u64, a % size as u64, b % size as u64 + 1);
        let root = assemble(&ProofPlan::root(n).unwrap(), &tiles);
        prop_assert_eq!(&root, &vec![frontier.root()]);
        let proof = assemble(&ProofPlan::inclusion(index, n).unwrap(), &tiles);
        verify_inclusion(index, n, &all[index as usize], &proof, &root[0]).unwrap();
        let other = (index + 1) % n;
        prop_assert!(n == 1 || verify_inclusion(other, n, &all[index as usize], &proof, &root[0]).is_err());
        let hashes = assemble(&ProofPlan::frontier(old, n).unwrap(), &tiles);
        let then = Frontier::from_parts(old, hashes).unwrap();
        let proof = assemble(&ProofPlan::consistency(old, n).unwrap(), &tiles);
        verify_consistency(old, n, &then.root(), &root[0], &proof).unwrap();
    }

    #[test]
    fn batches_write_exactly_the_tiles_that_change(sizes in prop::collection::vec(0_usize..1500, 1..6)) {
        let all = leaves(sizes.iter().sum());
        let (mut edge, mut disk, mut at) = (RightEdge::new(), BTreeMap::new(), 0);
        for step in sizes {
            let tiles = edge.append(&all[at..at + step]);
            let mut written: Vec<TilePath> = tiles.iter().map(|t| t.path).collect();
            written.sort();
            let expected: Vec<TilePath> = changed(at as u64, (at + step) as u64)
                .filter(|p| p.kind() != ledger::tile::TileKind::Entries)
                .collect();
            prop_assert_eq!(written, expected);
            disk.extend(tiles.into_iter().map(|t| (t.path, t.hashes)));
            at += step;
            let again = RightEdge::from_tiles(at as u64, |p| disk.get(p).cloned()).unwrap();
            prop_assert_eq!(again.frontier().root(), edge.frontier().root());
            edge = again;
        }
        for (path, hashes) in tiles_of(&all) {
            prop_assert_eq!(Some(&hashes), disk.get(&path));
        }
        let mut frontier = Frontier::new();
        frontier.extend(all.iter().copied());
        prop_assert_eq!(edge.frontier(), frontier);
    }
}
