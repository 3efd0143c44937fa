//! Every store test runs on SQLite and on PostgreSQL.

use crate::postgres;

/// Runs `test` twice, with the URL of a fresh SQLite database and with that of a fresh PostgreSQL database.
///
/// # Panics
/// If PostgreSQL can neither be found nor installed.
pub async fn on_both_engines(test: impl AsyncFn(String)) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    test(format!("sqlite://{}", folder.path().join("test.db").display())).await;
    test(postgres::fresh_database().await).await;
}
