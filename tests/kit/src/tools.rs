//! Programs that tests need, from the machine or from a package registry.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
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
    python_tools(name, &[requirement])
}

/// The same with several requirements.
///
/// # Panics
/// If Python or the package registry is missing; the message says what to install.
pub fn python_tools(name: &str, requirements: &[&str]) -> PathBuf {
    installed(name, &requirements.join(" "), "PyPI", |venv| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
        let pip = ["install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(venv.join("bin/pip")).args(pip).args(requirements));
    })
}

/// A folder whose `node_modules/` holds `packages`, made on first use.
///
/// # Panics
/// If Node or the package registry is missing; the message says what to install.
pub fn node_tools(name: &str, packages: &[&str]) -> PathBuf {
    installed(name, &packages.join(" "), "npm", |folder| {
        let _ = std::fs::remove_dir_all(folder.join("node_modules"));
        std::fs::create_dir_all(folder).expect("a folder can be made");
        let quietly = ["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
        run(Command::new(program("npm", "Node 20 or later")).args(quietly).arg("--prefix").arg(folder).args(packages));
    })
}

/// The program `name` on `PATH`.
///
/// # Panics
/// If it is not there: with `package`, which brings it.
pub fn program(name: &str, package: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| panic!("`{name}` is not on PATH, and the tests need it: install {package}"))
}

/// GitHub's `gh`, from the machine; root has Debian's package installed.
///
/// # Panics
/// If it is not there and cannot be installed.
pub fn gh() -> PathBuf {
    let lock = File::create(testkit_folder().join("gh.lock")).expect("a lock file can be made");
    lock.lock().expect("the lock file can be locked");
    if on_path("gh").is_none() && on_path("apt-get").is_some() && is_root() {
        say("installing gh with apt-get (once)");
        run(Command::new("apt-get").args(["-qq", "update"]));
        run(Command::new("apt-get").args(["-qq", "-y", "install", "gh"]).env("DEBIAN_FRONTEND", "noninteractive"));
    }
    program("gh", "the package `gh`; as root on Debian the tests do it themselves")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().ok()?;
    let path = String::from_utf8(found.stdout).ok()?;
    found.status.success().then(|| PathBuf::from(path.trim_end()))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A folder that `install` fills once, and again when `wanted` is something else.
fn installed(name: &str, wanted: &str, registry: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = testkit_folder().join(name);
    let stamp = folder.join("complete");
    std::fs::create_dir_all(folder.parent().expect("it is in target/testkit")).expect("a folder can be made");
    let lock = File::create(testkit_folder().join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock file can be locked");
    if !std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        say(&format!("installing {wanted} from {registry} into {} (once)", folder.display()));
        install(&folder);
        std::fs::write(&stamp, wanted).expect("the stamp can be written");
    }
    folder
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

/// A TCP port of 127.0.0.1 for a server that starts a little later: below those that the system gives to whoever connects somewhere,
/// and another one each time.
///
/// # Panics
/// If the machine has none left.
pub fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Programs that run at the same time begin at different places.
    let begin = 10_000 + u16::try_from(std::process::id() % 1_000).expect("it is below 1,000") * 20;
    let ports = std::iter::repeat_with(|| begin + NEXT.fetch_add(1, Ordering::SeqCst));
    ports.take(1_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
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
