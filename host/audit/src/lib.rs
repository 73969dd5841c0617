//! The Merkle log of audit records: what an auditor checks without trusting us.
