//! The only outbound sockets, and the one room for secrets.
//!
//! A request comes in as a `PreparedRequest`, which holds nothing secret and has been recorded. It leaves only towards an
//! address that was vetted, with a credential that nothing outside this crate can read; the reply goes back capped and
//! scrubbed. Nothing here follows a redirect, reads a proxy variable or dials an address that [`policy`] has not
//! admitted.

pub mod credential;
pub mod scrub;
pub mod secret;
