//! A run once more, from its transcript: without network, without a database, in the same sandbox process with the same
//! limits and the same walls.
//!
//! [`offline`] runs a module; [`replayer`] answers its calls. Everything else is made of the two: [`verify`] (did the run
//! go as its record says?), [`compare`] (what would another version have done?), [`smoke`] (does it answer at all, and
//! twice the same?).

pub mod admission;
pub mod call_key;
pub mod compare;
pub mod lenient;
pub mod objects;
pub mod offline;
pub mod replayer;
pub mod smoke;
pub mod strict;
pub mod verify;
