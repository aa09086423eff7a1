//! Roles and permissions. Which role has which permission is data: rows of the table `permissions`.

use crate::api::Authority;
use crate::error::{Error, Result};
use crate::values::personal::Disclosure;
use crate::words;

words! {
    /// A user has one; a new user is a viewer.
    pub enum Role, ROLES {
        Viewer = "viewer",
        Agent = "agent",
        Manager = "manager",
        Admin = "admin",
    }
    aliases {}
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Agent, Self::Manager, Self::Admin];
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| word.eq_ignore_ascii_case(role.as_str()))
            .ok_or("a role is viewer, agent, manager or admin")
    }
}

/// What the addresses of the API ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// See customers, accounts and payments.
    Read,
    /// See the personal data of debtors in them, which others get masked.
    Personal,
    /// See the personal data of one record at a time, for a reason that is logged.
    Reveal,
    /// Create and change customers and accounts, record payments.
    Edit,
    /// Delete, restore and see deleted customers, accounts and payments; post to the ledger by hand, write off, refund.
    Manage,
    /// Create and change many records by a file, with the permissions that single ones need.
    Import,
    /// Take many records away as a file.
    Export,
    /// See, create, change and disable users whose roles can do no more than the caller: agents and viewers.
    Supervise,
    /// See and control the sync.
    Operate,
    /// Create and change all users, and say what each role may do. Admins alone have it, and cannot lose it.
    Administer,
}

impl Permission {
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Personal,
        Self::Reveal,
        Self::Edit,
        Self::Manage,
        Self::Import,
        Self::Export,
        Self::Supervise,
        Self::Operate,
        Self::Administer,
    ];

    /// The word in JSON and SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Personal => "personal",
            Self::Reveal => "reveal",
            Self::Edit => "edit",
            Self::Manage => "manage",
            Self::Import => "import",
            Self::Export => "export",
            Self::Supervise => "supervise",
            Self::Operate => "operate",
            Self::Administer => "administer",
        }
    }

    /// Finds a permission by its word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

/// A set of permissions: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u16);

impl Permissions {
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Whether all of the others are among these.
    #[must_use]
    pub fn includes(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Refuses a set without the permission.
    pub fn require(self, permission: Permission) -> Result<()> {
        if self.contains(permission) { Ok(()) } else { Err(Error::Forbidden(permission.name())) }
    }

    /// How much of the personal data of debtors they show.
    #[must_use]
    pub fn disclosure(self) -> Disclosure {
        if self.contains(Permission::Personal) { Disclosure::Full } else { Disclosure::Masked }
    }

    /// How far they move balances.
    #[must_use]
    pub fn authority(self) -> Authority {
        if self.contains(Permission::Manage) { Authority::Full } else { Authority::Ordinary }
    }

    /// A number that no other set has.
    #[must_use]
    pub fn version(self) -> i64 {
        self.0.into()
    }

    /// In the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// Reads words from SQL. What this program does not know, it does not grant.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Self {
        names.iter().filter_map(|name| Permission::named(name.as_ref())).collect()
    }

    /// The words, in the order of [`Permission::ALL`].
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Permission::name).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | bit(permission)))
    }
}

fn bit(permission: Permission) -> u16 {
    1 << permission as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for one in Permission::ALL {
            let set: Permissions = [one].into_iter().collect();
            for other in Permission::ALL {
                assert_eq!(set.contains(other), one == other);
            }
            assert_eq!(set.names(), [one.name()]);
            assert_eq!(Permissions::named(&[one.name(), "unknown"]), set);
        }
    }

    #[test]
    fn sets_are_compared_and_intersected() {
        let all: Permissions = Permission::ALL.into_iter().collect();
        let some = Permissions::named(&["edit", "read"]);
        assert!(all.includes(some) && some.includes(some) && !some.includes(all) && some.includes(Permissions::default()));
        assert_eq!(all.intersection(some), some);
        assert_eq!(some.names(), ["read", "edit"], "in one order, however they were said");
    }
}
