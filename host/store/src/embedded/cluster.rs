//! A data folder of a server: making it, starting it, joining it, leaving it.

use super::account::Account;
use super::paths::{self, Binaries};
use super::supervisor::{self, Alive};
use super::{ADMIN, EmbeddedOptions};
use crate::error::{Result, StoreError};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A server that was killed replays up to a gigabyte of its log before it answers.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// A fast shutdown ends the sessions and writes what is in memory.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// The server's own log is kept once more when it is this long.
const MAX_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// How much of the log an error shows.
const SHOWN_LOG_BYTES: usize = 2000;

/// Settings, given on the command line so that they are this version's whatever made the folder.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=50",
    "shared_buffers=128MB",
    "work_mem=16MB",
    "maintenance_work_mem=128MB",
    "max_wal_size=2GB",
    "wal_compression=on",
    // Nobody replicates from here.
    "wal_level=minimal",
    "max_wal_senders=0",
    // A dump, or dropping a tenant, touches every shard and its indexes.
    "max_locks_per_transaction=256",
    // The statements are short, or write: neither gains by compiling or by parallel workers (and those need more shared
    // memory than containers often have).
    "jit=off",
    "max_parallel_workers_per_gather=0",
    "timezone=UTC",
    "log_timezone=UTC",
    // An error's context can hold a line of COPY, that is: a tenant's data.
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
];
/// For tests, which don't outlive a crash.
const FORGETFUL: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// A data folder and the programs for it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// `postgres` in the data folder; everything is in it.
    dir: PathBuf,
    socket_dir: PathBuf,
    binaries: Binaries,
    account: Option<Account>,
    durable: bool,
}

/// This process's part in keeping the server running.
#[derive(Debug)]
pub(super) struct Running {
    alive: Alive,
    /// Shared by all users.
    users: File,
}

impl Cluster {
    pub(super) fn exists(options: &EmbeddedOptions) -> bool {
        options.data_dir.join("postgres/data/PG_VERSION").is_file()
    }

    /// Finds or makes the folder and finds the programs for it.
    pub(super) fn open(options: &EmbeddedOptions) -> Result<Self> {
        let account = Account::to_drop_to()?;
        let base = &options.data_dir;
        fs::create_dir_all(base).map_err(|source| file_error("can't make", base, source))?;
        let base = fs::canonicalize(base).map_err(|source| file_error("can't find", base, source))?;
        let dir = base.join("postgres");
        let version = fs::read_to_string(dir.join("data/PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let binaries = paths::find_binaries(version)?;
        let socket_dir = paths::socket_dir(&dir);
        let cluster = Self { dir, socket_dir, binaries, account, durable: options.durable };
        cluster.make_dir(&cluster.dir)?;
        if cluster.socket_dir != cluster.dir {
            cluster.make_dir(&cluster.socket_dir)?;
        }
        cluster.check_reach()?;
        Ok(cluster)
    }

    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(super) fn bin_dir(&self) -> &Path {
        &self.binaries.dir
    }

    /// Held while someone starts or stops. Waits for whoever does.
    pub(super) fn lock_start(&self) -> Result<File> {
        let file = self.open_lock("start.lock")?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| self.error(format!("can't lock it: {e}")))?;
        Ok(file)
    }

    /// Joins the server or starts it.
    pub(super) fn start(&self) -> Result<Running> {
        let users = self.open_lock("users.lock")?;
        flock(&users, FlockOperation::LockShared).map_err(|e| self.error(format!("can't lock it: {e}")))?;
        if !self.data().join("PG_VERSION").is_file() {
            self.initdb()?;
        }
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let alive = match supervisor::open(&self.pipe())? {
                Some(alive) => alive,
                None => {
                    self.end_orphan()?;
                    self.spawn(deadline)?
                }
            };
            // False: its last user left just before we came, and it is shutting down.
            if self.wait_ready(deadline)? {
                return Ok(Running { alive, users });
            }
        }
    }

    /// Joins the server if it runs.
    pub(super) fn join(&self) -> Result<Option<Running>> {
        let users = self.open_lock("users.lock")?;
        flock(&users, FlockOperation::LockShared).map_err(|e| self.error(format!("can't lock it: {e}")))?;
        match supervisor::open(&self.pipe())? {
            Some(alive) if self.wait_ready(Instant::now() + START_TIMEOUT)? => Ok(Some(Running { alive, users })),
            _ => Ok(None),
        }
    }

    /// Leaves; the last one waits for the shutdown. The caller holds the start lock, so nobody joins meanwhile.
    pub(super) fn leave(&self, running: Running) -> Result<()> {
        let Running { alive, users } = running;
        drop(alive);
        // From shared to exclusive: works only for the last.
        if flock(&users, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.pid_file().exists() {
            if Instant::now() > deadline {
                return Err(self.error(format!("it didn't shut down in {} s", STOP_TIMEOUT.as_secs())));
            }
            std::thread::sleep(POLL);
        }
        if self.socket_dir != self.dir {
            // Empty by now; if it isn't, it is someone's, and stays.
            let _stays = fs::remove_dir(&self.socket_dir);
        }
        Ok(())
    }

    fn spawn(&self, deadline: Instant) -> Result<Alive> {
        let mut server = Command::new(self.binaries.dir.join("postgres"));
        server.arg("-D").arg(self.data()).arg("-k").arg(&self.socket_dir).arg("-p").arg(paths::PORT.to_string());
        let forgetful = if self.durable { &[] } else { FORGETFUL };
        for setting in SETTINGS.iter().chain(forgetful) {
            server.arg("-c").arg(setting);
        }
        let shell = self.command("/bin/sh");
        let mut child = supervisor::spawn(shell, &self.pipe(), &self.pid_file(), &server, self.log()?)?;
        loop {
            if let Some(alive) = supervisor::open(&self.pipe())? {
                // It ends when everyone is gone, which may be us: nobody waits for it but this thread.
                std::thread::spawn(move || child.wait());
                return Ok(alive);
            }
            if matches!(child.try_wait(), Ok(Some(_))) || Instant::now() > deadline {
                return Err(self.error(format!("its supervisor didn't start: {}", self.log_tail())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the server accepts connections. False when it is gone before that although nothing went wrong.
    fn wait_ready(&self, deadline: Instant) -> Result<bool> {
        let mut seen = false;
        let started = Instant::now();
        loop {
            match self.status().as_deref() {
                Some("ready") => return Ok(true),
                Some(_) => seen = true,
                None if seen => return Ok(false),
                // No reader: the supervisor has ended, because the server has.
                None if started.elapsed() > Duration::from_secs(1) && !self.has_reader() => {
                    return Err(self.error(format!("it didn't start: {}", self.log_tail())));
                }
                None => {}
            }
            if Instant::now() > deadline {
                return Err(self.error(format!(
                    "it isn't ready after {} s: {}",
                    START_TIMEOUT.as_secs(),
                    self.log_tail()
                )));
            }
            std::thread::sleep(POLL);
        }
    }

    fn has_reader(&self) -> bool {
        matches!(supervisor::open(&self.pipe()), Ok(Some(_)))
    }

    /// The last line of the pid file: `starting`, `ready`, `stopping`.
    fn status(&self) -> Option<String> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        Some(text.lines().nth(7).unwrap_or("starting").trim().to_owned())
    }

    /// Without a supervisor there should be no server. If there is one, someone killed the supervisor: it is shut down.
    /// If only its pid file is there, everything was killed: the file goes, because in a container the same number soon
    /// is another process's, and the server would take that for itself.
    fn end_orphan(&self) -> Result<()> {
        let Ok(text) = fs::read_to_string(self.pid_file()) else { return Ok(()) };
        let pid = text.lines().next().and_then(|l| l.trim().parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| self.is_server(*pid)) else {
            tracing::warn!(path = %self.pid_file().display(), "removing the pid file of a server that was killed");
            return fs::remove_file(self.pid_file())
                .map_err(|source| file_error("can't remove", &self.pid_file(), source));
        };
        tracing::warn!(pid = pid.as_raw_nonzero().get(), "a private server without users: shutting it down");
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.is_server(pid) && self.pid_file().exists() {
            let _gone = rustix::process::kill_process(pid, Signal::INT);
            if Instant::now() > deadline {
                return Err(self.error(format!("its server (process {}) doesn't end", pid.as_raw_nonzero())));
            }
            std::thread::sleep(POLL * 5);
        }
        Ok(())
    }

    /// A server's working directory is its data folder.
    fn is_server(&self, pid: Pid) -> bool {
        if Path::new("/proc/self/cwd").exists() {
            let cwd = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
            return cwd.is_ok_and(|cwd| cwd == self.data());
        }
        rustix::process::test_kill_process(pid).is_ok()
    }

    /// Makes the data folder, under another name until it is whole.
    fn initdb(&self) -> Result<()> {
        let new = self.dir.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(|source| file_error("can't remove", &new, source))?;
        }
        // Sorting by bytes is the same everywhere and for ever; a C library's locale isn't. Case mapping is Unicode's
        // where the system has C.UTF-8.
        let mut failure = String::new();
        for ctype in ["C.UTF-8", "C"] {
            let mut initdb = self.command(self.binaries.dir.join("initdb"));
            initdb.arg("-D").arg(&new).args(["-U", ADMIN, "-E", "UTF8", "--lc-collate=C", "--lc-messages=C"]);
            initdb.arg(format!("--lc-ctype={ctype}")).args(["--auth=trust", "--data-checksums", "--no-instructions"]);
            if !self.durable {
                initdb.arg("--no-sync");
            }
            let output = initdb.output().map_err(|e| file_error("can't run", &self.binaries.dir.join("initdb"), e))?;
            if output.status.success() {
                let data = self.data();
                return fs::rename(&new, &data).map_err(|source| file_error("can't make", &data, source));
            }
            failure = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        }
        Err(self.error(format!("initdb failed: {failure}")))
    }

    /// Can the account that the server runs as get to its folder and its programs? Asked in the way that counts: by
    /// going there.
    fn check_reach(&self) -> Result<()> {
        let Some(account) = &self.account else { return Ok(()) };
        let postgres = self.binaries.dir.join("postgres");
        let works = |dir: &Path| {
            self.command(&postgres).arg("--version").current_dir(dir).output().is_ok_and(|o| o.status.success())
        };
        if !works(Path::new("/")) {
            return Err(self.error(format!(
                "account `{}`, as which it runs because Postgres refuses root, can't run {}",
                account.name(),
                postgres.display()
            )));
        }
        if !works(&self.dir) {
            return Err(self.error(format!(
                "account `{}`, as which it runs because Postgres refuses root, can't reach this folder; choose a data \
                 folder that others may pass through, such as /var/lib/porthole",
                account.name()
            )));
        }
        Ok(())
    }

    /// A command as the server's account, with nothing of this process's environment but what finding libraries takes:
    /// the environment may hold secrets.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LANG", "C").env("TZ", "UTC").current_dir("/");
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(account) = &self.account {
            account.run(&mut command);
        }
        command
    }

    fn make_dir(&self, dir: &Path) -> Result<()> {
        let made = paths::make_private_dir(dir, self.account.as_ref().map(Account::uid))?;
        match &self.account {
            Some(account) if made => account.own(dir),
            _ => Ok(()),
        }
    }

    fn open_lock(&self, name: &str) -> Result<File> {
        let path = self.dir.join(name);
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| file_error("can't open", &path, source))
    }

    fn log(&self) -> Result<File> {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|m| m.len() > MAX_LOG_BYTES) {
            let _kept = fs::rename(&path, self.dir.join("server.log.old"));
        }
        File::options().create(true).append(true).open(&path).map_err(|source| file_error("can't open", &path, source))
    }

    fn log_tail(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(SHOWN_LOG_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(tail).trim().to_owned()
    }

    fn error(&self, message: String) -> StoreError {
        StoreError::Server { dir: self.dir.clone(), message }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    fn pipe(&self) -> PathBuf {
        self.dir.join("alive")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }
}

fn file_error(what: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { what, path: path.to_owned(), source }
}
