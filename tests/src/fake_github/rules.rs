//! The rules that are in force: which of them a request meets, and how often each has fired.

use super::faults::{Action, Fault, Hits};
use super::seed::{Salt, hash};
use regex::Regex;
use std::collections::BTreeMap;

/// A rule's path isn't a regular expression.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a fault's path `{path}` is no regular expression")]
pub struct FaultError {
    path: String,
    source: regex::Error,
}

/// What rules are matched with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) canonical: Option<&'a str>,
    pub(super) page: u64,
    pub(super) operation: Option<&'a str>,
}

/// A rule with its counters.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    path: Option<Regex>,
    matched: u64,
    fired: u64,
}

/// What is to happen to one request.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) delay_millis: u64,
    pub(super) action: Option<Action>,
}

/// All rules, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Armed>);

impl Faults {
    pub(super) fn add(&mut self, mut fault: Fault) -> Result<(), FaultError> {
        let path = match &fault.when.path {
            None => None,
            Some(path) => Some(Regex::new(path).map_err(|source| FaultError { path: path.clone(), source })?),
        };
        if fault.name.is_empty() {
            fault.name = fault.action.kind();
        }
        self.0.push(Armed { fault, path, matched: 0, fired: 0 });
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Every delay that applies, and the first other action that does.
    pub(super) fn decide(&mut self, seen: Seen<'_>) -> Decision {
        let mut decision = Decision::default();
        for armed in self.0.iter_mut().filter(|armed| armed.matches(seen)) {
            armed.matched += 1;
            if !fires(armed.fault.hits, armed.matched) {
                continue;
            }
            match &armed.fault.action {
                Action::Delay { millis } => decision.delay_millis += millis,
                action if decision.action.is_none() => decision.action = Some(action.clone()),
                _ => continue,
            }
            armed.fired += 1;
        }
        decision
    }

    /// How often each rule fired.
    pub(super) fn fired(&self) -> BTreeMap<String, u64> {
        self.0.iter().fold(BTreeMap::new(), |mut fired, armed| {
            *fired.entry(armed.fault.name.clone()).or_default() += armed.fired;
            fired
        })
    }
}

impl Armed {
    fn matches(&self, seen: Seen<'_>) -> bool {
        let when = &self.fault.when;
        when.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(seen.method))
            && when.page.is_none_or(|page| page == seen.page)
            && when.operation.as_deref().is_none_or(|operation| seen.operation == Some(operation))
            && self.path.as_ref().is_none_or(|path| {
                path.is_match(seen.path) || seen.canonical.is_some_and(|canonical| path.is_match(canonical))
            })
    }
}

fn fires(hits: Hits, number: u64) -> bool {
    match hits {
        Hits::Always => true,
        Hits::Nth(n) => number == n,
        Hits::First(n) => number <= n,
        Hits::After(n) => number > n,
        Hits::Chance { probability, seed } => {
            // 53 bits are what a double holds exactly.
            #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
            let drawn = (hash(seed, Salt::Probability, number) >> 11) as f64 / (1_u64 << 53) as f64;
            drawn < probability
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn seen(path: &str, page: u64) -> Seen<'_> {
        Seen { method: "GET", path, canonical: Some("/orgs/acme/repos"), page, operation: None }
    }

    #[test]
    fn a_rule_by_name_matches_the_numeric_path() {
        let mut faults = Faults::default();
        faults.add(Fault::on("^/orgs/acme/repos$", Action::Close).page(2)).unwrap();
        assert!(faults.decide(seen("/organizations/9/repos", 1)).action.is_none());
        assert_eq!(faults.decide(seen("/organizations/9/repos", 2)).action, Some(Action::Close));
        assert_eq!(faults.fired(), BTreeMap::from([("close".to_owned(), 1)]));
        assert!(faults.add(Fault::on("(", Action::Close)).is_err());
    }

    #[test]
    fn hits_are_counted_per_rule() {
        let fired = |hits| -> Vec<u64> { (1..=5).filter(|n| fires(hits, *n)).collect() };
        assert_eq!(fired(Hits::Always), [1, 2, 3, 4, 5]);
        assert_eq!(fired(Hits::Nth(3)), [3]);
        assert_eq!(fired(Hits::First(2)), [1, 2]);
        assert_eq!(fired(Hits::After(3)), [4, 5]);
        let chance = Hits::Chance { probability: 0.3, seed: 7 };
        let hits = (0..10_000).filter(|n| fires(chance, *n)).count();
        assert!((2_800..3_200).contains(&hits), "{hits} of 10,000");
    }
}
