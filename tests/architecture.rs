//! The arrows of the architecture, kept: which crate may know which.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each crate may use of the others, in the program itself. Tests may use more.
const ARROWS: [(&str, &[&str]); 8] = [
    (".", &["doorward-agents", "doorward-appservice", "doorward-base", "doorward-gateway"]),
    ("agents", &["doorward-appservice", "doorward-base"]),
    ("appservice", &["doorward-base"]),
    ("gateway", &["doorward-base", "doorward-git", "doorward-github", "doorward-redaction"]),
    ("gateway/git", &[]),
    ("gateway/github", &[]),
    ("gateway/redaction", &[]),
    ("base", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn no_crate_knows_more_than_the_architecture_says() {
    for (folder, allowed) in ARROWS {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let ours: BTreeSet<&str> =
            dependencies.keys().map(String::as_str).filter(|name| name.starts_with("doorward-")).collect();
        assert_eq!(ours, allowed.iter().copied().collect(), "dependencies of {folder}");
    }
}

#[test]
fn every_crate_is_in_the_picture() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let crates = members.iter().filter_map(|member| member.as_str()).filter(|member| *member != "tests/kit");
    let known: BTreeSet<&str> = ARROWS.iter().map(|(folder, _)| *folder).filter(|folder| *folder != ".").collect();
    assert_eq!(crates.collect::<BTreeSet<_>>(), known);
}

#[test]
fn what_the_code_map_names_is_there() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let prose: String = text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| {
        Path::new(word).extension().is_some_and(|end| end == "rs") || (word.ends_with('/') && !word.starts_with('/'))
    });
    let missing: Vec<PathBuf> = paths.map(|path| root().join(path)).filter(|path| !path.exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}
