//! A place in the change stream, and the document versions made from it.

use std::fmt;
use std::str::FromStr;

/// A WAL location (LSN): the byte offset that Postgres prints as `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lsn(pub u64);

/// Counts the times that positions may have gone back: fail-over, restore, lost slot. Between 1 and 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u16);

/// The external version of a document: a later commit has a greater one, also across epochs.
///
/// It is 12 bits of epoch above 51 bits of commit position divided by 8, the alignment of WAL records. It exceeds 2^53, so it never travels as a JSON number to a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i64);

impl Version {
    /// The version of what the commit at `position` wrote.
    #[must_use]
    pub fn new(epoch: Epoch, position: Lsn) -> Self {
        let bits = (u64::from(epoch.0 & 0xfff) << 51) | ((position.0 >> 3) & ((1 << 51) - 1));
        Self(i64::try_from(bits).unwrap_or(i64::MAX))
    }

    /// The epoch that it is of.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch(u16::try_from((self.0 >> 51) & 0xfff).unwrap_or_default())
    }

    /// A version for rows read once everything up to `applied` is in the index: strictly below every later commit, which may begin
    /// exactly at `applied`.
    #[must_use]
    pub fn floor(epoch: Epoch, applied: Lsn) -> Self {
        Self::new(epoch, applied.before())
    }
}

impl Epoch {
    /// The epoch after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Lsn {
    /// The place of the smallest record that could end here.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(8))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Text that is not a WAL location.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a WAL location looks like 16/B374D848")]
pub struct NotAPosition;

impl FromStr for Lsn {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let half = |part: &str| match part.len() {
            1..=8 if part.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                u64::from_str_radix(part, 16).map_err(|_| NotAPosition)
            }
            _ => Err(NotAPosition),
        };
        let (high, low) = text.split_once('/').ok_or(NotAPosition)?;
        Ok(Self((half(high)? << 32) | half(low)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_postgres_writes_them() {
        let position: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(position, Lsn(0x16_B374_D848));
        assert_eq!(position.to_string(), "16/B374D848");
        for broken in ["", "16", "/", "16/", "g/1", "123456789/1", "1/2/3", "+1/2"] {
            assert_eq!(broken.parse::<Lsn>(), Err(NotAPosition), "{broken}");
        }
    }

    #[test]
    fn a_later_epoch_beats_every_position_of_an_earlier_one() {
        assert!(Version::new(Epoch(2), Lsn(8)) > Version::new(Epoch(1), Lsn(u64::MAX >> 10)));
        assert!(Version::new(Epoch(1), Lsn(16)) > Version::new(Epoch(1), Lsn(8)));
        assert_eq!(Version::new(Epoch(4095), Lsn(u64::MAX)).epoch(), Epoch(4095));
    }

    #[test]
    fn a_floor_lies_below_a_commit_that_begins_where_it_was_taken() {
        let applied = Lsn(0x16_B374_D848);
        assert!(Version::floor(Epoch(1), applied) < Version::new(Epoch(1), applied));
    }
}
