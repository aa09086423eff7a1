//! Log files: a new one each day and after so many bytes, the oldest removed.
//!
//! Each is named by its day and a number, and only appended to, so that several processes share a folder and a restart goes on where it
//! was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use parking_lot::Mutex;

use crate::values::clock::Clock;

/// Size of a file from which the next one is begun.
const LARGEST: u64 = 50 * 1_000_000;

/// Files that are kept: two weeks of a quiet server, and a gigabyte of a busy one.
const KEPT: usize = 20;

/// The open file of a folder.
pub(super) struct Files {
    folder: PathBuf,
    clock: Clock,
    current: Mutex<Current>,
}

struct Current {
    day: NaiveDate,
    file: File,
}

impl Files {
    pub(super) fn open(folder: &Path, clock: Clock) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let current = next(folder, clock.today())?;
        Ok(Self { folder: folder.to_owned(), clock, current: Mutex::new(current) })
    }

    pub(super) fn writer(self: &Arc<Self>) -> Writer {
        Writer(Arc::clone(self))
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let (mut current, today) = (self.current.lock(), self.clock.today());
        if current.day != today || current.file.metadata()?.len() >= LARGEST {
            *current = next(&self.folder, today)?;
        }
        current.file.write_all(line)
    }
}

/// Opens the first file of a day that has room.
fn next(folder: &Path, day: NaiveDate) -> io::Result<Current> {
    for number in 1.. {
        let path = folder.join(format!("collections-{day}-{number:04}.log"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() < LARGEST {
            remove_oldest(folder);
            return Ok(Current { day, file });
        }
    }
    Err(io::Error::other("a day has no further file"))
}

/// What cannot be removed now is removed at the next file.
fn remove_oldest(folder: &Path) {
    let is_ours = |name: &str| name.starts_with("collections-") && Path::new(name).extension().is_some_and(|end| end == "log");
    let names = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_ours(name)).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    for name in names.iter().skip(KEPT) {
        fs::remove_file(folder.join(name)).ok();
    }
}

/// Writes lines to the open file. A full disk loses lines and stops nothing.
pub(super) struct Writer(Arc<Files>);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_day_and_a_full_file_begin_the_next_and_few_are_kept() {
        let folder = std::env::temp_dir().join(format!("collections-log-{}", crate::values::ids::new()));
        let clock = Clock::default();
        let files = Arc::new(Files::open(&folder, clock.clone()).unwrap());
        let write = |line: &str| files.writer().write_all(line.as_bytes()).unwrap();
        let name = |number: u32| format!("collections-{}-{number:04}.log", clock.today());
        write("one\n");
        assert_eq!(fs::read_to_string(folder.join(name(1))).unwrap(), "one\n");
        OpenOptions::new().write(true).open(folder.join(name(1))).unwrap().set_len(LARGEST).unwrap();
        write("two\n");
        assert_eq!(fs::read_to_string(folder.join(name(2))).unwrap(), "two\n");
        let again = Arc::new(Files::open(&folder, clock.clone()).unwrap());
        again.writer().write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(folder.join(name(2))).unwrap(), "two\nthree\n");

        fs::write(folder.join("notes.txt"), "of others").unwrap();
        for _ in 0..KEPT + 5 {
            clock.advance(TimeDelta::days(1));
            write("later\n");
        }
        let left = names(&folder);
        assert_eq!(left.len(), KEPT + 1, "{left:?}");
        assert!(left.contains(&name(1)) && left.contains(&"notes.txt".to_owned()), "{left:?}");
        fs::remove_dir_all(folder).unwrap();
    }
}
