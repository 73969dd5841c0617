//! Removes secrets from replies.
