//! What wasmtime makes of the world, one folder per version of it. Generated; what the functions do is in
//! [`crate::capability`].

pub(crate) mod v0_1;
