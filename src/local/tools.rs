//! Programs from PyPI, each in a virtual environment that is made once and shared by whoever names the same folder.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::programs::Programs;
use crate::failure::Failure;
use crate::files;
use crate::terminal::Progress;

/// Pinned, so that every start anywhere runs what was tested.
const SYNAPSE: &str = "1.163.2";
/// What that Synapse asks for.
const OLDEST_PYTHON: (u32, u32) = (3, 10);
const PYTHONS: [&str; 7] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];

/// A folder of downloaded programs.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    folder: PathBuf,
    programs: Programs,
}

impl Tools {
    /// Kept in `folder`, installed with the help of `programs`.
    pub(super) fn in_folder(folder: PathBuf, programs: Programs) -> Self {
        Self { folder, programs }
    }

    /// The `bin` folder of Synapse's virtual environment, installed first if it is not there whole.
    pub(super) async fn synapse(&self, progress: &Progress) -> Result<PathBuf, Failure> {
        let home = std::path::absolute(self.folder.join(format!("synapse-{SYNAPSE}")))?;
        if !is_whole(&home) {
            files::private_folder(&self.folder)?;
            // Another start may be installing: this one then waits, and finds it done.
            let lock = lock(self.folder.join("synapse.lock")).await?;
            if !is_whole(&home) {
                self.install(&home, &lock, progress).await?;
            }
        }
        Ok(home.join("bin"))
    }

    async fn install(&self, home: &Path, lock: &File, progress: &Progress) -> Result<(), Failure> {
        if home.exists() {
            std::fs::remove_dir_all(home)?;
        }
        progress.step("looking for Python");
        let python = self.python().await?;
        progress.step(&format!("making a virtual environment in {}", home.display()));
        let output = self.programs.command(&python).args(["-m", "venv"]).arg(home).output().await?;
        succeeded(&output, "making a virtual environment")?;
        progress.step(&format!("downloading Synapse {SYNAPSE} from PyPI (about 30 MB, only this once)"));
        self.pip_install(home, lock, progress).await?;
        Ok(std::fs::write(stamp(home), SYNAPSE)?)
    }

    async fn pip_install(&self, home: &Path, lock: &File, progress: &Progress) -> Result<(), Failure> {
        let package = format!("matrix-synapse=={SYNAPSE}");
        let mut child = self
            .programs
            .command(home.join("bin/python"))
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--prefer-binary", &package])
            // Should we be killed, the lock is held for as long as pip still writes.
            .stdin(lock.try_clone()?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| Failure::new("pip has no output"))?).lines();
        let errors = tokio::spawn(async move { child.wait_with_output().await });
        while let Some(line) = lines.next_line().await? {
            progress.detail(&format!("installing Synapse: {}", line.trim()));
        }
        let output = errors.await??;
        succeeded(&output, &format!("installing {package} from PyPI"))
    }

    /// The first Python that is new enough and can make virtual environments.
    async fn python(&self) -> Result<String, Failure> {
        let (oldest, mut complaint) = (OLDEST_PYTHON, None);
        for python in PYTHONS {
            let probe = "import sys; print(*sys.version_info[:2]); import venv, ensurepip";
            let Ok(output) = self.programs.command(python).args(["-c", probe]).output().await else { continue };
            let found = version(&String::from_utf8_lossy(&output.stdout));
            match found {
                Some(version) if version >= oldest && output.status.success() => return Ok(python.to_owned()),
                Some(version) if version >= oldest => {
                    complaint = Some(format!(
                        "{python} cannot make virtual environments: install its venv module (on Debian and Ubuntu: apt install python3-venv)"
                    ));
                }
                Some((major, minor)) if complaint.is_none() => {
                    complaint = Some(format!(
                        "{python} is version {major}.{minor}, and Synapse needs {}.{} or newer: install a newer Python",
                        oldest.0, oldest.1
                    ));
                }
                _ => {}
            }
        }
        Err(Failure::new(complaint.unwrap_or_else(|| {
            format!("no Python was found: install Python {}.{} or newer, or start Docker", oldest.0, oldest.1)
        })))
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// An interrupted installation has no stamp; one whose Python was removed has a dangling link.
fn is_whole(home: &Path) -> bool {
    home.join("bin/python").exists() && std::fs::read_to_string(stamp(home)).is_ok_and(|text| text == SYNAPSE)
}

fn stamp(home: &Path) -> PathBuf {
    home.join("installed")
}

fn succeeded(output: &Output, what: &str) -> Result<(), Failure> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(Failure::new(format_args!("{what} failed: {}", lines[lines.len().saturating_sub(3)..].join(" / "))))
}

async fn lock(path: PathBuf) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?.map_err(Failure::from)
}
