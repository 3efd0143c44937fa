//! How messages look. On a terminal an answer grows while it is written; elsewhere it is printed once, when it is whole.

use std::io::IsTerminal;

use super::room::{Change, Line, Room};
use crate::terminal;

/// What was printed last.
#[derive(Debug)]
pub(super) struct View {
    on_terminal: bool,
    me: String,
    /// The unfinished message in the last line: its id, and as much of it as is printed.
    growing: Option<(String, String)>,
}

impl View {
    pub(super) fn new(me: String) -> Self {
        Self { on_terminal: std::io::stdout().is_terminal(), me, growing: None }
    }

    /// Prints a sentence of chat itself.
    pub(super) fn note(&mut self, text: &str) {
        self.end_line();
        terminal::say(self.dimmed(&format!("-- {text}")));
    }

    /// Prints a message of the past.
    pub(super) fn history(&mut self, room: &Room, line: &Line) {
        let text = format!("{}{}", self.prefix(room, line), indented(&line.body));
        let rest = if line.unfinished { " …" } else { "" };
        terminal::say(self.styled(line, &format!("{text}{rest}")));
    }

    /// Prints what just happened.
    pub(super) fn show(&mut self, room: &Room, change: &Change) {
        match change {
            Change::Said(line) if line.ours && self.on_terminal => {}
            // Two that write at once would take the last line from each other: the later one has it.
            Change::Edited { now, .. } if now.unfinished && !self.is_growing(now) => {}
            Change::Said(line) | Change::Edited { now: line, before: Line { unfinished: true, .. } } => {
                self.show_line(room, line);
            }
            Change::Edited { before, now } if before.body != now.body => {
                self.end_line();
                let text = format!("{}(edited) {}", self.prefix(room, now), indented(&now.body));
                terminal::say(self.styled(now, &text));
            }
            Change::Edited { .. } => {}
        }
    }

    fn show_line(&mut self, room: &Room, line: &Line) {
        if !self.on_terminal {
            if !line.unfinished {
                self.history(room, line);
            }
            return;
        }
        if let Some(growth) = self.grown(line) {
            terminal::print(&growth);
        } else {
            self.end_line();
            terminal::print(&self.styled(line, &format!("{}{}", self.prefix(room, line), indented(&line.body))));
        }
        self.growing = Some((line.event_id.clone(), line.body.clone()));
        if !line.unfinished {
            self.end_line();
        }
    }

    fn is_growing(&self, line: &Line) -> bool {
        self.growing.as_ref().is_some_and(|(event_id, _)| *event_id == line.event_id)
    }

    /// What to add to the last line so that it shows `line`, if it shows the beginning of it.
    fn grown(&self, line: &Line) -> Option<String> {
        let (_, printed) = self.growing.as_ref().filter(|_| self.is_growing(line))?;
        line.body.strip_prefix(printed.as_str()).map(indented)
    }

    fn end_line(&mut self) {
        if self.growing.take().is_some() {
            terminal::print("\n");
        }
    }

    fn prefix(&self, room: &Room, line: &Line) -> String {
        let name = if line.sender == self.me { "you" } else { room.name_of(&line.sender) };
        if self.on_terminal && !line.notice { format!("\x1b[1m{name}:\x1b[0m ") } else { format!("{name}: ") }
    }

    fn styled(&self, line: &Line, text: &str) -> String {
        if line.notice { self.dimmed(text) } else { text.to_owned() }
    }

    fn dimmed(&self, text: &str) -> String {
        if self.on_terminal { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Further lines of a message stand under its first.
fn indented(body: &str) -> String {
    body.replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str) -> Line {
        Line {
            event_id: "$1".to_owned(),
            sender: "@a:x".to_owned(),
            body: body.to_owned(),
            notice: false,
            unfinished: true,
            ours: false,
        }
    }

    #[test]
    fn only_the_growth_of_the_last_line_is_printed() {
        let mut view = View::new("@you:x".to_owned());
        view.growing = Some(("$1".to_owned(), "Hel".to_owned()));
        assert_eq!(view.grown(&line("Hello\nyou")), Some("lo\n    you".to_owned()));
        assert_eq!(view.grown(&line("Halo")), None);
        view.growing = Some(("$2".to_owned(), "Hel".to_owned()));
        assert_eq!(view.grown(&line("Hello")), None);
    }
}
