//! A whole Porthole on this machine: a private Postgres, a worker, a tenant and an instance, driven through the programs
//! as a person would.

use crate::bench::{Bench, repository};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// How long the private Postgres and the worker may take to be there, seconds.
const READY_SECONDS: &str = "60";

/// See the module's documentation. Ends the worker (and with it the server) when dropped.
pub(crate) struct Stage {
    bench: Bench,
    data: PathBuf,
    config: PathBuf,
    worker: Child,
}

impl Stage {
    /// Starts. `config` is the operator's configuration, TOML: `[endpoints]` map a provider's host to a fake.
    ///
    /// # Errors
    /// When the programs aren't there or the worker doesn't come up.
    pub(crate) fn start(bench: &Bench, config: &str) -> Result<Self> {
        let (data, file) = (bench.folder("data")?, bench.work.join("porthole.toml"));
        std::fs::write(&file, config)?;
        let log = std::fs::File::create(bench.work.join("worker.log"))?;
        let worker = program(bench, &data, &file)
            .arg("up")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start `porthole up`")?;
        let stage = Self { bench: bench.clone(), data, config: file, worker };
        stage.porthole(&["status", "--wait", READY_SECONDS])?;
        Ok(stage)
    }

    /// Runs a command and gives what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said and the worker's last words.
    pub(crate) fn porthole(&self, arguments: &[&str]) -> Result<String> {
        let output = program(&self.bench, &self.data, &self.config).args(arguments).output()?;
        if !output.status.success() {
            let log = std::fs::read_to_string(self.bench.work.join("worker.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            bail!(
                "`porthole {}` failed: {}\nthe worker's log, last line first:\n{}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr),
                tail.join("\n")
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same, its output parsed as JSON.
    ///
    /// # Errors
    /// As [`Stage::porthole`], and when it isn't JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = self.porthole(arguments)?;
        serde_json::from_str(&text).with_context(|| format!("the output of `porthole {}`", arguments.join(" ")))
    }

    /// Packs, signs, publishes and approves a guest of this repository (folder `guests/NAME`, core module
    /// `porthole_NAME.wasm`, with `-` in the one and `_` in the other).
    ///
    /// # Errors
    /// When a command refuses.
    pub(crate) fn module(&self, name: &str) -> Result<()> {
        let file = |suffix: &str| self.bench.work.join(format!("{name}{suffix}")).display().to_string();
        let module = pack(&self.bench, name)?.display().to_string();
        let keys = ["publisher", "ada", "ben"].map(|who| (who, file(&format!(".{who}.key"))));
        for (who, key) in &keys {
            self.porthole(&["module", "keygen", "--out", key])?;
            let public = format!("{key}.pub");
            match *who {
                "publisher" => {
                    self.porthole(&["publisher", "add", "porthole", "--key", &public])?;
                    self.porthole(&["module", "sign", &module, "--key", key, "--publisher", "porthole"])?;
                    self.porthole(&["module", "publish", &module])?;
                }
                who => {
                    self.porthole(&["reviewer", "add", who, "--key", &public])?;
                    self.porthole(&[
                        "module",
                        "approve",
                        &module,
                        "--key",
                        key,
                        "--reviewer",
                        who,
                        "--reason",
                        "bench",
                    ])?;
                }
            }
        }
        Ok(())
    }

    /// The worker's process.
    pub(crate) fn worker(&self) -> u32 {
        self.worker.id()
    }

    /// The private Postgres as a URL for the application's login.
    pub(crate) fn data(&self) -> &std::path::Path {
        &self.data
    }
}

/// Packs a guest of this repository (folder `guests/NAME`, core module `porthole_NAME.wasm`, with `-` in the one and `_` in
/// the other), and gives the file.
///
/// # Errors
/// When it isn't built or can't be packed.
pub(crate) fn pack(bench: &Bench, name: &str) -> Result<PathBuf> {
    let (out, none) = (bench.work.join(format!("{name}.porthole")), bench.folder("none")?);
    let config = none.join("porthole.toml");
    std::fs::write(&config, "")?;
    let output = program(bench, &none, &config)
        .args(["module", "pack", "--manifest"])
        .arg(repository().join("guests").join(name).join("manifest.toml"))
        .arg("--wasm")
        .arg(bench.guest(&name.replace('-', "_")))
        .arg("--out")
        .arg(&out)
        .output()?;
    if !output.status.success() {
        bail!("guest `{name}` can't be packed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(out)
}

fn program(bench: &Bench, data: &std::path::Path, config: &std::path::Path) -> Command {
    let mut command = Command::new(bench.program("porthole"));
    for name in ["DATABASE_URL", "PORTHOLE_TENANT", "PORTHOLE_LOG"] {
        command.env_remove(name);
    }
    command.env("PORTHOLE_DATA", data).env("PORTHOLE_CONFIG", config).stdin(Stdio::null());
    command
}

impl Drop for Stage {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.worker);
        // It may be gone already; either way it is waited for, so that the folder isn't removed under a running server.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.worker.wait();
    }
}
