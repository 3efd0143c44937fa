//! The operator's token: `dwa_` and 40 random characters, in a file for its owner alone.

use std::path::Path;

use doorward_base::Random;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::private_file::{self, PrivateFileError};

const PREFIX: &str = "dwa_";
const RANDOM_LENGTH: usize = 40;

/// What opens the admin interface.
#[derive(Clone, Debug)]
pub(crate) struct AdminToken(SecretString);

impl AdminToken {
    /// The token in the file, made at first start.
    pub(crate) fn read_or_create(path: &Path, random: &Random) -> Result<Self, PrivateFileError> {
        let make = || format!("{PREFIX}{}", random.text(RANDOM_LENGTH)).into();
        let token = private_file::read_or_create(path, random, make)?;
        if token.expose_secret().len() < PREFIX.len() + RANDOM_LENGTH || !token.expose_secret().starts_with(PREFIX) {
            return Err(PrivateFileError::Content { path: path.to_owned(), expected: "an operator's token (dwa_…)" });
        }
        Ok(Self(token))
    }

    /// Compared in constant time.
    pub(crate) fn is(&self, shown: &str) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}
