//! The registration's file, under the keys that Synapse and Tuwunel read.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{AsToken, HsToken, Namespace, Namespaces, Registration, RegistrationError};

#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file has them")]
struct File {
    id: String,
    url: Option<String>,
    as_token: String,
    hs_token: String,
    sender_localpart: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limited: Option<bool>,
    #[serde(default)]
    receive_ephemeral: bool,
    /// The same under the name that Synapse reads, which is older than the specification's.
    #[serde(default, rename = "de.sorunome.msc2409.push_ephemeral")]
    push_ephemeral: bool,
    #[serde(default, rename = "io.element.msc4190")]
    msc4190: bool,
    #[serde(default, rename = "org.matrix.msc3202")]
    msc3202: bool,
    namespaces: FileNamespaces,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct FileNamespaces {
    users: Vec<FileNamespace>,
    aliases: Vec<FileNamespace>,
    rooms: Vec<FileNamespace>,
}

#[derive(Serialize, Deserialize)]
struct FileNamespace {
    exclusive: bool,
    regex: String,
}

pub(super) fn read(text: &str) -> Result<Registration, RegistrationError> {
    let file: File = serde_norway::from_str(text).map_err(|error| RegistrationError::Yaml(error.to_string()))?;
    Ok(Registration {
        id: file.id,
        url: read_url(file.url.as_deref())?,
        as_token: AsToken::from(file.as_token),
        hs_token: HsToken::from(file.hs_token),
        sender_localpart: file.sender_localpart,
        namespaces: Namespaces {
            users: read_namespaces(&file.namespaces.users)?,
            aliases: read_namespaces(&file.namespaces.aliases)?,
            rooms: read_namespaces(&file.namespaces.rooms)?,
        },
        receive_ephemeral: file.receive_ephemeral || file.push_ephemeral,
        msc4190: file.msc4190,
        msc3202: file.msc3202,
        rate_limited: file.rate_limited,
    })
}

fn read_url(url: Option<&str>) -> Result<Url, RegistrationError> {
    let problem = match url.map(Url::parse) {
        Some(Ok(url)) => return Ok(url),
        Some(Err(error)) => format!("is no URL ({error}): write it like http://127.0.0.1:9009"),
        None => "is missing: without it the homeserver sends nothing".to_owned(),
    };
    Err(RegistrationError::Value { key: "url", problem })
}

fn read_namespaces(list: &[FileNamespace]) -> Result<Vec<Namespace>, RegistrationError> {
    list.iter().map(|entry| Namespace::new(&entry.regex, entry.exclusive)).collect()
}

pub(super) fn write(registration: &Registration) -> String {
    let file = File {
        id: registration.id.clone(),
        url: Some(registration.url.as_str().trim_end_matches('/').to_owned()),
        as_token: registration.as_token.expose().to_owned(),
        hs_token: registration.hs_token.expose().to_owned(),
        sender_localpart: registration.sender_localpart.clone(),
        rate_limited: registration.rate_limited,
        receive_ephemeral: registration.receive_ephemeral,
        push_ephemeral: registration.receive_ephemeral,
        msc4190: registration.msc4190,
        msc3202: registration.msc3202,
        namespaces: FileNamespaces {
            users: write_namespaces(&registration.namespaces.users),
            aliases: write_namespaces(&registration.namespaces.aliases),
            rooms: write_namespaces(&registration.namespaces.rooms),
        },
    };
    serde_norway::to_string(&file).expect("strings, flags and lists can all be written as YAML")
}

fn write_namespaces(list: &[Namespace]) -> Vec<FileNamespace> {
    list.iter()
        .map(|namespace| FileNamespace {
            exclusive: namespace.is_exclusive(),
            regex: namespace.expression().to_owned(),
        })
        .collect()
}
