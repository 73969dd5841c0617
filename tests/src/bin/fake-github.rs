//! The fake GitHub as a program, for the demo and for trying things out by hand.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use porthole_tests::fake_github::{App, FakeGithub};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A GitHub that needs no account: an organisation made from a seed, on the loopback address.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port to listen on; 0 is any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Write the port into this file once it listens.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Login of the account.
    #[arg(long, default_value = "acme")]
    org: String,
    /// The account is a person instead of an organisation.
    #[arg(long)]
    user: bool,
    /// What everything is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many repositories.
    #[arg(long, default_value_t = 200)]
    repos: u32,
    /// How many members.
    #[arg(long, default_value_t = 60)]
    members: u32,
    /// How many teams.
    #[arg(long, default_value_t = 12)]
    teams: u32,
    /// How many people outside may collaborate; a tenth of the members if not given.
    #[arg(long)]
    outside: Option<u32>,
    /// File with the accepted tokens, one a line. If it doesn't exist, a token is made and written there.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Id of a GitHub App that is installed.
    #[arg(long, requires = "installation_id")]
    app_id: Option<String>,
    /// Id of the app's installation.
    #[arg(long, requires = "app_id")]
    installation_id: Option<u64>,
    /// Public key of the app (PEM or DER); without one, signatures aren't checked.
    #[arg(long, value_name = "FILE", requires = "app_id")]
    app_public_key: Option<PathBuf>,
    /// Requests per hour, for REST and GraphQL each.
    #[arg(long)]
    rate_limit: Option<u64>,
    /// How long every answer takes at least, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Compress for clients that accept gzip.
    #[arg(long)]
    gzip: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut builder = FakeGithub::builder()
        .org(&arguments.org)
        .seed(arguments.seed)
        .repos(arguments.repos)
        .members(arguments.members)
        .teams(arguments.teams)
        .latency(Duration::from_millis(arguments.latency_ms))
        .gzip(arguments.gzip)
        .port(arguments.port);
    if arguments.user {
        builder = builder.user_account();
    }
    if let Some(outside) = arguments.outside {
        builder = builder.outside(outside);
    }
    if let Some(requests) = arguments.rate_limit {
        builder = builder.rate_limit(requests, Duration::from_secs(3600));
    }
    for token in tokens(&arguments)? {
        builder = builder.token(token);
    }
    if let Some(app) = app(&arguments)? {
        builder = builder.app(app);
    }
    let github = builder.start().await.context("can't listen on the loopback address")?;
    if let Some(path) = arguments.token_file.as_ref().filter(|path| !path.exists()) {
        fs::write(path, github.token()).with_context(|| format!("can't write the token to `{}`", path.display()))?;
    }
    if let Some(path) = &arguments.port_file {
        // Whoever waits for the file finds all of it or nothing.
        let partial = path.with_extension("partial");
        fs::write(&partial, github.addr().port().to_string())
            .and_then(|()| fs::rename(&partial, path))
            .with_context(|| format!("can't write the port to `{}`", path.display()))?;
    }
    writeln!(std::io::stdout(), "{}", github.url())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

fn tokens(arguments: &Arguments) -> Result<Vec<String>> {
    let Some(path) = arguments.token_file.as_ref().filter(|path| path.exists()) else { return Ok(Vec::new()) };
    let text = fs::read_to_string(path).with_context(|| format!("can't read the tokens in `{}`", path.display()))?;
    let tokens: Vec<String> = text.lines().map(str::trim).filter(|t| !t.is_empty()).map(ToOwned::to_owned).collect();
    if tokens.is_empty() {
        bail!("`{}` holds no token", path.display());
    }
    Ok(tokens)
}

fn app(arguments: &Arguments) -> Result<Option<App>> {
    let (Some(app_id), Some(installation_id)) = (&arguments.app_id, arguments.installation_id) else { return Ok(None) };
    let mut app = App::new(app_id, installation_id);
    if let Some(path) = &arguments.app_public_key {
        let key = fs::read(path).with_context(|| format!("can't read the key `{}`", path.display()))?;
        app.public_key = Some(key);
    }
    Ok(Some(app))
}
