//! Namespaces: regular expressions that say whose events are ours.

use regex::bytes::{Regex, RegexBuilder};
use ruma::{ServerName, UserId};

use super::RegistrationError;

/// The namespaces of a registration.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// Of user ids.
    pub users: Vec<Namespace>,
    /// Of room aliases.
    pub aliases: Vec<Namespace>,
    /// Of room ids.
    pub rooms: Vec<Namespace>,
}

/// One namespace; its expression is known to compile.
#[derive(Clone, Debug)]
pub struct Namespace {
    exclusive: bool,
    expression: String,
    compiled: Regex,
}

impl Namespace {
    /// A namespace of `expression`, which the homeserver matches from the start of an id.
    pub fn new(expression: &str, exclusive: bool) -> Result<Self, RegistrationError> {
        // Ids are matched as bytes: `\d` then means the ASCII digits, and no Unicode tables are linked.
        let compiled = RegexBuilder::new(&format!("^(?:{expression})")).unicode(false).build();
        let compiled = compiled.map_err(|error| RegistrationError::Value {
            key: "namespaces",
            problem: format!("hold `{expression}`, which is no regular expression ({})", summary(&error)),
        })?;
        Ok(Self { exclusive, expression: expression.to_owned(), compiled })
    }

    /// The exclusive namespace of the users of `server` whose localpart matches `localpart`, which is a regular expression.
    pub fn of_localpart(localpart: &str, server: &ServerName) -> Result<Self, RegistrationError> {
        Self::new(&format!("^@{localpart}:{}$", escape(server.as_str())), true)
    }

    /// Whether nobody else may have ids of this namespace.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// The expression as it stands in the file.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether `id` is in this namespace.
    pub fn contains(&self, id: &str) -> bool {
        self.compiled.is_match(id.as_bytes())
    }
}

impl Namespaces {
    /// Whether `user` is in an exclusive namespace of users.
    pub fn owns_user(&self, user: &UserId) -> bool {
        self.users.iter().any(|namespace| namespace.exclusive && namespace.contains(user.as_str()))
    }
}

/// The last line says what is wrong; those before it draw where.
fn summary(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Like `regex::escape`, but leaves `-` alone, which means nothing outside of brackets.
pub(super) fn escape(text: &str) -> String {
    regex::escape(text).replace("\\-", "-")
}
