//! Topics: what a listener asks to hear of, and who may.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::app::App;
use crate::auth::{Caller, Permission};
use crate::error::{Error, Result};
use crate::jobs::store::{self, Owner};
use crate::values::ids::{AccountId, CustomerId, JobId, UserId};

/// Topics of one listener: a page shows few records at once.
pub const MOST: usize = 200;

/// What events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What concerns one user. Every listener has that of its own user.
    User(UserId),
    Account(AccountId),
    Customer(CustomerId),
    Job(JobId),
    Customers,
    Accounts,
    Payments,
    Activities,
    /// Figures of payments.
    Stats,
    /// Log-ins, log-outs and locks.
    Users,
    /// What the server has counted.
    Metrics,
}

/// The kind of a topic, without the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicKind {
    User,
    Account,
    Customer,
    Job,
    Customers,
    Accounts,
    Payments,
    Activities,
    Stats,
    Users,
    Metrics,
}

impl TopicKind {
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Account,
        Self::Customer,
        Self::Job,
        Self::Customers,
        Self::Accounts,
        Self::Payments,
        Self::Activities,
        Self::Stats,
        Self::Users,
        Self::Metrics,
    ];

    /// As clients write it, without the id.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
            Self::Customer => "customer",
            Self::Job => "job",
            Self::Customers => "customers",
            Self::Accounts => "accounts",
            Self::Payments => "payments",
            Self::Activities => "activities",
            Self::Stats => "stats",
            Self::Users => "users",
            Self::Metrics => "metrics",
        }
    }

    /// Who may listen, in words.
    #[must_use]
    pub fn listeners(self) -> &'static str {
        match self {
            Self::User => "the user, always",
            Self::Job => "the owner of the job, and managers",
            Self::Users => "who may supervise: managers and admins",
            Self::Metrics => "who may operate: admins",
            _ => "who may read",
        }
    }

    /// Whether a topic of this kind is of one record.
    #[must_use]
    pub fn has_id(self) -> bool {
        matches!(self, Self::User | Self::Account | Self::Customer | Self::Job)
    }
}

impl Topic {
    #[must_use]
    pub fn kind(self) -> TopicKind {
        match self {
            Self::User(_) => TopicKind::User,
            Self::Account(_) => TopicKind::Account,
            Self::Customer(_) => TopicKind::Customer,
            Self::Job(_) => TopicKind::Job,
            Self::Customers => TopicKind::Customers,
            Self::Accounts => TopicKind::Accounts,
            Self::Payments => TopicKind::Payments,
            Self::Activities => TopicKind::Activities,
            Self::Stats => TopicKind::Stats,
            Self::Users => TopicKind::Users,
            Self::Metrics => TopicKind::Metrics,
        }
    }

    /// Refuses a caller who may not listen. A job of another user is not found.
    pub async fn check(self, app: &App, caller: &Caller) -> Result<()> {
        match self {
            Self::User(id) if id == caller.id => Ok(()),
            Self::User(_) => Err(Error::Forbidden("to be this user")),
            Self::Users => caller.require(Permission::Supervise),
            Self::Metrics => caller.require(Permission::Operate),
            Self::Job(id) => {
                let owner = if caller.has(Permission::Manage) { Owner::Anyone } else { Owner::User(caller.id) };
                let job = store::find(&app.db.read, id).await?;
                job.filter(|job| owner.includes(job)).map(drop).ok_or(Error::NotFound("job"))
            }
            _ => caller.require(Permission::Read),
        }
    }

    fn id(self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.0),
            Self::Account(id) => Some(id.0),
            Self::Customer(id) => Some(id.0),
            Self::Job(id) => Some(id.0),
            _ => None,
        }
    }
}

/// As clients write it: `payments`, `account:01890000-0000-7000-8000-000000000000`.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())?;
        self.id().map_or(Ok(()), |id| write!(f, ":{id}"))
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, id) = text.split_once(':').map_or((text, None), |(name, id)| (name, Some(id)));
        let topic = match (name, id) {
            ("user", Some(id)) => id.parse().ok().map(Self::User),
            ("account", Some(id)) => id.parse().ok().map(Self::Account),
            ("customer", Some(id)) => id.parse().ok().map(Self::Customer),
            ("job", Some(id)) => id.parse().ok().map(Self::Job),
            ("customers", None) => Some(Self::Customers),
            ("accounts", None) => Some(Self::Accounts),
            ("payments", None) => Some(Self::Payments),
            ("activities", None) => Some(Self::Activities),
            ("stats", None) => Some(Self::Stats),
            ("users", None) => Some(Self::Users),
            ("metrics", None) => Some(Self::Metrics),
            _ => None,
        };
        topic.ok_or_else(|| Error::malformed("bad_topic", format!("{} is no topic", crate::error::clipped(text))))
    }
}

/// Reads topics separated by commas.
pub fn list(text: &str) -> Result<Vec<Topic>> {
    text.split(',').map(str::trim).filter(|topic| !topic.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_as_it_is_written() {
        let id = "01890000-0000-7000-8000-000000000000";
        for kind in TopicKind::ALL {
            let text = if kind.has_id() { format!("{}:{id}", kind.name()) } else { kind.name().to_owned() };
            let topic: Topic = text.parse().unwrap();
            assert_eq!((topic.kind(), topic.to_string()), (kind, text));
        }
        for wrong in ["", "payment", "payments:", "account", "account:1", "Payments", "job:x", "*", "user:"] {
            wrong.parse::<Topic>().unwrap_err();
        }
    }
}
