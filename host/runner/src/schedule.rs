//! Which tasks may start now: steps in the order of their needs, partitions of one step at once. Pure; the broker asks
//! and acts.

use porthole_model::id::{Partition, StepId};
use porthole_model::manifest::Step;
use porthole_wire::TaskKind;
use std::collections::{BTreeMap, VecDeque};

/// A task that may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The step.
    pub step: StepId,
    /// The partition.
    pub partition: Partition,
    /// Run it, or ask for its partitions.
    pub kind: TaskKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Listing,
    Running { left: usize },
    Ended,
}

#[derive(Debug)]
struct Entry {
    needs: Vec<StepId>,
    partitioned: bool,
    state: State,
}

/// The steps of one run and how far they are.
#[derive(Debug)]
pub struct Schedule {
    steps: BTreeMap<StepId, Entry>,
    /// Manifest order, so that two runs number their tasks alike.
    order: Vec<StepId>,
    ready: VecDeque<Ready>,
}

impl Schedule {
    /// A schedule of the steps that are switched on. A need that isn't among them counts as ended.
    pub fn new<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let (mut entries, mut order) = (BTreeMap::new(), Vec::new());
        for step in steps {
            order.push(step.id.clone());
            let entry = Entry { needs: step.needs.clone(), partitioned: step.partitioned, state: State::Waiting };
            entries.insert(step.id.clone(), entry);
        }
        let mut schedule = Self { steps: entries, order, ready: VecDeque::new() };
        schedule.advance();
        schedule
    }

    /// The next task that may start, if any.
    pub fn pop(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    /// A step's partitions are known. Without any, the step has ended.
    pub fn listed(&mut self, step: &StepId, partitions: &[Partition]) {
        let Some(entry) = self.steps.get_mut(step) else { return };
        entry.state = State::Running { left: partitions.len() };
        for partition in partitions {
            let ready = Ready { step: step.clone(), partition: partition.clone(), kind: TaskKind::Run };
            self.ready.push_back(ready);
        }
        if partitions.is_empty() {
            entry.state = State::Ended;
        }
        self.advance();
    }

    /// One partition of a step has ended, however.
    pub fn ended(&mut self, step: &StepId) {
        let Some(entry) = self.steps.get_mut(step) else { return };
        entry.state = match entry.state {
            State::Running { left } if left > 1 => State::Running { left: left - 1 },
            _ => State::Ended,
        };
        self.advance();
    }

    /// Every step has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.steps.values().all(|e| e.state == State::Ended)
    }

    fn advance(&mut self) {
        for id in &self.order {
            let is_free = |need: &StepId| self.steps.get(need).is_none_or(|n| n.state == State::Ended);
            let Some(entry) = self.steps.get(id) else { continue };
            if entry.state != State::Waiting || !entry.needs.iter().all(is_free) {
                continue;
            }
            let (kind, state) = if entry.partitioned {
                (TaskKind::Partitions, State::Listing)
            } else {
                (TaskKind::Run, State::Running { left: 1 })
            };
            // The empty name is always a partition's name.
            let Ok(partition) = Partition::new("") else { continue };
            self.ready.push_back(Ready { step: id.clone(), partition, kind });
            if let Some(entry) = self.steps.get_mut(id) {
                entry.state = state;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn step(id: &str, needs: &[&str], partitioned: bool) -> Step {
        Step {
            id: id.parse().unwrap(),
            title: String::new(),
            uses: vec![],
            needs: needs.iter().map(|n| n.parse().unwrap()).collect(),
            partitioned,
            reads: vec![],
            entities: vec![],
            relationships: vec![],
        }
    }

    fn drain(schedule: &mut Schedule) -> Vec<String> {
        std::iter::from_fn(|| schedule.pop()).map(|r| format!("{}/{}/{:?}", r.step, r.partition, r.kind)).collect()
    }

    #[test]
    fn a_step_starts_when_its_needs_have_ended() {
        let steps = [step("a", &[], false), step("b", &["a"], true), step("c", &["b"], false)];
        let mut schedule = Schedule::new(steps.iter());
        assert_eq!(drain(&mut schedule), ["a//Run"]);
        schedule.ended(&"a".parse().unwrap());
        assert_eq!(drain(&mut schedule), ["b//Partitions"]);
        schedule.listed(&"b".parse().unwrap(), &["x".parse().unwrap(), "y".parse().unwrap()]);
        assert_eq!(drain(&mut schedule), ["b/x/Run", "b/y/Run"]);
        schedule.ended(&"b".parse().unwrap());
        assert!(drain(&mut schedule).is_empty() && !schedule.is_over());
        schedule.ended(&"b".parse().unwrap());
        assert_eq!(drain(&mut schedule), ["c//Run"]);
        schedule.ended(&"c".parse().unwrap());
        assert!(schedule.is_over());
    }

    #[test]
    fn a_step_without_partitions_has_ended() {
        let steps = [step("a", &[], true), step("b", &["a", "off"], false)];
        let mut schedule = Schedule::new(steps.iter());
        drain(&mut schedule);
        schedule.listed(&"a".parse().unwrap(), &[]);
        assert_eq!(drain(&mut schedule), ["b//Run"]);
    }
}
