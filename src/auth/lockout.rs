//! Lock-out: how many log-ins may fail before further ones are refused for a while, also those with the right password.
//!
//! Failures are counted by account and by address. An account can be locked by anyone who knows its name, so an address where its
//! user has signed in lately has a count of its own for that user, and neither lock concerns it: strangers cannot keep a user out,
//! nor can one person an office. Unknown names are counted as known ones are, so that no answer tells which names there are.
//!
//! The counts are in Postgres, where every server sees them. A failure costs a statement or two beside its password hash.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
use sqlx::PgExecutor;

use crate::app::App;
use crate::error::{Error, Result};
use crate::metrics;
use crate::values::ids::UserId;
use crate::values::keyed::derived;
use crate::values::network::Network;

/// How long an address where a user has signed in is known as the user's.
const FAMILIAR_FOR: TimeDelta = TimeDelta::days(30);

/// A log-in whose password is compared.
pub(super) struct Attempt<'a> {
    app: &'a App,
    user: Option<UserId>,
    counts: Vec<Count>,
}

impl<'a> Attempt<'a> {
    /// Begins a log-in with a name, which may be a user's. Refuses it if the account or the address is locked.
    pub(super) async fn begin(app: &'a App, client: IpAddr, login: &str, user: Option<UserId>) -> Result<Self> {
        let network = Network::of_client(client);
        let account = user.map_or_else(|| login.to_lowercase(), |user| user.to_string());
        let counts = if is_familiar(app, user, network).await? {
            vec![Count::of_account(app, &format!("{account} {network}"))]
        } else {
            vec![Count::of_account(app, &account), Count::of_address(app, network)]
        };
        let attempt = Self { app, user, counts };
        attempt.check().await?;
        Ok(attempt)
    }

    /// Counts a wrong password. Refuses the log-in if others, which were under way at the same time, have locked it.
    pub(super) async fn fail(self) -> Result<()> {
        for count in &self.counts {
            count.add(self.app, self.user).await?;
        }
        Ok(())
    }

    /// Forgets the failures of the account after the right password, but no lock. Refuses the log-in if others have locked it
    /// meanwhile: of passwords that are tried at once, no more count than one after the other.
    pub(super) async fn succeed(self) -> Result<()> {
        for count in self.counts.iter().filter(|count| count.kind == Kind::Account) {
            let forgotten = sqlx::query!("delete from login_failures where key = $1 and failures < $2", count.key, count.most);
            forgotten.execute(&self.app.db.server).await?;
        }
        self.check().await
    }

    async fn check(&self) -> Result<()> {
        for count in &self.counts {
            count.check(self.app).await?;
        }
        Ok(())
    }
}

/// Refuses a token from an address that has sent too many wrong passwords and tokens.
pub async fn check_address(app: &App, client: IpAddr) -> Result<()> {
    Count::of_address(app, Network::of_client(client)).check(app).await
}

/// Counts a wrong token from an address.
pub async fn count_failure(app: &App, client: IpAddr) -> Result<()> {
    Count::of_address(app, Network::of_client(client)).add(app, None).await
}

/// Unlocks an account at every address.
pub async fn unlock(db: impl PgExecutor<'_>, user: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        with forgotten as (delete from login_failures where user_id = $1)
        update users
        set locked_until = null
        where id = $1
        and locked_until is not null
        "#,
        user.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes counts whose time has come; returns how many.
pub async fn remove_expired(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<u64> {
    let removed = sqlx::query!("delete from login_failures where expires_at <= $1", now).execute(db).await?;
    Ok(removed.rows_affected())
}

/// Whether the user has signed in from this network lately.
async fn is_familiar(app: &App, user: Option<UserId>, network: Network) -> Result<bool> {
    let familiar = sqlx::query_scalar!(
        r#"
        select exists (
          select from sessions
          where user_id = $1
          and ip <<= cast($2::text as inet)
          and created_at > $3
        ) as "is_familiar!"
        "#,
        user.map(|user| user.0),
        network.to_string(),
        app.clock.now() - FAMILIAR_FOR,
    );
    Ok(familiar.fetch_one(&app.db.read).await?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Account,
    Address,
}

/// The failures of one account or address.
struct Count {
    kind: Kind,
    key: Vec<u8>,
    /// So many failures lock it.
    most: i32,
}

impl Count {
    fn of_account(app: &App, account: &str) -> Self {
        Self::new(app, Kind::Account, account, app.config.limits.login_max_failures)
    }

    fn of_address(app: &App, network: Network) -> Self {
        Self::new(app, Kind::Address, &network.to_string(), app.config.limits.login_max_failures_per_address)
    }

    fn new(app: &App, kind: Kind, of: &str, most: u32) -> Self {
        Self { kind, key: keyed_hash(app, &format!("{kind:?} {of}")), most: i32::try_from(most).unwrap_or(i32::MAX) }
    }

    async fn check(&self, app: &App) -> Result<()> {
        let now = app.clock.now();
        let ends = sqlx::query_scalar!(
            "select expires_at from login_failures where key = $1 and failures >= $2 and expires_at > $3",
            self.key,
            self.most,
            now,
        );
        match ends.fetch_optional(&app.db.read).await? {
            Some(ends) => Err(self.refusal(ends - now)),
            None => Ok(()),
        }
    }

    fn refusal(&self, lock: TimeDelta) -> Error {
        let retry_after = u64::try_from(lock.num_seconds()).unwrap_or(0) + 1;
        let (policy, error) = match self.kind {
            Kind::Account => ("account", Error::Locked { retry_after }),
            Kind::Address => ("failures", Error::QuotaExceeded { policy: "failures", retry_after }),
        };
        metrics::REFUSED.with_label_values(&[policy]).inc();
        error
    }

    /// Counts a failure, of a user if that is known; refused if there is a lock already. The first failure begins a period of
    /// `LOGIN_LOCK`, and the last one a lock that is as long.
    async fn add(&self, app: &App, user: Option<UserId>) -> Result<()> {
        let now = app.clock.now();
        let ends = now + app.config.limits.login_lock;
        let failures = sqlx::query_scalar!(
            r#"
            insert into login_failures as known (key, user_id, failures, expires_at)
            values ($1, $2, 1, $5)
            on conflict (key) do update
            set
              failures = case when known.expires_at > $4 then known.failures + 1 else 1 end,
              expires_at = case when known.expires_at > $4 and known.failures + 1 < $3 then known.expires_at else $5 end
            where known.failures < $3
            or known.expires_at <= $4
            returning failures
            "#,
            self.key,
            user.map(|user| user.0),
            self.most,
            now,
            ends,
        );
        let Some(failures) = failures.fetch_optional(&app.db.server).await? else { return self.check(app).await };
        if failures == self.most && self.kind == Kind::Account {
            tracing::warn!(user_id = user.map(tracing::field::display), "account locked after too many wrong passwords");
            show_lock(app, user, ends).await?;
        }
        Ok(())
    }
}

/// Shows the lock of an account in the row of its user.
async fn show_lock(app: &App, user: Option<UserId>, ends: DateTime<Utc>) -> Result<()> {
    let user = user.map(|user| user.0);
    sqlx::query!("update users set locked_until = $2 where id = $1", user, ends).execute(&app.db.server).await?;
    Ok(())
}

fn keyed_hash(app: &App, text: &str) -> Vec<u8> {
    derived(app.config.access.key(), "failed log-ins").chain_update(text).finalize().into_bytes().to_vec()
}
