//! Given names and their nicknames: `bob` also finds Robert, and the other way round.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A name and its nicknames to a line.
const LIST: &str = include_str!("nicknames.txt");

static NAMES: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in LIST.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let Some(name) = words.next() else { continue };
        for nickname in words {
            names.entry(name).or_default().push(nickname);
            names.entry(nickname).or_default().push(name);
        }
    }
    for others in names.values_mut() {
        others.sort_unstable();
        others.dedup();
    }
    names
});

/// The nicknames of a folded name, and the names that it is a nickname of.
pub(super) fn of(name: &str) -> &'static [&'static str] {
    NAMES.get(name).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::text;

    #[test]
    fn a_name_and_its_nickname_find_each_other() {
        assert!(of("bob").contains(&"robert") && of("robert").contains(&"bob"));
        assert!(of("liz").contains(&"elizabeth") && of("elizabeth").contains(&"beth"));
        assert_eq!(of("zwickelbauer"), &[] as &[&str]);
    }

    #[test]
    fn the_list_is_as_words_are_indexed() {
        for (name, others) in NAMES.iter() {
            assert!(others.len() <= 40 && !others.contains(name), "{name}: {others:?}");
            assert!(others.iter().chain([name]).all(|name| text::fold(name) == **name), "{name}: {others:?}");
        }
    }
}
