//! Activities of synthetic accounts.

use std::fmt::Write as _;

use uuid::Uuid;

use super::people::Generator;
use super::random::Random;
use super::tables::Tables;

/// Type, disposition and note of what agents do all day.
const WORK: [(&str, &str, &str); 12] = [
    ("call", "promise", "promises to pay by the end of the month"),
    ("call", "no_answer", "\\N"),
    ("call", "voicemail", "left a message and asked to be called back"),
    ("call", "right_party", "asks for a statement of all open invoices"),
    ("call", "wrong_number", "a shop answered that does not know the customer"),
    ("call", "refused", "does not accept the fees and wants them in writing"),
    ("email", "sent", "sent the instalment plan as agreed"),
    ("letter", "sent", "first reminder"),
    ("sms", "sent", "reminder with the link to pay"),
    ("visit", "no_answer", "was not at home, left a card"),
    ("note", "\\N", "moved; the new address comes with the next letter"),
    ("note", "dispute", "disputes the last invoice, goods arrived damaged"),
];

impl Generator {
    /// Adds the activities of an account that was opened so many days ago. They have a chance of their own, so that all other rows
    /// of a seed stay as they are.
    pub(super) fn activities(&self, account: Uuid, index: u64, number: u64, age: u64, tables: &mut Tables) -> std::fmt::Result {
        let random = &mut Random::new(self.seed.wrapping_add(1 << 20), index * 16 + number);
        let count = *random.pick(&[0, 0, 0, 0, 1, 1, 2, 4]);
        for turn in 1..=count {
            let (kind, disposition, note) = random.pick(&WORK);
            let at = self.moment((age - age * turn / (count + 1)).max(1), random);
            let is_pinned = random.percent(2);
            writeln!(
                tables.activities,
                "{}\t{account}\t{kind}\t{disposition}\t{note}\t{is_pinned}\t{at}\t{at}\t{at}",
                random.id(),
            )?;
        }
        Ok(())
    }
}
