//! P13: a workbook of customers through `collections import` against minimal imports in Python and on Node.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rust_xlsxwriter::Workbook;
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::command;

const PYTHON_PACKAGES: [&str; 2] = ["openpyxl==3.1.5", "psycopg[binary]==3.2.13"];
const NODE_PACKAGES: [&str; 2] = ["xlsx@0.18.5", "pg@8"];
const HEADINGS: [&str; 12] = [
    "External ID",
    "Given name",
    "Family name",
    "Date of birth",
    "E-mail",
    "Phone",
    "Address",
    "City",
    "Postal code",
    "Country",
    "Language",
    "Tags",
];
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Imports other people in every round, and the same file on all three sides.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let folder = std::path::absolute(context.log.parent().unwrap_or(Path::new(".")))?.join("workbooks");
    std::fs::create_dir_all(&folder)?;
    let (python, node) = (python(&folder).await?, node(&folder).await?);
    let url = context.sandbox.url.expose_secret();
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    let rows = context.sizes.import_rows;
    let (mut ours, mut with_python, mut on_node, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..context.rounds.min(3) {
        let file = folder.join(format!("people-{round}.xlsx"));
        write(&file, rows, round)?;
        let mut import = command(context.sandbox, &["import"]);
        import.arg(&file).args(["--target", "customers", "--json"]).stdout(Stdio::null());
        let begin = Instant::now();
        let peak = run(import).await?;
        ours.push(f64::from(rows) / begin.elapsed().as_secs_f64());
        memory.push(peak);
        for (program, script, rates) in
            [(&python, "with_openpyxl.py", &mut with_python), (&node, "with_sheetjs.js", &mut on_node)]
        {
            let begin = Instant::now();
            let mut reference = Command::new(program);
            reference.arg(folder.join(script)).arg(&file).arg(url).current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
            run(reference).await?;
            rates.push(f64::from(rows) / begin.elapsed().as_secs_f64());
        }
        std::fs::remove_file(&file)?;
    }
    let how = format!(
        "The whole run of `collections import` with a workbook of {rows} people and {} columns beside a running server: checked, \
         stored with contact points, addresses and audit log. The references only read the sheet and store its cells as text: {} by \
         COPY, {} by arrays of a thousand rows.",
        HEADINGS.len(),
        PYTHON_PACKAGES.join(" and "),
        NODE_PACKAGES.join(" and ")
    );
    let against = |what: &str, reference| Measure {
        id: "P13",
        what: format!("import of a workbook against {what}"),
        unit: "rows/s",
        ours: ours.clone(),
        reference,
        goal: Goal::RatioAtLeast(10.0),
        how: how.clone(),
        ..context.measure()
    };
    Ok(vec![
        against("openpyxl and COPY", with_python),
        against("SheetJS and pg", on_node),
        Measure {
            id: "P13",
            what: "memory of the import and its reader, at most".into(),
            unit: "MB",
            ours: memory,
            how: how.clone(),
            ..context.measure()
        },
    ])
}

/// Writes a workbook of people whom no other round has.
fn write(file: &Path, rows: u32, round: usize) -> anyhow::Result<()> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet_with_constant_memory()?;
    sheet.write_row(0, 0, HEADINGS)?;
    for row in 1..=rows {
        let number = round as u32 * rows + row;
        let cells = [
            format!("X{number:08}"),
            format!("Given{}", number % 997),
            format!("Family{}", number % 7_919),
            format!("19{:02}-0{}-1{}", number % 90 + 10, number % 9 + 1, number % 10),
            format!("person{number}@example.org"),
            format!("+1 202 55{:05}", number % 100_000),
            format!("{} Main Street", number % 500),
            format!("City {}", number % 300),
            format!("{:05}", number % 100_000),
            "US".to_owned(),
            "en".to_owned(),
            "import, bench".to_owned(),
        ];
        sheet.write_row(row, 0, cells)?;
    }
    book.save(file)?;
    Ok(())
}

/// Runs a command to its end; returns the peak of its memory and that of its children, in MB.
async fn run(mut command: Command) -> anyhow::Result<f64> {
    let mut child = command.spawn()?;
    let id = child.id().context("the import has ended")?;
    let mut peak: f64 = 0.0;
    loop {
        tokio::select! {
            ended = child.wait() => {
                ensure!(ended?.success(), "an import failed");
                return Ok(peak);
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {
                peak = peak.max(resident(&id.to_string()) + children(id).iter().map(|id| resident(id)).sum::<f64>());
            }
        }
    }
}

/// The processes that the threads of a process have started.
fn children(id: u32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Resident memory in MB; 0 if the process has ended.
fn resident(id: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kilobytes| kilobytes * 1024.0 / 1e6)
}

/// Installs the Python packages beside the report, unless they are there; returns the interpreter.
async fn python(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::write(folder.join("with_openpyxl.py"), include_str!("with_openpyxl.py"))?;
    let environment = folder.join("python");
    let interpreter = environment.join("bin/python");
    if !environment.join("installed").exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).stdin(Stdio::null()).status().await;
        ensure!(made.context("P13 needs python3")?.success(), "P13 needs python3 with the module venv");
        let mut install = Command::new(&interpreter);
        install.args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES).stdin(Stdio::null());
        ensure!(install.status().await?.success(), "pip cannot install {}", PYTHON_PACKAGES.join(" and "));
        std::fs::write(environment.join("installed"), "")?;
    }
    Ok(interpreter)
}

/// Installs the Node packages beside the report, unless they are there; returns the interpreter.
async fn node(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::write(folder.join("with_sheetjs.js"), include_str!("with_sheetjs.js"))?;
    if !folder.join("node_modules/xlsx").exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--prefix"]).arg(folder).args(NODE_PACKAGES).stdin(Stdio::null());
        ensure!(install.status().await.context("P13 needs npm")?.success(), "npm cannot install {}", NODE_PACKAGES.join(" and "));
    }
    Ok("node".into())
}
