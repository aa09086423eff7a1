//! Workbooks: what is read from them.

use collections::sheets::{self, Cell, Kind, Limits, Merged, Row};
use rust_xlsxwriter::{Format, Workbook};

use super::parts::{ods, sheet, workbook, workbook_with};
use super::{limits, rows, show, source};

async fn read(name: &str, bytes: &[u8], sheet: &str) -> Vec<Row> {
    rows(&source(name, bytes), sheet, &limits()).await.unwrap().into_iter().map(Result::unwrap).collect()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

#[tokio::test]
async fn cells_are_read_by_their_kind() {
    let cells = r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>
        <c r="C1" t="inlineStr"><is><t>0049 30</t></is></c><c r="D1"><v>12345678901234567</v></c><c r="E1"><v>-0.1</v></c>
        <c r="F1" t="b"><v>1</v></c><c r="G1" t="e"><v>#DIV/0!</v></c><c r="H1" t="e"><v>#ERROR!</v></c></row>
        <row r="2"><c r="A2" s="1"><v>45688</v></c><c r="B2" s="2"><v>45688.5</v></c><c r="C2" s="3"><v>1.5</v></c>
        <c r="D2" s="1"><v>60</v></c><c r="E2" t="d"><v>1815-12-10</v></c><c r="F2" t="str"><v>1899-05-01</v></c></row>
        <row r="3"><c r="A3"><f>1+1</f><v>2</v></c><c r="B3"><f>NOW()</f></c><c r="C3"><f>A1</f><v></v></c>
        <c r="D3" t="str"><f>A1</f><v></v></c><c r="E3" t="str"><f>A1</f><v>x</v></c></row>"#;
    let strings = r#"<sst count="2" uniqueCount="2"><si><t>007</t></si>
        <si><r><t xml:space="preserve">J&#246;rg </t></r><r><t>&amp; Co</t></r><rPh sb="0" eb="1"><t>no</t></rPh></si></sst>"#;
    let book = workbook(&sheet(cells), &[("xl/sharedStrings.xml", strings)]);
    let found = read("a.xlsx", &book, "Data").await;
    let number = Cell::Number;
    let day = |year, month, day| chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap();
    assert_eq!(
        found[0].cells,
        [
            text("007"),
            text("Jörg & Co"),
            text("0049 30"),
            number(12_345_678_901_234_568.0),
            number(-0.1),
            Cell::Boolean(true),
            Cell::Error("#DIV/0!".into()),
            Cell::Error("#ERROR!".into())
        ]
    );
    let moment = day(2025, 1, 31).and_hms_opt(12, 0, 0).unwrap();
    assert_eq!(
        found[1].cells,
        [
            Cell::Day(day(2025, 1, 31)),
            Cell::Moment(moment),
            Cell::Duration(chrono::TimeDelta::hours(36)),
            text("1900-02-29"),
            Cell::Day(day(1815, 12, 10)),
            text("1899-05-01"),
        ]
    );
    assert_eq!(found[2].cells, [number(2.0), Cell::Blank, Cell::Blank, Cell::Blank, text("x")]);
    let survey = sheets::survey(&source("a.xlsx", &book), &limits()).await.unwrap();
    assert_eq!(survey.kind, Kind::Xlsx);
    let warnings: Vec<_> = survey.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(warnings, ["formula_without_value"]);
    assert!(survey.warnings[0].message.starts_with("2 formulas of the sheet \"Data\""), "{:?}", survey.warnings);
    assert!(survey.warnings[0].message.contains("the first in B3;"), "{:?}", survey.warnings);
}

#[tokio::test]
async fn days_of_the_system_of_1904_are_shifted() {
    let cells = sheet(r#"<row r="1"><c r="A1" s="1"><v>44226</v></c></row>"#);
    let book = workbook_with(r#"<workbookPr date1904="1"/>"#, &cells, &[]);
    assert_eq!(show(&Ok(read("a.xlsx", &book, "Data").await.remove(0))), "1 2025-01-31");
}

#[tokio::test]
async fn hidden_merged_and_blank_parts_are_told() {
    let mut book = Workbook::new();
    let people = book.add_worksheet().set_name("People & <Co>").unwrap();
    people.merge_range(0, 0, 0, 2, "Person", &Format::new()).unwrap();
    people.write_row(1, 0, ["id", "name", "note"]).unwrap();
    people.write_row(4, 0, ["007", "Ann", " "]).unwrap();
    people.write_row(6, 0, ["008", "Bob", ""]).unwrap();
    people.set_row_hidden(6).unwrap().set_column_hidden(1).unwrap();
    let other = book.add_worksheet().set_name("Other").unwrap().set_hidden(true);
    other.write_number(2, 1, 7.0).unwrap();
    book.add_worksheet().set_name("Nothing").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let survey = sheets::survey(&source("People.XLSX", &bytes), &limits()).await.unwrap();
    let [people, other, nothing] = &survey.sheets[..] else { panic!("{survey:?}") };
    assert_eq!((people.rows, people.columns, people.hidden_rows, people.is_hidden), (4, 3, 1, false));
    assert_eq!((&people.hidden_columns[..], &people.merged[..]), (&[1][..], &[Merged { rows: (1, 1), columns: (0, 2) }][..]));
    assert_eq!((other.rows, other.columns, other.is_hidden), (1, 2, true));
    assert_eq!((nothing.rows, nothing.columns, nothing.is_hidden), (0, 0, false));
    let found = read("People.XLSX", &bytes, "People & <Co>").await;
    assert_eq!(found, people.sample);
    let found: Vec<_> = found.into_iter().map(|row| (row.is_hidden, show(&Ok(row)))).collect();
    let expected = [(false, "1 Person"), (false, "2 id·name·note"), (false, "5 007·Ann"), (true, "7 008·Bob")];
    assert_eq!(found, expected.map(|(is_hidden, row)| (is_hidden, row.to_owned())));
    assert_eq!(read("People.XLSX", &bytes, "Other").await, other.sample);
}

#[tokio::test]
async fn two_distant_cells_are_two_cells() {
    let cells = sheet(r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>"#);
    let source = source("a.xlsx", workbook(&cells, &[]));
    let wide = Limits { max_columns: 16_384, ..limits() };
    let found = rows(&source, "Data", &wide).await.unwrap();
    let [Ok(first), Ok(last)] = &found[..] else { panic!("{} rows", found.len()) };
    assert_eq!((first.number, &first.cells[..]), (1, &[Cell::Number(1.0)][..]));
    assert_eq!((last.number, last.cells.len(), last.cells.last()), (1_048_576, 16_384, Some(&Cell::Number(2.0))));
    let error = sheets::survey(&source, &limits()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sheet \"Data\" has a value in XFD1048576, beyond the limit of 200 columns; delete what is not needed"
    );
}

#[tokio::test]
async fn an_older_workbook_is_read() {
    let bytes = include_bytes!("../../fixtures/people.xls");
    let survey = sheets::survey(&source("people.xls", bytes), &limits()).await.unwrap();
    assert_eq!(survey.kind, Kind::Xls);
    let [people, notes] = &survey.sheets[..] else { panic!("{survey:?}") };
    assert_eq!((people.name.as_str(), people.merged.len(), notes.is_hidden), ("People", 1, true));
    let found: Vec<_> = read("people.xls", bytes, "People").await.into_iter().map(|row| show(&Ok(row))).collect();
    assert_eq!(found[..3], ["1 Person", "2 id·name·born·amount", "4 007·Jörg·1990-01-31·-12.5"]);
}

#[tokio::test]
async fn an_open_document_is_read() {
    let cell = |kind: &str, text: &str| format!("<table:table-cell {kind}><text:p>{text}</text:p></table:table-cell>");
    let row = [
        cell(r#"office:value-type="string""#, "007"),
        cell(r#"office:value-type="float" office:value="1.5""#, "1,5"),
        cell(r#"office:value-type="date" office:date-value="1890-01-31""#, "x"),
        cell(r#"office:value-type="time" office:time-value="PT12H30M00S""#, "x"),
        cell(r#"office:value-type="boolean" office:boolean-value="true""#, "x"),
    ];
    let table = |style: &str, name: &str, rows: &str| {
        format!(r#"<table:table table:style-name="{style}" table:name="{name}">{rows}</table:table>"#)
    };
    let blank = r#"<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>"#;
    let rest = r#"<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>"#;
    let rows = format!("{blank}<table:table-row>{}</table:table-row>{rest}", row.concat());
    let bytes = ods(&format!("{}{}", table("ta1", "Data", &rows), table("ta2", "Hidden", &rows)));
    let survey = sheets::survey(&source("a.ods", &bytes), &limits()).await.unwrap();
    assert_eq!(survey.kind, Kind::Ods);
    assert_eq!(survey.sheets.iter().map(|sheet| sheet.is_hidden).collect::<Vec<_>>(), [false, true]);
    let found: Vec<_> = read("a.ods", &bytes, "Data").await.into_iter().map(|row| show(&Ok(row))).collect();
    assert_eq!(found, ["4 007·1.5·1890-01-31·12:30:00·true"]);
}

#[tokio::test]
async fn macros_are_never_read() {
    let cells = sheet(r#"<row r="1"><c r="A1"><v>1</v></c></row>"#);
    let bytes = workbook(&cells, &[("xl/vbaProject.bin", "no project at all")]);
    let survey = sheets::survey(&source("a.xlsm", bytes), &limits()).await.unwrap();
    assert_eq!((survey.kind, survey.sheets[0].rows), (Kind::Xlsm, 1));
}
