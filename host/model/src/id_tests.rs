#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;

#[test]
fn each_kind_of_name_has_its_alphabet_and_length() {
    for good in ["a", "acme-prod", "a_1", &"a".repeat(63)] {
        assert!(Name::new(good).is_ok() && StepId::new(good).is_ok() && Slot::new(good).is_ok(), "{good}");
    }
    for bad in ["", "1a", "-a", "A", "a b", "a/b", "a\n", "a\0", "é", &"a".repeat(64)] {
        assert!(Name::new(bad).is_err() && StepId::new(bad).is_err() && Slot::new(bad).is_err(), "{bad:?}");
    }
    for good in ["list-users", "iam:ListUsers", "a/b.c_d", &"a".repeat(128)] {
        assert!(OperationId::new(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "a\u{200b}", "a'b", "a;b", "$(x)", &"a".repeat(129)] {
        assert!(OperationId::new(bad).is_err(), "{bad:?}");
    }
    for good in ["", "eu-west-1", "Team Ada / é", &"x".repeat(256)] {
        assert!(Partition::new(good).is_ok(), "{good}");
    }
    for bad in ["a\nb", "\0", "\u{85}", &"x".repeat(257)] {
        assert!(Partition::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_name_from_json_is_checked_too() {
    assert!(serde_json::from_str::<Name>("\"acme\"").is_ok());
    let error = serde_json::from_str::<Name>("\"Acme!\"").unwrap_err();
    assert_eq!(error.to_string(), "`Acme!` is no name: 1 to 63 of a-z, 0-9, - and _, a letter first");
}

#[test]
fn an_error_shows_little_of_a_long_name_and_no_control_characters() {
    let error = Name::new(format!("\u{1b}[2J{}", "x".repeat(5_000))).unwrap_err().to_string();
    assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn digests_and_ids_read_back() {
    let digest = ModuleDigest([0xab; 32]);
    assert_eq!(digest.to_string().parse::<ModuleDigest>().unwrap(), digest);
    for bad in ["", "sha256:", "sha512:ab", &"ab".repeat(32), &format!("sha256:{}", "ab".repeat(33)), "sha256:zz"] {
        assert!(bad.parse::<ModuleDigest>().is_err(), "{bad}");
    }
    let run = RunId::new();
    assert_eq!(run.to_string().parse::<RunId>().unwrap(), run);
    assert!("not-an-id".parse::<RunId>().is_err());
}
