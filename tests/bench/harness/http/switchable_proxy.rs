//! A listener in front of Elasticsearch that can be closed: then the server finds nobody there.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A listener that passes everything on while it is open.
pub struct SwitchableProxy {
    /// Where it listens, as `ELASTICSEARCH_URL`.
    pub url: String,
    open: Arc<watch::Sender<bool>>,
    listening: JoinHandle<()>,
}

impl SwitchableProxy {
    /// Listens before the server at `address`.
    pub async fn before(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let open = Arc::new(watch::Sender::new(true));
        let (gate, address) = (Arc::clone(&open), address.to_owned());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut seen, address) = (gate.subscribe(), address.clone());
                if *seen.borrow_and_update() {
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = pass(stream, &address) => {}
                            _ = seen.wait_for(|open| !open) => {}
                        }
                    });
                }
            }
        });
        Ok(Self { url, open, listening })
    }

    /// Cuts every connection and takes no new one.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Passes everything on again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for SwitchableProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass(mut near: TcpStream, address: &str) -> std::io::Result<()> {
    let mut far = TcpStream::connect(address).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
}
