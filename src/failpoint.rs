//! Places where a test kills the process, as a power cut would.

/// Ends the process at once if the failpoint of that name says `return`. Nothing without the feature `failpoints`.
pub(crate) fn point(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
