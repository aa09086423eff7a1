//! LSNs of Postgres, and the document versions made from them.

use std::fmt;
use std::str::FromStr;

/// Log sequence number: a byte offset in the WAL, printed as `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lsn(pub u64);

/// Incremented whenever LSNs may have gone back: fail-over, restore, lost slot. Between 1 and 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u16);

/// The external version of a document: a later commit has a higher one, also across epochs.
///
/// 12 bits of epoch above 51 bits of commit LSN divided by 8, the alignment of WAL records. It exceeds 2^53, so browsers never get it
/// as a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i64);

impl Version {
    /// The version of rows as of the commit at an LSN.
    #[must_use]
    pub fn new(epoch: Epoch, commit: Lsn) -> Self {
        let bits = (u64::from(epoch.0 & 0xfff) << 51) | ((commit.0 >> 3) & ((1 << 51) - 1));
        Self(i64::try_from(bits).unwrap_or(i64::MAX))
    }

    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch(u16::try_from((self.0 >> 51) & 0xfff).unwrap_or_default())
    }

    /// The version of rows that are read once everything up to `acked` is acknowledged: strictly below every later commit, which may
    /// begin exactly there.
    #[must_use]
    pub fn floor(epoch: Epoch, acked: Lsn) -> Self {
        Self::new(epoch, acked.before())
    }
}

impl Epoch {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Lsn {
    /// The start of the smallest record that could end here.
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

/// Text that is not an LSN.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an LSN looks like 16/B374D848")]
pub struct InvalidLsn;

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, InvalidLsn> {
        let half = |part: &str| match part.len() {
            1..=8 if part.bytes().all(|digit| digit.is_ascii_hexdigit()) => u64::from_str_radix(part, 16).map_err(|_| InvalidLsn),
            _ => Err(InvalidLsn),
        };
        let (high, low) = text.split_once('/').ok_or(InvalidLsn)?;
        Ok(Self((half(high)? << 32) | half(low)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsns_are_written_as_postgres_writes_them() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        for broken in ["", "16", "/", "16/", "g/1", "123456789/1", "1/2/3", "+1/2"] {
            assert_eq!(broken.parse::<Lsn>(), Err(InvalidLsn), "{broken}");
        }
    }

    #[test]
    fn a_later_epoch_beats_every_lsn_of_an_earlier_one() {
        assert!(Version::new(Epoch(2), Lsn(8)) > Version::new(Epoch(1), Lsn(u64::MAX >> 10)));
        assert!(Version::new(Epoch(1), Lsn(16)) > Version::new(Epoch(1), Lsn(8)));
        assert_eq!(Version::new(Epoch(4095), Lsn(u64::MAX)).epoch(), Epoch(4095));
    }

    #[test]
    fn a_floor_lies_below_a_commit_that_begins_where_it_was_taken() {
        let acked = Lsn(0x16_B374_D848);
        assert!(Version::floor(Epoch(1), acked) < Version::new(Epoch(1), acked));
    }
}
