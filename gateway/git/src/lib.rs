//! What a git push does, read from its wire format: pkt-lines, commands, and the commits of a pack.
