//! The way of an object: guest → sandbox process → socket → broker → checked, hashed and compared row. No provider, no
//! database: what is left is what the walls around a guest cost.
//!
//! The yardstick is the same guest's code, built for this machine, in this process, on one thread: it makes the same
//! objects, writes the same lines, and the same functions check, hash and compare them.

use crate::bench::{Bench, Figure};
use crate::measure;
use crate::row::{Goal, Row};
use crate::stage;
use anyhow::{Result, anyhow, ensure};
use futures_util::FutureExt as _;
use porthole_bench_items::Items;
use porthole_model::parse::{Batch, StepTypes};
use porthole_runner::answers::Answers;
use porthole_runner::compile::Compiler;
use porthole_runner::index::Index;
use porthole_runner::replay::lenient::Lenient;
use porthole_runner::replay::offline::{Input, Module, Tools, run, steps_of};
use porthole_runner::replay::replayer::Replayer;
use porthole_runner::sink::Sink;
use porthole_runner::transcript::Header;
use porthole_sdk::{CallError, Cx, EmitError, EntityPage, Host, Level, ReadError, Request, Response, Steps as _};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The step that makes objects without a provider.
const STEP: &str = "made";
/// Rounds, guest and yardstick in turn.
const ROUNDS: usize = 3;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "emit",
    about: "objects a second from a guest to a hashed row",
    limit: Duration::from_secs(180),
    run: |bench| measure(bench).boxed(),
};

/// One way there, once.
struct Took {
    wall: f64,
    /// Processor seconds of the sandbox, and of this process.
    guest: f64,
    broker: f64,
    digest: String,
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let objects = bench.size(300_000);
    let module = Module::admit(std::fs::read(stage::pack(&bench, "bench-items")?)?)?;
    let tools = Tools {
        compiler: Arc::new(Compiler::new(&bench.bin, &bench.folder("compiled")?)?),
        sandbox: bench.program("porthole-sandbox"),
        allow_weak_isolation: false,
    };
    module.compile(&tools).await?;
    let (mut guests, mut natives, mut parses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut guest_cpu, mut broker_cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let took = guest(&tools, &module, objects).await?;
        let (whole, parse, digest) = native(&module, objects)?;
        ensure!(took.digest == digest, "both ways should come to the same objects: {} and {digest}", took.digest);
        guests.push(took.wall);
        guest_cpu.push(took.guest);
        broker_cpu.push(took.broker);
        natives.push(whole);
        parses.push(parse);
    }
    let each = |seconds: &mut [f64]| measure::median(seconds) * 1e6 / objects as f64;
    let rate = |micros: f64| 1e6 / micros;
    let (guest, native, parse) = (each(&mut guests), each(&mut natives), each(&mut parses));
    let row = Row::new("emit path, one guest", rate(guest), "objects/s")
        .against("the same code and data in one native process", rate(native))
        .goal(Goal::RatioAtLeast(0.5));
    let note = format!(
        "{objects} objects; processor time each: sandbox {:.1} µs, broker {:.1} µs, native {native:.1} µs, of which \
         {parse:.1} µs check, hash and compare. The guest has two processes on two cores, the yardstick one thread; start \
         and end of the sandbox count",
        each(&mut guest_cpu),
        each(&mut broker_cpu),
    );
    Ok(vec![row.note(note)])
}

fn config(objects: usize) -> BTreeMap<String, String> {
    let pairs = [("links", "no".to_owned()), (STEP, objects.to_string())];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn guest(tools: &Tools, module: &Module, objects: usize) -> Result<Took> {
    let header = Header::new(module.digest, config(objects), &porthole_wire::Limits::default());
    let answers = Answers::Replay(Arc::new(Replayer::Lenient(Box::new(Lenient::nothing(Vec::new())))));
    let steps = steps_of(&module.manifest, &[STEP.parse()?])?;
    let own = measure::cpu_seconds(std::process::id())?;
    let began = Instant::now();
    let ran = run(tools, module, Input { header, steps, answers, sink: Sink::Nowhere, wall: FIGURE.limit }).await?;
    let wall = began.elapsed().as_secs_f64();
    ensure!(ran.objects() == objects as u64, "{} objects came", ran.objects());
    Ok(Took {
        wall,
        guest: ran.collected.slices.iter().map(|s| s.usage.cpu_us as f64 / 1e6).sum(),
        broker: measure::cpu_seconds(std::process::id())? - own,
        digest: ran.graph_digest,
    })
}

/// Seconds for all of it, seconds of that for what the host does with the lines, and the digest.
fn native(module: &Module, objects: usize) -> Result<(f64, f64, String)> {
    let step = module.manifest.step(STEP).ok_or_else(|| anyhow!("no step"))?;
    let host = Native {
        config: serde_json::to_string(&config(objects))?,
        types: StepTypes::new(step, &|_| Vec::new()),
        taken: RefCell::new((Index::default(), Duration::ZERO)),
    };
    let began = Instant::now();
    Items.run(&Cx::new(&host)?, STEP, "")?;
    let (index, parse) = host.taken.into_inner();
    let digest = format!("blake3:{}", hex(&index.digest()?));
    Ok((began.elapsed().as_secs_f64(), parse.as_secs_f64(), digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A host without walls.
struct Native {
    config: String,
    types: StepTypes,
    /// What was compared, and how long that took.
    taken: RefCell<(Index, Duration)>,
}

impl Host for Native {
    fn call_many(&self, _: Vec<Request>) -> Vec<Result<Response, CallError>> {
        Vec::new()
    }

    fn emit(&self, batch: &[u8]) -> Result<(), EmitError> {
        let began = Instant::now();
        let (index, parse) = &mut *self.taken.borrow_mut();
        let checked = Batch::check(batch, &self.types);
        index.fetch(checked.objects().map(|object| object.key_hash));
        for object in checked.objects() {
            index.offer(object.key_hash, object.content_hash, 1).map_err(|e| EmitError::Other(e.to_string()))?;
        }
        *parse += began.elapsed();
        Ok(())
    }

    fn entities(&self, entity_type: &str, _: u64) -> Result<EntityPage, ReadError> {
        Err(ReadError::Undeclared(entity_type.to_owned()))
    }

    fn config(&self) -> String {
        self.config.clone()
    }

    fn started_at_ms(&self) -> u64 {
        0
    }

    fn log(&self, _: Level, _: &str) {}

    fn progress(&self, _: u64, _: Option<u64>) {}

    fn cancelled(&self) -> bool {
        false
    }
}
