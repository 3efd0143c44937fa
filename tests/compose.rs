//! What `docker-compose.yml` and the `Dockerfile` promise, read from the files: no engine is needed.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read has failed the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use doorward::Environment;
use doorward::config::Config;
use doorward_appservice::Registration;
use serde_norway::Value;

const SERVER_NAME: &str = "doorward.local";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Value {
    serde_norway::from_str(&read("docker-compose.yml")).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Every published port, as HOST:PORT:PORT.
fn ports() -> Vec<String> {
    let compose = compose();
    compose["services"].as_mapping().unwrap().values().flat_map(|service| strings(&service["ports"])).collect()
}

/// The environment of the service doorward, where the person's own has nothing: `${NAME:-default}` is the default.
fn environment() -> Vec<(String, String)> {
    let compose = compose();
    let variables = compose["services"]["doorward"]["environment"].as_mapping().unwrap();
    let pairs = variables.iter().map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()));
    pairs.map(|(name, value)| (name.to_owned(), default_of(value).to_owned())).collect()
}

fn default_of(value: &str) -> &str {
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.map_or(value, |inner| inner.split_once(":-").expect("a variable has a default").1)
}

#[test]
fn the_parts_are_there() {
    let compose = compose();
    let services: BTreeSet<_> = compose["services"].as_mapping().unwrap().keys().filter_map(Value::as_str).collect();
    for part in ["tuwunel", "element", "postgres", "s3", "doorward"] {
        assert!(services.contains(part), "{part} is missing");
    }
}

#[test]
fn ports_are_open_on_this_machine_only_and_the_admin_listener_nowhere() {
    let ports = ports();
    assert_eq!(ports.len(), 3, "{ports:?}");
    for port in &ports {
        assert!(port.starts_with("127.0.0.1:") && !port.contains("9011"), "{port}");
    }
    let environment: Environment = environment().into_iter().collect();
    let admin = environment.get("DOORWARD__GATEWAY__ADMIN_LISTEN").unwrap();
    assert!(admin.starts_with("127.0.0.1:"), "{admin}: the other containers have no business there");
}

#[test]
fn no_container_gets_more_rights_than_its_image_asks_for() {
    let text = read("docker-compose.yml");
    for privilege in ["privileged", "docker.sock", "cap_add", "network_mode: host", "HOST_AUTH_METHOD"] {
        assert!(!text.contains(privilege), "{privilege}");
    }
    let compose = compose();
    assert_eq!(strings(&compose["services"]["doorward"]["cap_drop"]), ["ALL"]);
}

#[test]
fn the_image_of_doorward_has_no_shell_and_runs_as_nobody_in_particular() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("gcr.io/distroless/") && last.contains(":nonroot AS doorward"), "{last}");
    assert!(last.lines().any(|line| line == "USER 65532:65532"), "{last}");
    assert!(last.lines().any(|line| line == r#"ENTRYPOINT ["/usr/local/bin/doorward"]"#), "{last}");
    assert!(!last.contains("\nRUN "), "nothing is run where there is no shell: {last}");
}

#[test]
fn the_names_agree_in_all_files() {
    let tuwunel: toml::Table = toml::from_str(&read("deploy/tuwunel.toml")).unwrap();
    assert_eq!(tuwunel["global"]["server_name"].as_str(), Some(SERVER_NAME));
    let element: serde_json::Value = serde_json::from_str(&read("deploy/element.json")).unwrap();
    let homeserver = &element["default_server_config"]["m.homeserver"];
    assert_eq!(homeserver["server_name"], SERVER_NAME);
    let port = homeserver["base_url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    assert!(ports().iter().any(|published| published.starts_with(&port)), "Element finds the homeserver at {port}");
}

#[test]
fn what_a_service_mounts_from_the_repository_is_there() {
    let compose = compose();
    let services = compose["services"].as_mapping().unwrap().values();
    let mounts: Vec<_> = services.flat_map(|service| strings(&service["volumes"])).collect();
    let files: Vec<_> = mounts.iter().filter_map(|mount| mount.strip_prefix("./")).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(root(file.split(':').next().unwrap()).is_file(), "{file}");
    }
}

/// The folders that `deploy/setup.sh` fills.
struct Volumes(tempfile::TempDir);

impl Volumes {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for volume in ["state", "secrets/tuwunel", "secrets/postgres", "secrets/s3"] {
            std::fs::create_dir_all(folder.path().join(volume)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs the script as `init` does, with the program that was built here; what it printed.
    fn set_up(&self, arguments: &[&str]) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_doorward")).parent().unwrap();
        let output = Command::new("sh")
            .arg(root("deploy/setup.sh"))
            .args(arguments)
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()))
            .env("STATE", self.path("state"))
            .env("SECRETS", self.path("secrets"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every file with its content.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let folders = ["state", "secrets/tuwunel", "secrets/tuwunel/appservices", "secrets/postgres", "secrets/s3"];
        let entries = folders.iter().flat_map(|folder| std::fs::read_dir(self.path(folder)).unwrap());
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
    }
}

#[test]
fn what_compose_sets_is_what_the_configuration_knows() {
    let volumes = Volumes::new();
    volumes.set_up(&[]);
    let environment: Environment = environment().into_iter().collect();
    let file = environment.path("DOORWARD_CONFIG").unwrap();
    let config = Config::load(&volumes.path("state").join(file.file_name().unwrap()), &environment).unwrap();
    config.gateway.check(&config.grants).unwrap();
    assert_eq!(config.homeserver().unwrap().server_name, SERVER_NAME);
    assert_eq!(config.homeserver().unwrap().url.as_str(), "http://tuwunel:8008/");
    assert_eq!(config.appservice.database.to_string(), "postgres://…@postgres/doorward");
    assert_eq!(config.gateway.database.to_string(), "postgres://…@postgres/gateway");
    assert_eq!(config.gateway.upstreams.len(), 1, "the variable sets the upstream of `init`, and adds none");
    let registration = Registration::from_yaml(&volumes.read("secrets/tuwunel/appservices/doorward.yaml")).unwrap();
    assert_eq!(registration.url.as_str(), format!("http://doorward:{}/", config.appservice.listen.port()));
}

#[test]
fn a_second_start_keeps_every_secret() {
    let volumes = Volumes::new();
    volumes.set_up(&[]);
    let first = volumes.files();
    assert_eq!(first.len(), 7, "{:?}", first.iter().map(|(path, _)| path).collect::<Vec<_>>());
    volumes.set_up(&[]);
    assert_eq!(volumes.files(), first);
    let another = Volumes::new();
    another.set_up(&[]);
    assert_ne!(another.read("secrets/postgres/password"), volumes.read("secrets/postgres/password"));
}

#[test]
fn secrets_are_shown_to_who_asks_and_are_not_in_the_log() {
    let volumes = Volumes::new();
    let log = volumes.set_up(&[]);
    let token = volumes.read("secrets/tuwunel/registration-token");
    assert_eq!(token.trim().len(), 48, "{token}");
    assert!(!log.contains(token.trim()), "{log}");
    assert_eq!(volumes.set_up(&["token"]), token);
    let password = volumes.read("secrets/postgres/password");
    assert_eq!(volumes.read("state/pgpass"), format!("postgres:5432:*:doorward:{password}"));
}
