#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::test_support::{TestLog, key, name};
use proptest::prelude::*;

/// The example of C2SP tlog-checkpoint.
const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_published_checkpoint_is_read_and_written_back() {
    let checkpoint = Checkpoint::parse(TEXT).unwrap();
    assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(checkpoint.to_string(), TEXT);
    let extended = format!("{TEXT}more\n");
    assert_eq!(Checkpoint::parse(&extended).unwrap().to_string(), extended);
}

#[test]
fn what_is_no_checkpoint_is_refused_with_its_line() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let cases = [
        (String::new(), 1),
        (TEXT.trim_end().to_owned(), 1),
        (format!("\n1\n{root}\n"), 1),
        (format!("a b\n1\n{root}\n"), 1),
        ("a\n".to_owned(), 2),
        ("a\n1\n".to_owned(), 3),
        (format!("a\n01\n{root}\n"), 2),
        (format!("a\n+1\n{root}\n"), 2),
        (format!("a\n-1\n{root}\n"), 2),
        (format!("a\n\n{root}\n"), 2),
        (format!("a\n1 \n{root}\n"), 2),
        (format!("a\n١\n{root}\n"), 2),
        (format!("a\n18446744073709551616\n{root}\n"), 2),
        (format!("a\n0\n{root}\n"), 3),
        (format!("a\n1\n{}\n", root.trim_end_matches('=')), 3),
        (format!("a\n1\n{}\n", root.replace("2I=", "2J=")), 3),
        (format!("a\n1\n{root}{root}\n"), 3),
        (format!("a\n1\n{root}\n\n"), 4),
        (format!("a\n1\n{root}\n{}", "x\n".repeat(17)), 20),
    ];
    for (text, line) in cases {
        let error = Checkpoint::parse(&text).unwrap_err();
        assert!(matches!(error, AuditError::Checkpoint { line: l, .. } if l == line), "{text:?}: {error}");
    }
    let largest = format!("a\n18446744073709551615\n{root}\n");
    assert_eq!(Checkpoint::parse(&largest).unwrap().size, u64::MAX);
}

#[test]
fn only_the_log_itself_signs_its_checkpoint() {
    let log = TestLog::numbered(3);
    let signing = key(1);
    let checkpoint = log.checkpoint("a/log", 3);
    assert!(checkpoint.sign(&signing.signer(name("another/log"))).is_err());
    let note = checkpoint.sign(&signing.signer(name("a/log"))).unwrap();
    assert_eq!(Checkpoint::parse(note.text()).unwrap(), checkpoint);
}

proptest! {
    #[test]
    fn what_is_accepted_is_written_back_as_it_was(
        text in "[a-z +]{0,4}\\n(0|[0-9]{1,21})\\n(CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=|[A-Za-z+/=]{40,44})\\n([a-z]{0,3}\\n){0,3}"
    ) {
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.to_string(), text);
        }
    }

    #[test]
    fn any_text_is_answered_without_a_panic(text in "[\\PC\\n]{0,120}") {
        let _ = Checkpoint::parse(&text);
    }
}
