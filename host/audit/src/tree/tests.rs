#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use crate::test_support::TestLog;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use std::cell::RefCell;

/// The leaves of the test vectors of Certificate Transparency.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
/// The roots of the trees over the first 1 to 8 of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
/// Index, size, proof.
const INCLUSION: [(u64, u64, &[&str]); 7] = [
    (0, 1, &[]),
    (0, 2, &["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]),
    (1, 2, &["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];
/// Older size, size, proof.
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hash(digits: &str) -> Hash {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).unwrap();
    Hash(bytes)
}

fn vector_log() -> TestLog {
    TestLog::of(LEAVES.map(|digits| hex::decode(digits).unwrap()))
}

#[test]
fn the_tree_of_nothing_has_the_hash_of_nothing() {
    assert_eq!(Frontier::new().root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

#[test]
fn roots_and_proofs_are_those_of_the_published_vectors() {
    let log = vector_log();
    for (root, size) in ROOTS.iter().zip(1..) {
        assert_eq!(log.root(size), hash(root), "{size} leaves");
    }
    for (index, size, expected) in INCLUSION {
        let expected: Vec<Hash> = expected.iter().map(|digits| hash(digits)).collect();
        assert_eq!(inclusion_proof(index, size, &log.nodes).unwrap(), expected, "{index} of {size}");
        let leaf = leaf_hash(&hex::decode(LEAVES[index as usize]).unwrap());
        verify_inclusion(&leaf, index, size, &expected, &log.root(size)).unwrap();
    }
    for (old, size, expected) in CONSISTENCY {
        let expected: Vec<Hash> = expected.iter().map(|digits| hash(digits)).collect();
        assert_eq!(consistency_proof(old, size, &log.nodes).unwrap(), expected, "{old} to {size}");
        verify_consistency((old, &log.root(old)), (size, &log.root(size)), &expected).unwrap();
    }
}

/// Proofs as bytes, for a comparison with the other implementation.
fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn roots_and_proofs_are_those_of_an_independent_implementation() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let ours = TestLog::numbered(1030);
    for size in 1..=1030_u64 {
        theirs.push(format!("leaf {}", size - 1).into_bytes());
        // All sizes up to 80, then those around the edges of tiles.
        let edge = [254, 255, 256, 257, 300, 511, 512, 513, 777, 1024, 1030].contains(&size);
        if size > 80 && !edge {
            continue;
        }
        assert_eq!(ours.root(size).0, theirs.root().as_bytes()[..], "{size} leaves");
        let step = if edge { 13 } else { 1 };
        for index in (0..size).step_by(step).chain([size - 1]) {
            let proof = inclusion_proof(index, size, &ours.nodes).unwrap();
            assert_eq!(bytes(&proof), theirs.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
            let leaf = leaf_hash(format!("leaf {index}").as_bytes());
            verify_inclusion(&leaf, index, size, &proof, &ours.root(size)).unwrap();
        }
        for old in (1..size).step_by(step).chain([size]) {
            let proof = consistency_proof(old, size, &ours.nodes).unwrap();
            let expected = theirs.prove_consistency((size - old) as usize);
            assert_eq!(bytes(&proof), expected.as_bytes(), "{old} to {size}");
            verify_consistency((old, &ours.root(old)), (size, &ours.root(size)), &proof).unwrap();
        }
    }
}

/// Remembers what it was asked for.
struct Asked<'a>(&'a NodeMap, RefCell<Vec<(u8, u64)>>);

impl NodeReader for Asked<'_> {
    fn stored(&self, level: u8, index: u64) -> Option<Hash> {
        self.1.borrow_mut().push((level, index));
        self.0.stored(level, index)
    }
}

#[test]
fn a_plan_names_all_it_reads_and_no_more() {
    let size = 70_000;
    let log = TestLog::numbered(size);
    for (index, old) in [(0, 1), (255, 256), (256, 257), (65_535, 65_536), (65_536, 69_000), (69_999, 69_999)] {
        for plan in [ProofPlan::inclusion(index, size).unwrap(), ProofPlan::consistency(old, size).unwrap()] {
            let asked = Asked(&log.nodes, RefCell::default());
            plan.assemble(&asked).unwrap();
            let mut read = asked.1.into_inner();
            read.sort_unstable();
            read.dedup();
            let mut named: Vec<(u8, u64)> =
                plan.stored().into_iter().flat_map(|n| n.range.map(move |index| (n.level, index))).collect();
            named.sort_unstable();
            assert_eq!(read, named);
            assert!(named.len() <= 3 * 256, "{} hashes", named.len());
            assert!(named.iter().all(|(level, _)| level % TILE_HEIGHT == 0));
        }
    }
}

#[test]
fn one_hash_in_256_leaves_is_completed() {
    let mut frontier = Frontier::new();
    let mut completed = Vec::new();
    for n in 0..65_536_u64 {
        frontier.push_noting(leaf_hash(&n.to_be_bytes()), |node| completed.push((node.level, node.index)));
    }
    assert_eq!(completed.len(), 257);
    assert_eq!(completed[0], (8, 0));
    assert_eq!(completed[255], (8, 255));
    assert_eq!(completed[256], (16, 0));
}

#[test]
fn a_missing_hash_is_an_error_and_not_a_wrong_proof() {
    let error = inclusion_proof(3, 8, &NodeMap::default()).unwrap_err();
    assert!(error.to_string().contains("level 0"), "{error}");
    assert!(inclusion_proof(8, 8, &NodeMap::default()).is_err());
    assert!(consistency_proof(9, 8, &NodeMap::default()).is_err());
}

#[test]
fn a_frontier_that_is_none_is_refused() {
    assert!(Frontier::from_bytes(3, &[0; 32]).is_err());
    assert!(Frontier::from_bytes(3, &[0; 65]).is_err());
    assert!(Frontier::from_bytes(u64::MAX, &[0; 64 * 32]).is_err());
    assert!(Frontier::from_bytes(3, &[0; 64]).is_ok());
}

#[test]
fn absurd_sizes_end_quickly() {
    let proof = vec![Hash([7; 32]); MAX_PROOF_HASHES];
    let root = Hash([1; 32]);
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        for index in [0, 1, size / 2, size - 1] {
            assert!(verify_inclusion(&root, index, size, &proof, &root).is_err());
            assert!(verify_consistency((index, &root), (size, &root), &proof).is_err());
            assert!(ProofPlan::inclusion(index, size).unwrap().stored().len() < 200);
            assert!(ProofPlan::consistency(index, size).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_frontier_is_the_same_after_storage(size in 0_u64..600, more in 0_u64..40) {
        let log = TestLog::numbered(size);
        let mut restored = Frontier::from_bytes(size, &log.frontier.to_bytes()).unwrap();
        prop_assert_eq!(&restored, &log.frontier);
        for n in size..size + more {
            restored.push(leaf_hash(format!("leaf {n}").as_bytes()));
        }
        prop_assert_eq!(restored.root(), TestLog::numbered(size + more).root(size + more));
    }

    #[test]
    fn a_proof_shows_its_own_leaf_only(size in 1_u64..400, index: u64, other: u64, bit in 0_usize..256, change: u8) {
        let log = TestLog::numbered(400);
        let (index, other) = (index % size, other % size);
        let leaf = leaf_hash(format!("leaf {index}").as_bytes());
        let root = log.root(size);
        let mut proof = inclusion_proof(index, size, &log.nodes).unwrap();
        verify_inclusion(&leaf, index, size, &proof, &root).unwrap();
        if other != index {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        match change % 4 {
            0 if !proof.is_empty() => {
                let at = bit % proof.len();
                proof[at].0[bit / 8] ^= 1 << (bit % 8);
            }
            1 => { proof.push(root); }
            2 if !proof.is_empty() => { proof.pop(); }
            _ => { proof.insert(0, leaf); }
        }
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root).is_err());
    }

    #[test]
    fn a_consistency_proof_shows_its_own_trees_only(size in 2_u64..400, old: u64, bit in 0_usize..256, change: u8) {
        let log = TestLog::numbered(401);
        let old = 1 + old % (size - 1);
        let mut proof = consistency_proof(old, size, &log.nodes).unwrap();
        let (older, newer) = (log.root(old), log.root(size));
        verify_consistency((old, &older), (size, &newer), &proof).unwrap();
        // Another history of the same length.
        let mut fork = TestLog::numbered(old - 1);
        fork.push(b"another leaf");
        prop_assert!(verify_consistency((old, &fork.root(old)), (size, &newer), &proof).is_err());
        prop_assert!(verify_consistency((old, &older), (size, &log.root(size + 1)), &proof).is_err());
        match change % 3 {
            0 => {
                let at = bit % proof.len();
                proof[at].0[bit / 8] ^= 1 << (bit % 8);
            }
            1 => { proof.push(older); }
            _ => { proof.pop(); }
        }
        prop_assert!(verify_consistency((old, &older), (size, &newer), &proof).is_err());
    }

    #[test]
    fn any_proof_is_answered_without_a_panic(
        index: u64, size: u64, old: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70), root: [u8; 32],
    ) {
        let proof: Vec<Hash> = proof.into_iter().map(Hash).collect();
        let root = Hash(root);
        prop_assert!(verify_inclusion(&root, index, size, &proof, &root).is_err() || size == 1);
        let _ = verify_consistency((old, &root), (size, &root), &proof);
    }
}
