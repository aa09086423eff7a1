//! The period, the zone and the currency that figures are asked for.

use std::marker::PhantomData;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::api::{Request, paging};
use crate::error::{Error, Result, Violations, clipped};
use crate::operation::{Operation, Takes};
use crate::search::aggregate::Interval;
use crate::search::parse::{self, Period};
use crate::values::money::Currency;
use crate::values::zone::Zone;

/// What a point of a chart may stand for.
const CHARTS: [Interval; 3] = [Interval::Day, Interval::Week, Interval::Month];

/// Longest period without a chart: by hour, a quarter has as many groups as an answer may have.
const MOST_DAYS: i64 = 92;

/// Which parameters figures take.
pub trait Charted {
    const PARAMETERS: &'static [&'static str];
}

/// The parameters of figures.
pub struct About<F>(PhantomData<F>);

impl<F: Charted> Takes for About<F> {
    fn describe(operation: &mut Operation<'_>) {
        F::PARAMETERS.iter().for_each(|name| describe(operation, name));
    }
}

fn describe(operation: &mut Operation<'_>, name: &str) {
    let text = |examples: Value| json!({ "type": "string", "minLength": 1, "examples": examples });
    let (about, schema) = match name {
        "interval" => {
            let interval = json!({ "type": "string", "enum": CHARTS.map(Interval::name), "default": "day" });
            ("What a point of the chart stands for.", interval)
        }
        "from" => ("The first day or moment.", text(json!(["2026-01-01", "now-30d"]))),
        "to" => ("The last day or moment; a day is included whole.", text(json!(["2026-01-31"]))),
        "tz" => ("Where days begin, and times without an offset are.", text(json!(["Europe/Berlin", "+02:00"]))),
        _ => ("The currency of the figures.", json!({ "type": "string", "pattern": "^[A-Za-z]{3}$", "examples": ["EUR"] })),
    };
    operation.query(name, about, schema);
}

/// What a request for figures asks.
pub struct Asked {
    pub interval: Interval,
    pub zone: Zone,
    pub currency: Option<Currency>,
    pub today: NaiveDate,
    /// Whether the request names an end of the period.
    pub has_period: bool,
    from: DateTime<Utc>,
    before: DateTime<Utc>,
    /// The days in which the period begins and ends.
    pub first: NaiveDate,
    pub last: NaiveDate,
    /// The same for requests that ask for the same.
    pub key: String,
}

impl Asked {
    /// Reads the parameters of figures.
    ///
    /// # Errors
    /// A violation for each that is unknown or wrong, and a period that is too long.
    pub fn read<F: Charted>(request: &Request) -> Result<Self> {
        let (rules, mut violations) = (paging::rules(request), Violations::default());
        for (name, _) in request.parameters() {
            if name != "syncToken" && !F::PARAMETERS.contains(&&*name) {
                violations.add(clipped(&name), "unknown_parameter", format!("takes {}", F::PARAMETERS.join(", ")));
            }
        }
        let [interval, zone, from, to, currency] =
            ["interval", "tz", "from", "to", "currency"].map(|name| request.parameter(name));
        let key = format!("{} {interval:?} {zone:?} {from:?} {to:?} {currency:?}", request.path.replacen("/v1/", "/", 1));
        let interval = interval.map_or(Some(Interval::Day), |word| CHARTS.into_iter().find(|known| known.name() == word));
        if interval.is_none() {
            violations.add("interval", "bad_value", format!("takes one of {}", CHARTS.map(Interval::name).join(", ")));
        }
        let currency = currency.map(|code| code.parse::<Currency>().ok().filter(|currency| currency.is_in_use()));
        if currency == Some(None) {
            violations.add("currency", "unknown_currency", "takes a currency of ISO 4217 such as EUR");
        }
        let period = parse::period(from.as_deref(), to.as_deref(), zone.as_deref(), &rules);
        if let (Ok(period), Some(interval)) = (period.map_err(|error| violations.join(error)), interval) {
            let zone = zone.and_then(|zone| zone.parse().ok()).unwrap_or(rules.zone);
            let (today, has_period) = (zone.day_of(rules.now), period != Period { from: None, before: None });
            let before = period.before.unwrap_or_else(|| end_of(zone, today));
            let last = zone.day_of(before - TimeDelta::milliseconds(1));
            let from = period.from.unwrap_or_else(|| usual_begin(zone, interval, last));
            let (currency, first) = (currency.flatten(), zone.day_of(from));
            let asked = Self { interval, zone, currency, today, has_period, from, before, first, last, key };
            if from >= before {
                violations.add("from", "reversed", "begins after today; name the end, too");
            } else {
                asked.check_length(F::PARAMETERS.contains(&"interval"), &mut violations);
            }
            if violations.is_empty() {
                return Ok(asked);
            }
        }
        Err(Error::Malformed { code: "bad_parameter", detail: detail(&violations), violations })
    }

    fn check_length(&self, has_chart: bool, violations: &mut Violations) {
        let most = self.interval.most() as usize;
        if !has_chart && self.before - self.from > TimeDelta::days(MOST_DAYS) {
            violations.add("from", "too_long", format!("begins more than {MOST_DAYS} days before the end"));
        } else if has_chart && self.points().take(most + 1).count() > most {
            let message = format!("begins more than {most} points of the chart before the end; take a longer interval");
            violations.add("from", "too_long", message);
        }
    }

    /// The period that the request names, or the usual one.
    pub fn period(&self) -> Period {
        Period { from: Some(self.from), before: Some(self.before) }
    }

    /// The last so many days, up to the end of today.
    pub fn last_days(&self, days: u64) -> Period {
        let first = self.today.checked_sub_days(Days::new(days - 1)).unwrap_or(self.today);
        Period { from: Some(self.zone.midnight(first)), before: Some(end_of(self.zone, self.today)) }
    }

    /// The first days of the chart's intervals. The period may begin in the first and end in the last.
    pub fn points(&self) -> impl Iterator<Item = NaiveDate> {
        self.interval.between(self.interval.first_day(self.first), self.last)
    }
}

/// Without a beginning, a chart has seven days, twelve weeks or twelve months.
fn usual_begin(zone: Zone, interval: Interval, last: NaiveDate) -> DateTime<Utc> {
    let (last, points) = (interval.first_day(last), if interval == Interval::Day { 7 } else { 12 });
    zone.midnight(interval.before(last, points - 1).unwrap_or(last))
}

/// Without an end, a period goes to the end of today.
fn end_of(zone: Zone, day: NaiveDate) -> DateTime<Utc> {
    zone.midnight(day.succ_opt().unwrap_or(day))
}

fn detail(violations: &Violations) -> String {
    let told: Vec<String> = violations.iter().map(|violation| format!("{}: {}", violation.pointer, violation.message)).collect();
    told.join("; ")
}
