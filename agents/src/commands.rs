//! The `!` commands, which people type in any room with an agent.

mod carry_out;
#[cfg(test)]
mod story;

use strsim::damerau_levenshtein;

use crate::agent::{AgentName, NameError};
use crate::workers::Wish;

pub(crate) use carry_out::{Request, carry_out, reply};

/// What `!help` says.
pub(crate) const HELP: &str = "\
Talk to me in a room of two, or mention me. These commands work in any room with an agent:

- `!worker create NAME [description=… model=… runtime=…]` makes a worker, in a room with you
- `!worker list`, `!worker show NAME`, `!worker remove NAME`
- `!status` who works on what
- `!stop [NAME]` abandons what is being done
- `!pause [NAME]` keeps what is said for later, `!resume [NAME]` goes on
- `!usage` what the models were asked, and how many tokens that took

Without a NAME, `!stop`, `!pause` and `!resume` are about the agents of this room.";

/// A command.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Create { name: String, wish: Wish },
    List,
    Show(AgentName),
    Remove(AgentName),
    Status,
    Pause(Option<AgentName>),
    Resume(Option<AgentName>),
    Stop(Option<AgentName>),
    Usage,
}

/// A line that begins like a command and is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// It may be meant for another bot.
    #[error("there is no command `!{0}`; `!help` shows those there are")]
    Unknown(String),
    /// Nearly one of ours.
    #[error("there is no command `!{0}`: did you mean `!{1}`?")]
    Near(String, &'static str),
    /// Something is missing or too much.
    #[error("write it like this: `{0}`")]
    Usage(&'static str),
    /// A key of `key=value` that we do not know.
    #[error("{0:?} is not known here; a worker takes description=, model=, runtime= and grant=")]
    Key(String),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

const NAMES: [&str; 7] = ["help", "worker", "status", "pause", "resume", "stop", "usage"];
const WORKER: &str = "!worker create NAME, !worker list, !worker show NAME or !worker remove NAME";

impl Command {
    /// Reads a line that begins with `!`; `None` if it does not.
    pub(crate) fn parse(body: &str) -> Option<Result<Self, CommandError>> {
        let line = body.trim().strip_prefix('!')?;
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        name.starts_with(|first: char| first.is_ascii_alphabetic()).then(|| parse(&name.to_lowercase(), rest.trim()))
    }
}

fn parse(name: &str, rest: &str) -> Result<Command, CommandError> {
    match name {
        "help" => Ok(Command::Help),
        "worker" => worker(rest),
        "status" => alone(rest, Command::Status, "!status"),
        "usage" => alone(rest, Command::Usage, "!usage"),
        "pause" => Ok(Command::Pause(optional_name(rest, "!pause [NAME]")?)),
        "resume" => Ok(Command::Resume(optional_name(rest, "!resume [NAME]")?)),
        "stop" => Ok(Command::Stop(optional_name(rest, "!stop [NAME]")?)),
        _ => Err(match NAMES.into_iter().find(|known| damerau_levenshtein(known, name) <= 2) {
            Some(near) => CommandError::Near(name.to_owned(), near),
            None => CommandError::Unknown(name.to_owned()),
        }),
    }
}

fn worker(rest: &str) -> Result<Command, CommandError> {
    let (verb, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match verb {
        "create" => create(rest.trim()),
        "list" => alone(rest, Command::List, "!worker list"),
        "show" => Ok(Command::Show(AgentName::any(one(rest, "!worker show NAME")?)?)),
        "remove" => Ok(Command::Remove(AgentName::any(one(rest, "!worker remove NAME")?)?)),
        _ => Err(CommandError::Usage(WORKER)),
    }
}

fn create(rest: &str) -> Result<Command, CommandError> {
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if name.is_empty() || name.contains('=') {
        return Err(CommandError::Usage("!worker create NAME [description=… model=… runtime=…]"));
    }
    AgentName::worker(name)?;
    Ok(Command::Create { name: name.to_owned(), wish: wish(rest.trim())? })
}

/// Reads `key=value …`; a value goes on to the next `key=`, so that a description needs no quotes.
fn wish(rest: &str) -> Result<Wish, CommandError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in rest.split_whitespace() {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) if key.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                pairs.push((key.to_owned(), value.to_owned()));
            }
            (_, Some((_, value))) => value.push_str(&format!(" {word}")),
            (_, None) => return Err(CommandError::Usage("!worker create NAME [description=… model=… runtime=…]")),
        }
    }
    let mut wish = Wish::default();
    for (key, value) in pairs {
        let slot = match key.as_str() {
            "description" => &mut wish.description,
            "model" => &mut wish.model,
            "runtime" => &mut wish.runtime,
            "grant" => &mut wish.grant,
            _ => return Err(CommandError::Key(key)),
        };
        *slot = Some(value.trim_matches('"').to_owned());
    }
    Ok(wish)
}

fn alone(rest: &str, command: Command, usage: &'static str) -> Result<Command, CommandError> {
    if rest.trim().is_empty() { Ok(command) } else { Err(CommandError::Usage(usage)) }
}

fn one<'a>(rest: &'a str, usage: &'static str) -> Result<&'a str, CommandError> {
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word),
        _ => Err(CommandError::Usage(usage)),
    }
}

fn optional_name(rest: &str, usage: &'static str) -> Result<Option<AgentName>, CommandError> {
    if rest.is_empty() { Ok(None) } else { Ok(Some(AgentName::any(one(rest, usage)?)?)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        Command::parse(line).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn a_worker_is_created_with_what_is_said_about_it() {
        let line = "!worker create alice description=writes Rust and tests model=gpt-5";
        let Some(Ok(Command::Create { name, wish })) = Command::parse(line) else { panic!("not understood") };
        assert_eq!(name, "alice");
        assert_eq!(wish.description.as_deref(), Some("writes Rust and tests"));
        assert_eq!(wish.model.as_deref(), Some("gpt-5"));
    }

    #[test]
    fn each_mistake_gets_a_sentence_that_says_what_to_write() {
        assert_eq!(error("!stauts"), "there is no command `!stauts`: did you mean `!status`?");
        assert!(error("!worker create").contains("!worker create NAME"));
        assert!(error("!worker create a/b").contains("cannot be a worker's name"));
        assert!(error("!worker create bob color=red").contains("\"color\" is not known"));
        assert!(error("!worker create bob hello").contains("!worker create NAME"));
        assert!(error("!stop a b").contains("!stop [NAME]"));
        assert!(error("!weather").contains("!help"));
    }

    #[test]
    fn an_exclamation_is_no_command() {
        assert!(Command::parse("!").is_none());
        assert!(Command::parse("!!!").is_none());
        assert!(Command::parse("hello !help").is_none());
    }
}
