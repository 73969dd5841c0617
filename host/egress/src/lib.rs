//! The only outbound sockets, and the one room for secrets.
