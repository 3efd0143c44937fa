//! Child processes that end with the test run, however it ends.

use std::process::{Child, Command, Stdio};

/// Ends its program when the pipe on its standard input closes, which the system does even for a killed parent. INT is what makes
/// PostgreSQL end at once; a program that a shell starts in the background may ignore it, hence TERM too.
const SUPERVISOR: &str = r#""$@" </dev/null & child=$!; cat >/dev/null; kill -INT $child; kill -TERM $child; wait $child; [ -z "$LEFTOVERS" ] || rm -rf "$LEFTOVERS"/*"#;

/// A server that ends when this value is dropped, or when the process that holds it ends.
#[derive(Debug)]
pub struct DiesWithUs(Child);

impl DiesWithUs {
    /// Starts `program`; `prepare` may set its folder, its user and where its output goes. What is in the folder that the
    /// environment variable `LEFTOVERS` names is removed when the program has ended.
    ///
    /// # Panics
    /// If no shell can be started.
    pub fn start(program: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).args(program).stdin(Stdio::piped());
        prepare(&mut command);
        Self(command.spawn().expect("sh can be started"))
    }

    /// Whether the server has ended by itself.
    ///
    /// # Panics
    /// If the system does not know the process any more.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("the state of our own child can be read").is_some()
    }
}

impl Drop for DiesWithUs {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
