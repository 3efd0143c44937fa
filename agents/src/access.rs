//! Who is obeyed.

use doorward_appservice::Appservice;
use globset::{Glob, GlobSet, GlobSetBuilder};
use ruma::{OwnedUserId, UserId};

use crate::config::AccessConfig;

/// A pattern in `[access]` that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("access.{list}: {pattern:?} is not a pattern of user ids ({source}); write for example \"@*:example.org\"")]
pub struct AccessError {
    list: &'static str,
    pattern: String,
    source: globset::Error,
}

/// The access lists. Our own virtual users are never humans, whatever the globs say.
#[derive(Clone, Debug)]
pub struct Access {
    owners: GlobSet,
    humans: GlobSet,
    first_owner: Option<OwnedUserId>,
    appservice: Appservice,
}

impl Access {
    /// Reads the globs.
    pub fn new(config: &AccessConfig, appservice: Appservice) -> Result<Self, AccessError> {
        Ok(Self {
            owners: globs("owners", &config.owners)?,
            humans: globs("humans", &config.humans)?,
            first_owner: config.owners.iter().find_map(|owner| single_user(owner)),
            appservice,
        })
    }

    /// Whether `user` may talk and steer.
    pub fn is_human(&self, user: &UserId) -> bool {
        !self.appservice.owns(user) && (self.humans.is_match(user.as_str()) || self.owners.is_match(user.as_str()))
    }

    /// Whether `user` may do everything.
    pub fn is_owner(&self, user: &UserId) -> bool {
        !self.appservice.owns(user) && self.owners.is_match(user.as_str())
    }

    /// The first owner that is named in full: whom the command line acts for.
    pub fn first_owner(&self) -> Option<&UserId> {
        self.first_owner.as_deref()
    }
}

fn globs(list: &'static str, patterns: &[String]) -> Result<GlobSet, AccessError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|source| AccessError { list, pattern: pattern.clone(), source })?;
        set.add(glob);
    }
    set.build().map_err(|source| AccessError { list, pattern: patterns.join(", "), source })
}

fn single_user(pattern: &str) -> Option<OwnedUserId> {
    (!pattern.contains(['*', '?', '[', '{'])).then(|| UserId::parse(pattern).ok()).flatten()
}
