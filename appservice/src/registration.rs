//! The registration: what a homeserver's administrator installs, and both sides go by.
//!
//! [Application Service API, "Registration"](https://spec.matrix.org/v1.16/application-service-api/#registration)

mod namespace;
mod token;
mod yaml;

use doorward_base::Random;
use reqwest::Url;

pub use namespace::{Namespace, Namespaces};
pub use token::{AsToken, HsToken};

/// Longest localpart of a sender: what is left of the 255 bytes of a user id belongs to the server name.
const LOCALPART_MAX: usize = 64;

/// A registration as it stands in the file that the homeserver reads.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Names this application service among all of a homeserver; never changed afterwards.
    pub id: String,
    /// Where the homeserver reaches this application service.
    pub url: Url,
    /// What the homeserver knows us by.
    pub as_token: AsToken,
    /// What we know the homeserver by.
    pub hs_token: HsToken,
    /// The localpart of the application service's own user.
    pub sender_localpart: String,
    /// The users, aliases and rooms whose events are sent to us.
    pub namespaces: Namespaces,
    /// Typing notices, receipts and presence are sent too (MSC2409).
    pub receive_ephemeral: bool,
    /// We make and delete devices of our users (MSC4190, `io.element.msc4190`).
    pub msc4190: bool,
    /// Transactions carry what encryption needs (MSC3202, `org.matrix.msc3202`).
    pub msc3202: bool,
    /// Whether the homeserver limits the rate of our users; `None` leaves it to the homeserver.
    pub rate_limited: Option<bool>,
}

/// What a new registration is made of.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Names this application service among all of a homeserver.
    pub id: String,
    /// Where the homeserver reaches this application service.
    pub url: Url,
    /// The name of the homeserver, as in user ids.
    pub server_name: ruma::OwnedServerName,
    /// The localpart of the application service's own user; in the namespace without being named there.
    pub sender_localpart: String,
    /// Regular expressions for the localparts of its users, for example `bridge-[a-z0-9._=/-]+`.
    pub user_localparts: Vec<String>,
}

/// Why a registration cannot be used. Each is one sentence for the person who wrote the file.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// No YAML, a key missing, or a value of the wrong type.
    #[error("the registration cannot be read: {0}")]
    Yaml(String),
    /// A value that is there and cannot be right.
    #[error("the registration's `{key}` {problem}")]
    Value {
        /// The key in the file.
        key: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
}

impl Registration {
    /// Reads the YAML file of a registration. Unknown keys are left alone: homeservers have their own.
    pub fn from_yaml(text: &str) -> Result<Self, RegistrationError> {
        let registration = yaml::read(text)?;
        registration.validate()?;
        Ok(registration)
    }

    /// The file for the homeserver. It holds both tokens: write it with mode 0600.
    pub fn to_yaml(&self) -> String {
        yaml::write(self)
    }

    /// A registration with new random tokens and exclusive namespaces, anchored at both ends: Synapse anchors a regular
    /// expression at its start alone, Tuwunel at neither.
    pub fn generate(options: GenerateOptions, random: &Random) -> Result<Self, RegistrationError> {
        let sender = namespace::escape(&options.sender_localpart);
        let users = std::iter::once(&sender)
            .chain(&options.user_localparts)
            .map(|localpart| Namespace::of_localpart(localpart, &options.server_name))
            .collect::<Result<_, _>>()?;
        let registration = Self {
            id: options.id,
            url: options.url,
            as_token: AsToken::from(random.text(48)),
            hs_token: HsToken::from(random.text(48)),
            sender_localpart: options.sender_localpart,
            namespaces: Namespaces { users, ..Namespaces::default() },
            receive_ephemeral: true,
            msc4190: true,
            msc3202: true,
            rate_limited: Some(false),
        };
        registration.validate()?;
        Ok(registration)
    }

    fn validate(&self) -> Result<(), RegistrationError> {
        let refuse = |key, problem: &str| Err(RegistrationError::Value { key, problem: problem.to_owned() });
        if self.id.is_empty() {
            return refuse("id", "is empty: give it a name of its own, such as `doorward`");
        }
        if !matches!(self.url.scheme(), "http" | "https") {
            return refuse("url", "must start with http:// or https://");
        }
        if self.as_token.is_empty() || self.hs_token.is_empty() {
            let key = if self.as_token.is_empty() { "as_token" } else { "hs_token" };
            return refuse(key, "is empty: put 32 or more random characters there, here and at the homeserver");
        }
        if self.as_token.expose() == self.hs_token.expose() {
            return refuse("hs_token", "is the same as `as_token`: each side needs a secret of its own");
        }
        validate_localpart(&self.sender_localpart)
    }
}

fn validate_localpart(localpart: &str) -> Result<(), RegistrationError> {
    if is_localpart(localpart) && localpart.len() <= LOCALPART_MAX {
        return Ok(());
    }
    Err(RegistrationError::Value {
        key: "sender_localpart",
        problem: format!(
            "must be 1 to {LOCALPART_MAX} characters out of a-z, 0-9 and ._=/+-, without @ and server name"
        ),
    })
}

/// Whether new users may be called so.
/// [Appendices, "User identifiers"](https://spec.matrix.org/v1.16/appendices/#user-identifiers)
pub(crate) fn is_localpart(text: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'/' | b'+' | b'-');
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
