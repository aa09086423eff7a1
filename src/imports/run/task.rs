//! What can be done with an import, and when.

use crate::imports::store::State;

/// What is done with the rows of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Find out what a commit would do; nothing changes.
    Validate,
    Commit,
    /// Take back what the commit did.
    Undo,
}

impl Task {
    /// The state of an import meanwhile.
    pub(super) fn state(self) -> State {
        match self {
            Self::Validate => State::Validating,
            Self::Commit => State::Committing,
            Self::Undo => State::Undoing,
        }
    }

    /// Says in which states it can begin.
    pub(super) fn follows(self, state: State) -> bool {
        use State::{Cancelled, Committed, Failed, Mapped, Partial, Validated};
        match self {
            Self::Validate => matches!(state, Mapped | Validated | Failed | Cancelled),
            Self::Commit => matches!(state, Mapped | Validated | Failed | Cancelled | Partial),
            Self::Undo => matches!(state, Committed | Partial | Failed | Cancelled),
        }
    }
}
