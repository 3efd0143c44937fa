//! The program `doorward`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    doorward::run().await
}
