//! `kill -9` of the worker or of the sandbox at random moments: afterwards the run is finished or swept, and the graph
//! is what it was before or what it is after, never something between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the seed of a failed test, and what the kills hit")]

use porthole_model::id::RunId;
use porthole_model::run::{Outcome, RunMode, RunState};
use porthole_tests::fake_github::{FakeGithub, Mutation, Which};
use porthole_tests::world::{World, WorldBuilder, expected_facts, program};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Random moments for each victim. Together they make the hundred.
const MOMENTS: u32 = 50;
/// How long a run may take to be finished or swept after a kill.
const RECOVERY: Duration = Duration::from_secs(60);

struct Worker(Child);

impl Worker {
    /// A real worker process against the test's database.
    fn start(world: &World, fake: &FakeGithub) -> Self {
        let config = world.path().join("porthole.toml");
        let text = format!(
            "[endpoints]\n\"api.github.com\" = \"{}\"\n[worker]\nlease-seconds = 2\nkey-file = \"{}\"\n",
            fake.url(),
            world.path().join("kek").display()
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(world.path().join("worker.log")).unwrap();
        let child = program(&world.path().join("data"))
            .unwrap()
            .arg("work")
            .env("DATABASE_URL", world.database.url())
            .env("PORTHOLE_CONFIG", &config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// The sandbox processes that this worker has started.
    fn sandboxes(&self) -> Vec<i32> {
        let children = format!("/proc/{0}/task", self.0.id());
        let tasks = std::fs::read_dir(children).into_iter().flatten().flatten();
        let ids = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
        let ids = ids.collect::<Vec<_>>().join(" ");
        let is_sandbox = |id: &i32| {
            std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("porthole-sandbo"))
        };
        ids.split_whitespace().filter_map(|id| id.parse().ok()).filter(is_sandbox).collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log_of(world: &World) -> String {
    std::fs::read_to_string(world.path().join("worker.log")).unwrap_or_default()
}

async fn wait_for_end(world: &World, run: RunId) -> porthole_store::runs::Run {
    let end = Instant::now() + RECOVERY;
    loop {
        let found = world.get(run).await.unwrap();
        if found.state == RunState::Finished {
            return found;
        }
        if Instant::now() > end {
            panic!("run {run} is still {} after {RECOVERY:?}; the log:\n{}", found.state, log_of(world));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_half_applied_after_kill_9() {
    let fake = FakeGithub::builder()
        .org("acme")
        .seed(5)
        .repos(30)
        .members(10)
        .outside(1)
        .teams(3)
        .token("ghp_0123456789abcdef");
    let fake = fake.start().await.unwrap();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let mut worker = Worker::start(&world, &fake);
    // The first run compiles the module; the second says how long a run takes.
    let first = wait_for_end(&world, world.queue(RunMode::Apply).await.unwrap()).await;
    assert_eq!(first.outcome, Some(Outcome::Succeeded), "{}", first.message);
    let second = wait_for_end(&world, world.queue(RunMode::Apply).await.unwrap()).await;
    let took = second.finished_at.unwrap().duration_since(second.started_at.unwrap()).unsigned_abs();
    let seed = rand::random::<u64>();
    println!("a run takes {took:?}; seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut before = world.facts().await.unwrap();
    let (mut applied, mut undone) = (0, 0);
    for moment in 0..2 * MOMENTS {
        let mutation = Mutation { add_repos: 2, remove_repos: Which::Count(1), add_members: 1, ..Mutation::default() };
        fake.mutate(&mutation).unwrap();
        let after = expected_facts(&fake.expected());
        let run = world.queue(RunMode::Apply).await.unwrap();
        let claimed = Instant::now() + RECOVERY;
        while world.get(run).await.unwrap().state == RunState::Queued {
            assert!(Instant::now() < claimed, "moment {moment}: nobody claims the run; the log:\n{}", log_of(&world));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(took.mul_f64(random.random_range(0.0..1.1))).await;
        if moment % 2 == 0 {
            worker.kill();
            worker = Worker::start(&world, &fake);
        } else {
            for id in worker.sandboxes() {
                // It may have ended just now.
                let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
            }
        }
        let ended = wait_for_end(&world, run).await;
        let now = world.facts().await.unwrap();
        let whole = now == before || now == after;
        assert!(whole, "moment {moment}, seed {seed}: the graph is neither as it was nor as it should be");
        if now == after {
            applied += 1
        } else {
            undone += 1
        }
        let succeeded = ended.outcome == Some(Outcome::Succeeded);
        assert_eq!(succeeded, now == after, "moment {moment}: {:?} {}", ended.outcome, ended.message);
        let open = world.calls(run).await.unwrap().into_iter().filter(|c| c.completed_at.is_none()).count();
        assert_eq!(open, 0, "records of calls that were never completed");
        before = now;
    }
    println!("{applied} runs were applied, {undone} left no trace");
    assert!(undone > 0, "no kill hit a run");
    let last = wait_for_end(&world, world.queue(RunMode::Apply).await.unwrap()).await;
    assert_eq!(last.outcome, Some(Outcome::Succeeded), "{}", last.message);
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
    worker.kill();
    let dump = world.database.dump().await.unwrap();
    assert!(!dump.lines().any(|l| l.starts_with("staging.")), "a staging table was left behind");
}
