//! The cases of the WHATWG's URL standard, as the package `url` ships them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Every input of the list.
pub(crate) fn inputs() -> Vec<String> {
    let file = package_of_url().join("tests/urltestdata.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut inputs: Vec<String> =
        cases.iter().filter_map(|case| Some(case.get("input")?.as_str()?.to_owned())).collect();
    inputs.sort();
    inputs.dedup();
    inputs
}

/// Where cargo keeps the package's source, which it has just compiled.
fn package_of_url() -> PathBuf {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(["--filter-platform", &host()])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "url");
    PathBuf::from(package.unwrap()["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

/// Packages for other platforms need not be there.
fn host() -> String {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}
