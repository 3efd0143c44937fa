//! The databases, and what is behind the gateway.

use doorward_base::{Database, DatabaseUrl};
use doorward_gateway::Finding;

use super::findings::Findings;
use crate::World;
use crate::config::Config;
use crate::failure::Failure;
use crate::serve;

pub(super) async fn databases(config: &Config, findings: &mut Findings) {
    for (setting, url) in
        [("appservice.database", &config.appservice.database), ("gateway.database", &config.gateway.database)]
    {
        match database(url).await {
            Ok(detail) => findings.ok(setting, detail),
            Err(failure) => findings.failed(setting, failure),
        }
    }
}

/// Opens a database that is there; one that is not yet is no fault.
async fn database(url: &DatabaseUrl) -> Result<String, Failure> {
    match url.sqlite_path() {
        Some(path) if !path.exists() => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match folder {
                Some(folder) if !folder.is_dir() => {
                    Err(Failure::new(format_args!("the folder {} does not exist: make it", folder.display())))
                }
                _ => Ok(format!("{url} will be made at the first start")),
            }
        }
        _ => {
            Database::open(url).await?.close().await;
            Ok(format!("{url} opens"))
        }
    }
}

pub(super) async fn upstreams(config: &Config, world: &World, findings: &mut Findings) {
    if config.gateway.upstreams.is_empty() {
        return findings.failed("upstreams", "there are none, so no model can be asked; add [[gateway.upstreams]]");
    }
    match serve::gateway(config, world).await {
        Ok(gateway) => gateway.check_upstreams().await.iter().for_each(|finding| report(finding, findings)),
        Err(failure) => findings.failed("gateway", failure),
    }
}

fn report(finding: &Finding, findings: &mut Findings) {
    match (&finding.cure, finding.ok) {
        (_, true) => findings.ok(&finding.name, &finding.message),
        (Some(cure), false) => findings.failed(&finding.name, format_args!("{}; {cure}", finding.message)),
        (None, false) => findings.failed(&finding.name, &finding.message),
    }
}
