//! What the entries of a timeline are of.

use schemars::JsonSchema;
use serde::Serialize;

/// What an entry is of. Those of one moment are listed in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TimelineType")]
pub(super) enum Kind {
    Activity,
    Payment,
    Ledger,
    Change,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Activity, Self::Payment, Self::Ledger, Self::Change];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Payment => "payment",
            Self::Ledger => "ledger",
            Self::Change => "change",
        }
    }

    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == word)
    }

    /// Its number in the statement.
    pub(super) fn rank(self) -> i32 {
        self as i32
    }
}
