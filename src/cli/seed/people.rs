//! One synthetic customer with its contact points, address, accounts, payments and ledger.

use std::fmt::{Display, Write as _};

use chrono::{Days, NaiveDate};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use super::dice::Dice;
use super::locales::{self, Locale};
use super::tables::Tables;
use crate::values::money::Currency;

/// Makes customers; everything about one is decided by the seed, its index and the day.
pub(super) struct Recipe {
    pub(super) seed: u32,
    /// The day around which debts fall due.
    pub(super) today: NaiveDate,
    pub(super) locales: Vec<Locale>,
    /// Whether balances come with the accounts, because the ledger's trigger does not run.
    pub(super) with_balances: bool,
}

/// A moment some days before today, in the form that COPY reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    day: NaiveDate,
    second: u64,
}

impl Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:02}:{:02}:{:02}+00", self.day, self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

/// The customer that accounts belong to.
struct Owner<'a> {
    id: Uuid,
    index: u64,
    locale: &'a Locale,
}

/// An account while its history is told.
struct Account {
    id: Uuid,
    currency: Currency,
    /// Days since it was opened.
    age: u64,
    balance: u64,
    last_payment_at: Option<Moment>,
}

impl Recipe {
    /// The identifier that the customer of this index has or will have.
    pub(super) fn id(&self, index: u64) -> Uuid {
        Dice::new(self.seed, index).id()
    }

    /// Adds one customer and all that belongs to it.
    pub(super) fn write(&self, index: u64, tables: &mut Tables) -> std::fmt::Result {
        let mut dice = Dice::new(self.seed, index);
        let id = dice.id();
        let owner = Owner { id, index, locale: locales::pick(&self.locales, &mut dice) };
        self.customer(&owner, &mut dice, tables)?;
        address(&owner, &mut dice, tables)?;
        // Five customers in a hundred own three accounts in ten.
        let accounts = match dice.below(100) {
            0..5 => dice.between(4, 14),
            5..15 => 0,
            15..82 => 1,
            _ => 2,
        };
        (0..accounts).try_for_each(|number| self.account(&owner, number, &mut dice, tables))
    }

    fn customer(&self, owner: &Owner<'_>, dice: &mut Dice, tables: &mut Tables) -> std::fmt::Result {
        let Owner { id, index, locale } = owner;
        let given = dice.pick(&locale.given);
        let surname = locale.surname(dice);
        let company = dice.percent(8);
        let name = match (company, locale.language.as_str()) {
            (true, _) => format!("{surname} {}", dice.pick(&locale.companies)),
            (false, "ja") => format!("{surname} {given}"),
            (false, _) => format!("{given} {surname}"),
        };
        let parts = if company { format!("\\N\t\\N\t{name}\t\\N") } else { format!("{given}\t{surname}\t\\N\t{}", born(dice)) };
        let status = match dice.below(100) {
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
            dice.digits("##N######"),
            locale.language,
            dice.pick(&["{}", "{}", "{}", "{vip}", "{hardship}", "{disputed,lawyer}"]),
            created = self.moment(dice.between(1_000, 1_500), dice),
        )?;
        contact_points(owner, &ascii(given, &surname, *index), dice, tables)
    }

    fn account(&self, owner: &Owner<'_>, number: u64, dice: &mut Dice, tables: &mut Tables) -> std::fmt::Result {
        let locale = owner.locale;
        let currency = locale.currency;
        // Whole units with cents that people would see on a bill; currencies without cents have larger numbers.
        let unit = 10_u64.pow(currency.exponent());
        let whole = dice.between(20, 200) * dice.between(1, 25) * if unit == 1 { 100 } else { 1 };
        let original = whole * unit + dice.below(unit);
        // Half of the debts are of this season, so that due dates gather around today.
        let age = if dice.percent(50) { dice.between(2, 90) } else { dice.between(2, 900) };
        let mut account = Account { id: dice.id(), currency, age, balance: original, last_payment_at: None };
        let status = match dice.below(100) {
            0..70 => "open",
            70..76 => "paused",
            76..90 => "settled",
            90..93 => "closed",
            _ => "written_off",
        };
        let due = self.today - Days::new(age) + Days::new(dice.between(14, 60));
        let next_action = match status {
            "open" => format!("{} 09:00:00+00", self.today + Days::new(dice.below(21))),
            _ => "\\N".into(),
        };
        let id = account.id;
        let opened = self.moment(age, dice);
        writeln!(tables.ledger_entries, "{}\t{id}\topening\t{original}\t\\N\t{opened}\t{opened}", dice.id())?;
        if status == "open" && age > 60 && dice.percent(20) {
            let fee = 10 * unit;
            let at = self.moment(age - 60, dice);
            account.balance += fee;
            writeln!(tables.ledger_entries, "{}\t{id}\tfee\t{fee}\t\\N\t{at}\t{at}", dice.id())?;
        }
        let payments = *dice.pick(&[0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 9]);
        for turn in 1..=payments {
            self.payment(owner, number, turn..=payments, &mut account, dice, tables)?;
        }
        let rest = match status {
            "settled" | "closed" => "adjustment",
            "written_off" => "write_off",
            _ => "",
        };
        if account.balance > 0 && !rest.is_empty() {
            let at = self.moment(1, dice);
            writeln!(tables.ledger_entries, "{}\t{id}\t{rest}\t-{}\t\\N\t{at}\t{at}", dice.id(), account.balance)?;
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
            dice.pick(&["Northwind Bank", "Stadtwerke Musterstadt", "Acme Telecom", "Contoso Retail", "Globex Insurance"]),
            dice.pick(&["2023-A", "2024-A", "2024-B", "2025-A"]),
            dice.pick(&["credit card", "loan", "utility", "mobile", "subscription", "rent"]),
        )
    }

    /// The next of the payments that are still to come.
    fn payment(
        &self,
        owner: &Owner<'_>,
        number: u64,
        turns: std::ops::RangeInclusive<u64>,
        account: &mut Account,
        dice: &mut Dice,
        tables: &mut Tables,
    ) -> std::fmt::Result {
        let (turn, last) = (*turns.start(), *turns.end());
        let amount = (account.balance / (last - turn + 2)).max(1);
        let status = match dice.below(100) {
            _ if account.balance < amount => "failed",
            0..78 => "success",
            78..87 => "failed",
            87..93 => "pending",
            93..97 => "refunded",
            _ => "reversed",
        };
        let id = dice.id();
        let days_ago = account.age - account.age * turn / (last + 1);
        let at = self.moment(days_ago.max(1), dice);
        let method = match dice.below(100) {
            0..30 if owner.locale.region == "IN" => "upi",
            0..40 => "bank_transfer",
            _ => *dice.pick(&["credit_card", "debit_card", "direct_debit", "digital_wallet", "paypal", "cash", "check", "other"]),
        };
        let failure = match status {
            "failed" => {
                *dice.pick(&["insufficient_funds\tthe account has not enough money", "card_expired\tthe card has expired"])
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
            dice.pick(&owner.locale.given),
            owner.locale.surname(dice),
            self.seed,
            owner.index,
        )?;
        let back = match status {
            "success" => None,
            "refunded" => Some("refund"),
            "reversed" => Some("reversal"),
            _ => return Ok(()),
        };
        writeln!(tables.ledger_entries, "{}\t{}\tpayment\t-{amount}\t{id}\t{at}\t{at}", dice.id(), account.id)?;
        account.last_payment_at = account.last_payment_at.max(Some(at));
        match back {
            None => account.balance -= amount,
            Some(kind) => {
                let at = self.moment((days_ago / 2).max(1), dice);
                writeln!(tables.ledger_entries, "{}\t{}\t{kind}\t{amount}\t{id}\t{at}\t{at}", dice.id(), account.id)?;
            }
        }
        Ok(())
    }

    fn moment(&self, days_ago: u64, dice: &mut Dice) -> Moment {
        Moment { day: self.today - Days::new(days_ago), second: dice.below(86_400) }
    }
}

fn contact_points(owner: &Owner<'_>, mailbox: &str, dice: &mut Dice, tables: &mut Tables) -> std::fmt::Result {
    let Owner { id, locale, .. } = owner;
    let mut first = String::new();
    for (label, chance) in [("mobile", 100), ("home", 25)] {
        let pattern = dice.pick(&locale.phones);
        let value = dice.digits(pattern);
        let normalized: String = value.chars().filter(|sign| sign.is_ascii_digit() || *sign == '+').collect();
        // A customer has each number once, and short patterns do repeat among a million people.
        if dice.percent(chance) && normalized != first {
            let primary = first.is_empty();
            writeln!(tables.contact_points, "{}\t{id}\tphone\t{value}\t{normalized}\t{label}\t{primary}", dice.id())?;
            first = normalized;
        }
    }
    if dice.percent(80) {
        let domain = dice.pick(&["example.com", "example.org", "example.net", "mail.example"]);
        writeln!(tables.contact_points, "{}\t{id}\temail\t{mailbox}@{domain}\t{mailbox}@{domain}\t\\N\ttrue", dice.id())?;
    }
    Ok(())
}

fn address(owner: &Owner<'_>, dice: &mut Dice, tables: &mut Tables) -> std::fmt::Result {
    let Owner { id, locale, .. } = owner;
    let [city, region, code] = dice.pick(&locale.cities);
    let house = dice.between(1, 250);
    let street = dice.pick(&locale.streets);
    let line1 = match locale.region.as_str() {
        "US" | "GB" | "FR" | "IN" | "IE" => format!("{house} {street}"),
        _ => format!("{street} {house}"),
    };
    let line2 = if dice.percent(15) { format!("Apt. {}", dice.between(1, 99)) } else { "\\N".into() };
    let code = dice.digits(code);
    writeln!(tables.addresses, "{}\t{id}\t{line1}\t{line2}\t{city}\t{region}\t{code}\t{}\ttrue", dice.id(), locale.region)
}

fn born(dice: &mut Dice) -> NaiveDate {
    NaiveDate::from_ymd_opt(1932, 1, 1).unwrap_or_default() + Days::new(dice.below(26_000))
}

/// The part before the `@`: the name in plain letters, with the index where a common name would collide.
fn ascii(given: &str, surname: &str, index: u64) -> String {
    let plain = |name: &str| -> String {
        name.nfd().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    format!("{}.{}{}", plain(given), plain(surname), index % 10_000).trim_start_matches('.').to_owned()
}
