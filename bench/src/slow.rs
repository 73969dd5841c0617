//! A provider that accepts every request and answers none of them until it is told to. In this process: a thousand open
//! requests are a thousand idle tasks.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it says to everything, once it says something: a list without anything in it.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]";

/// See the module's documentation.
pub(crate) struct Slow {
    port: u16,
    waiting: Arc<AtomicUsize>,
    told: watch::Sender<bool>,
}

impl Slow {
    /// Starts one.
    ///
    /// # Errors
    /// When it can't listen.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (told, go) = watch::channel(false);
        let counter = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, go.clone(), Arc::clone(&counter)));
            }
        });
        Ok(Self { port, waiting, told })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests wait for their answer now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Answers all of them, and whatever comes later at once.
    pub(crate) fn answer(&self) {
        self.told.send_replace(true);
    }
}

async fn serve(mut stream: TcpStream, mut go: watch::Receiver<bool>, waiting: Arc<AtomicUsize>) -> Result<()> {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        // Requests have no body, and the next one comes after the answer to the one before.
        while !head.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut piece).await?;
            if n == 0 {
                return Ok(());
            }
            head.extend_from_slice(piece.get(..n).unwrap_or_default());
        }
        head.clear();
        waiting.fetch_add(1, Ordering::Relaxed);
        let told = go.wait_for(|told| *told).await.is_ok();
        waiting.fetch_sub(1, Ordering::Relaxed);
        if !told {
            return Ok(());
        }
        stream.write_all(ANSWER).await?;
    }
}
