//! The reading process itself.

use std::io::{self, Stdout};
use std::os::fd::AsFd;

use calamine::{Ods, Reader as _, SheetType, SheetVisible, Xls, XlsError, Xlsx, XlsxError};
use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::archive::{self, Contents};
use super::cell;
use super::collect::{Collect, Samples};
use super::frame::Frame;
use super::layout::{self, Layout};
use super::{ranges, xlsx};
use crate::sheets::Batch;
use crate::sheets::book::{Book, BrokenRow, Kind, Row, Sheet, Warning};
use crate::sheets::error::Error;
use crate::sheets::format::Format;
use crate::sheets::source::{Input, Source, TextOptions};

/// Text of the rows that are handed on at once, in bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Reads the workbook that is the standard input; answers in frames.
#[derive(Args, Debug)]
pub struct Reader {
    /// Sheet to read; all are surveyed if absent.
    #[arg(long)]
    sheet: Option<String>,
    /// Ending of the file's name.
    #[arg(long)]
    ending: String,
    /// Bytes of memory.
    #[arg(long)]
    memory: u64,
    /// Seconds of CPU time.
    #[arg(long)]
    cpu_seconds: u64,
    /// Most rows of a sheet, without its header.
    #[arg(long)]
    max_rows: u64,
    /// Most columns of a sheet.
    #[arg(long)]
    max_columns: usize,
}

/// An open workbook.
enum Open {
    Xlsx(Box<Xlsx<Input>>, Contents),
    Xls(Box<Xls<Input>>),
    Ods(Box<Ods<Input>>),
}

impl Reader {
    /// Limits this process, then reads.
    pub fn run(&self) -> io::Result<()> {
        self.limit()?;
        let mut out = io::stdout();
        let read = match &self.sheet {
            Some(sheet) => self.send_rows(sheet, &mut out).map(|()| Frame::End),
            None => self.survey().map(Frame::Book),
        };
        read.unwrap_or_else(Frame::Failed).write(&mut out)
    }

    /// Whatever the file makes this process do, it stays small, ends, and leaves no copy of its memory on the disk.
    fn limit(&self) -> io::Result<()> {
        let limit = |bound: u64| Rlimit { current: Some(bound), maximum: Some(bound) };
        setrlimit(Resource::Core, limit(0))?;
        // The seconds are warned of by a signal that ends the process; the last one kills it.
        let seconds = self.cpu_seconds.max(1);
        setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds + 1) })?;
        setrlimit(Resource::As, limit(address_space()? + self.memory))?;
        Ok(())
    }

    fn survey(&self) -> Result<Book, Error> {
        let mut open = self.open()?;
        let mut book = Book { kind: open.kind(), sheets: Vec::new(), warnings: Vec::new() };
        let mut samples = Samples::default();
        for (name, is_hidden) in open.sheets() {
            let layout = open.layout(&name)?;
            let mut sample = samples.of_a_sheet();
            let mut sheet = Sheet { is_hidden, ..Sheet::default() };
            let mut collect = self.collect(&name);
            open.each_row(&name, &layout, |row| {
                if let Some(row) = collect.take(row)? {
                    sheet.rows += 1;
                    if let Ok(row) = row {
                        sheet.columns = sheet.columns.max(row.cells.len());
                        sheet.hidden_rows += u64::from(row.is_hidden);
                        sample.keep(row);
                    }
                }
                Ok(())
            })?;
            sheet.sample = sample.end();
            let last = sheet.sample.last().map_or(0, |row| row.number);
            sheet.merged = layout.merged.iter().filter(|merged| merged.rows.0 <= last).copied().collect();
            sheet.hidden_columns = layout.hidden_columns.iter().filter(|column| **column < sheet.columns).copied().collect();
            book.warnings.extend(layout.without_value.as_ref().map(|found| Warning {
                code: "formula_without_value".to_owned(),
                message: format!(
                    "{} formulas of the sheet {name:?} have no stored value and count as blank, the first in {}; \
                     open the file in a spreadsheet program and save it",
                    found.count, found.first
                ),
            }));
            sheet.name = name;
            book.sheets.push(sheet);
        }
        if book.sheets.iter().all(|sheet| sheet.rows == 0) { Err(Error::Empty) } else { Ok(book) }
    }

    fn send_rows(&self, name: &str, out: &mut Stdout) -> Result<(), Error> {
        let mut open = self.open()?;
        if !open.sheets().iter().any(|(known, _)| known == name) {
            return Err(Error::NoSuchSheet { sheet: name.to_owned() });
        }
        let layout = open.layout(name)?;
        Frame::Opened.write(out)?;
        let mut collect = self.collect(name);
        let (mut batch, mut bytes) = (Batch::new(), 0);
        open.each_row(name, &layout, |row| {
            if let Some(row) = collect.take(row)? {
                bytes += row.as_ref().map_or(0, cell::bytes);
                batch.push(row);
            }
            if bytes >= BATCH_BYTES {
                bytes = 0;
                Frame::Rows(std::mem::take(&mut batch)).write(out)?;
            }
            Ok(())
        })?;
        Ok(Frame::Rows(batch).write(out)?)
    }

    fn collect<'a>(&self, sheet: &'a str) -> Collect<'a> {
        Collect::new(sheet, self.max_rows, self.max_columns)
    }

    fn open(&self) -> Result<Open, Error> {
        let file = io::stdin().as_fd().try_clone_to_owned()?;
        let source = Source::new(file.into(), "", TextOptions::default())?;
        if source.format == Format::Zip {
            let contents = archive::check(source.input()?)?;
            return match contents.kind {
                Kind::Ods => Ok(Open::Ods(Box::new(Ods::new(source.input()?).map_err(ranges::unreadable_ods)?))),
                _ => Ok(Open::Xlsx(Box::new(Xlsx::new(source.input()?).map_err(xlsx::unreadable)?), contents)),
            };
        }
        // Encrypted workbooks of the newer kind are in a compound file too.
        if let Err(XlsxError::Password) = Xlsx::new(source.input()?) {
            return Err(Error::Encrypted);
        }
        if !self.ending.is_empty() && self.ending != "xls" {
            return Err(Error::WrongEnding { ending: self.ending.clone(), is: "an older workbook (xls)".to_owned() });
        }
        match Xls::new(source.input()?) {
            Ok(xls) => Ok(Open::Xls(Box::new(xls))),
            Err(XlsError::Password) => Err(Error::Encrypted),
            Err(error) => Err(ranges::unreadable_xls(&error)),
        }
    }
}

impl Open {
    fn kind(&self) -> Kind {
        match self {
            Self::Xlsx(_, contents) => contents.kind,
            Self::Xls(_) => Kind::Xls,
            Self::Ods(_) => Kind::Ods,
        }
    }

    /// The names of the sheets with cells, and which are hidden.
    fn sheets(&self) -> Vec<(String, bool)> {
        let all = match self {
            Self::Xlsx(xlsx, _) => xlsx.sheets_metadata(),
            Self::Xls(xls) => xls.sheets_metadata(),
            Self::Ods(ods) => ods.sheets_metadata(),
        };
        let with_cells = all.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
        with_cells.map(|sheet| (sheet.name.clone(), sheet.visible != SheetVisible::Visible)).collect()
    }

    fn layout(&mut self, sheet: &str) -> Result<Layout, Error> {
        match self {
            Self::Xlsx(_, contents) => layout::of(contents, sheet),
            Self::Xls(xls) => Ok(ranges::layout(xls, sheet)),
            // What calamine reads of it says nothing of the layout.
            Self::Ods(_) => Ok(Layout::default()),
        }
    }

    /// Calls with each row that has cells.
    fn each_row(
        &mut self,
        sheet: &str,
        layout: &Layout,
        each: impl FnMut(Result<Row, BrokenRow>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Xlsx(xlsx, _) => xlsx::each_row(xlsx, sheet, layout, each),
            Self::Xls(xls) => ranges::each_row(xls.worksheet_range(sheet).map_err(|error| ranges::unreadable_xls(&error))?, each),
            Self::Ods(ods) => ranges::each_row(ods.worksheet_range(sheet).map_err(ranges::unreadable_ods)?, each),
        }
    }
}

/// Bytes of address space that this process has taken: the limit comes on top.
fn address_space() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    size.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("no VmSize in /proc/self/status"))
}
