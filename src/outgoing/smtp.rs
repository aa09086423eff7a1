//! Mail through a mail server.

use std::time::Duration;

use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::time::timeout;

use super::Failure;

/// One connection for each mail: there are few.
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    deadline: Duration,
}

impl Smtp {
    /// Reads the address without connecting.
    pub(super) fn open(url: &str, deadline: Duration) -> anyhow::Result<Self> {
        // The cause would repeat the address, which has a password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| anyhow::anyhow!("SMTP_URL is not an address such as smtps://user:password@host"))?;
        Ok(Self { transport: builder.timeout(Some(deadline)).build(), deadline })
    }

    /// Sends a mail. The transport's own deadline is for each step, this one for all.
    pub(super) async fn send(&self, message: Message) -> Result<(), Failure> {
        let sent = timeout(self.deadline, self.transport.send(message)).await.map_err(|_| Failure::Timeout)?;
        sent.map(drop).map_err(|error| match error.status() {
            // The server's own words may name the recipient.
            Some(code) => Failure::Refused(code.into()),
            None if error.is_timeout() => Failure::Timeout,
            None => Failure::Unreachable,
        })
    }
}
