//! Support for the tests: worlds, fakes and recordings.
