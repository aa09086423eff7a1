//! Cells of workbooks, as calamine reads them, in our own terms.

use calamine::{Data, ExcelDateTime, ExcelDateTimeType};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::sheets::book::{Cell, Row};

const DAY_MILLISECONDS: f64 = 86_400_000.0;

/// What the row takes at least, in bytes.
pub(super) fn bytes(row: &Row) -> usize {
    let bytes = |cell: &Cell| match cell {
        Cell::Text(text) | Cell::Error(text) => text.len(),
        _ => 8,
    };
    row.cells.iter().map(bytes).sum()
}

pub(super) fn read(data: Data) -> Cell {
    match data {
        Data::Empty => Cell::Blank,
        Data::String(text) if text.is_empty() => Cell::Blank,
        Data::String(text) => Cell::Text(text),
        Data::Int(number) => Cell::Number(number as f64),
        Data::Float(number) => Cell::Number(number),
        Data::Bool(value) => Cell::Boolean(value),
        Data::Error(error) => Cell::Error(error.to_string()),
        Data::DateTime(time) => of_serial(&time),
        Data::DateTimeIso(text) => moment(&text).unwrap_or(Cell::Text(text)),
        Data::DurationIso(text) => duration(&text).unwrap_or(Cell::Text(text)),
    }
}

/// Days since the epoch of the workbook; what is no day of the calendar stays as the spreadsheet shows it, or a number.
///
/// Excel counts 1900-02-29, which there was not, as day 60, so its days before that are one less than their distance to
/// 1899-12-30. Negative ones are of other programs, which count from there.
fn of_serial(time: &ExcelDateTime) -> Cell {
    const LEAP_DAY: f64 = 60.0;
    /// From 1904-01-01 to 9999-12-31.
    const LAST_DAY_1904: f64 = 2_957_003.0;
    /// Back to the year 1.
    const FIRST_DAY_1900: f64 = -693_593.0;
    let serial = time.as_f64();
    if time.is_duration() {
        return of_milliseconds(serial * DAY_MILLISECONDS).map_or(Cell::Number(serial), Cell::Duration);
    }
    // Its date system can only be compared.
    let is_1904 = *time == ExcelDateTime::new(serial, ExcelDateTimeType::DateTime, true);
    let (epoch, days, range) = if is_1904 {
        (NaiveDate::from_ymd_opt(1904, 1, 1), serial, 0.0..LAST_DAY_1904 + 1.0)
    } else {
        let shift = if (1.0..LEAP_DAY).contains(&serial) { 1.0 } else { 0.0 };
        (NaiveDate::from_ymd_opt(1899, 12, 30), serial + shift, FIRST_DAY_1900..LAST_DAY_1904 + 1_463.0)
    };
    if !is_1904 && (0.0..1.0).contains(&serial) {
        return of_milliseconds(serial * DAY_MILLISECONDS).map_or(Cell::Number(serial), Cell::Duration);
    }
    if !is_1904 && (LEAP_DAY..LEAP_DAY + 1.0).contains(&serial) {
        return Cell::Text("1900-02-29".to_owned());
    }
    let moment = epoch
        .filter(|_| range.contains(&serial))
        .and_then(|epoch| epoch.and_time(NaiveTime::MIN).checked_add_signed(of_milliseconds(days * DAY_MILLISECONDS)?));
    moment.map_or(Cell::Number(serial), day_or_moment)
}

/// To the second, if it is within a millisecond: fractions of days are not exact.
fn of_milliseconds(milliseconds: f64) -> Option<TimeDelta> {
    if !milliseconds.is_finite() || milliseconds.abs() > 1e16 {
        return None;
    }
    let whole = milliseconds.round() as i64;
    let second = (whole + if whole < 0 { -500 } else { 500 }) / 1_000 * 1_000;
    TimeDelta::try_milliseconds(if (whole - second).abs() <= 1 { second } else { whole })
}

fn day_or_moment(moment: NaiveDateTime) -> Cell {
    if moment.time() == NaiveTime::MIN { Cell::Day(moment.date()) } else { Cell::Moment(moment) }
}

/// A day or a moment of ISO 8601, without its offset: spreadsheets have none.
fn moment(text: &str) -> Option<Cell> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(Cell::Day(day));
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let moment =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    moment.map(day_or_moment)
}

/// A duration of ISO 8601 in hours, minutes and seconds, such as PT12H30M00S.
fn duration(text: &str) -> Option<Cell> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let mut rest = text.strip_prefix("PT")?;
    let mut seconds = 0.0;
    while let Some(end) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let number: f64 = rest[..end].replace(',', ".").parse().ok()?;
        seconds += number
            * match &rest[end..=end] {
                "H" => 3_600.0,
                "M" => 60.0,
                "S" => 1.0,
                _ => return None,
            };
        rest = &rest[end + 1..];
    }
    let sign = if is_negative { -1.0 } else { 1.0 };
    of_milliseconds(sign * seconds * 1_000.0).filter(|_| rest.is_empty()).map(Cell::Duration)
}

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType::{DateTime, TimeDelta as Elapsed};

    use super::*;

    fn check(serial: f64, is_1904: bool, expected: &str) {
        let cell = read(Data::DateTime(ExcelDateTime::new(serial, DateTime, is_1904)));
        assert_eq!(cell.to_string(), expected, "{serial} {cell:?}");
    }

    #[test]
    fn days_of_both_systems_are_days() {
        check(45_943.0, false, "2025-10-13");
        check(45_943.5, false, "2025-10-13T12:00:00");
        check(44_484.791_666_666_7, false, "2021-10-15T19:00:00");
        check(45_943.999_999_999, false, "2025-10-14");
        check(1.0, false, "1900-01-01");
        check(59.0, false, "1900-02-28");
        check(60.0, false, "1900-02-29");
        check(61.0, false, "1900-03-01");
        check(-1.0, false, "1899-12-29");
        check(0.5, false, "12:00:00");
        check(2_958_465.0, false, "9999-12-31");
        check(2_958_466.0, false, "2958466");
        check(44_481.0, true, "2025-10-13");
        check(0.0, true, "1904-01-01");
        check(1.0, true, "1904-01-02");
        check(2_957_003.0, true, "9999-12-31");
        check(f64::NAN, false, "NaN");
    }

    #[test]
    fn durations_are_no_days() {
        for (serial, expected) in
            [(1.5, "36:00:00"), (-0.25, "-6:00:00"), (0.000_011_574_1, "0:00:01"), (1e300, &format!("{}", 1e300))]
        {
            assert_eq!(read(Data::DateTime(ExcelDateTime::new(serial, Elapsed, false))).to_string(), expected);
        }
    }

    #[test]
    fn texts_of_iso_8601_are_read() {
        for (data, expected) in [
            (Data::DateTimeIso("1815-12-10".into()), "1815-12-10"),
            (Data::DateTimeIso("2025-01-31T00:00:00".into()), "2025-01-31"),
            (Data::DateTimeIso("2025-01-31T07:05:00.5Z".into()), "2025-01-31T07:05:00.500"),
            (Data::DateTimeIso("soon".into()), "soon"),
            (Data::DurationIso("PT12H30M05S".into()), "12:30:05"),
            (Data::DurationIso("-PT1H".into()), "-1:00:00"),
            (Data::DurationIso("P1D".into()), "P1D"),
        ] {
            assert_eq!(read(data).to_string(), expected);
        }
    }
}
