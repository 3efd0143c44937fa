//! What the stand-in answers: a handful of sentences it understands, and one that says so.

use serde_json::{Value, json};

use super::request::ChatRequest;

/// One reaction of the stand-in.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// It says this.
    Say(String),
    /// It wants this tool to be run.
    Call { tool: &'static str, arguments: Value },
}

const HELP: &str = "This is the rehearsal stand-in: a script, and no model. It understands \"create a worker NAME who …\", \
    \"list workers\", \"ask NAME to …\", \"remove NAME\", \"write … to FILE\", \"list files\" and \"say …\". \
    Start doorward with OPENAI_API_KEY set to talk to a real model.";

/// The reaction to the last message of the conversation.
pub(super) fn reply(request: &ChatRequest) -> Reply {
    let Some(last) = request.messages.iter().rfind(|message| message.role != "system") else {
        return Reply::Say(HELP.to_owned());
    };
    if last.role == "tool" {
        return Reply::Say(told(&last.text()));
    }
    let user = request.messages.iter().rfind(|message| message.role == "user");
    let text = user.map(super::request::Message::text).unwrap_or_default();
    match understood(addressed_to_us(&text)) {
        Some(Reply::Call { tool, .. }) if !request.offers(tool) => Reply::Say(format!(
            "(rehearsal) That is nothing for me: I have no tool {tool}. Ask somebody else, or try \"write … to FILE\"."
        )),
        Some(reply) => reply,
        None => Reply::Say(HELP.to_owned()),
    }
}

fn told(result: &str) -> String {
    let short: String = result.chars().take(1500).collect();
    if short.trim().is_empty() { "(rehearsal) Done.".to_owned() } else { format!("(rehearsal) {}", short.trim()) }
}

/// The last line, without who said it (`@name:`, `name:`) and whom it mentions.
fn addressed_to_us(text: &str) -> &str {
    let mut rest = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    while let Some((word, after)) = rest.split_once(char::is_whitespace) {
        if !(word.starts_with('@') || word.ends_with(':')) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

fn understood(line: &str) -> Option<Reply> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (first, rest) = words.split_first()?;
    match plain(first).as_str() {
        "say" => Some(Reply::Say(format!("(rehearsal) {}", after(line, 1)))),
        "create" | "make" | "add" | "hire" if names(rest, "worker") => create_worker(line, &words),
        "create" | "make" if names(rest, "file") => create_file(line, &words),
        "write" => write_to(line, &words),
        "remove" | "delete" | "fire" => remove_worker(rest),
        "ask" | "let" | "tell" => assign_job(line, &words),
        "list" | "show" if names(rest, "files") || names(rest, "file") => {
            Some(Reply::Call { tool: "list_files", arguments: json!({}) })
        }
        "list" | "who" | "status" | "show" => Some(Reply::Call { tool: "list_workers", arguments: json!({}) }),
        _ => None,
    }
}

/// `create a worker NAME who writes Rust`
fn create_worker(line: &str, words: &[&str]) -> Option<Reply> {
    let mut at = words.iter().position(|word| plain(word) == "worker")? + 1;
    while matches!(plain(words.get(at)?).as_str(), "named" | "called") {
        at += 1;
    }
    let name = plain(words[at]);
    let filler = matches!(words.get(at + 1), Some(&("who" | "that" | "which" | "to")));
    let description = after(line, at + 1 + usize::from(filler));
    Some(Reply::Call { tool: "create_worker", arguments: json!({"name": name, "description": description}) })
}

/// `remove the worker NAME`
fn remove_worker(rest: &[&str]) -> Option<Reply> {
    let name = rest.iter().map(|word| plain(word)).find(|word| !matches!(word.as_str(), "the" | "worker"))?;
    Some(Reply::Call { tool: "remove_worker", arguments: json!({"name": name}) })
}

/// `ask NAME to JOB`, `let NAME JOB`
fn assign_job(line: &str, words: &[&str]) -> Option<Reply> {
    let worker = plain(words.get(1)?);
    if matches!(worker.as_str(), "me" | "us" | "you") {
        return None;
    }
    let job = after(line, if words.get(2) == Some(&"to") { 3 } else { 2 });
    (!job.is_empty()).then(|| Reply::Call { tool: "assign_job", arguments: json!({"worker": worker, "job": job}) })
}

/// `write CONTENT to FILE`
fn write_to(line: &str, words: &[&str]) -> Option<Reply> {
    let to = words.iter().rposition(|word| matches!(plain(word).as_str(), "to" | "into"))?;
    let content = words.get(1..to)?.join(" ");
    Some(write_file(after(line, to + 1), &content))
}

/// `create a file FILE with CONTENT`
fn create_file(line: &str, words: &[&str]) -> Option<Reply> {
    let at = words.iter().position(|word| plain(word) == "file")? + 1;
    let path = words.get(at)?;
    let filler = matches!(words.get(at + 1), Some(&("with" | "containing" | "that")));
    Some(write_file(path, after(line, at + 1 + usize::from(filler))))
}

fn write_file(path: &str, content: &str) -> Reply {
    let path = path.trim_end_matches(['.', '!']).trim_matches(['`', '"', '\'']);
    Reply::Call { tool: "write_file", arguments: json!({"path": path, "content": content}) }
}

fn names(words: &[&str], wanted: &str) -> bool {
    words.iter().any(|word| plain(word) == wanted)
}

/// A word in lower case, without the punctuation around it.
fn plain(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

/// The line without its first `count` words, its own spacing kept.
fn after(line: &str, count: usize) -> &str {
    let mut rest = line.trim_start();
    for _ in 0..count {
        rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}
