//! P14: all payments as a file, against `COPY … TO STDOUT` and against the writer of workbooks alone.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use futures_util::TryStreamExt;
use http_body_util::BodyExt;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rust_xlsxwriter::Workbook;
use tokio::net::TcpStream;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};

/// The columns of the payment system's file, as the header of the export names them.
const COLUMNS: usize = 7;

const COPY: &str = "copy (
    select id, amount, method, status, receiver, description, created_at from payments where deleted_at is null
    order by created_at desc, id
  ) to stdout (format csv, header)";

/// Measures both formats and their references in turn, on a server of its own that answers long exports at once.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    context.stop_server().await?;
    let mut serve = command(context.sandbox, &["serve"]);
    serve.env("EXPORT_SYNC_ROWS", "10000000");
    context.server = Some(Server::run(serve, context.log).await?);
    context.sign_in().await?;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from payments where deleted_at is null").fetch_one(&context.sandbox.pool).await?;
    ensure!(rows > 0, "there are no payments to export");
    let rate = |seconds: f64| rows as f64 / seconds;
    let (mut csv, mut copied, mut xlsx, mut written, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let before = context.server()?.memory()?;
    for _ in 0..context.rounds.min(3) {
        csv.push(rate(export(context, "csv").await?));
        copied.push(rate(copy(context).await?));
        xlsx.push(rate(export(context, "xlsx").await?));
        memory.push(context.server()?.memory()? - before);
        written.push(rate(write(rows, context.log.parent().unwrap_or(Path::new(".")))?));
    }
    let row = |what: &str, unit, ours: Vec<f64>, reference: Vec<f64>, goal, how: String| Measure {
        id: "P14",
        what: what.to_owned(),
        unit,
        ours,
        reference,
        goal,
        how,
        ..context.measure()
    };
    let how = format!("{rows} payments with {COLUMNS} columns, read to the end over one connection.");
    Ok(vec![
        row(
            "export as CSV",
            "rows/s",
            csv,
            copied,
            Goal::RatioAtLeast(0.5),
            format!("{how} Reference: the same rows and order by COPY."),
        ),
        row(
            "export as a workbook",
            "rows/s",
            xlsx,
            written,
            Goal::RatioAtLeast(0.8),
            format!("{how} Reference: rust_xlsxwriter alone, with as many cells, in constant memory."),
        ),
        row("memory that exports add to the server", "MB", memory, Vec::new(), Goal::AtMost(50.0), how.clone()),
    ])
}

/// Downloads an export without keeping it.
async fn export(context: &Context<'_>, format: &str) -> anyhow::Result<f64> {
    let endpoint = &context.server()?.endpoint;
    let request = endpoint.get(&format!("/api/v1/payments/export?format={format}"))?;
    let begin = Instant::now();
    let stream = TcpStream::connect(&endpoint.address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "the export answered {}", answer.status());
    let (mut body, mut bytes) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    ensure!(bytes > 0, "the export is empty");
    Ok(begin.elapsed().as_secs_f64())
}

async fn copy(context: &Context<'_>) -> anyhow::Result<f64> {
    let mut connection = context.sandbox.pool.acquire().await?;
    let begin = Instant::now();
    let mut parts = connection.copy_out_raw(COPY).await?;
    while parts.try_next().await?.is_some() {}
    Ok(begin.elapsed().as_secs_f64())
}

/// Writes as many cells of like length.
fn write(rows: i64, folder: &Path) -> anyhow::Result<f64> {
    let file = folder.join("reference.xlsx");
    let begin = Instant::now();
    let mut book = Workbook::new();
    // A sheet has so many rows.
    let mut left = u32::try_from(rows)?;
    while left > 0 {
        let sheet = book.add_worksheet_with_constant_memory()?;
        let part = left.min(1_048_575);
        for row in 1..=part {
            sheet.write_string(row, 0, "019a0b5e-7d1c-7abc-8def-0123456789ab")?;
            sheet.write_number(row, 1, f64::from(row) / 100.0)?;
            for (column, text) in (2..).zip(["bank_transfer", "success", "Nordic Energy Ltd", "Instalment of May"]) {
                sheet.write_string(row, column, text)?;
            }
            sheet.write_number(row, 6, 45_000.0 + f64::from(row) / 86_400.0)?;
        }
        left -= part;
    }
    book.save(&file)?;
    let seconds = begin.elapsed().as_secs_f64();
    std::fs::remove_file(file)?;
    Ok(seconds)
}
