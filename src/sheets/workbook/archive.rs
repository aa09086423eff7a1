//! What the directory of a workbook's archive says, before any of it is unpacked as a whole.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use quick_xml::events::Event;
use zip::ZipArchive;

use crate::sheets::book::Kind;
use crate::sheets::error::Error;
use crate::sheets::source::Input;

/// Parts of a workbook: some for each sheet, and one for each picture.
const MAX_PARTS: usize = 10_000;

/// Bytes of all parts, unpacked: a hundred times the largest file.
const MAX_UNPACKED: u64 = 10 * 1024 * 1024 * 1024;

/// How much larger a part becomes when it is unpacked. Sheets of a million like rows do not reach half of it.
const MAX_RATIO: u64 = 200;

/// Smaller parts may be packed tighter.
const FREE_BYTES: u64 = 1024 * 1024;

/// Bytes of a shared text, `<si/>`, at least.
const LEAST_TEXT_BYTES: u64 = 5;

/// The archive of a workbook that is safe to open.
pub(super) struct Contents {
    pub(super) kind: Kind,
    pub(super) archive: ZipArchive<Input>,
}

/// Checks sizes and names of all parts, and how those that are XML begin.
pub(super) fn check(mut file: Input) -> Result<Contents, Error> {
    let is_whole = has_end(&mut file)?;
    let archive = ZipArchive::new(file).map_err(|_| if is_whole { damaged("the archive") } else { Error::Truncated });
    let mut archive = archive?;
    if archive.len() > MAX_PARTS {
        return Err(unsafe_file(format!("it has {} parts", archive.len())));
    }
    let (mut names, mut unpacked) = (Vec::new(), 0_u64);
    for at in 0..archive.len() {
        let part = archive.by_index_raw(at).map_err(|_| damaged("the archive"))?;
        let name = part.name().map_err(|_| damaged("the archive"))?.into_owned();
        if part.enclosed_name().is_none() {
            return Err(unsafe_file("a part of it leads out of the archive".to_owned()));
        }
        if part.is_symlink() {
            return Err(unsafe_file("a part of it is a link".to_owned()));
        }
        if part.encrypted() {
            return Err(Error::Encrypted);
        }
        unpacked = unpacked.saturating_add(part.size());
        if unpacked > MAX_UNPACKED || part.size() > FREE_BYTES.max(part.compressed_size().saturating_mul(MAX_RATIO)) {
            return Err(Error::ZipBomb { bytes: unpacked });
        }
        names.push(name);
    }
    let kind = kind(&names)?;
    for name in names.iter().filter(|name| name.ends_with(".xml") || name.ends_with(".rels")) {
        check_beginning(&mut archive, name)?;
    }
    Ok(Contents { kind, archive })
}

/// True if the end of the file has the end of an archive: its signature, then at most a comment.
fn has_end(file: &mut Input) -> Result<bool, Error> {
    const END: &[u8] = b"PK\x05\x06";
    const LONGEST: u64 = 22 + 65_535;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(memchr::memmem::rfind(&end, END).is_some())
}

fn kind(names: &[String]) -> Result<Kind, Error> {
    let has = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let has_end = |end: &str| names.iter().any(|known| known.to_ascii_lowercase().ends_with(end));
    if has("content.xml") && has("META-INF/manifest.xml") {
        return Ok(Kind::Ods);
    }
    if !has("[Content_Types].xml") || !has_end("workbook.xml") {
        return Err(Error::NotAWorkbook);
    }
    Ok(if has_end("vbaproject.bin") { Kind::Xlsm } else { Kind::Xlsx })
}

/// Refuses a part that declares a document type, since entities of its own can stand for anything, and one that says it has more
/// texts than fit into it: calamine makes room for them before it reads them.
fn check_beginning(archive: &mut ZipArchive<Input>, name: &str) -> Result<(), Error> {
    let part = archive.by_name(name).map_err(|_| damaged(&format!("the part {name:?}")))?;
    let size = part.size();
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(part));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match next(&mut xml, &mut buffer, name)? {
            Event::DocType(_) => return Err(unsafe_file(format!("its part {name:?} declares a document type"))),
            Event::Start(root) | Event::Empty(root) => {
                let count =
                    root.try_get_attribute("uniqueCount").ok().flatten().and_then(|count| count.value.parse::<u64>().ok());
                let fits = root.local_name().as_ref() != "sst" || count.is_none_or(|count| count <= size / LEAST_TEXT_BYTES);
                return if fits { Ok(()) } else { Err(damaged(&format!("the part {name:?} with its count of texts"))) };
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// The next event of a part.
pub(super) fn next<'b>(
    xml: &mut quick_xml::Reader<impl BufRead>,
    buffer: &'b mut Vec<u8>,
    name: &str,
) -> Result<Event<'b>, Error> {
    xml.read_event_into(buffer).map_err(|_| damaged(&format!("the part {name:?}")))
}

pub(super) fn damaged(place: &str) -> Error {
    Error::Damaged { place: place.to_owned() }
}

fn unsafe_file(why: String) -> Error {
    Error::Unsafe { why }
}
