#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use crate::error::AuditError;
use crate::note::VerifierKey;
use crate::test_support::{Leaves, TestLog, export, key, name, origin, tenant_log, vkey};
use crate::trust::Trust;
use porthole_model::audit::Log;
use proptest::prelude::*;

fn options(number: u8) -> Options {
    Options::new(Trust::log(vec![vkey(&key(number), &origin())]).unwrap())
}

fn witness() -> VerifierKey {
    key(9).cosigner(name("witness.example/w1")).verifier_key().clone()
}

/// The faults as text.
fn faults(file: &[u8], options: &Options) -> Vec<String> {
    verify(file, options).unwrap().faults.iter().map(ToString::to_string).collect()
}

/// Asserts that there is one fault and that it says this.
#[track_caller]
fn one_fault(file: &[u8], options: &Options, expected: &str) {
    let found = faults(file, options);
    assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
}

/// The file with another last line, as somebody would write it who changed the rest.
pub(super) fn ended_anew(file: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(file);
    let body: Vec<&str> = text.lines().filter(|line| !line.starts_with(r#"["end","#)).collect();
    let before = format!("{}\n", body.join("\n"));
    let end = control::End {
        checkpoints: body.iter().filter(|line| line.starts_with(r#"["checkpoint","#)).count() as u64,
        leaves: body.iter().filter(|line| line.starts_with('{')).count() as u64,
        sha256: hex::encode(ring::digest::digest(&ring::digest::SHA256, before.as_bytes())),
    };
    format!("{before}{}\n", control::Control::End(end).to_line()).into_bytes()
}

fn replaced(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(file.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_log_that_nobody_touched_holds() {
    let leaves = Leaves::of(60);
    let size = leaves.len() as u64;
    let file = export(&leaves, &[1, 2, 30, size], &key(1), Some(&key(9)));
    let mut options = options(1);
    options.trust = options.trust.with_witnesses(vec![witness()], 1).unwrap();
    let log = TestLog::of(leaves.clone());
    options.known = vec![log.checkpoint(&origin(), 0), log.checkpoint(&origin(), 17), log.checkpoint(&origin(), 30)];
    options.newest = Some(log.checkpoint(&origin(), size));
    options.origin = Some(name(&origin()));
    let report = verify(file.as_slice(), &options).unwrap();
    assert!(report.holds(), "{report:#?}");
    assert_eq!((report.leaves, report.covered, report.checkpoints), (size, size, 4));
    assert_eq!(report.origin, Some(name(&origin())));
    assert!(report.runs > 3);
    let newest = report.newest.unwrap();
    assert_eq!(newest.checkpoint, log.checkpoint(&origin(), size));
    assert_eq!(newest.cosigned.len(), 1);
    // What is checked by one reader of small pieces is what is checked by another.
    assert!(verify(std::io::BufReader::with_capacity(7, file.as_slice()), &options).unwrap().holds());
}

#[test]
fn a_deployments_key_verifies_each_of_its_logs() {
    let leaves = Leaves::of(5);
    let file = export(&leaves, &[leaves.len() as u64], &key(1), None);
    let mut options = Options::new(Trust::deployment(vec![key(1).public()]).unwrap());
    let report = verify(file.as_slice(), &options).unwrap();
    assert!(report.holds(), "{report:#?}");
    assert_eq!(report.origin, Some(name(&origin())));
    options.origin = Some(name("porthole.example/platform"));
    assert!(!faults(&file, &options).is_empty());
}

#[test]
fn the_files_own_word_for_its_key_counts_for_nothing() {
    let leaves = Leaves::of(5);
    let file = export(&leaves, &[leaves.len() as u64], &key(2), None);
    let found = faults(&file, &options(1));
    assert!(found[0].starts_with("line 1: the file names a key that is not trusted"), "{found:#?}");
    assert!(found[1].contains("no trusted key has signed"), "{found:#?}");
}

#[test]
fn after_a_change_of_key_the_first_line_names_the_newer_one() {
    let leaves = Leaves::of(9);
    let (log, size) = (TestLog::of(leaves.clone()), leaves.len() as u64);
    let write = |header: u8| {
        let mut writer = Writer::start(Vec::new(), tenant_log(), &vkey(&key(header), &origin())).unwrap();
        for (n, leaf) in (1..).zip(&leaves) {
            writer.leaf(leaf).unwrap();
            if n == 4 {
                writer.checkpoint(&log.signed(&origin(), 4, &key(1))).unwrap();
            }
        }
        writer.checkpoint(&log.signed(&origin(), size, &key(2))).unwrap();
        writer.finish()
    };
    let file = write(2).unwrap();
    assert!(matches!(write(1), Err(AuditError::Unsigned { .. })));
    let keys = vec![vkey(&key(2), &origin()), vkey(&key(1), &origin())];
    let mut options = Options::new(Trust::log(keys).unwrap());
    assert!(verify(file.as_slice(), &options).unwrap().holds());
    let other = replaced(&file, &vkey(&key(2), &origin()).to_string(), &vkey(&key(1), &origin()).to_string());
    one_fault(&ended_anew(&other), &options, "has not signed the newest checkpoint");
    options.trust = Trust::log(vec![vkey(&key(2), &origin())]).unwrap();
    assert!(faults(&file, &options)[0].contains("no trusted key has signed"));
}

#[test]
fn a_changed_record_is_found_between_the_checkpoints_around_it() {
    let leaves = Leaves::of(40);
    let file = export(&leaves, &[10, 20, leaves.len() as u64], &key(1), None);
    let text = String::from_utf8(file.clone()).unwrap();
    let line = text.lines().nth(15).unwrap();
    let changed = replaced(&file, line, &line.replace("person:ada", "person:eve"));
    one_fault(
        &ended_anew(&changed),
        &options(1),
        "lines 13 to 23 (leaves 10 to 19): one of these leaves is not the one",
    );
    let report = verify(changed.as_slice(), &options(1)).unwrap();
    assert_eq!((report.covered, report.newest.as_ref().unwrap().checkpoint.size), (10, 10));
    assert!(report.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Digest)));
}

#[test]
fn a_dropped_an_inserted_and_a_swapped_record_are_found() {
    let leaves = Leaves::of(40);
    let size = leaves.len() as u64;
    let file = export(&leaves, &[10, 20, size], &key(1), None);
    let text = String::from_utf8(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |edit: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        ended_anew(format!("{}\n", lines.join("\n")).as_bytes())
    };
    let dropped = with(&|lines| {
        lines.remove(15);
    });
    one_fault(&dropped, &options(1), "is of 20 leaves and stands after 19: leaves are missing or were added");
    let inserted = with(&|lines| lines.insert(15, lines[16]));
    let found = faults(&inserted, &options(1));
    assert!(found[0].starts_with("line 18 (leaf 15): the record ") && found[0].ends_with("before"), "{found:#?}");
    assert!(found[1].contains("stands after 21"), "{found:#?}");
    let swapped = with(&|lines| lines.swap(15, 16));
    one_fault(&swapped, &options(1), "lines 13 to 23 (leaves 10 to 19)");
    let last = with(&|lines| drop(lines.drain(lines.len() - 3..lines.len() - 1)));
    assert!(faults(&last, &options(1)).iter().any(|fault| fault.contains("no checkpoint that holds covers")));
}

#[test]
fn an_older_copy_and_a_fork_are_found_by_who_kept_a_checkpoint() {
    let leaves = Leaves::of(40);
    let (size, log) = (leaves.len() as u64, TestLog::of(leaves.clone()));
    let older = export(&leaves[..20], &[10, 20], &key(1), None);
    assert!(verify(older.as_slice(), &options(1)).unwrap().holds());
    let mut kept = options(1);
    kept.known = vec![log.checkpoint(&origin(), 10), log.checkpoint(&origin(), size)];
    one_fault(&older, &kept, "line 24: this is an older copy: the log had 46 leaves already, and here are 20");
    let mut other = leaves.clone();
    other[15] = Leaves::of(60)[55].clone();
    let fork = export(&other, &[10, 20, size], &key(1), None);
    one_fault(&fork, &kept, "(leaves 10 to 45): FORK");
    // What is known of another log says nothing of this one.
    let mut strange = options(1);
    strange.known = vec![log.checkpoint("porthole.example/platform", 10)];
    one_fault(&fork, &strange, "not `porthole.example/platform`");
    let mut exact = options(1);
    exact.newest = Some(log.checkpoint(&origin(), 20));
    let newer = export(&leaves, &[10, 20, size], &key(1), None);
    one_fault(&newer, &exact, "should be of 20 leaves, and it is of 46");
}

#[test]
fn what_is_wrong_with_checkpoints_is_told() {
    let leaves = Leaves::of(40);
    let size = leaves.len() as u64;
    let file = export(&leaves, &[10, 20, size], &key(1), Some(&key(9)));
    // The witness isn't known.
    let found = faults(&file, &options(1));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains("witness.example/w1+"), "{found:#?}");
    let mut lenient = options(1);
    lenient.allow_unknown_signatures = true;
    assert!(verify(file.as_slice(), &lenient).unwrap().holds());
    // It is demanded, and didn't sign.
    let lonely = export(&leaves, &[10, 20, size], &key(1), None);
    let mut strict = options(1);
    strict.trust = strict.trust.with_witnesses(vec![witness()], 1).unwrap();
    one_fault(&lonely, &strict, "0 of the 1 witnesses");
    // Numbers.
    let text = String::from_utf8(lonely).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with(r#"["checkpoint",2,"#)).collect();
    let without = ended_anew(format!("{}\n", without.join("\n")).as_bytes());
    one_fault(&without, &options(1), "lines 13 to 49: this is called checkpoint 3, and it should be 2");
}

#[test]
fn the_form_is_strict() {
    let leaves = Leaves::of(12);
    let size = leaves.len() as u64;
    let file = export(&leaves, &[5, size], &key(1), None);
    let text = String::from_utf8(file.clone()).unwrap();
    let cases: [(Vec<u8>, &str); 14] = [
        (Vec::new(), "the last line is missing"),
        (text.replacen('\n', "\r\n", 1).into_bytes(), "line 1: this line can't be read"),
        (text.replacen(",1,{", ", 1,{", 1).into_bytes(), "line 1: this line can't be read"),
        (text.replacen("[\"porthole-log\",1", "[\"porthole-log\",2", 1).into_bytes(), "another version"),
        (text.replacen("\"log\":\"tenant", "\"log\":\"tenants", 1).into_bytes(), "contradicts itself"),
        (text.split_once('\n').unwrap().1.as_bytes().to_vec(), "line 1: the first line should say"),
        (format!("{text}\n").into_bytes(), "goes on after its last line"),
        (format!("{text}x").into_bytes(), "ends inside this line"),
        (text.trim_end().as_bytes().to_vec(), "ends inside this line"),
        (replaced(&file, "{\"action\"", " {\"action\""), "line 2: this line is neither"),
        (
            replaced(&file, "{\"action\"", "{ \"action\""),
            "line 2 (leaf 0): this is no record: it isn't in its canonical",
        ),
        (replaced(&file, "[\"checkpoint\"", "[\"checkpaint\""), "none of the lists"),
        (replaced(&file, "{\"action\"", &format!("{}{{\"action\"", " ".repeat(MAX_LINE_BYTES))), "longer than any"),
        (replaced(&file, "{\"action\"", &format!("{{{}\"action\"", " ".repeat(70_000))), "a record at most 65536"),
    ];
    for (file, expected) in cases {
        let found = faults(&file, &options(1));
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn many_faults_are_counted_and_not_all_told() {
    let file = "nonsense\n".repeat(1000);
    let report = verify(file.as_bytes(), &options(1)).unwrap();
    assert_eq!(report.faults.len(), MAX_FAULTS);
    assert!(report.faults_left_out > 900);
}

#[test]
fn a_writer_writes_nothing_that_would_not_verify() {
    let leaves = Leaves::of(12);
    let log = TestLog::of(leaves.clone());
    let start = || Writer::start(Vec::new(), tenant_log(), &vkey(&key(1), &origin())).unwrap();
    assert!(Writer::start(Vec::new(), Log::Platform, &vkey(&key(1), &origin())).is_err());
    let mut writer = start();
    for leaf in [&b""[..], b"[1]", b"{}\n", &[b'{'; 70_000]] {
        assert!(writer.leaf(leaf).is_err());
    }
    writer.leaf(&leaves[0]).unwrap();
    assert!(writer.checkpoint(&log.signed(&origin(), 2, &key(1))).is_err(), "too early");
    assert!(writer.checkpoint(&log.signed("porthole.example/platform", 1, &key(1))).is_err(), "another log's");
    writer.checkpoint(&log.signed(&origin(), 1, &key(1))).unwrap();
    assert!(writer.checkpoint(&log.signed(&origin(), 1, &key(1))).is_err(), "twice");
    writer.leaf(&leaves[2]).unwrap();
    assert!(writer.checkpoint(&log.signed(&origin(), 2, &key(1))).is_err(), "another root");
    assert!(writer.finish().is_err(), "uncovered");
    assert!(start().finish().is_err(), "nothing signed");
}

#[test]
fn a_log_without_leaves_can_be_exported_once_it_is_signed() {
    let file = export(&[], &[0], &key(1), None);
    let report = verify(file.as_slice(), &options(1)).unwrap();
    assert!(report.holds(), "{report:#?}");
    let unsigned = String::from_utf8(file).unwrap();
    let unsigned: Vec<&str> = unsigned.lines().filter(|line| !line.starts_with(r#"["checkpoint","#)).collect();
    one_fault(&ended_anew(format!("{}\n", unsigned.join("\n")).as_bytes()), &options(1), "nothing vouches");
}

#[test]
fn what_does_not_fit_together_is_told_apart_from_tampering() {
    let mut leaves = Leaves::of(14);
    // The second batch of calls was never recorded, and the log is signed like that.
    let gone = leaves.iter().position(|leaf| String::from_utf8_lossy(leaf).contains("\"seq\":5")).unwrap();
    leaves.remove(gone);
    let file = export(&leaves, &[leaves.len() as u64], &key(1), None);
    let report = verify(file.as_slice(), &options(1)).unwrap();
    assert!(report.is_authentic() && !report.holds());
    let told: Vec<String> = report.oddities.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|o| o.contains("call 5 ends, and it was never begun")), "{told:#?}");
    assert!(told.iter().any(|o| o.contains("4 of its calls have no record, the first is call 5")), "{told:#?}");
    assert!(told.iter().any(|o| o.contains("tells of 9 calls, and the log has 5")), "{told:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_answered_without_a_panic(
        lines in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            Just(br#"["end",{"checkpoints":0,"leaves":0,"sha256":""}]"#.to_vec()),
            Just(br#"["checkpoint",1,""]"#.to_vec()),
            Just(br#"["porthole-log",1,{"log":"platform","origin":"a/platform","vkey":""}]"#.to_vec()),
            Just(br#"{"v":1}"#.to_vec()),
            "[\\[\\{\\]\\}\",:a-z0-9]{0,20}".prop_map(String::into_bytes),
        ], 0..8)
    ) {
        let file = lines.join(&b'\n');
        let report = verify(file.as_slice(), &options(1)).unwrap();
        prop_assert!(!report.is_authentic());
        for line in lines {
            if let Ok(control) = control::Control::parse(&line) {
                prop_assert_eq!(control.to_line().into_bytes(), line);
            }
        }
    }
}

#[test]
fn a_reader_that_fails_is_an_error_with_its_line() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let error = verify(std::io::BufReader::new(Broken), &options(1)).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}
