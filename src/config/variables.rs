//! Settings from the environment: `DOORWARD__GATEWAY__LISTEN` is `gateway.listen`, a number is a place in a list
//! (`DOORWARD__GATEWAY__UPSTREAMS__0__BASE_URL`). A value is a string unless it reads as a TOML number, boolean, list or table.

use config::{ConfigError, Map, Source, Value, ValueKind};

use crate::environment::Environment;

const PREFIX: &str = "DOORWARD__";

/// The `DOORWARD__…` variables as a source of configuration.
#[derive(Clone, Debug)]
pub(super) struct Variables(Environment);

impl Variables {
    pub(super) fn of(environment: &Environment) -> Self {
        Self(environment.clone())
    }

    /// The variable that sets `key` or something below it.
    pub(super) fn that_sets(&self, key: &str) -> Option<String> {
        let below = format!("{key}.");
        let name = self.0.with_prefix(PREFIX).map(|(name, _)| name).find(|name| {
            let path = path_of(name);
            path == key || path.starts_with(&below) || path.starts_with(&format!("{key}["))
        });
        name.map(|name| format!("{PREFIX}{name}"))
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.with_prefix(PREFIX).map(|(name, value)| (path_of(name), value_of(value))).collect())
    }
}

/// `GATEWAY__UPSTREAMS__0__NAME` → `gateway.upstreams[0].name`.
fn path_of(name: &str) -> String {
    let segments = name.split("__").map(|segment| match segment.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{}", segment.to_lowercase()),
    });
    segments.collect::<String>().trim_start_matches('.').to_owned()
}

fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    let kind = match value {
        Some(toml::Value::String(_) | toml::Value::Datetime(_)) | None => ValueKind::String(text.to_owned()),
        Some(other) => kind_of(other),
    };
    Value::new(None, kind)
}

fn kind_of(value: toml::Value) -> ValueKind {
    match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(flag),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| Value::new(None, kind_of(item))).collect())
        }
        toml::Value::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(key, item)| (key, Value::new(None, kind_of(item)))).collect())
        }
    }
}
