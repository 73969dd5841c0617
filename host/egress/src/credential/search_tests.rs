#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::single_range_in_vec_init, reason = "a test may panic")]
use super::*;
use crate::credential::needle::needles;
use proptest::prelude::*;

fn plain(bytes: &[u8]) -> Needle {
    Needle { bytes: Zeroizing::new(bytes.to_vec()), before: 0, after: 0 }
}

/// What the search has to find, the slow way.
fn naive(needles: &[Vec<u8>], body: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    for start in 0..body.len() {
        for needle in needles.iter().filter(|needle| body[start..].starts_with(needle)) {
            join(&mut places, start..start + needle.len());
        }
    }
    places
}

#[test]
fn nothing_is_found_without_needles() {
    assert!(Search::default().find(b"abc").is_empty());
    assert!(Search::new(vec![plain(b"ab")]).find(b"abab").is_empty());
}

#[test]
fn overlapping_needles_leave_no_rest() {
    let search = Search::new(vec![plain(b"abcdef"), plain(b"defghijkl")]);
    assert_eq!(search.find(b"xabcdefghijklx"), [1..13]);
    assert_eq!(search.find(b"abcdefabcdef"), [0..12]);
    assert_eq!(search.find(b"abcdef-abcdef"), [0..6, 7..13]);
}

#[test]
fn needles_longer_than_a_window_are_found() {
    let long: Vec<u8> = (0..400).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
    let search = Search::new(vec![plain(&long)]);
    let body = [b"xx", long.as_slice(), b"yy", &long[..399]].concat();
    assert_eq!(search.find(&body), [2..402]);
}

#[test]
fn a_periodic_secret_in_a_periodic_body_takes_no_time_to_speak_of() {
    let search = Search::new(needles(&vec![b'a'; 16 * 1024]));
    let began = std::time::Instant::now();
    assert_eq!(search.find(&vec![b'a'; 1024 * 1024]).len(), 1);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn finds_what_the_slow_way_finds(
        needles in proptest::collection::vec("[ab]{3,9}", 1..8), body in "[abc]{0,200}",
    ) {
        let needles: Vec<Vec<u8>> = needles.into_iter().map(String::into_bytes).collect();
        let search = Search::new(needles.iter().map(|needle| plain(needle)).collect());
        prop_assert_eq!(search.find(body.as_bytes()), naive(&needles, body.as_bytes()));
    }
}
