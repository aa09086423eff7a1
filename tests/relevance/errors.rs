//! Errors that people and machines make: slips to a neighbouring key, spelling by ear, misread print, swapped and missing parts.

use super::record::Record;
use crate::harness::dice::Dice;

/// Keys and their neighbours on a QWERTY keyboard.
const KEYS: &str = "qwa wqes ewrd retf trzyg ytuh zasx uyij iuok oipl pol asqz sadwx dsfec fdgrv gfhtb hgjyn jhkum kjli lko xzsc cxdv vcfb bvgn nbhm mnj";

/// Spellings that sound alike.
const SOUNDS: &str = "ph-f ck-k sch-sh th-t z-s y-i v-w c-k ie-i ei-ai mann-man ll-l nn-n ss-s tt-t rr-r ou-u ee-i ks-x j-y gh-g dt-t oo-u cz-ch sz-s";

/// Print that looks alike.
const SHAPES: &str = "rn-m cl-d l-i h-b e-c u-v vv-w nn-m f-t g-q a-o ii-u";

/// One error in a word of four letters and more; the word itself if no error fits.
fn slip(word: &str, dice: &mut Dice) -> String {
    let letters: Vec<char> = word.chars().collect();
    let at = usize::try_from(dice.roll(letters.len() as u64)).unwrap();
    let mut changed = letters.clone();
    match dice.roll(12) {
        0..3 => {
            let key = letters[at].to_ascii_lowercase();
            let neighbours = KEYS.split(' ').find(|keys| keys.starts_with(key)).map(|keys| keys[1..].chars().collect::<Vec<_>>());
            match neighbours {
                Some(neighbours) => changed[at] = dice.pick(&neighbours),
                None => drop(changed.remove(at)),
            }
        }
        3..6 => return alike(word, SOUNDS, dice),
        6..8 => return alike(word, SHAPES, dice),
        8..10 => changed.swap(at.min(letters.len() - 2), at.min(letters.len() - 2) + 1),
        10 => drop(changed.remove(at)),
        _ => changed.insert(at, letters[at]),
    }
    changed.into_iter().collect()
}

/// Replaces one spelling by the other of its pair.
fn alike(word: &str, pairs: &str, dice: &mut Dice) -> String {
    let lower = word.to_lowercase();
    let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('-'));
    let fitting: Vec<(&str, &str)> =
        pairs.flat_map(|(one, other)| [(one, other), (other, one)]).filter(|(one, _)| lower.contains(one)).collect();
    if fitting.is_empty() {
        return word.to_owned();
    }
    let (from, to) = dice.pick(&fitting);
    lower.replacen(from, to, 1)
}

/// Errors in so many words of a text.
fn slips(text: &str, count: u64, dice: &mut Dice) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for _ in 0..count {
        let at = usize::try_from(dice.roll(words.len() as u64)).unwrap();
        if words[at].chars().count() >= 4 {
            words[at] = slip(&words[at], dice);
        }
    }
    words.join(" ")
}

/// The record as it comes from a call, a scan or a form.
pub(super) fn distort(record: &Record, dice: &mut Dice) -> Record {
    let mut distorted = record.clone();
    match dice.roll(20) {
        0 | 1 => distorted.given.clear(),
        2 => distorted.family.clear(),
        3 => distorted.given.truncate(record.given.chars().next().map_or(0, char::len_utf8)),
        4..7 => std::mem::swap(&mut distorted.given, &mut distorted.family),
        _ => {}
    }
    let errors = dice.pick(&[0, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
    for _ in 0..errors {
        if dice.roll(2) == 0 {
            distorted.given = slips(&distorted.given, 1, dice);
        } else {
            distorted.family = slips(&distorted.family, 1, dice);
        }
    }
    distorted.street = if dice.roll(10) == 0 { String::new() } else { slips(&record.street, dice.roll(2), dice) };
    distorted.city = if dice.roll(10) == 0 { String::new() } else { slips(&record.city, dice.roll(2), dice) };
    distorted
}
