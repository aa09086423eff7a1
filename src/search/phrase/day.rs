//! Days as people type them: `2026-03-01`, `01.03.2026`, `3/1/2026`.

use chrono::NaiveDate;

/// The year first, or the day first; with slashes either the day or the month.
const FORMS: [&str; 6] = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y"];

/// Reads what may be a day with a year of four digits; `03/01/2026` is two.
pub(super) fn read(typed: &str) -> Vec<NaiveDate> {
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let parts: Vec<&str> = typed.split(['-', '/', '.']).collect();
    let has_year = parts.first().is_some_and(|part| part.len() == 4) || parts.last().is_some_and(|part| part.len() == 4);
    if parts.len() != 3 || !has_year || typed.len() > "2026-03-01".len() || !parts.into_iter().all(is_number) {
        return Vec::new();
    }
    let mut days: Vec<NaiveDate> = FORMS.iter().filter_map(|form| NaiveDate::parse_from_str(typed, form).ok()).collect();
    // The year 0 is none of the calendar that the engines know.
    days.retain(|day| chrono::Datelike::year(day) > 0);
    days.dedup();
    days
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_has_a_year_of_four_digits() {
        let check = |typed: &str, expected: &[&str]| {
            let found: Vec<String> = read(typed).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{typed}");
        };
        for typed in ["2026-03-01", "2026/03/01", "01.03.2026", "1.3.2026", "01-03-2026"] {
            check(typed, &["2026-03-01"]);
        }
        check("03/01/2026", &["2026-01-03", "2026-03-01"]);
        check("31/01/2026", &["2026-01-31"]);
        check("05/05/2026", &["2026-05-05"]);
        for typed in ["", "2026", "2026-02-30", "0000-01-01", "01.03.26", "20260301", "1,250.00", "555-010-4477", "+226-01-01"] {
            check(typed, &[]);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_a_day_or_none(typed in "\\PC{0,12}|[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}") {
            prop_assert!(read(&typed).len() <= 2);
        }
    }
}
