//! Places where a test kills the process.

/// Aborts the process if this failpoint is set to `return`. Does nothing without the feature `failpoints`.
pub(crate) fn point(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
