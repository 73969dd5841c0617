//! What a guest exports.

use crate::cx::Cx;
use crate::error::StepError;

/// The steps of a guest. Implement it on a unit struct and [`export!`](crate::export) that.
pub trait Steps {
    /// Runs one step for one partition (the empty string for a step without partitions). Must return an error when
    /// something was left out; see the crate's page.
    ///
    /// # Errors
    /// When the step couldn't finish. What was emitted before stays.
    fn run(&self, cx: &Cx<'_>, step: &str, partition: &str) -> Result<(), StepError>;

    /// The partitions of a step that the manifest declares as `partitioned`. They must stay the same from run to run as
    /// long as the provider's data does.
    ///
    /// # Errors
    /// When they can't be found out. The step's slices are incomplete then.
    fn partitions(&self, cx: &Cx<'_>, step: &str) -> Result<Vec<String>, StepError> {
        let _ = cx;
        Err(StepError::not_partitioned(step))
    }
}

/// Makes the component's exports from a value that implements [`Steps`]: `porthole_sdk::export!(Acme);`.
///
/// Natively it only checks that the value does: there is no host that could call it.
#[macro_export]
macro_rules! export {
    ($steps:expr) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            let _: &dyn $crate::Steps = &$steps;
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::guest::Exported for Component {
                fn partitions(step: String) -> Result<Vec<String>, $crate::guest::ExportedError> {
                    $crate::guest::partitions(&$steps, &step)
                }

                fn run(step: String, partition: String) -> Result<(), $crate::guest::ExportedError> {
                    $crate::guest::run(&$steps, &step, &partition)
                }
            }

    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::Steps;
    use crate::cx::Cx;
    use crate::error::StepError;
    use crate::host::{Host, Level};
    use crate::wasm::WasmHost;
    use std::sync::Once;

    pub use crate::bindings::exports::porthole::integration::steps::{Guest as Exported, StepError as ExportedError};

    /// The world's `steps.partitions`.
    pub fn partitions(steps: &dyn Steps, step: &str) -> Result<Vec<String>, ExportedError> {
        enter(|cx| steps.partitions(cx, step))
    }

    /// The world's `steps.run`.
    pub fn run(steps: &dyn Steps, step: &str, partition: &str) -> Result<(), ExportedError> {
        enter(|cx| steps.run(cx, step, partition))
    }

    fn enter<T>(work: impl FnOnce(&Cx<'_>) -> Result<T, StepError>) -> Result<T, ExportedError> {
        say_panics();
        let host = WasmHost::default();
        Cx::new(&host).and_then(|cx| work(&cx)).map_err(|e| match e {
            StepError::Call(m) => ExportedError::Call(m),
            StepError::Unexpected(m) => ExportedError::Unexpected(m),
            StepError::Config(m) => ExportedError::Config(m),
            StepError::Other(m) => ExportedError::Other(m),
        })
    }

    /// A panic ends in a trap that says `unreachable` and nothing else. The run log gets the message and the place first.
    fn say_panics() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| WasmHost::default().log(Level::Error, &panic.to_string())));
        });
    }
}

#[cfg(target_arch = "wasm32")]
pub use exported::{Exported, ExportedError, partitions, run};
