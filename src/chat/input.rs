//! What a typed line means.

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    /// Nothing was typed.
    Nothing,
    /// A message for the room.
    Message(&'a str),
    /// `/rooms`
    Rooms,
    /// `/join ROOM`
    Join(&'a str),
    /// `/quit`
    Quit,
    /// `/help`, or a command that chat does not have.
    Help,
}

impl<'a> Input<'a> {
    pub(super) fn read(line: &'a str) -> Self {
        let line = line.trim();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "" => Self::Nothing,
            "/rooms" => Self::Rooms,
            "/join" if !rest.trim().is_empty() => Self::Join(rest.trim()),
            "/quit" | "/exit" => Self::Quit,
            _ if command.starts_with('/') => Self::Help,
            _ => Self::Message(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_for_chat_and_everything_else_for_the_room() {
        for (line, input) in [
            ("  ", Input::Nothing),
            ("hello there ", Input::Message("hello there")),
            ("!worker create alice", Input::Message("!worker create alice")),
            ("/rooms", Input::Rooms),
            ("/join the room", Input::Join("the room")),
            ("/join", Input::Help),
            ("/dance", Input::Help),
            ("/quit", Input::Quit),
        ] {
            assert_eq!(Input::read(line), input, "{line:?}");
        }
    }
}
