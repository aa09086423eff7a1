//! Outgoing mail: through a mail server, or into files on a developer's machine.
//!
//! Nothing here is durable. A sender keeps what is to be sent in Postgres, written in the transaction that asks for it, and sends it
//! from the worker.

mod folder;
mod smtp;

use anyhow::Context;
use lettre::Message;
use lettre::message::Mailbox;
use secrecy::ExposeSecret;

use crate::config;
use folder::Folder;
use smtp::Smtp;

/// A mail of plain text.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// The address of the recipient.
    pub to: &'a str,
    pub subject: &'a str,
    pub text: String,
}

/// Why a mail was not sent. Names no recipient, because it is logged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("neither SMTP_URL nor MAIL_DIR is set")]
    NoWay,
    #[error("the address or the text is not what mail can carry")]
    Unsendable,
    #[error("the mail server refused it with {0}")]
    Refused(u16),
    #[error("the mail server did not answer in time")]
    Timeout,
    #[error("the mail server cannot be reached")]
    Unreachable,
    #[error("the file cannot be written: {0}")]
    File(std::io::ErrorKind),
}

/// The way that mail takes out of the program.
pub struct Outgoing {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(Smtp),
    Folder(Folder),
    None,
}

impl Outgoing {
    /// Opens the way without connecting. Fails on settings that cannot be read.
    pub fn open(config: &config::Mail) -> anyhow::Result<Self> {
        let from = config.from.parse().context("MAIL_FROM is not an e-mail address")?;
        let way = match (&config.smtp_url, &config.folder) {
            (Some(url), _) if !url.expose_secret().is_empty() => Way::Smtp(Smtp::open(url.expose_secret(), config.timeout)?),
            (_, Some(folder)) => Way::Folder(Folder(folder.clone())),
            _ => Way::None,
        };
        Ok(Self { from, way })
    }

    /// Sends a mail, within the time of the settings.
    pub async fn send(&self, mail: Mail<'_>) -> Result<(), Failure> {
        let to = mail.to.parse().map_err(|_| Failure::Unsendable)?;
        let message = Message::builder().from(self.from.clone()).to(Mailbox::new(None, to)).subject(mail.subject);
        let message = message.body(mail.text).map_err(|_| Failure::Unsendable)?;
        match &self.way {
            Way::Smtp(smtp) => smtp.send(message).await,
            Way::Folder(folder) => folder.write(&message).await,
            Way::None => Err(Failure::NoWay),
        }
    }
}
