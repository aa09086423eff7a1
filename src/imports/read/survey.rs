//! The look at all rows before any is imported: in which form each column of days and amounts is written.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::header::Header;
use super::value::{DayOrder, Decimal, Forms, Votes, amount_vote, day_vote};
use crate::imports::fields::Kind;
use crate::sheets::Cell;

/// The votes of the rows so far, by column.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    days: HashMap<usize, Votes<DayOrder>>,
    decimals: HashMap<usize, Votes<Decimal>>,
}

/// What the user says, for all columns.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::imports) struct Given {
    pub(in crate::imports) days: Option<DayOrder>,
    pub(in crate::imports) decimal: Option<Decimal>,
}

impl Survey {
    /// Counts the cells of a row that are text; those of other types can be read in one way only.
    pub(in crate::imports) fn count(&mut self, header: &Header, row: u64, cells: &[Cell]) {
        for (at, (column, cell)) in header.columns.iter().zip(cells).enumerate() {
            let Cell::Text(text) = cell else { continue };
            let text = text.trim();
            match column.field.map(|field| field.kind) {
                Some(Kind::Day | Kind::ForgivenDay | Kind::Moment) => {
                    self.days.entry(at).or_default().count(row, text, day_vote(text));
                }
                Some(Kind::Amount) => self.decimals.entry(at).or_default().count(row, text, amount_vote(text)),
                _ => {}
            }
        }
    }

    /// Decides how each column is read. An error says why a user has to.
    pub(in crate::imports) fn decide(&self, header: &Header, given: Given) -> Result<Forms, String> {
        let days = decide(header, &self.days, given.days, "days=dmy or days=mdy (--date-format)")?;
        let decimals = decide(header, &self.decimals, given.decimal, "decimal=dot or decimal=comma (--decimal)")?;
        Ok(Forms { days, decimals })
    }
}

fn decide<T: Copy + PartialEq>(
    header: &Header,
    votes: &HashMap<usize, Votes<T>>,
    given: Option<T>,
    remedy: &str,
) -> Result<HashMap<usize, T>, String> {
    let decide = |(at, votes): (&usize, &Votes<T>)| {
        let ambiguous = |why| format!("the column {:?} {why}; say which with {remedy}", header.columns[*at].heading);
        let form = given.map_or_else(|| votes.decide().map_err(ambiguous), |given| Ok(Some(given)));
        form.map(|form| Some((*at, form?))).transpose()
    };
    votes.iter().filter_map(decide).collect()
}
