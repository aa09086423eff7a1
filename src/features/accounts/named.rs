//! The account that a request for something on it names: in its body, in its address, or in both.

use crate::error::{Error, Result};
use crate::values::ids::AccountId;
use crate::values::json::{Object, Value};

/// An account that does not exist, or is deleted.
pub fn unknown_account() -> Error {
    Error::invalid("/accountId", "unknown_account", "there is no such account")
}

/// Takes the account out of a body whose address names it.
pub fn take_repeated_account(body: &mut Object, id: AccountId) -> Result<()> {
    if body.remove("accountId").is_some_and(|other| other != Value::from(id.to_string())) {
        return Err(Error::invalid("/accountId", "conflicting", "is another account than the address names"));
    }
    Ok(())
}

/// Where the account is the address, one that does not exist is not a violation of the body.
pub fn unknown_in_address(error: Error) -> Error {
    match error {
        Error::Invalid(violations) if violations.iter().any(|violation| violation.code == "unknown_account") => {
            Error::NotFound("account")
        }
        error => error,
    }
}
