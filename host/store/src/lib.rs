//! The only SQL: tenants, runs, the graph.
