//! What a Porthole integration is written with.
//!
//! A guest has no clock, no randomness, no file and no socket. It knows its configuration, and it can ask for the
//! *operations* that its manifest names. So a guest is three small things:
//!
//! - a **client** that says which operations to call ([`Call`], [`Cx::pages`], [`Cx::pages_many`]),
//! - pure **conversions** from replies to objects ([`Entity`], [`Relationship`]),
//! - **steps** that put both in order ([`Steps`]), exported with [`export!`].
//!
//! The same code runs natively against [`testing::MemoryHost`], so its tests need neither WebAssembly nor a provider.
//!
//! # What completeness asks of a step
//! The host deletes what a *complete* slice (a step for one partition) no longer contains. It proves completeness from
//! the wire: a denied or failed call, or a page that wasn't followed, leaves the slice incomplete, whatever the guest
//! says. The one thing that the host can't see is a reply that the guest didn't understand. So: **return an error when
//! something was left out**, after emitting everything else. [`Skipped`] counts for you.
//!
//! # A worked example
//! ```
//! use porthole_sdk::{Call, Cx, Entity, Relationship, Skipped, StepError, Steps};
//! use serde::Deserialize;
//!
//! /// The reply, as far as we read it. Unknown fields are ignored, missing ones are `None`.
//! #[derive(Deserialize)]
//! struct Project {
//!     id: Option<u64>,
//!     name: Option<String>,
//!     archived: Option<bool>,
//! }
//!
//! /// Pure: a reply becomes an entity, or the name of what was missing.
//! fn project(reply: &Project) -> Result<Entity, &'static str> {
//!     let id = reply.id.ok_or("project without id")?;
//!     let name = reply.name.as_deref().ok_or("project without name")?;
//!     // Missing values (`None`) are left out.
//!     let key = format!("acme:project:{id}");
//!     Ok(Entity::new("acme_project", key).class("Project").name(name).prop("name", name).prop("archived", reply.archived))
//! }
//!
//! struct Acme;
//!
//! impl Steps for Acme {
//!     fn run(&self, cx: &Cx<'_>, step: &str, _partition: &str) -> Result<(), StepError> {
//!         if step != "projects" {
//!             return Err(StepError::unknown_step(step));
//!         }
//!         let account = format!("acme:account:{}", cx.config("account")?);
//!         let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
//!         for page in cx.pages(Call::new("list-projects").credential("api")) {
//!             for reply in page?.list::<Project>()? {
//!                 let Some(project) = skipped.unless(project(&reply)) else { continue };
//!                 out.relationship(Relationship::new("acme_account", "OWNS", "acme_project", &account, project.key()))?;
//!                 out.entity(project)?;
//!             }
//!         }
//!         out.finish()?;
//!         skipped.finish()
//!     }
//! }
//!
//! // In a guest's lib.rs: the component's exports. Natively this is nothing.
//! porthole_sdk::export!(Acme);
//!
//! // A test, native and without a network:
//! use porthole_sdk::testing::MemoryHost;
//! use serde_json::json;
//!
//! let host = MemoryHost::new().config(json!({"account": "7"})).pages(
//!     "list-projects",
//!     &[],
//!     [json!([{"id": 1, "name": "one"}]), json!([{"id": 2, "name": "two", "archived": true}])],
//! );
//! host.run(&Acme, "projects", "").unwrap();
//! let projects = host.entities("acme_project");
//! assert_eq!(projects.len(), 2);
//! assert_eq!(projects[1].properties["archived"], true);
//! assert_eq!(host.relationships("acme_account_owns_acme_project").len(), 2);
//! assert_eq!(host.unfollowed_pages(), 0);
//! ```

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, clippy::all, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod bindings {
    //! The world's raw bindings. Guests use the rest of this crate; this is for those who have to lie to the host.
    wit_bindgen::generate!({
        world: "integration",
        path: "../../wit/integration@0.1.0",
        pub_export_macro: true,
        default_bindings_module: "porthole_sdk::bindings",
    });
}

#[cfg(all(target_arch = "wasm32", feature = "arena"))]
mod arena;
mod call;
mod cx;
mod emit;
mod error;
#[doc(hidden)]
pub mod guest;
mod host;
mod object;
mod page;
mod plain;
mod properties;
mod property;
mod skip;
mod stored;
pub mod testing;
mod text;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use call::{Call, Header, PageToken, Request, Response};
pub use cx::Cx;
pub use emit::{BATCH_BYTES, Emitter, MAX_BATCH_BYTES, MAX_LINE_BYTES};
pub use error::{CallError, Cause, CredentialError, Denial, EmitError, Fault, Layer, ReadError, StepError};
pub use guest::Steps;
pub use host::{EntityPage, Host, Level};
pub use object::{Entity, Relationship};
pub use page::{CALLS_AT_ONCE, ManyOutcome, Pages};
pub use property::Property;
pub use skip::Skipped;
pub use stored::{Stored, StoredEntities};
pub use text::Text;
