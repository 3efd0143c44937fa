//! Programs that tests need, from the machine or from a package registry.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `target/testkit/`, where everything that the tests install or start is kept.
///
/// # Panics
/// If the folder cannot be made.
pub fn testkit_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit");
    std::fs::create_dir_all(&folder).expect("target/testkit can be made");
    folder.canonicalize().expect("target/testkit is there")
}

/// The folder of a Python virtual environment with `requirement` in it, made on first use.
///
/// # Panics
/// If Python or the package registry is missing; the message says what to install.
pub fn python_tool(name: &str, requirement: &str) -> PathBuf {
    let venv = testkit_folder().join(name);
    let stamp = venv.join("complete");
    let lock = File::create(testkit_folder().join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock file can be locked");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirement) {
        return venv;
    }
    say(&format!("installing {requirement} from PyPI into {} (once)", venv.display()));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", requirement]));
    std::fs::write(&stamp, requirement).expect("the stamp can be written");
    venv
}

/// Polls `condition` every 20 ms until it gives a value.
///
/// # Panics
/// With `what`, when 60 seconds have passed.
pub async fn wait_for<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited 60 s in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A TCP port of 127.0.0.1 that nothing listens on now.
///
/// # Panics
/// If the machine has none left.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn say(message: &str) {
    #[expect(clippy::print_stderr, reason = "a person who waits for a download wants to know")]
    {
        eprintln!("testkit: {message}");
    }
}
