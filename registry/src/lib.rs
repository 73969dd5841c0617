//! Manifests, packing, admission and inspection of modules.
