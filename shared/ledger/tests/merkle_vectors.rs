//! The proofs that transparency-dev/merkle published, right and wrong ones, and a verifier that others wrote.
//!
//! Both come with the package `sigstore-merkle`, whose release carries the vectors: 98 of inclusion and 97 of the 98 of
//! consistency. They are of the time when the empty tree still was consistent with itself; today their authors refuse
//! every proof from it, as RFC 9162 knows none and as we do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crypto::Digest;
use ledger::edge::RightEdge;
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use ledger::plan::ProofPlan;
use ledger::proof::{verify_consistency, verify_inclusion};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sigstore_merkle::{verify_consistency_proof, verify_inclusion_proof};
use sigstore_types::Sha256Hash;
use std::collections::BTreeMap;

/// The folder of the package with the vectors, as cargo unpacked it.
fn package() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages
        .iter()
        .find(|package| package["name"] == "sigstore-merkle")
        .expect("sigstore-merkle is a dependency");
    let manifest = package["manifest_path"].as_str().expect("a path");
    Path::new(manifest).parent().expect("a folder").to_owned()
}

/// All JSON files of one kind.
fn vectors<V: DeserializeOwned>(kind: &str) -> Vec<(PathBuf, V)> {
    let mut found = Vec::new();
    let mut folders = vec![package().join("test-data/merkle/testdata").join(kind)];
    while let Some(folder) = folders.pop() {
        let list = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in list {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let json = fs::read(&path).expect("a readable file");
            let vector =
                serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            found.push((path, vector));
        }
    }
    found
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

/// A root of the vectors. One pair has 12 bytes, to show that equal sizes only compare; our roots have 32 by type, so a root
/// of another length is stood for by its digest, which is equal when it is equal.
fn root(text: &str) -> Digest {
    Digest::from_base64(text).unwrap_or_else(|_| Digest::of(text.as_bytes()))
}

/// `None` if one of them is not the base64 of 32 bytes: then no proof can be made of them.
fn digests(texts: &[String]) -> Option<Vec<Digest>> {
    texts
        .iter()
        .map(|text| Digest::from_base64(text).ok())
        .collect()
}

#[test]
fn the_published_inclusion_proofs_are_believed_and_refused_as_they_say() {
    let vectors = vectors::<Inclusion>("inclusion");
    assert_eq!(vectors.len(), 98);
    for (file, v) in vectors {
        let believed = digests(&v.proof.unwrap_or_default()).is_some_and(|proof| {
            let leaf = Digest::from_base64(&v.leaf_hash);
            leaf.is_ok_and(|leaf| {
                verify_inclusion(v.leaf_idx, v.tree_size, &leaf, &proof, &root(&v.root)).is_ok()
            })
        });
        assert_eq!(believed, !v.want_err, "{}", file.display());
    }
}

#[test]
fn the_published_consistency_proofs_are_believed_and_refused_as_they_say() {
    let vectors = vectors::<Consistency>("consistency");
    assert_eq!(vectors.len(), 97);
    for (file, v) in vectors {
        let believed = digests(&v.proof.unwrap_or_default()).is_some_and(|proof| {
            let (old, new) = (root(&v.root1), root(&v.root2));
            verify_consistency(v.size1, v.size2, &old, &new, &proof).is_ok()
        });
        assert_eq!(believed, !v.want_err && v.size1 > 0, "{}", file.display());
    }
}

fn theirs(digest: &Digest) -> Sha256Hash {
    Sha256Hash::new(*digest.as_bytes())
}

/// What our log would serve is believed by a verifier that shares no line with it, and nothing else is.
#[test]
fn proofs_of_ours_convince_a_verifier_of_others() {
    let leaves: Vec<Digest> = (0..300_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let tiles: BTreeMap<_, _> = RightEdge::new()
        .append(&leaves)
        .into_iter()
        .map(|tile| (tile.path, tile.hashes))
        .collect();
    let root = |size: usize| {
        let mut frontier = Frontier::new();
        frontier.extend(leaves[..size].iter().copied());
        theirs(&frontier.root())
    };
    let proof = |plan: ProofPlan| -> Vec<Sha256Hash> {
        let hashes = plan.assemble(|path| tiles.get(path).map(Vec::as_slice));
        hashes.expect("every tile").iter().map(theirs).collect()
    };
    let whole = root(300);
    for index in 0..300_usize {
        let path = proof(ProofPlan::inclusion(index as u64, 300).unwrap());
        let believed = |leaf: usize| {
            verify_inclusion_proof(&theirs(&leaves[leaf]), index as u64, 300, &path, &whole).is_ok()
        };
        assert!(believed(index), "{index}");
        assert!(!believed((index + 1) % 300), "{index}");
    }
    for old in 1..300_usize {
        let path = proof(ProofPlan::consistency(old as u64, 300).unwrap());
        let believed = |size: usize| {
            verify_consistency_proof(old as u64, 300, &path, &root(size), &whole).is_ok()
        };
        assert!(believed(old), "{old}");
        assert!(!believed(old % 299 + 1), "{old}");
    }
}
