//! Brings one cell into the form of the API, by its type and by the kind of its field.

use chrono::NaiveTime;

use super::value::{self, DayOrder, Decimal};
use crate::imports::fields::Kind;
use crate::sheets::Cell;
use crate::values::text::phone;

/// Characters of a cell, as in a workbook.
const MAX_CELL: usize = 32_767;

/// How the texts of the cell's column are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub(super) day: Option<DayOrder>,
    pub(super) decimal: Option<Decimal>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) value: String,
    /// Code and sentence, if it is not what the cell shows.
    pub(super) repaired: Option<(&'static str, String)>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Unread {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl From<String> for Read {
    fn from(value: String) -> Self {
        Self { value, repaired: None }
    }
}

/// Reads a cell that is not blank. A day that cannot be read stays as it is, for the rule of its field to refuse.
pub(super) fn read(cell: &Cell, kind: Kind, form: Form, region: &str) -> Result<Read, Unread> {
    match cell {
        Cell::Error(error) => Err(unread("error_cell", format!("the formula of this cell gives {error}"))),
        Cell::Text(text) => read_text(text.trim(), kind, form),
        Cell::Number(number) => read_number(*number, kind, region),
        Cell::Day(_) | Cell::Moment(_) if kind == Kind::Identifier || kind == Kind::Phone => {
            Err(unread("changed_to_day", "a spreadsheet has made a day of this number; format its column as text"))
        }
        Cell::Day(_) | Cell::Moment(_) if kind == Kind::Amount => Err(not_an_amount()),
        Cell::Day(day) if kind == Kind::Moment => Ok(day.and_time(NaiveTime::MIN).and_utc().to_rfc3339().into()),
        Cell::Moment(moment) if kind == Kind::Moment => Ok(moment.and_utc().to_rfc3339().into()),
        Cell::Moment(moment) if matches!(kind, Kind::Day | Kind::ForgivenDay) => Ok(moment.date().to_string().into()),
        Cell::Blank | Cell::Day(_) | Cell::Moment(_) | Cell::Duration(_) | Cell::Boolean(_) => {
            read_text(&cell.to_string(), kind, form)
        }
    }
}

fn read_text(text: &str, kind: Kind, form: Form) -> Result<Read, Unread> {
    if text.chars().count() > MAX_CELL {
        return Err(unread("cell_too_long", format!("takes at most {MAX_CELL} characters")));
    }
    if text.contains('\0') {
        return Err(unread("unstorable_text", "text must not contain NUL"));
    }
    let days = form.day.unwrap_or(DayOrder::Dmy);
    let kept = || text.to_owned();
    let value = match kind {
        Kind::Identifier if value::is_rounded(text) => return Err(rounded()),
        Kind::Text | Kind::Words | Kind::Phone | Kind::Identifier => kept(),
        Kind::Day | Kind::ForgivenDay => value::day(text, days).map_or_else(kept, |day| day.to_string()),
        Kind::Moment => value::moment(text, days).unwrap_or_else(kept),
        Kind::Amount => value::amount(text, form.decimal.unwrap_or(Decimal::Dot)).ok_or_else(not_an_amount)?,
    };
    Ok(value.into())
}

fn read_number(number: f64, kind: Kind, region: &str) -> Result<Read, Unread> {
    let shown = value::shown(number);
    match kind {
        Kind::Identifier | Kind::Phone if !value::is_exact(number) => Err(rounded()),
        Kind::Phone => Ok(repair_phone(shown, region)),
        // As in 20251231.
        Kind::Day | Kind::ForgivenDay | Kind::Moment => read_text(&shown, kind, Form::default()),
        Kind::Amount | Kind::Identifier | Kind::Text | Kind::Words => Ok(shown.into()),
    }
}

/// Gives a number back the zero or the plus that a spreadsheet has taken for no digit, if it is a phone number only with it.
fn repair_phone(digits: String, region: &str) -> Read {
    let number = |text: &str| Some(phone(text, region)).filter(|number| number.starts_with('+'));
    let (bare, with_zero) = (number(&digits), number(&format!("0{digits}")));
    let (value, code, what) = match (bare, with_zero) {
        // Where numbers are dialled with a zero, one without it has lost it.
        (Some(bare), Some(with_zero)) if bare == with_zero => (format!("0{digits}"), "zero_restored", "zero"),
        (None, Some(_)) => (format!("0{digits}"), "zero_restored", "zero"),
        (None, None) if number(&format!("+{digits}")).is_some() => (format!("+{digits}"), "plus_restored", "plus"),
        _ => return digits.into(),
    };
    let message = format!("a spreadsheet has taken its {what} away; it is read as {value}");
    Read { value, repaired: Some((code, message)) }
}

fn rounded() -> Unread {
    unread("rounded_number", "a spreadsheet has rounded this number; format its column as text")
}

fn not_an_amount() -> Unread {
    unread("not_an_amount", "takes a decimal number such as 1234.56")
}

fn unread(code: &'static str, message: impl Into<String>) -> Unread {
    Unread { code, message: message.into() }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn check(cell: Cell, kind: Kind, expected: Result<&str, &str>) {
        let read = read(&cell, kind, Form::default(), "DE");
        assert_eq!(read.as_ref().map(|read| read.value.as_str()).map_err(|unread| unread.code), expected, "{cell:?} as {kind:?}");
    }

    #[test]
    fn typed_cells_are_read_by_their_types() {
        let day = NaiveDate::from_ymd_opt(2025, 1, 31).unwrap();
        let noon = Cell::Moment(day.and_hms_opt(12, 0, 0).unwrap());
        check(Cell::Day(day), Kind::Day, Ok("2025-01-31"));
        check(noon.clone(), Kind::Day, Ok("2025-01-31"));
        check(noon.clone(), Kind::Moment, Ok("2025-01-31T12:00:00+00:00"));
        check(Cell::Day(day), Kind::Moment, Ok("2025-01-31T00:00:00+00:00"));
        check(Cell::Day(day), Kind::Text, Ok("2025-01-31"));
        check(noon, Kind::Identifier, Err("changed_to_day"));
        check(Cell::Day(day), Kind::Amount, Err("not_an_amount"));
        check(Cell::Boolean(true), Kind::Text, Ok("true"));
        check(Cell::Error("#N/A".into()), Kind::Text, Err("error_cell"));
    }

    #[test]
    fn numbers_keep_what_they_mean_or_are_refused() {
        check(Cell::Number(4711.0), Kind::Identifier, Ok("4711"));
        check(Cell::Number(4.71e15), Kind::Identifier, Err("rounded_number"));
        check(Cell::Text("4.71E+15".into()), Kind::Identifier, Err("rounded_number"));
        check(Cell::Number(0.1 + 0.2), Kind::Amount, Ok("0.3"));
        check(Cell::Number(-5.0), Kind::Amount, Ok("-5"));
        check(Cell::Text("($1,234.50)".into()), Kind::Amount, Ok("-1234.50"));
        check(Cell::Number(20_251_231.0), Kind::Day, Ok("2025-12-31"));
        check(Cell::Number(45_000.0), Kind::Day, Ok("45000"));
    }

    #[test]
    fn a_phone_number_gets_back_what_a_spreadsheet_took() {
        let check = |number: f64, expected: &str, code: Option<&str>| {
            let read = read(&Cell::Number(number), Kind::Phone, Form::default(), "DE").unwrap();
            assert_eq!((read.value.as_str(), read.repaired.map(|(code, _)| code)), (expected, code));
        };
        check(30_901_820.0, "030901820", Some("zero_restored"));
        check(12_024_561_111.0, "+12024561111", Some("plus_restored"));
        // Its country code is known without the plus.
        check(4_930_901_820.0, "4930901820", None);
        check(12.0, "12", None);
    }
}
