//! One synthetic customer with its contact points, address, accounts, payments and ledger.

use std::fmt::{Display, Write as _};

use chrono::{Days, NaiveDate};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use super::locales::{self, Locale};
use super::random::Random;
use super::tables::Tables;
use crate::values::money::Currency;

/// Creates customers from the seed, their index and the day.
pub(super) struct Generator {
    pub(super) seed: u32,
    /// The day around which debts fall due.
    pub(super) today: NaiveDate,
    pub(super) locales: Vec<Locale>,
    /// Whether to write balances, because the ledger's trigger does not run.
    pub(super) with_balances: bool,
}

/// A time in the format of COPY.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    day: NaiveDate,
    second: u64,
}

impl Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:02}:{:02}:{:02}+00", self.day, self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

struct Owner<'a> {
    id: Uuid,
    index: u64,
    locale: &'a Locale,
}

/// An account while its history is generated.
struct Account {
    id: Uuid,
    currency: Currency,
    /// Days since it was opened.
    age: u64,
    balance: u64,
    last_payment_at: Option<Moment>,
}

impl Generator {
    /// Returns the identifier of the customer with this index.
    pub(super) fn id(&self, index: u64) -> Uuid {
        Random::new(self.seed, index).id()
    }

    /// Adds one customer with its contacts, accounts and payments.
    pub(super) fn write(&self, index: u64, tables: &mut Tables) -> std::fmt::Result {
        let mut random = Random::new(self.seed, index);
        let id = random.id();
        let owner = Owner { id, index, locale: locales::pick(&self.locales, &mut random) };
        self.customer(&owner, &mut random, tables)?;
        address(&owner, &mut random, tables)?;
        // Five customers in a hundred own three accounts in ten.
        let accounts = match random.below(100) {
            0..5 => random.between(4, 14),
            5..15 => 0,
            15..82 => 1,
            _ => 2,
        };
        (0..accounts).try_for_each(|number| self.account(&owner, number, &mut random, tables))
    }

    fn customer(&self, owner: &Owner<'_>, random: &mut Random, tables: &mut Tables) -> std::fmt::Result {
        let Owner { id, index, locale } = owner;
        let given = random.pick(&locale.given);
        let surname = locale.surname(random);
        let company = random.percent(8);
        let name = match (company, locale.language.as_str()) {
            (true, _) => format!("{surname} {}", random.pick(&locale.companies)),
            (false, "ja") => format!("{surname} {given}"),
            (false, _) => format!("{given} {surname}"),
        };
        let parts = if company { format!("\\N\t\\N\t{name}\t\\N") } else { format!("{given}\t{surname}\t\\N\t{}", born(random)) };
        let status = match random.below(100) {
            0..93 => "active",
            93..96 => "inactive",
            96..98 => "insolvent",
            98 => "deceased",
            _ => "blocked",
        };
        writeln!(
            tables.customers,
            "{id}\tC{}-{index:08}\t{}\t{name}\t{parts}\t{}\t{}\t{status}\t{}\t{created}\t{created}",
            self.seed,
            if company { "company" } else { "person" },
            random.digits("##N######"),
            locale.language,
            random.pick(&["{}", "{}", "{}", "{vip}", "{hardship}", "{disputed,lawyer}"]),
            created = self.moment(random.between(1_000, 1_500), random),
        )?;
        contact_points(owner, &ascii(given, &surname, *index), random, tables)
    }

    fn account(&self, owner: &Owner<'_>, number: u64, random: &mut Random, tables: &mut Tables) -> std::fmt::Result {
        let locale = owner.locale;
        let currency = locale.currency;
        // Amounts as on a bill; currencies without cents have larger numbers.
        let unit = 10_u64.pow(currency.exponent());
        let whole = random.between(20, 200) * random.between(1, 25) * if unit == 1 { 100 } else { 1 };
        let original = whole * unit + random.below(unit);
        // Half of the debts are of this season, so that due dates gather around today.
        let age = if random.percent(50) { random.between(2, 90) } else { random.between(2, 900) };
        let mut account = Account { id: random.id(), currency, age, balance: original, last_payment_at: None };
        let status = match random.below(100) {
            0..70 => "open",
            70..76 => "paused",
            76..90 => "settled",
            90..93 => "closed",
            _ => "written_off",
        };
        let due = self.today - Days::new(age) + Days::new(random.between(14, 60));
        let next_action = match status {
            "open" => format!("{} 09:00:00+00", self.today + Days::new(random.below(21))),
            _ => "\\N".into(),
        };
        let id = account.id;
        let opened = self.moment(age, random);
        writeln!(tables.ledger_entries, "{}\t{id}\topening\t{original}\t\\N\t{opened}\t{opened}", random.id())?;
        if status == "open" && age > 60 && random.percent(20) {
            let fee = 10 * unit;
            let at = self.moment(age - 60, random);
            account.balance += fee;
            writeln!(tables.ledger_entries, "{}\t{id}\tfee\t{fee}\t\\N\t{at}\t{at}", random.id())?;
        }
        let payments = *random.pick(&[0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 9]);
        for turn in 1..=payments {
            self.payment(owner, number, turn..=payments, &mut account, random, tables)?;
        }
        let rest = match status {
            "settled" | "closed" => "adjustment",
            "written_off" => "write_off",
            _ => "",
        };
        if account.balance > 0 && !rest.is_empty() {
            let at = self.moment(1, random);
            writeln!(tables.ledger_entries, "{}\t{id}\t{rest}\t-{}\t\\N\t{at}\t{at}", random.id(), account.balance)?;
            account.balance = 0;
        }
        let (balance, last_payment) = match (self.with_balances, account.last_payment_at) {
            (true, Some(at)) => (account.balance, at.to_string()),
            (true, None) => (account.balance, "\\N".into()),
            (false, _) => (0, "\\N".into()),
        };
        writeln!(
            tables.accounts,
            "{id}\t{}-{:08}-{number:02}\t{}\t{currency}\t{balance}\t{original}\t{due}\t{status}\t{}\t{}\t{}\t{last_payment}\t\
             {next_action}\t{opened}\t{opened}",
            self.seed,
            owner.index,
            owner.id,
            random.pick(&["Northwind Bank", "Stadtwerke Musterstadt", "Acme Telecom", "Contoso Retail", "Globex Insurance"]),
            random.pick(&["2023-A", "2024-A", "2024-B", "2025-A"]),
            random.pick(&["credit card", "loan", "utility", "mobile", "subscription", "rent"]),
        )?;
        self.activities(id, owner.index, number, age, tables)
    }

    /// Adds the next of the remaining payments.
    fn payment(
        &self,
        owner: &Owner<'_>,
        number: u64,
        turns: std::ops::RangeInclusive<u64>,
        account: &mut Account,
        random: &mut Random,
        tables: &mut Tables,
    ) -> std::fmt::Result {
        let (turn, last) = (*turns.start(), *turns.end());
        let amount = (account.balance / (last - turn + 2)).max(1);
        let status = match random.below(100) {
            _ if account.balance < amount => "failed",
            0..78 => "success",
            78..87 => "failed",
            87..93 => "pending",
            93..97 => "refunded",
            _ => "reversed",
        };
        let id = random.id();
        let days_ago = account.age - account.age * turn / (last + 1);
        let at = self.moment(days_ago.max(1), random);
        let method = match random.below(100) {
            0..30 if owner.locale.region == "IN" => "upi",
            0..40 => "bank_transfer",
            _ => {
                *random.pick(&["credit_card", "debit_card", "direct_debit", "digital_wallet", "paypal", "cash", "check", "other"])
            }
        };
        let failure = match status {
            "failed" => {
                *random.pick(&["insufficient_funds\tthe account has not enough money", "card_expired\tthe card has expired"])
            }
            _ => "\\N\t\\N",
        };
        writeln!(
            tables.payments,
            "{id}\t{}\t{}\t{amount}\t{}\t{method}\t{status}\t{} {}\tinstalment {turn} of {last}\tP{}-{:08}-{number:02}-{turn:02}\t\
             {failure}\t{at}\t{at}\t{at}",
            account.id,
            owner.id,
            account.currency,
            random.pick(&owner.locale.given),
            owner.locale.surname(random),
            self.seed,
            owner.index,
        )?;
        let back = match status {
            "success" => None,
            "refunded" => Some("refund"),
            "reversed" => Some("reversal"),
            _ => return Ok(()),
        };
        writeln!(tables.ledger_entries, "{}\t{}\tpayment\t-{amount}\t{id}\t{at}\t{at}", random.id(), account.id)?;
        account.last_payment_at = account.last_payment_at.max(Some(at));
        match back {
            None => account.balance -= amount,
            Some(kind) => {
                let at = self.moment((days_ago / 2).max(1), random);
                writeln!(tables.ledger_entries, "{}\t{}\t{kind}\t{amount}\t{id}\t{at}\t{at}", random.id(), account.id)?;
            }
        }
        Ok(())
    }

    pub(super) fn moment(&self, days_ago: u64, random: &mut Random) -> Moment {
        Moment { day: self.today - Days::new(days_ago), second: random.below(86_400) }
    }
}

fn contact_points(owner: &Owner<'_>, mailbox: &str, random: &mut Random, tables: &mut Tables) -> std::fmt::Result {
    let Owner { id, locale, .. } = owner;
    let mut first = String::new();
    for (label, chance) in [("mobile", 100), ("home", 25)] {
        let pattern = random.pick(&locale.phones);
        let value = random.digits(pattern);
        let normalized: String = value.chars().filter(|sign| sign.is_ascii_digit() || *sign == '+').collect();
        // A customer has each number once, and short patterns repeat among a million people.
        if random.percent(chance) && normalized != first {
            let primary = first.is_empty();
            writeln!(tables.contact_points, "{}\t{id}\tphone\t{value}\t{normalized}\t{label}\t{primary}", random.id())?;
            first = normalized;
        }
    }
    if random.percent(80) {
        let domain = random.pick(&["example.com", "example.org", "example.net", "mail.example"]);
        writeln!(tables.contact_points, "{}\t{id}\temail\t{mailbox}@{domain}\t{mailbox}@{domain}\t\\N\ttrue", random.id())?;
    }
    Ok(())
}

fn address(owner: &Owner<'_>, random: &mut Random, tables: &mut Tables) -> std::fmt::Result {
    let Owner { id, locale, .. } = owner;
    let [city, region, code] = random.pick(&locale.cities);
    let house = random.between(1, 250);
    let street = random.pick(&locale.streets);
    let line1 = match locale.region.as_str() {
        "US" | "GB" | "FR" | "IN" | "IE" => format!("{house} {street}"),
        _ => format!("{street} {house}"),
    };
    let line2 = if random.percent(15) { format!("Apt. {}", random.between(1, 99)) } else { "\\N".into() };
    let code = random.digits(code);
    writeln!(tables.addresses, "{}\t{id}\t{line1}\t{line2}\t{city}\t{region}\t{code}\t{}\ttrue", random.id(), locale.region)
}

fn born(random: &mut Random) -> NaiveDate {
    NaiveDate::from_ymd_opt(1932, 1, 1).unwrap_or_default() + Days::new(random.below(26_000))
}

/// The part before the `@`: the name in ASCII, with the index because common names collide.
fn ascii(given: &str, surname: &str, index: u64) -> String {
    let plain = |name: &str| -> String {
        name.nfd().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    format!("{}.{}{}", plain(given), plain(surname), index % 10_000).trim_start_matches('.').to_owned()
}
