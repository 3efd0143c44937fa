//! `doorward init`

use std::io::ErrorKind;
use std::path::Path;

use doorward_base::Random;
use reqwest::Url;
use ruma::OwnedServerName;

use crate::World;
use crate::cli::InitArgs;
use crate::config::AppserviceConfig;
use crate::failure::Failure;
use crate::files;
use crate::registration;
use crate::terminal;

const CONFIG: &str = "doorward.toml";
const REGISTRATION: &str = "registration.yaml";

pub(super) fn run(args: &InitArgs, world: &World) -> Result<(), Failure> {
    let server_name = server_name(args)?;
    write(args, &server_name, &world.random)?;
    terminal::say(next_steps(&std::path::absolute(&args.out)?, &server_name));
    Ok(())
}

/// Writes both files, or none.
fn write(args: &InitArgs, server_name: &OwnedServerName, random: &Random) -> Result<(), Failure> {
    let (config, registration) = (args.out.join(CONFIG), args.out.join(REGISTRATION));
    if let Some(there) = [&config, &registration].into_iter().find(|file| file.exists()) {
        return Err(already_there(there));
    }
    let url = Url::parse(&format!("http://{}", AppserviceConfig::default().listen))?;
    let yaml = registration::generate(server_name.clone(), url, random)?.to_yaml();
    std::fs::create_dir_all(&args.out)?;
    create(&config, &config_text(&args.homeserver, server_name))?;
    create(&registration, &yaml).inspect_err(|_| {
        // Half of the pair is of no use, and a second `init` would refuse to overwrite it.
        let _ = std::fs::remove_file(&config);
    })
}

fn create(file: &Path, text: &str) -> Result<(), Failure> {
    files::create_private(file, text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => already_there(file),
        _ => Failure::from(error).while_doing(format_args!("writing {}", file.display())),
    })
}

fn already_there(file: &Path) -> Failure {
    Failure::new(format_args!(
        "{} is there already and is not overwritten: remove it, or name another folder with --out",
        file.display()
    ))
}

/// As given, else the host of the URL; an address is no server name that anybody wants.
fn server_name(args: &InitArgs) -> Result<OwnedServerName, Failure> {
    let host = args.homeserver.domain().unwrap_or("localhost");
    let name = args.server_name.as_deref().unwrap_or(host);
    name.parse().map_err(|_| {
        Failure::new(format_args!(
            "`{name}` is no server name: write --server-name with what stands after the colon of your Matrix id"
        ))
    })
}

fn config_text(homeserver: &Url, server_name: &OwnedServerName) -> String {
    let url = homeserver.as_str().trim_end_matches('/');
    format!(
        r#"# Doorward. `doorward check` examines these settings; each can be set by environment too: DOORWARD__GATEWAY__LISTEN=…

[homeserver]
url = "{url}"
server_name = "{server_name}"

[appservice]
listen = "127.0.0.1:9009"              # the homeserver sends events here; the registration's `url` says the same
registration = "registration.yaml"     # the homeserver has a copy of this file
database = "sqlite://doorward.db"      # or "postgres://USER:PASSWORD@HOST/NAME"

[gateway]
listen = "127.0.0.1:9010"              # agents call here, and nowhere else
admin_listen = "127.0.0.1:9011"        # for you and the appservice
database = "sqlite://gateway.db"

# Where model calls go, with a key that no agent sees: from the environment as here, or {{ secret = "openai" }} after
# `doorward secret set openai < FILE`.
[[gateway.upstreams]]
name = "openai"
kind = "openai"
base_url = "https://api.openai.com/v1"
credential = {{ env = "OPENAI_API_KEY" }}
models = ["*"]

[access]
owners = []                            # may do everything, for example ["@you:{server_name}"]
humans = ["@*:{server_name}"]          # may talk and steer; everyone else is ignored

[agents]
model = "gpt-5"
grant = "default"

[grants.default]
models = ["*"]
"#
    )
}

fn next_steps(folder: &Path, server_name: &OwnedServerName) -> String {
    let (config, registration) = (folder.join(CONFIG), folder.join(REGISTRATION));
    format!(
        "Wrote {config} and {registration} for the server name {server_name}.\n\n\
         Next:\n\
         1. Tell the homeserver about the registration.\n   \
            Synapse: add to homeserver.yaml, and restart it:\n     \
              app_service_config_files: [\"{registration}\"]\n   \
            Tuwunel: in its admin room send `!admin appservices register` with the content of registration.yaml in a\n     \
              code block below; or set appservice_dir to a folder with a copy of the file, and restart it.\n\
         2. Put your Matrix id into `owners`, and your key into OPENAI_API_KEY or `doorward secret set`.\n\
         3. doorward check --config {config}\n\
         4. doorward up --config {config}\n\
         5. In any Matrix client, invite @manager:{server_name} to a room.",
        config = config.display(),
        registration = registration.display(),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;
    use crate::environment::Environment;

    fn args(folder: &Path, homeserver: &str) -> InitArgs {
        InitArgs { homeserver: homeserver.parse().unwrap(), server_name: None, out: folder.to_owned() }
    }

    fn init(args: &InitArgs) -> Result<(), Failure> {
        write(args, &server_name(args)?, &Random::seeded(1))
    }

    #[test]
    fn what_is_written_is_private_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        init(&args(&out, "https://example.org")).unwrap();
        let config = Config::load(&out.join(CONFIG), &Environment::default()).unwrap();
        assert_eq!(config.homeserver().unwrap().server_name, "example.org");
        config.gateway.check(&config.grants).unwrap();
        let registration = registration::read(&config.appservice.registration).unwrap();
        assert_eq!(registration.sender_localpart, "manager");
        assert!(registration.receive_ephemeral && registration.msc4190 && registration.msc3202);
        for file in [CONFIG, REGISTRATION] {
            let mode = std::fs::metadata(out.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_written_beside_it() {
        for there in [CONFIG, REGISTRATION] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(there), "mine").unwrap();
            let sentence = init(&args(folder.path(), "http://127.0.0.1:8008")).unwrap_err().to_string();
            assert!(sentence.contains(there) && sentence.contains("not overwritten"), "{sentence}");
            assert_eq!(std::fs::read_to_string(folder.path().join(there)).unwrap(), "mine");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_address_gives_no_server_name() {
        assert_eq!(server_name(&args(Path::new(""), "http://127.0.0.1:8008")).unwrap(), "localhost");
        assert_eq!(server_name(&args(Path::new(""), "https://matrix.example.org/")).unwrap(), "matrix.example.org");
    }
}
