//! What policy has to know of a body, read from a side copy. The body itself passes as it came.
//!
//! A key that decides something must stand there once and in one spelling: some servers take the last of two equal keys, some the
//! first, and some (Go's among them) take `Model` for `model`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use super::wire::Wire;

const LONGEST_MODEL: usize = 256;
/// No spelling of a deciding key is longer, even if each of its letters took three bytes.
const LONGEST_SPELLING: usize = 64;

/// What a body asks for, as far as policy decides on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `model`.
    pub(crate) model: String,
    /// `models`: what some providers fall back to.
    pub(crate) fallbacks: Vec<String>,
    /// Tools that the provider runs itself.
    pub(crate) provider_tools: Vec<String>,
    /// The most tokens that the answers may have together, if the body says so.
    pub(crate) max_output: Option<u64>,
}

impl Facts {
    /// Reads the facts, or refuses what cannot be read in one way.
    pub(crate) fn read(wire: Wire, body: &[u8]) -> Result<Self, Refusal> {
        Self::read_any(wire, body)?.ok_or(Refusal::NoModel)
    }

    /// The same for a body that need not name a model; then there are no facts.
    pub(crate) fn read_any(wire: Wire, body: &[u8]) -> Result<Option<Self>, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::UnreadableBody("it is not UTF-8".to_owned()))?;
        let keys: Keys = serde_json::from_str(text).map_err(|error| Refusal::UnreadableBody(error.to_string()))?;
        keys.facts(wire)
    }

    /// The facts of a form: it names a model, and nothing else in it decides.
    pub(super) fn of_model(model: String) -> Result<Self, Refusal> {
        check_model(&model)?;
        Ok(Self { model, ..Self::default() })
    }
}

/// Whether the model searches the web whatever the body says: `gpt-4o-search-preview`, or any with `:online` at a router.
fn searches(model: &str) -> bool {
    model.split(['-', ':', '/']).any(|part| matches!(part.to_ascii_lowercase().as_str(), "search" | "online"))
}

fn check_model(name: &str) -> Result<(), Refusal> {
    let good = (1..=LONGEST_MODEL).contains(&name.len()) && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(Refusal::UnreadableBody("the name of the model is empty or no name".to_owned())) }
}

/// The keys at the top of a body that decide something.
const DECIDING: [&str; 16] = [
    "model",
    "models",
    "tools",
    "prompt",
    "web_search_options",
    "search_parameters",
    "plugins",
    "enable_search",
    "mcp_servers",
    "container",
    "background",
    "deferred",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
];

#[derive(Default)]
struct Keys {
    model: Option<String>,
    fallbacks: Option<Vec<String>>,
    tools: Vec<Tool>,
    provider_tools: Vec<String>,
    stored_prompt: bool,
    max_output: Option<u64>,
    /// How many answers are asked for.
    answers: Option<u64>,
}

impl Keys {
    fn facts(mut self, wire: Wire) -> Result<Option<Facts>, Refusal> {
        if self.stored_prompt {
            return Err(Refusal::StoredPrompt);
        }
        for tool in std::mem::take(&mut self.tools) {
            self.provider_tools.extend(tool.of_the_provider(wire)?);
        }
        let fallbacks = self.fallbacks.unwrap_or_default();
        for name in fallbacks.iter().chain(&self.model) {
            check_model(name)?;
        }
        let answers = self.answers.unwrap_or(1).max(1);
        let max_output = self.max_output.map(|each| each.saturating_mul(answers));
        let mut provider_tools = self.provider_tools;
        if fallbacks.iter().chain(&self.model).any(|model| searches(model)) {
            provider_tools.push("web_search".to_owned());
        }
        match (self.model, provider_tools.first()) {
            (Some(model), _) => Ok(Some(Facts { model, fallbacks, provider_tools, max_output })),
            // Without a model nothing would be asked about the rest.
            (None, Some(tool)) => Err(Refusal::ProviderTool(tool.clone())),
            (None, None) if !fallbacks.is_empty() => Err(Refusal::NoModel),
            (None, None) => Ok(None),
        }
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        let mut seen = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            match decides(&key, &DECIDING).map_err(A::Error::custom)? {
                Some(key) if seen.contains(&key) => {
                    return Err(A::Error::custom(format!("`{key}` stands there twice")));
                }
                Some(key) => {
                    seen.push(key);
                    keys.take(key, &mut map)?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(keys)
    }
}

impl Keys {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &'static str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "model" => self.model = Some(map.next_value()?),
            "models" => self.fallbacks = map.next_value()?,
            "tools" => self.tools = map.next_value::<Option<Vec<Tool>>>()?.unwrap_or_default(),
            "prompt" => self.stored_prompt = map.next_value::<&RawValue>()?.get().starts_with('{'),
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                self.max_output = self.max_output.max(map.next_value()?);
            }
            "n" => self.answers = map.next_value()?,
            "mcp_servers" => self.take_switch("mcp", map)?,
            "container" => self.take_switch("code_execution", map)?,
            // The answer comes later, to another request, and nobody here would see what it used.
            "background" | "deferred" => self.take_switch("background", map)?,
            // The rest are switches by which a provider searches the web on its own.
            _ => self.take_switch("web_search", map)?,
        }
        Ok(())
    }

    fn take_switch<'de, A: MapAccess<'de>>(&mut self, tool: &str, map: &mut A) -> Result<(), A::Error> {
        let off = match map.next_value::<&RawValue>()?.get() {
            "null" | "false" | "[]" => true,
            // A picture has a background too.
            "\"transparent\"" | "\"opaque\"" | "\"auto\"" => tool == "background",
            _ => false,
        };
        if !off {
            self.provider_tools.push(tool.to_owned());
        }
        Ok(())
    }
}

/// One entry of `tools`, by its type.
struct Tool(Option<String>);

/// What Anthropic's models are trained to call and the caller runs, each with a version after it.
const RUN_BY_ANTHROPICS_CALLERS: [&str; 4] = ["bash", "text_editor", "computer", "memory"];

impl Tool {
    /// Its type, if the provider runs it; those of type `function` and `custom` are run by the caller.
    fn of_the_provider(self, wire: Wire) -> Result<Option<String>, Refusal> {
        let anthropic = wire == Wire::Anthropic;
        let Some(kind) = self.0 else {
            // Anthropic's tools of the caller need not say what they are.
            let nameless = || Refusal::UnreadableBody("a tool has no `type`".to_owned());
            return if anthropic { Ok(None) } else { Err(nameless()) };
        };
        let version_of = |name: &&str| kind.strip_prefix(*name).is_some_and(|rest| rest.starts_with("_2"));
        let of_the_caller = matches!(kind.as_str(), "function" | "custom")
            || (anthropic && RUN_BY_ANTHROPICS_CALLERS.iter().any(version_of));
        Ok((!of_the_caller).then_some(kind))
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ToolVisitor)
    }
}

struct ToolVisitor;

impl<'de> Visitor<'de> for ToolVisitor {
    type Value = Tool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tool: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tool, A::Error> {
        let mut kind: Option<String> = None;
        while let Some(Text(key)) = map.next_key()? {
            match decides(&key, &["type"]).map_err(A::Error::custom)? {
                Some(_) if kind.is_some() => return Err(A::Error::custom("a tool has two types")),
                Some(_) => kind = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Tool(kind))
    }
}

/// Which of the deciding keys this is; an error if some servers would take it for one and others not.
fn decides(key: &str, deciding: &[&'static str]) -> Result<Option<&'static str>, String> {
    if key.len() > LONGEST_SPELLING {
        return Ok(None);
    }
    let folded = fold(key);
    match deciding.iter().find(|deciding| **deciding == folded) {
        Some(deciding) if *deciding == key => Ok(Some(deciding)),
        Some(deciding) => Err(format!("a key differs from `{deciding}` only in its spelling")),
        None => Ok(None),
    }
}

/// Equal for keys that a server which does not mind case takes for one: two characters outside of ASCII fold into it.
fn fold(key: &str) -> String {
    let one = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(one).collect()
}

/// A string, borrowed from the body where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests;
