//! Failpoints: places where a test aborts the process, as a power cut would.

/// Aborts if the failpoint is configured as `return`. Does nothing without the feature `failpoints`.
pub(crate) fn abort_at(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
