//! The last write of each caller through this server: its lists show it without a sync token, too.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::values::ids::UserId;
use crate::values::lsn::Lsn;

/// One LSN for each user who has written since the start. Another server learns of a write by its token only.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<UserId, Lsn>>);

impl Written {
    /// Remembers where a write of the caller ended.
    pub fn add(&self, caller: UserId, lsn: Lsn) {
        let mut written = self.0.lock();
        let last = written.entry(caller).or_default();
        *last = lsn.max(*last);
    }

    /// The LSN that lists of the caller have to include.
    #[must_use]
    pub fn of(&self, caller: UserId) -> Option<Lsn> {
        self.0.lock().get(&caller).copied()
    }

    /// Corrects an LSN beyond the end of the log, which includes all that was written: the database was put back, or the end was not
    /// known after the write.
    pub fn limit(&self, caller: UserId, end: Lsn) {
        if let Some(last) = self.0.lock().get_mut(&caller) {
            *last = end.min(*last);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_furthest_write_of_each_caller_counts() {
        let (written, [one, other]) = (Written::default(), [1, 2].map(|id| UserId(Uuid::from_u128(id))));
        written.add(one, Lsn(20));
        written.add(one, Lsn(10));
        assert_eq!((written.of(one), written.of(other)), (Some(Lsn(20)), None));
        written.limit(one, Lsn(30));
        assert_eq!(written.of(one), Some(Lsn(20)));
        written.limit(one, Lsn(15));
        written.limit(other, Lsn(15));
        assert_eq!((written.of(one), written.of(other)), (Some(Lsn(15)), None));
    }
}
