//! What every durable part of Doorward stands on: one door to SQLite and PostgreSQL, the clock, and the source
//! of randomness. This crate knows nothing of Matrix, of agents or of keys.

pub mod database;
pub mod random;
pub mod time;

pub use database::{Database, DatabaseUrl, Engine, Migrations, StoreError, Tx};
pub use random::Random;
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
