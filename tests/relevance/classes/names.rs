//! Names: whole, swapped, shortened, respelled, joined and split, letter by letter, and one name of five hundred.

use collections::values::text;
use unicode_normalization::UnicodeNormalization as _;

use super::world::{Person, World};
use super::{Class, customers};
use crate::harness::dice::Dice;

/// Short forms of given names that `collections seed` uses.
const NICKNAMES: &str = "James-Jim Robert-Bob Robert-Rob Patricia-Pat John-Jack Jennifer-Jenny Michael-Mike David-Dave Elizabeth-Liz \
    Elizabeth-Beth William-Bill William-Will Barbara-Barb Richard-Dick Richard-Rick Susan-Sue Joseph-Joe Jessica-Jess Thomas-Tom \
    Christopher-Chris José-Pepe Antonio-Toni Francisco-Paco Charlotte-Lottie Oliver-Ollie Olivia-Liv Amelia-Millie";

pub(super) fn classes(world: &World) -> Vec<Class> {
    let draw = |name: &str, make: &dyn Fn(&Person, &mut Dice) -> Option<super::Query>| Class::draw(name, world, make);
    // Everyone of the name that was meant is right.
    let meant = |person: &Person, typed: String| Some(customers(typed, world.namesakes(&person.name)));
    let of_people = |person: &Person| !person.is_company();
    vec![
        draw("exact name", &|person, _| meant(person, person.name.clone())),
        draw("name in small letters", &|person, _| meant(person, person.name.to_lowercase())),
        draw("swapped order", &|person, dice| {
            let between = dice.pick(&[" ", ", "]);
            of_people(person).then(|| meant(person, format!("{}{between}{}", person.family, person.given)))?
        }),
        draw("family name alone", &|person, _| {
            let family: Vec<String> = text::words(&text::fold(&person.family)).map(str::to_owned).collect();
            of_people(person)
                .then(|| customers(&person.family, world.who(|other| family.iter().all(|word| other.words.contains(word)))))
        }),
        draw("middle part missing", &|person, _| {
            let words: Vec<&str> = person.name.split([' ', '-']).collect();
            let typed = format!("{} {}", words[0], words[words.len() - 1]);
            (words.len() > 2 && of_people(person)).then(|| meant(person, typed))?
        }),
        draw("a part too many", &|person, dice| {
            let middle = dice.pick(&["Marie", "Alexander", "Luise", "J."]);
            of_people(person).then(|| meant(person, format!("{} {middle} {}", person.given, person.family)))?
        }),
        draw("initial", &|person, dice| {
            let initial = person.given.chars().next().filter(char::is_ascii_alphabetic)?;
            let begins = |other: &Person| other.given.starts_with(initial) && other.family == person.family;
            Some(customers(format!("{initial}{} {}", dice.pick(&["", "."]), person.family), world.who(begins)))
        }),
        draw("accent dropped", &|person, _| {
            let plain: String = person.name.nfd().filter(|letter| !('\u{300}'..='\u{36f}').contains(letter)).collect();
            (person.is_latin() && plain != person.name).then(|| meant(person, plain))?
        }),
        draw("umlaut spelled out", &|person, _| {
            let lower = person.name.to_lowercase();
            let typed = lower.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
            (typed != lower).then(|| meant(person, typed))?
        }),
        draw("nickname", &|person, dice| {
            let known: Vec<&str> =
                NICKNAMES.split_whitespace().filter_map(|pair| pair.strip_prefix(&format!("{}-", person.given))).collect();
            (!known.is_empty()).then(|| meant(person, format!("{} {}", dice.pick(&known), person.family)))?
        }),
        draw("joined surname", &|person, _| {
            let joined = person.family.replace([' ', '.', '-', '\''], "");
            (joined != person.family).then(|| meant(person, format!("{} {joined}", person.given)))?
        }),
        draw("split surname", &|person, dice| {
            let at = usize::try_from(3 + dice.roll(4)).unwrap();
            let splits = person.family.is_ascii() && person.family.len() >= at + 3 && !person.family.contains(['-', ' ', '\'']);
            let (start, end) = person.family.split_at_checked(at).filter(|_| splits)?;
            meant(person, format!("{} {start} {end}", person.given))
        }),
        keystrokes(world),
        namesakes("name of five hundred", world, |_| "John Smith".into()),
        namesakes("name of five hundred, last four digits", world, |person| {
            let phone = &person.phones[0];
            format!("john smith {}", &phone[phone.len() - 4..])
        }),
        namesakes("name of five hundred, street", world, |person| format!("john smith {}", person.street.to_lowercase())),
    ]
}

/// Every beginning of a name, from two letters on.
fn keystrokes(world: &World) -> Class {
    let mut class = Class { name: "each keystroke".into(), queries: Vec::new() };
    let names = Class::draw("keystrokes", world, |person, _| {
        (person.is_latin() && !person.is_company()).then(|| customers(person.name.to_lowercase(), [person.id].into()))
    });
    for name in names.queries.iter().take(8) {
        for (end, letter) in name.typed.char_indices().skip(1) {
            let typed = &name.typed[..end + letter.len_utf8()];
            let folded = text::fold(typed);
            let words: Vec<&str> = text::words(&folded).collect();
            // The last word is not finished.
            let fits = |person: &Person, word: &str, is_last: bool| {
                person.words.iter().any(|own| if is_last { own.starts_with(word) } else { own == word })
            };
            let relevant =
                world.who(|person| words.iter().enumerate().all(|(at, word)| fits(person, word, at + 1 == words.len())));
            class.queries.push(customers(typed, relevant));
        }
    }
    class
}

/// Queries for one of many John Smiths, or for any of them if nothing else is typed.
fn namesakes(name: &str, world: &World, typed: impl Fn(&Person) -> String) -> Class {
    let all = world.namesakes("John Smith");
    let mut class = Class::draw(name, world, |person, _| {
        let is_one = person.city == "Springfield" && all.contains(&person.id);
        is_one.then(|| customers(typed(person), [person.id].into()))
    });
    for query in class.queries.iter_mut().filter(|query| query.typed == "John Smith") {
        query.relevant.clone_from(&all);
    }
    class
}
