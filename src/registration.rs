//! The registration that doorward asks of a homeserver.

use std::path::Path;

use doorward_appservice::{GenerateOptions, Registration, RegistrationError};
use doorward_base::Random;
use reqwest::Url;
use ruma::OwnedServerName;

use crate::failure::Failure;

/// Reads a registration file.
pub(crate) fn read(file: &Path) -> Result<Registration, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(format_args!(
            "the registration file {} does not exist: `doorward init` writes one, and `appservice.registration` names it",
            file.display()
        )),
        _ => Failure::from(error).while_doing(format_args!("reading {}", file.display())),
    })?;
    Registration::from_yaml(&text).map_err(|error| Failure::from(error).while_doing(file.display()))
}

/// A registration with fresh tokens: `@manager` sends, and `@worker-…` are its users.
pub(crate) fn generate(
    server_name: OwnedServerName,
    url: Url,
    random: &Random,
) -> Result<Registration, RegistrationError> {
    let options = GenerateOptions {
        id: "doorward".to_owned(),
        url,
        server_name,
        sender_localpart: "manager".to_owned(),
        user_localparts: vec!["worker-[a-z0-9._=/-]+".to_owned()],
    };
    Registration::generate(options, random)
}
