//! Describes the machine without its name.

use collections::search::index;

use super::report::Facts;
use super::sandbox::Sandbox;

pub async fn facts(sandbox: &Sandbox) -> anyhow::Result<Facts> {
    let postgres: String = sqlx::query_scalar("show server_version").fetch_one(&sandbox.pool).await?;
    let elasticsearch = index::server(&sandbox.elastic).await?.version;
    let build = if cfg!(debug_assertions) { "debug, not meant for figures" } else { "release" };
    Ok(vec![
        ("processor", first_of("/proc/cpuinfo", "model name")),
        ("cores", std::thread::available_parallelism().map_or(0, usize::from).to_string()),
        ("memory", first_of("/proc/meminfo", "MemTotal")),
        (
            "load before the run",
            std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(3).collect::<Vec<_>>().join(" "),
        ),
        ("system", std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
        ("postgres", postgres),
        ("elasticsearch", elasticsearch),
        ("build", build.to_owned()),
    ])
}

fn first_of(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}
