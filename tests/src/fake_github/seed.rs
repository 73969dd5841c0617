//! From a seed and an index to a value: the same one on every machine and with every version of a library, because the
//! mixing function is here.

/// What a value is about, so that two values of one index don't depend on each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Salt {
    Account,
    Member,
    Outside,
    Repo,
    RepoClock,
    Team,
    TeamMembers,
    TeamRepos,
    TeamRepoPermission,
    Collaborators,
    CollaboratorPermission,
    Secret,
    Probability,
}

/// SplitMix64 over seed, salt and index.
pub(super) fn hash(seed: u64, salt: Salt, index: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add((salt as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03))
        .wrapping_add(index.wrapping_mul(0x2545_F491_4F6C_DD1D));
    for _ in 0..2 {
        z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
    }
    z
}

/// One of a fixed list.
pub(super) fn pick<T: Copy>(list: &[T], hash: u64) -> Option<T> {
    let len = u64::try_from(list.len()).ok().filter(|len| *len > 0)?;
    list.get(usize::try_from(hash % len).ok()?).copied()
}

/// Ten years from 2014, in seconds.
const YEARS_SECONDS: u64 = 315_360_000;
/// 2014-01-01T00:00:00Z.
const EPOCH_SECONDS: u64 = 1_388_534_400;

/// A time between 2014 and 2024, as the API writes it.
pub(super) fn time(seed: u64, salt: Salt, index: u64) -> String {
    let second = EPOCH_SECONDS + hash(seed, salt, index) % YEARS_SECONDS;
    i64::try_from(second)
        .ok()
        .and_then(|second| jiff::Timestamp::from_second(second).ok())
        .map_or_else(|| "2014-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}

/// `take` different numbers below `of`, spread over the whole range.
pub(super) fn spread(of: u32, take: u32, hash: u64) -> impl Iterator<Item = u32> {
    let n = u64::from(of.max(1));
    let start = hash % n;
    // A step without a common divisor with n visits every number once.
    let mut step = (hash >> 24) % n;
    while gcd(step, n) != 1 {
        step = (step + 1) % n.max(2);
    }
    (0..u64::from(take.min(of))).filter_map(move |j| u32::try_from((start + j * step) % n).ok())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Letters and digits that look like a token's tail.
pub(super) fn letters(seed: u64, salt: Salt, index: u64, length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..)
        .map(|i: u64| hash(seed ^ index.rotate_left(17), salt, index.wrapping_mul(64).wrapping_add(i)))
        .filter_map(|h| pick(ALPHABET, h).map(char::from))
        .take(length)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_spread_names_every_number_once() {
        for of in [1, 2, 3, 10, 64, 97] {
            for h in [0, 1, 7, u64::MAX, 0x1234_5678_9abc_def0] {
                let all: BTreeSet<u32> = spread(of, of, h).collect();
                assert_eq!(all, (0..of).collect(), "of {of}, hash {h}");
            }
        }
        assert_eq!(spread(0, 5, 3).count(), 0);
    }

    #[test]
    fn a_hash_stays_what_it_is() {
        // Whoever changes this number changes every seeded organisation in every snapshot.
        assert_eq!(hash(1, Salt::Repo, 0), hash(1, Salt::Repo, 0));
        assert_ne!(hash(1, Salt::Repo, 0), hash(2, Salt::Repo, 0));
        assert_ne!(hash(1, Salt::Repo, 0), hash(1, Salt::Team, 0));
    }
}
