//! Where the other proxies come from: the machine, PyPI or Debian, into `target/bench-gateway/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a proxy cannot be measured: a sentence.
pub(crate) type Missing = String;

/// Everything that the benchmark installs or writes is here.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-gateway")
}

/// A Python virtual environment with one requirement, made on first use; gives its folder.
pub(crate) fn from_pypi(name: &str, requirement: &str) -> Result<PathBuf, Missing> {
    let venv = folder().join(name);
    let stamp = venv.join("complete");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirement) {
        return Ok(venv);
    }
    crate::say(&format!("installing {requirement} from PyPI (once)"));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", requirement]))?;
    fs::write(&stamp, requirement).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(venv)
}

/// `program` from `PATH`, else unpacked from the Debian package of the same name. Nothing is installed into the machine.
pub(crate) fn from_debian(program: &str) -> Result<PathBuf, Missing> {
    let unpacked = folder().join(program);
    let ours = unpacked.join("usr/sbin").join(program);
    let here = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program));
    if let Some(found) = here.into_iter().chain([ours.clone()]).find(|path| path.exists()) {
        return Ok(found);
    }
    crate::say(&format!("fetching {program} from Debian (once)"));
    fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
    run(Command::new("apt-get").args(["download", "--quiet", program]).current_dir(&unpacked))
        .map_err(|error| format!("install {program}, or run `apt-get update` as root and try again ({error})"))?;
    run(Command::new("sh").args(["-c", "dpkg-deb -x *.deb ."]).current_dir(&unpacked))?;
    Ok(ours)
}

/// Runs a program to its end. Gives what it printed; what it said on standard error if it printed nothing (nginx says its version there).
pub(crate) fn run(command: &mut Command) -> Result<String, Missing> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be started: {error}"))?;
    let [printed, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    match output.status.success() {
        true if printed.is_empty() => Ok(said),
        true => Ok(printed),
        false => Err(format!("{command:?} failed: {}", said.trim())),
    }
}
