//! Workbooks put together from their parts, as no spreadsheet program would.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An archive of these parts.
pub(super) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(super) const TYPES: (&str, &str) = ("[Content_Types].xml", "<Types/>");

const RELATIONS: (&str, &str) = (
    "_rels/.rels",
    r#"<Relationships><Relationship Id="rId1" Type="http://x/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
);

const SHEET_RELATIONS: (&str, &str) = (
    "xl/_rels/workbook.xml.rels",
    r#"<Relationships><Relationship Id="rId1" Type="http://x/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
);

/// General, a day, a moment and a duration.
const STYLES: (&str, &str) = (
    "xl/styles.xml",
    r#"<styleSheet><cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="46"/></cellXfs></styleSheet>"#,
);

/// A workbook whose sheet Data has this content, and further parts.
pub(super) fn workbook(sheet: &str, more: &[(&str, &str)]) -> Vec<u8> {
    workbook_with("", sheet, more)
}

/// The same with properties such as the date system.
pub(super) fn workbook_with(properties: &str, sheet: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let workbook = format!(r#"<workbook>{properties}<sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>"#);
    let parts = [TYPES, RELATIONS, ("xl/workbook.xml", &workbook), SHEET_RELATIONS, STYLES, ("xl/worksheets/sheet1.xml", sheet)];
    archive(&[&parts[..], more].concat())
}

/// A sheet with these rows.
pub(super) fn sheet(rows: &str) -> String {
    format!("<worksheet><sheetData>{rows}</sheetData></worksheet>")
}

/// An OpenDocument workbook with these tables.
pub(super) fn ods(tables: &str) -> Vec<u8> {
    let content = format!(
        r#"<office:document-content><office:automatic-styles><style:style style:name="ta2"><style:table-properties table:display="false"/></style:style></office:automatic-styles><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"#
    );
    archive(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", "<manifest:manifest/>"),
        ("content.xml", &content),
    ])
}

/// A compound file (MS-CFB) with one empty stream.
pub(super) fn compound_file(stream: &str) -> Vec<u8> {
    const SECTOR: usize = 512;
    const FREE: u32 = 0xffff_ffff;
    const END: u32 = 0xffff_fffe;
    let mut file = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    file.resize(24, 0);
    // Version 3, sectors of 512 bytes, of 64 in the small stream.
    file.extend([0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    for number in [0, 1, 1, 0, 4096, END, 0, END, 0, 0] {
        file.extend(u32::to_le_bytes(number));
    }
    file.resize(SECTOR, 0xff);
    for number in [0xffff_fffd, END] {
        file.extend(u32::to_le_bytes(number));
    }
    file.resize(2 * SECTOR, 0xff);
    for (name, kind, child) in [("Root Entry", 5, 1), (stream, 2, FREE)] {
        let start = file.len();
        file.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        file.resize(start + 64, 0);
        file.extend(((name.len() as u16 + 1) * 2).to_le_bytes());
        file.extend([kind, 1]);
        for number in [FREE, FREE, child] {
            file.extend(u32::to_le_bytes(number));
        }
        file.resize(start + 116, 0);
        file.extend(END.to_le_bytes());
        file.resize(start + 128, 0);
    }
    file.resize(3 * SECTOR, 0);
    file
}
