#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;

#[test]
fn words_read_back_and_json_says_the_same() {
    let all = [Outcome::Succeeded, Outcome::Partial, Outcome::Failed, Outcome::Denied, Outcome::TimedOut];
    for outcome in all.into_iter().chain([Outcome::Cancelled, Outcome::Skipped]) {
        assert_eq!(outcome.as_str().parse::<Outcome>().unwrap(), outcome);
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
    }
    assert_eq!(format!("{:>9}|", RunState::Held), "     held|", "widths hold, for tables");
    assert!("Succeeded".parse::<Outcome>().is_err() && "".parse::<Fault>().is_err());
}

#[test]
fn a_slice_is_called_by_its_step_and_partition() {
    let slice = |partition: &str| SliceKey {
        step: StepId::new("users").unwrap(),
        partition: Partition::new(partition).unwrap(),
    };
    assert_eq!(slice("").to_string(), "users");
    assert_eq!(slice("eu-1").to_string(), "users/eu-1");
}
