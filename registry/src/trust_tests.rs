#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use crate::approval::{Approval, ApprovalKind, Decision};
use crate::diff::Verdict;
use crate::key::SigningKey;
use crate::sign::ModuleSignature;
use jiff::Timestamp;
use std::collections::BTreeMap;

const ON: Policy = Policy { automatic: true };
const OFF: Policy = Policy { automatic: false };

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn digest(n: u8) -> ModuleDigest {
    ModuleDigest([n; 32])
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A register with publisher `acme`, reviewers, and versions 0.1.0, 0.2.0, … of `github`, each signed.
struct World {
    book: Book,
    keys: BTreeMap<&'static str, SigningKey>,
}

impl World {
    fn new(versions: u8) -> Self {
        let names = ["acme", "evil", "ada", "ben", "cleo"];
        let keys: BTreeMap<_, _> = names.into_iter().map(|n| (n, SigningKey::generate().unwrap().1)).collect();
        let registered = |n: &str| vec![RegisteredKey { public: keys[n].public(), ended: None }];
        let mut book = Book::default();
        for n in ["acme", "evil"] {
            let people = [format!("{n}-dev")].into();
            book.publishers.insert(name(n), Publisher { name: name(n), people, keys: registered(n) });
        }
        for n in ["ada", "ben", "cleo"] {
            book.reviewers.insert(name(n), Reviewer { name: name(n), keys: registered(n) });
        }
        let mut world = Self { book, keys };
        for n in 1..=versions {
            let version = Version {
                digest: digest(n),
                name: name("github"),
                version: format!("0.{n}.0"),
                publisher: "acme".to_owned(),
                published_by: "otto".to_owned(),
                published_at: time(i64::from(n)),
                operations: (1..=n).map(|o| format!("list-{o}").parse().unwrap()).collect(),
                signatures: vec![ModuleSignature::new(&world.keys["acme"], &name("acme"), digest(n))],
                approvals: Vec::new(),
                yank: None,
            };
            world.book.versions.insert(0, version);
        }
        world
    }

    fn version(&mut self, n: u8) -> &mut Version {
        self.book.versions.iter_mut().find(|v| v.digest == digest(n)).unwrap()
    }

    fn approve_as(&mut self, n: u8, reviewer: &'static str, basis: Option<u8>, kind: ApprovalKind) {
        let decision = Decision {
            module: digest(n),
            basis: basis.map(digest),
            diff: digest(0).to_string(),
            // Whatever is claimed here counts for nothing.
            verdict: if basis.is_some() { Verdict::Equal } else { Verdict::Wider },
            kind,
            reason: "read it".to_owned(),
            at: time(100),
        };
        let approval = match kind {
            ApprovalKind::Automatic => Approval::automatic(decision).unwrap(),
            _ => Approval::by(&self.keys[reviewer], &name(reviewer), decision).unwrap(),
        };
        self.version(n).approvals.push(Recorded { approval, at: time(100) });
    }

    fn approve(&mut self, n: u8, reviewer: &'static str, basis: Option<u8>) {
        self.approve_as(n, reviewer, basis, ApprovalKind::Normal);
    }

    fn verdict(&mut self, old: u8, new: u8, verdict: Verdict) {
        self.book.verdicts.insert((digest(old), digest(new)), verdict);
    }

    fn decide(&self, n: u8, policy: Policy) -> Result<Trusted, Untrusted> {
        decide(TrustInput { book: &self.book, policy, module: digest(n), found: digest(n) })
    }

    #[track_caller]
    fn refused(&self, n: u8) -> String {
        self.decide(n, OFF).unwrap_err().to_string()
    }
}

/// One version that two reviewers approved.
fn approved() -> World {
    let mut world = World::new(2);
    world.approve(1, "ada", None);
    world.approve(1, "ben", None);
    world
}

#[test]
fn two_reviewers_let_a_first_version_run() {
    let trusted = approved().decide(1, OFF).unwrap();
    assert_eq!((trusted.publisher.as_str(), trusted.reviewers.len()), ("acme", 2));
    assert_eq!(trusted.emergency, None);
}

#[test]
fn other_bytes_do_not_run() {
    let world = approved();
    let input = TrustInput { book: &world.book, policy: OFF, module: digest(1), found: digest(9) };
    let message = decide(input).unwrap_err().to_string();
    assert!(message.contains("they were changed after they were published"), "{message}");
    let message = world.refused(7);
    assert!(message.contains("was never published here"), "{message}");
}

#[test]
fn nobody_s_signature_and_a_stranger_s_do_not_count() {
    let mut world = approved();
    world.version(1).signatures.clear();
    assert!(world.refused(1).contains("github@0.1.0 is not signed"));
    let evil = &world.keys["evil"];
    let cases = [
        (ModuleSignature::new(evil, &name("stranger"), digest(1)), "`stranger`, who is no publisher here"),
        (ModuleSignature::new(evil, &name("acme"), digest(1)), "is evil's; have acme sign it"),
        (ModuleSignature::new(evil, &name("evil"), digest(1)), "is signed by evil, but it is acme's"),
        (ModuleSignature::new(&world.keys["ada"], &name("acme"), digest(1)), "is ada's; have acme sign it"),
        (ModuleSignature::new(&world.keys["acme"], &name("acme"), digest(2)), "is not acme's"),
        (
            ModuleSignature {
                key: world.keys["acme"].public().id(),
                ..ModuleSignature::new(evil, &name("acme"), digest(1))
            },
            "is not acme's",
        ),
    ];
    for (signature, expected) in cases {
        let mut book = world.book.clone();
        let version = book.versions.iter_mut().find(|v| v.digest == digest(1)).unwrap();
        version.signatures = vec![signature];
        let input = TrustInput { book: &book, policy: OFF, module: digest(1), found: digest(1) };
        let message = decide(input).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_ended_key_does_not_count_and_a_second_signature_does() {
    let mut world = approved();
    let ended = Ended { at: time(200), reason: "laptop stolen".to_owned(), void: false };
    let acme = world.book.publishers.get_mut("acme").unwrap();
    acme.keys[0].ended = Some(ended);
    let new = SigningKey::generate().unwrap().1;
    acme.keys.push(RegisteredKey { public: new.public(), ended: None });
    let message = world.refused(1);
    assert!(message.contains("was ended") && message.contains("laptop stolen"), "{message}");
    world.version(1).signatures.push(ModuleSignature::new(&new, &name("acme"), digest(1)));
    assert_eq!(world.decide(1, OFF).unwrap().key, new.public().id());
}

#[test]
fn one_reviewer_is_not_two() {
    let mut world = World::new(1);
    assert!(world.refused(1).contains("is not approved: 0 of 2 approvals;"), "{}", world.refused(1));
    world.approve(1, "ada", None);
    assert!(world.refused(1).contains("is not approved: 1 of 2 approvals (by ada)"), "{}", world.refused(1));
    // The same person again, also with a second key.
    world.approve(1, "ada", None);
    let second = SigningKey::generate().unwrap().1;
    world.book.reviewers.get_mut("ada").unwrap().keys.push(RegisteredKey { public: second.public(), ended: None });
    world.keys.insert("ada", second);
    world.approve(1, "ada", None);
    assert!(world.refused(1).contains("1 of 2 approvals (by ada)"));
    world.approve(1, "ben", None);
    assert!(world.decide(1, OFF).is_ok());
}

#[test]
fn the_publisher_approves_nothing_of_its_own() {
    for (person, change) in [("ben", 0), ("ben", 1), ("ben", 2)] {
        let mut world = World::new(1);
        world.approve(1, "ada", None);
        world.approve(1, person, None);
        match change {
            0 => drop(world.book.publishers.get_mut("acme").unwrap().people.insert("ben".to_owned())),
            1 => world.version(1).published_by = "ben".to_owned(),
            _ => {
                let key = RegisteredKey { public: world.keys["ben"].public(), ended: None };
                world.book.publishers.get_mut("evil").unwrap().keys.push(key);
            }
        }
        assert!(world.refused(1).contains("1 of 2 approvals (by ada)"), "{change}: {}", world.refused(1));
    }
}

#[test]
fn a_reviewer_s_key_counts_while_it_is_theirs() {
    let mut world = approved();
    let mut end = |at, void| {
        let ada = world.book.reviewers.get_mut("ada").unwrap();
        ada.keys[0].ended = Some(Ended { at: time(at), reason: String::new(), void });
        world.decide(1, OFF).is_ok()
    };
    // What was approved before the end stays, unless the key was someone else's.
    assert_eq!([end(101, false), end(100, false), end(99, false), end(101, true)], [true, false, false, false]);
    let mut world = approved();
    world.book.reviewers.remove("ada");
    assert!(world.refused(1).contains("1 of 2 approvals (by ben)"));
    // An approval of something else, moved here.
    let mut world = approved();
    world.approve(2, "cleo", None);
    let moved = world.version(2).approvals.remove(0);
    world.version(1).approvals.remove(0);
    world.version(1).approvals.push(moved);
    assert!(world.refused(1).contains("1 of 2 approvals (by ben)"));
}

#[test]
fn what_is_no_wider_than_an_approved_version_takes_one_person() {
    let mut world = approved();
    world.verdict(1, 2, Verdict::Narrower);
    assert!(world.refused(2).contains("0 of 1 approvals"), "{}", world.refused(2));
    world.approve(2, "cleo", Some(1));
    assert!(world.decide(2, OFF).is_ok());
    // Whatever the approval claims, the versions say how wide they are.
    world.verdict(1, 2, Verdict::Wider);
    let message = world.refused(2);
    assert!(message.contains("1 of 2 approvals (by cleo)"), "{message}");
    assert!(message.contains("asks for 1 operation more than github@0.1.0, which is approved: list-2"), "{message}");
    assert!(message.contains("`porthole module diff github@0.1.0 github@0.2.0`"), "{message}");
    world.book.verdicts.clear();
    assert!(world.decide(2, OFF).is_err(), "what wasn't compared is wider");
    assert_eq!(world.book.comparisons(digest(2)), [(digest(1), digest(2))].into());
}

#[test]
fn a_chain_of_versions_leads_back_to_two_people() {
    let mut world = World::new(4);
    world.approve(1, "ada", None);
    for n in 2..=4 {
        world.approve(n, "cleo", Some(n - 1));
        world.verdict(n - 1, n, Verdict::Equal);
    }
    assert!(world.decide(4, OFF).is_err(), "one person approved the first");
    world.approve(1, "ben", None);
    assert!(world.decide(4, OFF).is_ok());
    assert_eq!(world.book.comparisons(digest(4)).len(), 3);
    // A link in the middle that is another publisher's.
    world.version(2).publisher = "evil".to_owned();
    assert!(world.decide(4, OFF).is_err());
}

#[test]
fn versions_that_point_at_each_other_lead_nowhere() {
    let mut world = World::new(2);
    for (n, basis) in [(1, 2), (2, 1)] {
        world.approve(n, "ada", Some(basis));
        world.verdict(basis, n, Verdict::Equal);
    }
    world.approve(1, "ada", Some(1));
    assert!(world.decide(1, ON).is_err() && world.decide(2, ON).is_err());
}

#[test]
fn the_policy_approves_what_is_no_wider_and_only_while_it_holds() {
    let mut world = approved();
    world.approve_as(2, "", Some(1), ApprovalKind::Automatic);
    assert!(world.decide(2, ON).is_err());
    world.verdict(1, 2, Verdict::Equal);
    assert_eq!(world.decide(2, ON).unwrap().reviewers, []);
    let message = world.refused(2);
    assert!(message.contains("0 of 1 approvals; the policy approved it once"), "{message}");
}

#[test]
fn an_emergency_runs_and_stays_open_until_a_second_person_follows_up() {
    let mut world = approved();
    world.approve_as(2, "ada", Some(1), ApprovalKind::Emergency);
    let open = world.decide(2, OFF).unwrap().emergency.unwrap();
    assert_eq!((open.reviewer.as_str(), open.reason.as_str()), ("ada", "read it"));
    // Not by the same person, and not by the publisher's.
    world.approve_as(2, "ada", Some(1), ApprovalKind::FollowUp);
    world.verdict(1, 2, Verdict::Equal);
    assert!(world.decide(2, OFF).unwrap().emergency.is_some());
    // What runs in an emergency is no ground to build on.
    let mut next = World::new(3);
    next.approve_as(2, "ada", None, ApprovalKind::Emergency);
    next.approve(3, "ben", Some(2));
    next.verdict(2, 3, Verdict::Equal);
    assert!(next.decide(3, OFF).is_err());
    world.approve_as(2, "ben", Some(1), ApprovalKind::FollowUp);
    assert_eq!(world.decide(2, OFF).unwrap().emergency, None);
}

#[test]
fn a_yanked_version_names_the_one_to_use() {
    let mut world = approved();
    world.approve(2, "ada", None);
    world.approve(2, "ben", None);
    world.version(2).yank = Some(Yank { by: "ada".to_owned(), at: time(300), reason: "loses pages".to_owned() });
    let message = world.refused(2);
    assert!(message.contains("github@0.2.0 was yanked by ada on ") && message.contains("loses pages"), "{message}");
    assert!(message.contains("use github@0.1.0: `porthole instance set INSTANCE --module github@0.1.0`"), "{message}");
    // A version that was compared with it was read by people all the same.
    world.version(1).yank = world.version(2).yank.clone();
    assert!(world.refused(2).contains("no other version of it may run"));
}
