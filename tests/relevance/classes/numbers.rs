//! Phones, e-mail addresses, account numbers, addresses, amounts, and what must find nothing.

use std::collections::HashSet;

use super::world::{Account, Person, World};
use super::{Class, Query, customers};
use crate::harness::dice::Dice;

pub(super) fn classes(world: &World) -> Vec<Class> {
    [phones(world), addresses(world), records(world), vec![nonsense(world)]].into_iter().flatten().collect()
}

fn digits(phone: &str) -> &str {
    phone.trim_start_matches('+')
}

fn phones(world: &World) -> Vec<Class> {
    let owners = |phone: &str| world.who(|person| person.phones.iter().any(|own| own == phone));
    let one = |name: &str, typed: fn(&Person, &str, &mut Dice) -> Option<String>| {
        Class::draw(name, world, |person, dice| {
            let phone = person.phones.first()?;
            Some(customers(typed(person, phone, dice)?, owners(phone)))
        })
    };
    let mut classes = vec![
        one("phone, international", |_, phone, _| Some(phone.into())),
        one("phone, international with 00", |_, phone, _| Some(format!("00{}", digits(phone)))),
        one("phone, national", |person, phone, _| {
            let (code, trunk) = match person.region.as_str() {
                "US" => ("1", ""),
                "GB" => ("44", "0"),
                "DE" => ("49", "0"),
                "FR" => ("33", "0"),
                "SE" => ("46", "0"),
                _ => return None,
            };
            digits(phone).strip_prefix(code).map(|rest| format!("{trunk}{rest}"))
        }),
        one("phone, punctuated", |_, phone, dice| {
            let mut typed = String::from("+");
            for (at, digit) in digits(phone).chars().enumerate() {
                if at > 1 && at % 3 == 2 {
                    typed.push_str(dice.pick(&[" ", "-", ".", "/", " (", ") "]));
                }
                typed.push(digit);
            }
            Some(typed)
        }),
    ];
    for length in 4..=10 {
        classes.push(Class::draw(&format!("phone, last {length} digits"), world, |person, _| {
            let ending = |phone: &str| digits(phone).len().checked_sub(length).map(|start| digits(phone)[start..].to_owned());
            let typed = ending(person.phones.first()?).filter(|typed| !typed.starts_with('0'))?;
            let relevant = world.who(|other| other.phones.iter().any(|phone| phone.ends_with(&typed)));
            Some(customers(typed, relevant))
        }));
    }
    classes
}

fn addresses(world: &World) -> Vec<Class> {
    let local = |email: &str| email.split('@').next().unwrap_or_default().to_owned();
    let owners = |own: &str| world.who(|person| person.emails.iter().any(|email| email == own || local(email) == own));
    let draw = |name: &str, make: &dyn Fn(&Person, &mut Dice) -> Option<Query>| Class::draw(name, world, make);
    vec![
        draw("e-mail", &|person, _| person.emails.first().map(|email| customers(email, owners(email)))),
        draw("e-mail, local part", &|person, _| {
            person.emails.first().map(|email| customers(local(email), owners(&local(email))))
        }),
        draw("e-mail, local part and @", &|person, _| {
            person.emails.first().map(|email| customers(format!("{}@", local(email)), owners(&local(email))))
        }),
        draw("street and city", &|person, _| {
            let relevant = world.who(|other| other.street == person.street && other.city == person.city);
            (!person.street.is_empty()).then(|| customers(format!("{} {}", person.street, person.city), relevant))
        }),
        draw("surname and city", &|person, _| {
            let relevant = world.who(|other| other.family == person.family && other.city == person.city);
            (!person.is_company() && !person.city.is_empty())
                .then(|| customers(format!("{} {}", person.family, person.city), relevant))
        }),
        draw("name, street and city", &|person, _| {
            let typed = format!("{} {} {}", person.name, person.street, person.city);
            (!person.street.is_empty()).then(|| customers(typed, [person.id].into()))
        }),
        draw("name and last four digits", &|person, _| {
            let phone = person.phones.first()?;
            let typed = format!("{} {}", person.name, &phone[phone.len() - 4..]);
            (!person.phones.is_empty()).then(|| customers(typed, [person.id].into()))
        }),
    ]
}

/// Accounts and payments.
fn records(world: &World) -> Vec<Class> {
    let owner = |account: &Account| world.people.iter().find(|person| person.id == account.customer_id).unwrap();
    let list = |accounts: HashSet<_>, typed: String| Query { list: "/accounts", typed, relevant: accounts };
    let one = |name: &str, make: &dyn Fn(&Account, &mut Dice) -> Option<Query>| {
        Class::draw(name, world, |_, dice| {
            make(&world.accounts[usize::try_from(dice.roll(world.accounts.len() as u64)).unwrap()], dice)
        })
    };
    let ending = |typed: &str| -> HashSet<_> {
        let squashed = |number: &str| number.replace('-', "");
        let typed = squashed(typed);
        world.accounts.iter().filter(|account| squashed(&account.number).ends_with(&typed)).map(|account| account.id).collect()
    };
    vec![
        one("account number", &|account, _| Some(list([account.id].into(), account.number.clone()))),
        one("account number without hyphens", &|account, _| Some(list([account.id].into(), account.number.replace('-', "")))),
        one("account number, last part", &|account, dice| {
            let length = usize::try_from(5 + dice.roll(4)).unwrap();
            let typed = &account.number[account.number.len() - length..];
            (!typed.starts_with('-')).then(|| list(ending(typed), typed.to_owned()))
        }),
        one("accounts of a name", &|account, _| {
            let namesakes = world.namesakes(&owner(account).name);
            let accounts = world.accounts.iter().filter(|other| namesakes.contains(&other.customer_id)).map(|other| other.id);
            Some(list(accounts.collect(), owner(account).name.clone()))
        }),
        one("surname and amount", &|account, _| {
            let family = &owner(account).family;
            let cents = (account.currency != "JPY" && account.balance > 0 && !family.is_empty()).then_some(account.balance)?;
            let alike = |other: &&Account| other.balance == cents && owner(other).family == *family;
            let accounts = world.accounts.iter().filter(alike).map(|other| other.id);
            Some(list(accounts.collect(), format!("{family} {}", amount(cents))))
        }),
        Class::draw("payment reference", world, |_, dice| {
            let payment = &world.payments[usize::try_from(dice.roll(world.payments.len() as u64)).unwrap()];
            Some(Query { list: "/payments", typed: payment.reference.clone(), relevant: [payment.id].into() })
        }),
    ]
}

/// Cents as people write them: `1,250.00`.
fn amount(cents: i64) -> String {
    let whole = (cents / 100).to_string();
    let groups: Vec<&str> = whole.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    format!("{}.{:02}", groups.join(","), cents % 100)
}

/// Words that are like nothing.
fn nonsense(world: &World) -> Class {
    Class::draw("nonsense", world, |_, dice| {
        let letters = |dice: &mut Dice| (0..9).map(|_| char::from(dice.pick(b"qxzjvwkf"))).collect::<String>();
        let (one, other) = (letters(dice), letters(dice));
        Some(customers(dice.pick(&[one.as_str(), &format!("{one} {other}"), &format!("{one}9x{other}")]), HashSet::new()))
    })
}
