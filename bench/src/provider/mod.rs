//! Providers of the benchmarks' own, on loopback. Each runs in a process of its own, so that what it uses can be told
//! apart from what is measured, and answers as cheaply as it can.

pub(crate) mod directory;
pub(crate) mod items;
pub(crate) mod server;

use crate::measure;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The providers there are.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// Pages of items, as many as wanted, in as many parts as wanted: the provider of the guest `bench-items`.
    Items(items::Options),
    /// A directory of users, groups and applications: the provider of the guest `bench-directory`.
    Directory(directory::Options),
}

impl Kind {
    /// Serves until the process is ended; prints its port first.
    ///
    /// # Errors
    /// When it can't listen.
    pub(crate) fn serve(self) -> Result<()> {
        match self {
            Self::Items(options) => items::serve(options),
            Self::Directory(options) => directory::serve(&options),
        }
    }
}

/// A provider's process. Ends with this value.
pub(crate) struct Provider {
    child: Child,
    host: &'static str,
    port: u16,
}

impl Provider {
    /// Starts `porthole-bench serve ARGUMENTS`, which stands in for this host.
    ///
    /// # Errors
    /// When it doesn't say its port.
    pub(crate) fn start(host: &'static str, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("start a provider")?;
        let mut line = String::new();
        let said = child.stdout.take().context("a provider without output")?;
        BufReader::new(said).read_line(&mut line)?;
        let Ok(port) = line.trim().parse() else { bail!("a provider said {line:?} instead of its port") };
        Ok(Self { child, host, port })
    }

    /// The lines of an operator's configuration that map its host to it.
    pub(crate) fn endpoints(&self) -> String {
        format!("[endpoints]\n\"{}\" = \"http://127.0.0.1:{}\"\n", self.host, self.port)
    }

    /// Its address, as a URL without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it for something at its own door (`/_bench/...`).
    ///
    /// # Errors
    /// When it doesn't answer.
    #[allow(clippy::disallowed_methods, reason = "to a process of our own on loopback, not on a guest's behalf")]
    pub(crate) fn tell(&self, path: &str) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("the provider answered {answer:?} to {path}") }
    }

    /// Processor time that it used so far, seconds.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        measure::cpu_seconds(self.child.id())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
