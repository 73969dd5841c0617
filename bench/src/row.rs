//! One row of the table.

use serde::{Deserialize, Serialize};

/// What was measured, against what, and what it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The figure that measured it.
    pub(crate) group: String,
    /// What was measured.
    pub(crate) figure: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) unit: String,
    /// What it is held against, in the same unit: measured in the same run on the same machine.
    pub(crate) yardstick: Option<Yardstick>,
    /// `value` by the yardstick's value.
    pub(crate) ratio: Option<f64>,
    /// What it should be; none for what is only told.
    pub(crate) goal: Option<Goal>,
    /// Whether it is.
    pub(crate) met: Option<bool>,
    /// What a reader has to know: the size, the spread, what was left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
    /// Work and cost, where a row is about how one grows with the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a value is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Yardstick {
    /// What it is.
    pub(crate) name: String,
    /// How much, in the row's unit.
    pub(crate) value: f64,
}

/// A bound, of the ratio or of the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most this.
    AtMost(f64),
    /// The value is at most this much above the yardstick's.
    AboveYardstick(f64),
}

impl Row {
    /// A value; the driver adds the figure's name.
    pub(crate) fn new(figure: &str, value: f64, unit: &str) -> Self {
        Self {
            group: String::new(),
            figure: figure.to_owned(),
            value,
            unit: unit.to_owned(),
            yardstick: None,
            ratio: None,
            goal: None,
            met: None,
            note: String::new(),
            points: Vec::new(),
        }
    }

    /// Against this, in the same unit.
    pub(crate) fn against(mut self, name: &str, value: f64) -> Self {
        self.ratio = (value != 0.0).then(|| self.value / value);
        self.yardstick = Some(Yardstick { name: name.to_owned(), value });
        self
    }

    /// What it should be; after [`Row::against`].
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        let yardstick = self.yardstick.as_ref().map(|y| y.value);
        self.met = match goal {
            Goal::RatioAtLeast(bound) => self.ratio.map(|r| r >= bound),
            Goal::RatioAtMost(bound) => self.ratio.map(|r| r <= bound),
            Goal::AtLeast(bound) => Some(self.value >= bound),
            Goal::AtMost(bound) => Some(self.value <= bound),
            Goal::AboveYardstick(bound) => yardstick.map(|y| self.value - y <= bound),
        };
        self.goal = Some(goal);
        self
    }

    /// What a reader has to know.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// How cost (seconds) grows with work, for a plot.
    pub(crate) fn points(mut self, points: Vec<(f64, f64)>) -> Self {
        self.points = points;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_held_against_the_ratio_or_the_value() {
        let row = |goal| Row::new("x", 3.0, "ms").against("y", 2.0).goal(goal).met;
        assert_eq!(row(Goal::RatioAtMost(1.5)), Some(true));
        assert_eq!(row(Goal::RatioAtMost(1.4)), Some(false));
        assert_eq!(row(Goal::RatioAtLeast(1.6)), Some(false));
        assert_eq!(row(Goal::AtLeast(3.0)), Some(true));
        assert_eq!(row(Goal::AtMost(2.9)), Some(false));
        assert_eq!(row(Goal::AboveYardstick(1.0)), Some(true));
        assert_eq!(Row::new("x", 3.0, "ms").goal(Goal::RatioAtMost(1.0)).met, None, "no yardstick, no ratio");
    }
}
