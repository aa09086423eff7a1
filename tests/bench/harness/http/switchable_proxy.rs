//! A TCP proxy in front of Elasticsearch that can be disabled, to simulate an outage.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct SwitchableProxy {
    /// For `ELASTICSEARCH_URL`.
    pub url: String,
    enabled: Arc<watch::Sender<bool>>,
    listening: JoinHandle<()>,
}

impl SwitchableProxy {
    /// Forwards to the server at `address`.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let enabled = Arc::new(watch::Sender::new(true));
        let (switch, address) = (Arc::clone(&enabled), address.to_owned());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut state, address) = (switch.subscribe(), address.clone());
                if *state.borrow_and_update() {
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = forward(stream, &address) => {}
                            _ = state.wait_for(|enabled| !enabled) => {}
                        }
                    });
                }
            }
        });
        Ok(Self { url, enabled, listening })
    }

    /// Closes all connections and accepts no new ones.
    pub fn disable(&self) {
        self.enabled.send_replace(false);
    }

    pub fn enable(&self) {
        self.enabled.send_replace(true);
    }
}

impl Drop for SwitchableProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn forward(mut downstream: TcpStream, address: &str) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(address).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await.map(drop)
}
