//! The states of a payment, what may follow what, and what each step does to the ledger.

use crate::error::{Error, Result};
use crate::words;

words! {
    /// Where the money is.
    pub enum Status, STATUSES {
        Pending = "pending",
        Success = "success",
        Failed = "failed",
        Refunded = "refunded",
        Reversed = "reversed",
    }
    aliases { "completed" => "success", "paid" => "success", "declined" => "failed" }
}

use Status::{Failed, Pending, Refunded, Reversed, Success};

impl Status {
    /// Whether a payment can be recorded in this state; money goes back only after it came.
    pub(super) fn is_first(self) -> bool {
        matches!(self, Pending | Success | Failed)
    }

    /// Whether the money came, even if it went back later: then the payment's amount is history.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Success | Refunded | Reversed)
    }

    fn followers(self) -> &'static [Self] {
        match self {
            Pending => &[Success, Failed],
            Failed => &[Pending],
            Success => &[Refunded, Reversed],
            Refunded | Reversed => &[],
        }
    }
}

/// Checks a step; staying is always allowed.
///
/// # Errors
/// A conflict that names what would be allowed.
pub(super) fn step(from: Status, to: Status) -> Result<()> {
    if from == to || from.followers().contains(&to) {
        return Ok(());
    }
    let allowed = match from.followers() {
        [] => "nothing".to_owned(),
        followers => followers.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(" or "),
    };
    let (from, to) = (from.as_str(), to.as_str());
    Err(Error::conflict("status_not_allowed", format!("a payment that is {from} cannot become {to}; allowed is {allowed}")))
}

/// What has to be posted to an account when one of its payments goes from one state to another: the kind of the entry, and the
/// sign of its amount.
pub(super) fn posting(from: Status, to: Status) -> Option<(&'static str, i64)> {
    match (from == Success, to) {
        (false, Success) => Some(("payment", -1)),
        (true, Refunded) => Some(("refund", 1)),
        (true, Reversed) => Some(("reversal", 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_steps_are_taken() {
        let all = [Pending, Success, Failed, Refunded, Reversed];
        let steps = all.into_iter().flat_map(|from| all.map(|to| (from, to)));
        let allowed: Vec<_> = steps.filter(|(from, to)| from != to && step(*from, *to).is_ok()).collect();
        assert_eq!(allowed, [(Pending, Success), (Pending, Failed), (Success, Refunded), (Success, Reversed), (Failed, Pending)]);
        let refused = step(Success, Pending).unwrap_err();
        assert_eq!(refused.to_string(), "a payment that is success cannot become pending; allowed is refunded or reversed");
        assert!(step(Refunded, Success).unwrap_err().to_string().ends_with("allowed is nothing"));
    }

    #[test]
    fn the_postings_of_a_payment_add_up_to_nothing_or_one_payment() {
        let sum = |steps: &[Status]| -> i64 {
            steps.windows(2).filter_map(|pair| posting(pair[0], pair[1])).map(|(_, sign)| sign).sum()
        };
        assert_eq!(sum(&[Pending, Success]), -1);
        assert_eq!(sum(&[Pending, Failed, Pending, Success]), -1);
        assert_eq!(sum(&[Pending, Success, Refunded]), 0);
        assert_eq!(sum(&[Pending, Success, Reversed]), 0);
        assert_eq!(sum(&[Success, Success]), 0);
    }
}
