//! A worker's files: one folder of its own, and no way out of it. Confinement is cap-std's: paths with `..` and links that
//! lead outside are refused by the open itself, so that nothing can change between a check and a use.

use std::io::{Read, Write};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Outcome, ToolError, arguments, spec, unknown};
use crate::session::ToolCall;

const LARGEST_READ: u64 = 256 * 1024;
const MOST_ENTRIES: usize = 1_000;

pub(super) fn specs() -> Vec<Value> {
    let path = json!({"type": "string", "description": "relative to your folder, such as notes/today.md"});
    vec![
        spec("list_files", "Lists your files, or those below one of your folders.", &json!({"path": path}), &[]),
        spec("read_file", "Reads one of your files as text.", &json!({"path": path}), &["path"]),
        spec(
            "write_file",
            "Writes one of your files as a whole, and makes the folders above it.",
            &json!({"path": path, "content": {"type": "string"}}),
            &["path", "content"],
        ),
        spec("delete_file", "Deletes one of your files.", &json!({"path": path}), &["path"]),
    ]
}

#[derive(Deserialize)]
struct PathOnly {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct WriteFile {
    path: String,
    content: String,
}

pub(super) async fn run(caller: &Caller<'_>, call: &ToolCall) -> Result<Outcome, ToolError> {
    let folder = caller.house.workspaces.join(caller.agent.name.as_str());
    let call = call.clone();
    let text = tokio::task::spawn_blocking(move || carry_out(&folder, &call)).await??;
    Ok(Outcome::text(text))
}

fn carry_out(folder: &Path, call: &ToolCall) -> Result<String, ToolError> {
    let workspace = open(folder)?;
    match call.name.as_str() {
        "list_files" => list(&workspace, &arguments::<PathOnly>(call)?.path),
        "read_file" => read(&workspace, &arguments::<PathOnly>(call)?.path),
        "write_file" => write(&workspace, &arguments(call)?),
        "delete_file" => {
            let path = arguments::<PathOnly>(call)?.path;
            workspace.remove_file(&path).map_err(|error| named(&path, &error))?;
            Ok(format!("{path} is deleted."))
        }
        _ => Err(unknown(call)),
    }
}

fn open(folder: &Path) -> Result<Dir, ToolError> {
    std::fs::create_dir_all(folder)?;
    Ok(Dir::open_ambient_dir(folder, ambient_authority())?)
}

fn list(workspace: &Dir, path: &str) -> Result<String, ToolError> {
    let path = if path.is_empty() { "." } else { path };
    let mut found = Vec::new();
    collect(&workspace.open_dir(path).map_err(|error| named(path, &error))?, "", &mut found)?;
    found.sort();
    Ok(if found.is_empty() { "There are no files.".to_owned() } else { found.join("\n") })
}

fn collect(folder: &Dir, above: &str, found: &mut Vec<String>) -> Result<(), ToolError> {
    for entry in folder.entries()? {
        let entry = entry?;
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        if found.len() >= MOST_ENTRIES {
            return Ok(());
        }
        // A link is named and not followed.
        if entry.file_type()?.is_dir() {
            collect(&entry.open_dir()?, &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

fn read(workspace: &Dir, path: &str) -> Result<String, ToolError> {
    let file = workspace.open(path).map_err(|error| named(path, &error))?;
    if !file.metadata()?.is_file() {
        return Err(ToolError(format!("{path} is no file")));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_READ).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(workspace: &Dir, wanted: &WriteFile) -> Result<String, ToolError> {
    let path = Path::new(&wanted.path);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        workspace.create_dir_all(parent).map_err(|error| named(&wanted.path, &error))?;
    }
    let mut file = workspace.create(path).map_err(|error| named(&wanted.path, &error))?;
    file.write_all(wanted.content.as_bytes())?;
    file.sync_all()?;
    Ok(format!("{} is written: {} bytes.", wanted.path, wanted.content.len()))
}

fn named(path: &str, error: &std::io::Error) -> ToolError {
    ToolError(format!("{path:?}: {error}; paths are relative to your folder and cannot leave it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &Value) -> ToolCall {
        ToolCall { id: "1".into(), name: name.into(), arguments: arguments.to_string() }
    }

    fn workspace() -> (tempfile::TempDir, std::path::PathBuf) {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "key").unwrap();
        let folder = outside.path().join("alice");
        (outside, folder)
    }

    #[test]
    fn what_was_written_is_listed_read_and_deleted() {
        let (_outside, folder) = workspace();
        carry_out(&folder, &call("write_file", &json!({"path": "notes/a.md", "content": "hello"}))).unwrap();
        assert_eq!(carry_out(&folder, &call("list_files", &json!({}))).unwrap(), "notes/a.md");
        assert_eq!(carry_out(&folder, &call("read_file", &json!({"path": "notes/a.md"}))).unwrap(), "hello");
        carry_out(&folder, &call("delete_file", &json!({"path": "notes/a.md"}))).unwrap();
        assert_eq!(carry_out(&folder, &call("list_files", &json!({}))).unwrap(), "There are no files.");
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let (outside, folder) = workspace();
        let secret = outside.path().join("secret").display().to_string();
        for path in ["../secret", "x/../../secret", &secret] {
            for (name, arguments) in [
                ("read_file", json!({"path": path})),
                ("delete_file", json!({"path": path})),
                ("write_file", json!({"path": path, "content": "gone"})),
            ] {
                assert!(carry_out(&folder, &call(name, &arguments)).is_err(), "{name} {path}");
            }
        }
        assert!(carry_out(&folder, &call("list_files", &json!({"path": ".."}))).is_err());
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "key");
    }

    #[cfg(unix)]
    #[test]
    fn no_symbolic_link_leads_out_of_the_folder() {
        let (outside, folder) = workspace();
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
        for path in ["link", "up/secret"] {
            assert!(carry_out(&folder, &call("read_file", &json!({"path": path}))).is_err(), "{path}");
            assert!(
                carry_out(&folder, &call("write_file", &json!({"path": path, "content": "gone"}))).is_err(),
                "{path}"
            );
        }
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "key");
    }
}
