//! Failpoints: places where a test aborts the process, as a power cut would.

/// Aborts if the failpoint is configured as `return`, which only builds for tests can be.
pub(crate) fn abort_at(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
