//! `./just bench`: what Porthole costs, each figure next to a yardstick that is measured in the same run on the same
//! machine. Ratios count; absolute times are given with the machine.
//!
//! Each figure is a file in [`figures`] and runs in a process of its own, so that one's memory and mistakes are not
//! another's, and so that it can be ended when its time is up.

mod allocations;
mod bench;
mod copy;
mod database;
mod driver;
mod figures;
mod graph;
mod machine;
mod measure;
mod operator;
mod plot;
mod provider;
mod report;
mod row;
mod runs;
mod slow;
mod stage;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Porthole's benchmarks.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// The folder of the built guests.
    #[arg(long, env = "PORTHOLE_TEST_GUESTS", global = true)]
    guests: Option<PathBuf>,
    /// A tenth of the size: to see that everything works, not to measure.
    #[arg(long, global = true)]
    quick: bool,
    /// The whole size, also of what is cut to the time that a benchmark has.
    #[arg(long, global = true, conflicts_with = "quick")]
    full: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The figures there are.
    List,
    /// Measures figures (all of them unless some are named), prints the table, and writes `latest.json` and the plots.
    Run {
        /// Only these.
        names: Vec<String>,
        /// Where `latest.json` and the plots go; rows of figures that are not measured now are kept.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// One figure, in this process; prints its rows as JSON.
    #[command(hide = true)]
    Figure {
        /// Its name.
        name: String,
    },
    /// The whole path on this machine: a provider of any size on loopback, a worker, a private Postgres; a first load and a
    /// run in which nothing changed.
    Provider(operator::Options),
    /// A provider of the benchmarks' own, until it is ended; prints its port.
    #[command(hide = true)]
    Serve {
        #[command(subcommand)]
        kind: provider::Kind,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let guests = cli.guests.unwrap_or_else(beside);
    let size = driver::Size { quick: cli.quick, full: cli.full };
    let done = match cli.command {
        Command::List => report::list(figures::ALL),
        Command::Run { names, out } => driver::run(&guests, size, &names, out.as_deref()).await,
        Command::Figure { name } => driver::figure(&guests, size, &name).await,
        Command::Provider(options) => operator::run(&guests, options).await,
        Command::Serve { kind } => kind.serve().map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            report::note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Where the guests of this checkout are, when this program is in its target folder.
fn beside() -> PathBuf {
    let target = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.parent()?.to_owned()));
    target.unwrap_or_default().join("guests/wasm32-unknown-unknown/release")
}
