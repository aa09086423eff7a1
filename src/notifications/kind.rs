//! The kinds of notifications.

use crate::words;

words! {
    /// What a user is notified of.
    pub enum Kind, KINDS {
        PaymentReceived = "payment.received",
        PaymentOverdue = "payment.overdue",
        CustomerCreated = "customer.created",
        AccountAssigned = "account.assigned",
        ImportEnded = "import.ended",
        ExportEnded = "export.ended",
        JobEnded = "job.ended",
        UserLocked = "user.locked",
    }
    aliases {}
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::PaymentReceived,
        Self::PaymentOverdue,
        Self::CustomerCreated,
        Self::AccountAssigned,
        Self::ImportEnded,
        Self::ExportEnded,
        Self::JobEnded,
        Self::UserLocked,
    ];

    /// Finds a kind by its word.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Where the records are that it is about.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::PaymentReceived => "payments",
            Self::PaymentOverdue | Self::AccountAssigned => "accounts",
            Self::CustomerCreated => "customers",
            Self::ImportEnded => "imports",
            Self::ExportEnded | Self::JobEnded => "jobs",
            Self::UserLocked => "users",
        }
    }
}
