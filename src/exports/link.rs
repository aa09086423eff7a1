//! Links to files that need no session: signed, and for a short time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
use uuid::Uuid;

use crate::api::Request;
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::ids::{ExportId, UserId};
use crate::values::keyed::derived;

/// How long a link is good for: a browser follows it at once, and it is of little use to those who find it later.
const LIFE: TimeDelta = TimeDelta::minutes(15);

const PURPOSE: &str = "links of exports";

/// A signed address, and until when it is good.
pub(super) fn sign(app: &App, export: ExportId, user: UserId) -> (String, DateTime<Utc>) {
    let until = app.clock.now() + LIFE;
    let signed = Signed { export, user, until: until.timestamp() };
    let signature = URL_SAFE_NO_PAD.encode(signed.keyed(app.config.access.key()).finalize().into_bytes());
    let Signed { until: seconds, .. } = signed;
    (format!("/api/v1/exports/{export}/file?user={user}&until={seconds}&signature={signature}"), until)
}

/// Reads the link of a request: for whom it was signed. None without a signature.
///
/// # Errors
/// The link was changed, or is too old.
pub(super) fn verify(request: &Request, export: ExportId) -> Result<Option<UserId>> {
    let Some(signature) = request.parameter("signature") else { return Ok(None) };
    let refused = || Error::Unauthenticated("this link is not valid, or no longer; ask for the export again");
    let parameter = |name: &str| request.parameter(name).ok_or_else(refused);
    let user = parameter("user")?.parse::<Uuid>().map_err(|_| refused())?;
    let until = parameter("until")?.parse::<i64>().map_err(|_| refused())?;
    let signature = URL_SAFE_NO_PAD.decode(signature.as_bytes()).map_err(|_| refused())?;
    let signed = Signed { export, user: UserId(user), until };
    let is_genuine = request.app.config.access.keys().any(|key| signed.keyed(key).verify_slice(&signature).is_ok());
    let is_good = is_genuine && request.app.clock.now().timestamp() < until;
    is_good.then_some(Some(UserId(user))).ok_or_else(refused)
}

/// What a signature is about.
struct Signed {
    export: ExportId,
    user: UserId,
    /// In seconds since 1970.
    until: i64,
}

impl Signed {
    fn keyed(&self, key: &[u8]) -> impl Mac {
        derived(key, PURPOSE).chain_update(format!("{} {} {}", self.export, self.user, self.until))
    }
}
