//! What a person sees: data on standard output, progress and failures on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Prints one line on standard output. A reader that went away is no error of ours.
pub(crate) fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints on standard output without a line end.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints one line on standard error.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a value as JSON on standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(text),
        Err(error) => tell(format_args!("doorward: cannot be printed as JSON: {error}")),
    }
}

/// A table with a header row; columns as wide as their widest cell.
pub(crate) fn say_table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(padded.join("  ").trim_end());
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Long work: a moving line on a terminal, else one plain line for each step.
#[derive(Debug)]
pub(crate) struct Progress {
    moving: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { moving: std::io::stderr().is_terminal() }
    }

    /// A step has begun.
    pub(crate) fn step(&self, text: &str) {
        if self.moving {
            self.overwrite(text);
        } else {
            tell(text);
        }
    }

    /// More about the running step; shown on a terminal only.
    pub(crate) fn detail(&self, text: &str) {
        if self.moving {
            self.overwrite(text);
        }
    }

    /// Nothing more to wait for.
    pub(crate) fn finish(&self) {
        if self.moving {
            self.overwrite("");
        }
    }

    #[expect(clippy::unused_self, reason = "only a moving progress may overwrite a line")]
    fn overwrite(&self, text: &str) {
        let short: String = text.chars().filter(|c| !c.is_control()).take(78).collect();
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\r\x1b[2K{short}").and_then(|()| err.flush());
    }
}
