//! File and environment into one [`Config`], with errors in the reader's terms.

use std::path::Path;

use super::Config;
use super::error::{ConfigError, Place};
use super::place::{line_at, line_of};
use super::reason;
use super::variables::Variables;
use crate::environment::Environment;

/// Reads `file` and the `DOORWARD__…` variables, which win.
pub(super) fn load(file: &Path, environment: &Environment) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { file: file.to_owned() },
        _ => ConfigError::Unreadable { file: file.to_owned(), source },
    })?;
    let variables = Variables::of(environment);
    let reader = Reader { file, text: &text, variables: &variables };
    reader.check_syntax()?;
    let settings = config::Config::builder()
        .add_source(config::File::from_str(&text, config::FileFormat::Toml))
        .add_source(variables.clone())
        .build();
    settings.and_then(config::Config::try_deserialize).map_err(|error| reader.explain(error, String::new()))
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    variables: &'a Variables,
}

impl Reader<'_> {
    fn check_syntax(&self) -> Result<(), ConfigError> {
        let Err(error) = toml::de::DeTable::parse(self.text) else { return Ok(()) };
        let line = error.span().map(|span| line_at(self.text, span.start));
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        Err(ConfigError::Syntax { place: Place::File(self.file.to_owned(), line), reason })
    }

    fn place(&self, key: &str) -> Place {
        if let Some(variable) = self.variables.that_sets(key) {
            return Place::Variable(variable);
        }
        Place::File(self.file.to_owned(), line_of(self.text, key))
    }

    fn explain(&self, error: config::ConfigError, key: String) -> ConfigError {
        match error {
            config::ConfigError::At { error, key: inner, .. } => self.explain(*error, inner.unwrap_or(key)),
            config::ConfigError::NotFound(key) => self.missing(&dotted(&key)),
            config::ConfigError::Type { unexpected, expected, key: inner, .. } => {
                let key = dotted(&inner.unwrap_or(key));
                let reason = reason::of_type(&unexpected.to_string(), expected, &key);
                ConfigError::Value { place: self.place(&key), key, reason }
            }
            other => self.message(&other.to_string(), dotted(&key)),
        }
    }

    fn missing(&self, key: &str) -> ConfigError {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let cure = if section.is_empty() {
            format!("add a section [{name}]")
        } else {
            format!("add `{name} = …` to {}", header(section))
        };
        let place = if section.is_empty() { Place::File(self.file.to_owned(), None) } else { self.place(section) };
        ConfigError::MissingKey { place, key: key.to_owned(), cure }
    }

    /// Reads serde's sentence about an unknown field; every other sentence is about the value.
    fn message(&self, message: &str, key: String) -> ConfigError {
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if message.starts_with("missing field")
            && let Some(field) = names.first()
        {
            return self.missing(&below(&key, field));
        }
        if !message.starts_with("unknown field") || names.is_empty() {
            let reason = reason::of_sentence(message, &key);
            return ConfigError::Value { place: self.place(&key), key, reason };
        }
        let unknown = below(&key, names[0]);
        let nearest = nearest(names[0], &names[1..]).map(|name| below(&key, name));
        ConfigError::UnknownKey { place: self.place(&unknown), key: unknown, nearest }
    }
}

/// `gateway.upstreams[0]name`, as the deserializer has it, with the dot that it leaves out.
fn dotted(key: &str) -> String {
    key.replace(']', "].").replace("].[", "][").replace("]..", "].").trim_end_matches('.').to_owned()
}

/// How the section `key` is written in TOML.
fn header(key: &str) -> String {
    key.strip_suffix(']')
        .and_then(|item| item.rsplit_once('['))
        .map_or_else(|| format!("[{key}]"), |(list, _)| format!("[[{list}]]"))
}

fn below(key: &str, field: &str) -> String {
    if key.is_empty() { field.to_owned() } else { format!("{key}.{field}") }
}

/// The known name that is most like `name`.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
