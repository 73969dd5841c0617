//! What can fail in this crate. A manifest or module that is refused for what it says is no failure of an operation but
//! a list of [`Finding`](crate::Finding)s; [`RegistryError::Refused`] carries them where both can happen.

use crate::finding::{Finding, Findings};
use crate::pack::MAX_MODULE_BYTES;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, RegistryError>;

/// Why an operation on a module failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The bytes aren't WebAssembly, or are damaged.
    #[error("not a WebAssembly file that can be read: {0}")]
    NotWasm(String),
    /// A core module where a component was expected.
    #[error("this is a core module, not a component; pack it first")]
    CoreModule,
    /// More bytes than a module may have.
    #[error("the module has {0} bytes, at most {MAX_MODULE_BYTES} are accepted")]
    TooLarge(usize),
    /// The core module can't become a component.
    #[error("can't make a component: {0}")]
    Componentize(String),
    /// There is no manifest in the module.
    #[error("the component holds no `porthole-manifest` section; pack it with its manifest")]
    NoManifest,
    /// More than one, or one inside a nested module, where readers could disagree about which counts.
    #[error("the component must hold exactly one `porthole-manifest` section, at its top level; this one holds {0}")]
    AmbiguousManifest(String),
    /// The section doesn't hold a manifest.
    #[error("the `porthole-manifest` section can't be read: {0}")]
    Manifest(String),
    /// The section holds a manifest in other bytes than ours, so that two spellings could carry one meaning.
    #[error("the `porthole-manifest` section isn't in canonical form; pack the module again")]
    NotCanonical,
    /// A key, a key's id or a signature isn't one.
    #[error("no {what}: {rule}")]
    Key {
        /// What was expected.
        what: &'static str,
        /// Why it isn't that.
        rule: &'static str,
    },
    /// A signature file or an approval isn't one.
    #[error("no {what}: {rule}")]
    Document {
        /// What was expected.
        what: &'static str,
        /// Why it isn't that.
        rule: String,
    },
    /// The manifest or module breaks rules.
    #[error("refused:\n{0}")]
    Refused(Findings),
}

impl RegistryError {
    /// The failure as findings about a place.
    #[must_use]
    pub fn into_findings(self, place: &str) -> Vec<Finding> {
        match self {
            Self::Refused(findings) => findings.0,
            other => vec![Finding::error(place, other.to_string())],
        }
    }
}

impl From<Vec<Finding>> for RegistryError {
    fn from(findings: Vec<Finding>) -> Self {
        Self::Refused(Findings(findings))
    }
}
