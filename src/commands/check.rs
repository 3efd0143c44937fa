//! `doorward check`: a doctor. Each line is one finding, and what is wrong comes with its cure.

mod findings;
mod homeserver;
mod parts;

use super::Context;
use crate::failure::Failure;
use findings::Findings;

pub(super) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    let mut findings = Findings::new(context.json);
    match context.config() {
        Ok(config) => {
            findings.ok("configuration", format_args!("{} is understood", config.file.display()));
            parts::databases(&config, &mut findings).await;
            homeserver::examine(&config, &mut findings).await;
            parts::upstreams(&config, context.world, &mut findings).await;
        }
        Err(failure) => findings.failed("configuration", failure),
    }
    findings.conclude()
}
