//! The list of events: what the documentation, the change stream and the transports go by.

use super::topic::TopicKind::{
    self, Account, Accounts, Activities, Customer, Customers, Job, Metrics, Payments, Stats, User, Users,
};
use crate::feed::Operation;

/// A kind of event.
#[derive(Debug)]
pub struct Kind {
    /// On WebSockets and in server-sent events.
    pub name: &'static str,
    /// On Socket.IO; it is sent under each of them.
    pub socket_io: &'static [&'static str],
    /// The topics of those who get it.
    pub topics: &'static [TopicKind],
    /// When it comes, and what its data is.
    pub about: &'static str,
}

/// The events of a searchable collection.
#[derive(Debug)]
pub struct OfCollection {
    /// The collection's name.
    pub collection: &'static str,
    pub created: Kind,
    pub updated: Kind,
    pub deleted: Kind,
}

impl OfCollection {
    /// Finds the events of a collection.
    #[must_use]
    pub fn find(collection: &str) -> Option<&'static Self> {
        COLLECTIONS.iter().find(|events| events.collection == collection)
    }

    #[must_use]
    pub fn by(&self, operation: Operation) -> &Kind {
        match operation {
            Operation::Created => &self.created,
            Operation::Changed => &self.updated,
            Operation::Deleted => &self.deleted,
        }
    }
}

/// Every event, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    let records = COLLECTIONS.iter().flat_map(|events| [&events.created, &events.updated, &events.deleted]);
    records.chain([&RECEIVED, &OVERDUE, &STATS, &USER_ACTIVITY, &USER_LOCKED, &JOB_PROGRESS, &NOTIFICATION, &METRICS, &RESET])
}

const RECORD: &str = "The record, as its own address shows it";
const ID: &str = "The `id` of the record";

pub static COLLECTIONS: [OfCollection; 4] = [
    OfCollection {
        collection: "customers",
        created: kind("customer.created", &["customer_created", "new_customer"], &[Customers, Customer], RECORD),
        updated: kind("customer.updated", &["customer_updated"], &[Customers, Customer], RECORD),
        deleted: kind("customer.deleted", &["customer_deleted"], &[Customers, Customer], ID),
    },
    OfCollection {
        collection: "accounts",
        created: kind("account.created", &["account_created"], &[Accounts, Account, Customer], RECORD),
        updated: kind("account.updated", &["account_updated"], &[Accounts, Account, Customer], RECORD),
        deleted: kind("account.deleted", &["account_deleted"], &[Accounts, Account, Customer], ID),
    },
    OfCollection {
        collection: "payments",
        created: kind("payment.created", &["payment_created"], &[Payments, Account, Customer], RECORD),
        updated: kind("payment.updated", &["payment_updated"], &[Payments, Account, Customer], RECORD),
        deleted: kind("payment.deleted", &["payment_deleted"], &[Payments, Account, Customer], ID),
    },
    OfCollection {
        collection: "activities",
        created: kind("activity.created", &["activity_created"], &[Activities, Account, Customer], RECORD),
        updated: kind("activity.updated", &["activity_updated"], &[Activities, Account, Customer], RECORD),
        deleted: kind("activity.deleted", &["activity_deleted"], &[Activities, Account, Customer], ID),
    },
];

pub static RECEIVED: Kind = kind(
    "payment.received",
    &["payment_received"],
    &[Payments, Account, Customer],
    "Money came: a payment was recorded as a success, or has become one. The payment, right behind the event that shows it",
);

pub static OVERDUE: Kind = kind(
    "payment.overdue",
    &["payment_overdue"],
    &[User],
    "A debt has become overdue, once for each account and due date: for the assignee of the account, or for managers if it has none who \
     may read. `accountId`, `amount`, `currency`, `dueDate`. It follows its notification, and is not sent to users who want none of that \
     kind",
);

pub static STATS: Kind = kind(
    "stats.updated",
    &["stats_updated"],
    &[Stats],
    "Payments have changed; at most once a second. `totalTransactionsToday`, `totalRevenue`, and `failedTransactions` of the last 7 \
     days, in the default currency",
);

pub static USER_ACTIVITY: Kind = kind(
    "user.activity",
    &["user_activity"],
    &[Users],
    "A log-in or log-out: `username`, `action` (`login` or `logout`), `timestamp`",
);

pub static USER_LOCKED: Kind = kind(
    "user.locked",
    &["user_locked"],
    &[Users],
    "Too many wrong passwords have locked a user: `userId`, `username`, `lockedUntil`, null if the user has been unlocked since",
);

pub static JOB_PROGRESS: Kind = kind(
    "job.progress",
    &["job_progress"],
    &[Job, User],
    "A job has progressed, or ended; at most once a second. `jobId`, `kind`, `status`, `total`, `processed`, `succeeded`, `failed`",
);

pub static NOTIFICATION: Kind = kind(
    "notification.created",
    &["notification_created"],
    &[User],
    "A notification for the user: `id`, `kind`, `subject`, `count`. `GET /notifications` has its text",
);

pub static METRICS: Kind =
    kind("metrics", &["metrics"], &[Metrics], "What the server has counted, every 5 seconds, as `GET /api/metrics` shows it");

pub static RESET: Kind = kind(
    "reset",
    &["reset"],
    &TopicKind::ALL,
    "Events were missed, or were too many to be sent one by one. `topics` says what to load again",
);

const fn kind(name: &'static str, socket_io: &'static [&'static str], topics: &'static [TopicKind], about: &'static str) -> Kind {
    Kind { name, socket_io, topics, about }
}
