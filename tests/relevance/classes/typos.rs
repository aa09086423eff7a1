//! One typing error in a name: each kind at each place.

use super::world::World;
use super::{Class, customers};
use crate::harness::dice::Dice;

/// Shorter words resemble too many others.
const LETTERS: usize = 5;

#[derive(Clone, Copy)]
enum Kind {
    Substitution,
    Deletion,
    Insertion,
    Transposition,
}

#[derive(Clone, Copy)]
enum Place {
    Start,
    Middle,
    End,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Substitution, "substitution"),
    (Kind::Deletion, "deletion"),
    (Kind::Insertion, "insertion"),
    (Kind::Transposition, "transposition"),
];

const PLACES: [(Place, &str); 3] = [(Place::Start, "at the start"), (Place::Middle, "in the middle"), (Place::End, "at the end")];

pub(super) fn classes(world: &World) -> Vec<Class> {
    let one = |kind, place, name: &str| {
        Class::draw(name, world, |person, dice| {
            let words: Vec<&str> = person.name.split(' ').collect();
            let at = usize::try_from(dice.roll(words.len() as u64)).unwrap();
            let wrong = mistyped(&words[at].to_lowercase(), kind, place, dice)?;
            let mut typed = words;
            typed[at] = &wrong;
            let typed = typed.join(" ");
            // Another person's name is no error.
            (person.is_latin() && world.namesakes(&typed).is_empty()).then(|| customers(typed, world.namesakes(&person.name)))
        })
    };
    let all = KINDS
        .into_iter()
        .flat_map(|(kind, what)| PLACES.map(|(place, place_name)| (kind, place, format!("{what} {place_name}"))));
    all.map(|(kind, place, name)| one(kind, place, &name)).collect()
}

/// A word with one error.
fn mistyped(word: &str, kind: Kind, place: Place, dice: &mut Dice) -> Option<String> {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < LETTERS || !word.chars().all(|letter| letter.is_ascii_lowercase()) {
        return None;
    }
    let last = letters.len() - 1;
    let at = match place {
        Place::Start => 0,
        Place::Middle => letters.len() / 2,
        Place::End => last,
    };
    let other = char::from(b'a' + dice.roll(26) as u8);
    match kind {
        Kind::Substitution => letters[at] = other,
        Kind::Deletion => drop(letters.remove(at)),
        Kind::Insertion => letters.insert(if at == last { at + 1 } else { at }, other),
        Kind::Transposition => letters.swap(at.min(last - 1), at.min(last - 1) + 1),
    }
    let wrong: String = letters.into_iter().collect();
    (wrong != word).then_some(wrong)
}
