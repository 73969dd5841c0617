//! `run`: configuration, the time at which the run started, log, progress, cancellation.

use crate::bindings::v0_1::porthole::integration::run::{Host, Level};
use crate::task::TaskState;

impl Host for TaskState {
    fn config(&mut self) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.task.config.clone())
    }

    fn started_at(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(self.task.started_at_ms)
    }

    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.count()?;
        let level = match level {
            Level::Debug => 0,
            Level::Info => 1,
            Level::Warn => 2,
            Level::Error => 3,
        };
        TaskState::log(self, level, message);
        Ok(())
    }

    fn progress(&mut self, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        self.count()?;
        TaskState::progress(self, done, total);
        Ok(())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        self.count()?;
        Ok(self.cancellation.is_cancelled())
    }
}
