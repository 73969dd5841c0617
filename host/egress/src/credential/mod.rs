//! Credential kinds: what becomes of a secret on its way out.
