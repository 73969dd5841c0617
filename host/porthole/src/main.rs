//! The porthole binary: configuration, commands, output. The composition root; everything that happens happens below.

mod commands;
mod context;
mod key_file;
mod machine_limits;
mod output;
mod settings;
mod watch;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Isolated, read-only integrations into an asset graph.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    /// Data folder: private Postgres, keys, compiled code [default: /var/lib/porthole for root, else
    /// ~/.local/share/porthole].
    #[arg(long, global = true, env = "PORTHOLE_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The operator's configuration [default: porthole.toml in the data folder].
    #[arg(long, global = true, env = "PORTHOLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// An existing Postgres instead of the private one.
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The tenant, where a command names an instance without one.
    #[arg(long, global = true, env = "PORTHOLE_TENANT", value_name = "NAME")]
    tenant: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Private Postgres, migrations and a worker, until Ctrl-C.
    Up(commands::up::Up),
    /// A worker alone, against DATABASE_URL or a running `porthole up`.
    Work(commands::up::Work),
    /// Is everything there? With --wait: wait until it is.
    Status(commands::status::Status),
    /// Bring the database's schema to this version.
    Migrate,
    /// Tenants.
    #[command(subcommand)]
    Tenant(commands::tenant::Tenant),
    /// Modules: pack, inspect, diff, sign, publish, approve, yank.
    #[command(subcommand)]
    Module(commands::module::Module),
    /// Who may sign modules.
    #[command(subcommand)]
    Publisher(commands::publisher::Publisher),
    /// Who may approve modules.
    #[command(subcommand)]
    Reviewer(commands::reviewer::Reviewer),
    /// Instances: a tenant's configured integrations.
    #[command(subcommand)]
    Instance(commands::instance::Instance),
    /// Credentials: set, rotate, list, remove. There is no way to read one back.
    #[command(subcommand)]
    Credential(commands::credential::Credential),
    /// Keys that seal credentials: list, rotate, retire, shred.
    #[command(subcommand)]
    Key(commands::key::Key),
    /// What an instance may do.
    #[command(subcommand)]
    Grant(commands::grant::Grant),
    /// Run an instance now and watch it; `run confirm RUN` lets a held run go on.
    Run(commands::run::Run),
    /// A run once more, from its transcript and its module: no network, no database.
    Replay(commands::replay::Replay),
    /// Runs: list, show, log, cancel.
    #[command(subcommand)]
    Runs(commands::runs::Runs),
    /// The graph: counts, lists, one entity with its neighbours; `graph why` gives the reason of a relationship.
    Graph(commands::graph::Graph),
    /// Rules that relate entities of different instances: list, switch, add, remove.
    #[command(subcommand)]
    Mapping(commands::mapping::Mappings),
    /// The audit logs: show, export, verify, prove.
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// The way out.
    #[command(subcommand)]
    Egress(commands::egress::Egress),
    /// Measure this machine: `bench provider`, `bench run`.
    Bench(commands::bench::Bench),
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    // What concerns one tenant or all of them has to know whether that tenant was meant just now.
    let is_named = matches.value_source("tenant") == Some(ValueSource::CommandLine);
    init_log(matches!(cli.command, Command::Up(_) | Command::Work(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output::note(format!("error: can't start the runtime: {e}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli, is_named)) {
        Ok(code) => code,
        Err(error) => {
            output::note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Services log what they do; commands only what goes wrong. `PORTHOLE_LOG` has the last word.
fn init_log(service: bool) {
    // The database library tells every slow statement; what matters of that is in our own words.
    let default = if service { "info,sqlx=error" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PORTHOLE_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal).init();
}

async fn run(cli: Cli, is_tenant_named: bool) -> anyhow::Result<ExitCode> {
    let settings = settings::Settings::read(cli.data, cli.config, cli.database_url)?;
    let cx = context::Cx::new(settings, cli.tenant, is_tenant_named);
    match cli.command {
        Command::Up(up) => up.run(cx).await,
        Command::Work(work) => work.run(cx).await,
        Command::Status(status) => status.run(cx).await,
        Command::Migrate => commands::up::migrate(cx).await,
        Command::Tenant(command) => command.run(cx).await,
        Command::Module(command) => command.run(cx).await,
        Command::Publisher(command) => command.run(cx).await,
        Command::Reviewer(command) => command.run(cx).await,
        Command::Instance(command) => command.run(cx).await,
        Command::Credential(command) => command.run(cx).await,
        Command::Key(command) => command.run(cx).await,
        Command::Grant(command) => command.run(cx).await,
        Command::Run(run) => run.run(cx).await,
        Command::Replay(replay) => replay.run(cx).await,
        Command::Runs(command) => command.run(cx).await,
        Command::Graph(graph) => graph.run(cx).await,
        Command::Mapping(command) => command.run(cx).await,
        Command::Audit(command) => command.run(cx).await,
        Command::Egress(command) => command.run(cx).await,
        Command::Bench(bench) => bench.run(&cx),
    }
}
