//! Random SQL on all tables. Many statements violate constraints or wait for locks.

use crate::harness::dice::Dice;

/// Rows of each table.
const ROWS: u64 = 24;
const NAMES: [&str; 6] = ["Maria Muster", "Otto Other", "Zoë Čapek", "ACME GmbH", "Li Wei", "O'Brien"];
const CURRENCIES: [&str; 3] = ["EUR", "USD", "JPY"];

fn id(kind: u64, dice: &mut Dice) -> String {
    format!("'00000000-0000-0000-000{kind}-{:012x}'", dice.roll(ROWS) + 1)
}

fn customer(dice: &mut Dice) -> String {
    id(1, dice)
}

fn name(dice: &mut Dice) -> String {
    format!("{} {}", dice.pick(&NAMES), dice.roll(1_000)).replace('\'', "''")
}

/// Returns the value, or null in a third of all cases.
fn maybe(dice: &mut Dice, value: String) -> String {
    if dice.roll(3) == 0 { "null".into() } else { value }
}

pub fn statement(dice: &mut Dice) -> String {
    match dice.roll(14) {
        0..=2 => about_customers(dice),
        3..=4 => about_parts(dice),
        5..=7 => about_accounts(dice),
        8..=10 => about_payments(dice),
        11..=12 => about_activities(dice),
        _ => about_users(dice),
    }
}

fn about_customers(dice: &mut Dice) -> String {
    let (one, name) = (customer(dice), name(dice));
    match dice.roll(8) {
        0..=2 => format!(
            "insert into customers (id, name, kind, metadata, tags)
            values ({one}, '{name}', 'company', '{{\"a\": [1, null]}}', '{{x,y}}') on conflict do nothing"
        ),
        3 => format!("update customers set name = '{name}', given_name = 'G', family_name = null where id = {one}"),
        4 => format!("update customers set external_id = 'E{}', date_of_birth = '1980-02-29' where id = {one}", dice.roll(99)),
        5 => format!("update customers set deleted_at = case when deleted_at is null then now() end where id = {one}"),
        6 => format!("update customers set id = {} where id = {one}", customer(dice)),
        _ => format!(
            "delete from contact_points where customer_id = {one}; delete from addresses where customer_id = {one};
            delete from customers where id = {one}"
        ),
    }
}

fn about_parts(dice: &mut Dice) -> String {
    let (owner, other, point, address) = (customer(dice), customer(dice), id(2, dice), id(3, dice));
    let number = dice.roll(10_000);
    match dice.roll(9) {
        0..=1 => format!(
            "insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
            values ({point}, {owner}, 'phone', '0{number}', '+49{number}', false) on conflict do nothing"
        ),
        2 => format!("update contact_points set customer_id = {other} where id = {point}"),
        3 => format!("update contact_points set id = {}, state = 'wrong' where id = {point}", id(2, dice)),
        4 => format!("delete from contact_points where id = {point}"),
        5 => format!(
            "insert into addresses (id, customer_id, line1, city, country)
            values ({address}, {owner}, 'Weg {number}', 'Köln', 'DE') on conflict do nothing"
        ),
        6 => format!("update addresses set customer_id = {other}, line2 = 'Hof {number}' where id = {address}"),
        7 => format!("delete from addresses where id = {address}"),
        _ => "truncate addresses".into(),
    }
}

fn about_accounts(dice: &mut Dice) -> String {
    let (one, owner, user, currency) = (id(4, dice), customer(dice), id(6, dice), dice.pick(&CURRENCIES));
    match dice.roll(10) {
        0..=2 => format!(
            "insert into accounts (id, account_number, customer_id, currency, original_amount, due_date)
            values ({one}, 'A-{}', {owner}, '{currency}', {}, date '2026-01-01' + {}) on conflict do nothing",
            dice.roll(500),
            dice.roll(9_999),
            dice.roll(300)
        ),
        3 => format!("update accounts set customer_id = {owner} where id = {one}"),
        4 => format!("update accounts set account_number = 'B-{}', creditor = 'Bank' where id = {one}", dice.roll(500)),
        5 => format!("update accounts set assignee_id = {} where id = {one}", maybe(dice, user)),
        6 => format!("update accounts set status = '{}' where id = {one}", dice.pick(&["open", "paused", "closed"])),
        7 => format!("update accounts set deleted_at = case when deleted_at is null then now() end where id = {one}"),
        8 => format!(
            "update accounts set currency = '{currency}', due_date = date '2026-01-01' + {} where id = {one}",
            dice.roll(300)
        ),
        _ => format!("delete from accounts where id = {one}"),
    }
}

fn about_payments(dice: &mut Dice) -> String {
    let (one, account, owner) = (id(5, dice), id(4, dice), customer(dice));
    let amount = dice.roll(9_999) + 1;
    match dice.roll(10) {
        0..=2 => {
            let (account, owner) = (maybe(dice, account), maybe(dice, owner));
            format!(
                "insert into payments (id, account_id, customer_id, amount, currency, method, reference)
                values ({one}, {account}, {owner}, {amount}, 'EUR', 'cash', 'R{amount}') on conflict do nothing"
            )
        }
        3 => format!("update payments set account_id = {} where id = {one}", maybe(dice, account)),
        4 => format!("update payments set customer_id = {} where id = {one}", maybe(dice, owner)),
        5 => format!("update payments set status = 'success', description = 'Nr. {amount}' where id = {one}"),
        6 => format!("update payments set id = {} where id = {one}", id(5, dice)),
        7 => format!("delete from payments where id = {one}"),
        8 => format!(
            "insert into ledger_entries (id, account_id, kind, amount, payment_id, occurred_at)
            values (gen_random_uuid(), {account}, 'payment', -{amount}, {one}, '2026-02-03')"
        ),
        _ => format!(
            "insert into ledger_entries (id, account_id, kind, amount) values (gen_random_uuid(), {account}, 'charge', {amount})"
        ),
    }
}

fn about_activities(dice: &mut Dice) -> String {
    let (one, account, user) = (id(7, dice), id(4, dice), id(6, dice));
    let number = dice.roll(1_000);
    match dice.roll(7) {
        0..=2 => format!(
            "insert into activities (id, account_id, user_id, kind, note)
            values ({one}, {account}, {}, 'call', 'promises {number}') on conflict do nothing",
            maybe(dice, user)
        ),
        3 => format!("update activities set note = 'Nr. {number}', disposition = 'promise' where id = {one}"),
        4 => format!("update activities set account_id = {account}, is_pinned = not is_pinned where id = {one}"),
        5 => format!("update activities set deleted_at = case when deleted_at is null then now() end where id = {one}"),
        _ => format!("delete from activity_corrections where activity_id = {one}; delete from activities where id = {one}"),
    }
}

fn about_users(dice: &mut Dice) -> String {
    let (one, number) = (id(6, dice), dice.roll(1_000));
    match dice.roll(3) {
        0 => {
            format!("insert into users (id, username, password_hash) values ({one}, 'user{number}', 'x') on conflict do nothing")
        }
        1 => format!("update users set name = 'Name {number}' where id = {one}"),
        _ => format!("update users set username = 'other{number}', name = null where id = {one}"),
    }
}

/// One transaction of one or several statements, some rolled back.
pub fn transaction(dice: &mut Dice) -> String {
    let mut parts = vec!["begin".to_owned(), statement(dice)];
    match dice.roll(6) {
        0 => parts.extend(["savepoint s".into(), statement(dice), "rollback to s".into(), statement(dice)]),
        1 => parts.extend(["savepoint s".into(), statement(dice), "release s".into(), statement(dice)]),
        2 => parts.extend((0..4).map(|_| statement(dice))),
        _ => {}
    }
    parts.push(if dice.roll(8) == 0 { "rollback" } else { "commit" }.into());
    parts.join(";\n")
}

/// Empties the largest tables.
pub const EMPTY: &str = "begin; set local session_replication_role = replica; truncate accounts, payments, ledger_entries, activities, activity_corrections, account_snapshots; commit";
