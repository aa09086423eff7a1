//! Settings of outgoing mail.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

#[derive(Args, Clone, Debug)]
pub struct Mail {
    /// Server for outgoing mail: `smtps://user:password@host`, or `smtp://host:587?tls=required`.
    #[arg(id = "smtp-url", long = "smtp-url", env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Folder that mail is written to as files, without `SMTP_URL`. Without either, mail waits until it expires.
    #[arg(id = "mail-dir", long = "mail-dir", env = "MAIL_DIR")]
    pub folder: Option<PathBuf>,
    /// Sender of outgoing mail.
    #[arg(id = "mail-from", long = "mail-from", env = "MAIL_FROM", default_value = "collections@localhost")]
    pub from: String,
    /// Longest exchange with the mail server for one mail.
    #[arg(skip = Duration::from_secs(10))]
    pub timeout: Duration,
}
