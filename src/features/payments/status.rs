//! The states of a payment, what may follow what, and what each step does to the ledger.

use crate::error::{Error, Result};
use crate::validate::Words;

/// The states as clients may call them.
pub(super) const STATUSES: Words = Words {
    known: &["pending", "success", "failed", "refunded", "reversed"],
    aliases: &[("completed", "success"), ("paid", "success"), ("declined", "failed")],
};

/// The states in which a payment can be recorded; money goes back only after it came.
pub(super) const FIRST: &[&str] = &["pending", "success", "failed"];

/// What may follow a state.
fn followers(status: &str) -> &'static [&'static str] {
    match status {
        "pending" => &["success", "failed"],
        "failed" => &["pending"],
        "success" => &["refunded", "reversed"],
        _ => &[],
    }
}

/// Checks a step; staying is always allowed.
///
/// # Errors
/// A conflict that names what would be allowed.
pub(super) fn step(from: &str, to: &str) -> Result<()> {
    if from == to || followers(from).contains(&to) {
        return Ok(());
    }
    let allowed = match followers(from) {
        [] => "nothing".to_owned(),
        followers => followers.join(" or "),
    };
    Err(Error::conflict("status_not_allowed", format!("a payment that is {from} cannot become {to}; allowed is {allowed}")))
}

/// Whether the money came, be it that it went back later: then the payment's amount is history.
pub(super) fn is_settled(status: &str) -> bool {
    matches!(status, "success" | "refunded" | "reversed")
}

/// What has to be posted to an account when one of its payments goes from one state to another: the kind of the entry, and the
/// sign of its amount.
pub(super) fn posting(from: &str, to: &str) -> Option<(&'static str, i64)> {
    match (from == "success", to) {
        (false, "success") => Some(("payment", -1)),
        (true, "refunded") => Some(("refund", 1)),
        (true, "reversed") => Some(("reversal", 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_steps_are_taken() {
        let allowed: Vec<(&str, &str)> = STATUSES
            .known
            .iter()
            .flat_map(|from| STATUSES.known.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from != to && step(from, to).is_ok())
            .collect();
        assert_eq!(
            allowed,
            [
                ("pending", "success"),
                ("pending", "failed"),
                ("success", "refunded"),
                ("success", "reversed"),
                ("failed", "pending"),
            ]
        );
        let refused = step("success", "pending").unwrap_err();
        assert_eq!(refused.to_string(), "a payment that is success cannot become pending; allowed is refunded or reversed");
        assert!(step("refunded", "success").unwrap_err().to_string().ends_with("allowed is nothing"));
    }

    #[test]
    fn every_way_of_the_money_adds_up_to_nothing_or_one_payment() {
        let sum =
            |steps: &[&str]| -> i64 { steps.windows(2).filter_map(|pair| posting(pair[0], pair[1])).map(|(_, sign)| sign).sum() };
        assert_eq!(sum(&["pending", "success"]), -1);
        assert_eq!(sum(&["pending", "failed", "pending", "success"]), -1);
        assert_eq!(sum(&["pending", "success", "refunded"]), 0);
        assert_eq!(sum(&["pending", "success", "reversed"]), 0);
        assert_eq!(sum(&["success", "success"]), 0);
    }
}
