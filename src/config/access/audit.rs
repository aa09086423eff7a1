//! Settings of the audit log.

use clap::Args;

#[derive(Args, Clone, Debug)]
pub struct Audit {
    /// Log who reads and searches what. Costs Postgres a few hundredths of a list, and 400 bytes for each. Changes are always logged.
    #[arg(
        id = "audit_reads",
        long = "audit-reads",
        env = "AUDIT_READS",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub reads: bool,
}
