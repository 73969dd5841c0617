//! The digest index above its budget of memory: what is compared when most of it lies in a file, and what it holds.

use crate::bench::{Bench, Figure};
use crate::measure::median;
use crate::row::Row;
use anyhow::{Result, ensure};
use futures_util::FutureExt as _;
use porthole_model::object::{ContentHash, KeyHash};
use porthole_runner::index::{Index, Seen};
use porthole_store::staging::ObjectKind;
use std::time::{Duration, Instant};

/// Objects that the graph holds; a run sees as many of them, and a tenth of new ones.
const OBJECTS: usize = 2_000_000;
/// The part of them that the small budget allows.
const BUDGET_SHARE: usize = 10;
/// Times that each is done, in turn.
const TURNS: usize = 3;
/// The slice that everything is of.
const SLICE: i32 = 1;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "index",
    about: "objects compared with a digest index above its budget, against one in memory",
    limit: Duration::from_secs(120),
    run: |bench| async move { tokio::task::spawn_blocking(move || measure(&bench)).await? }.boxed(),
};

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let objects = bench.size(OBJECTS);
    let (mut filed, mut held) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (in_file, a) = run(objects, objects / BUDGET_SHARE)?;
        let (in_memory, b) = run(objects, 2 * objects)?;
        ensure!(a == b, "the digest depends on where the index lies");
        filed.push(in_file);
        held.push(in_memory);
    }
    let row = Row::new("digest index above its budget: objects compared", median(&mut filed), "objects/s");
    Ok(vec![row.against("all of it in memory", median(&mut held)).note(format!(
        "{objects} objects that the graph holds and {} new ones, from loading to the run's digest; nine of ten are above the \
         budget; the file is in the kernel's cache",
        objects / BUDGET_SHARE
    ))])
}

/// Objects a second, and the digest.
fn run(objects: usize, budget: usize) -> Result<(f64, [u8; 32])> {
    let began = Instant::now();
    let mut index = Index::with_budget(budget);
    let object =
        |n: usize| (KeyHash((n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()), n);
    let content = |n: usize| ContentHash((n as u128).to_be_bytes());
    for (key, n) in (0..objects).map(object) {
        index.load(key, content(n), SLICE, 0, ObjectKind::Entity)?;
    }
    index.seal()?;
    let new = objects / BUDGET_SHARE;
    for (key, n) in (0..objects + new).map(object) {
        let seen = index.offer(key, content(n), SLICE)?;
        ensure!(seen == if n < objects { Seen::Unchanged } else { Seen::New }, "object {n} is {seen:?}");
    }
    let digest = index.digest()?;
    Ok(((objects + new) as f64 / began.elapsed().as_secs_f64(), digest))
}
