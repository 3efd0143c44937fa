//! The human's account: its access token, and the first room.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::state::State;
use crate::failure::Failure;
use crate::matrix::{Account, Homeserver, MatrixError};
use crate::registration;

const ROOM_NAME: &str = "Doorward";

/// Makes sure that the remembered access token works, and gets a new one if it does not.
pub(super) async fn log_in(state: &mut State) -> Result<(), Failure> {
    let homeserver = Homeserver::at(state.homeserver_url())?;
    if let Some(token) = &state.human.access_token {
        match Account::new(homeserver.clone(), token.as_str().into()).whoami().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_unauthorized() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let password = SecretString::from(state.human.password.as_str());
    let token = homeserver.login(&state.human.name, &password).await.map_err(|error| not_logged_in(state, error))?;
    let account = Account::new(homeserver, token.clone());
    account.set_display_name(&state.user_id(), "You").await?;
    state.human.access_token = Some(token.expose_secret().to_owned());
    Ok(())
}

fn not_logged_in(state: &State, error: MatrixError) -> Failure {
    if error.is_unauthorized() {
        let user = state.user_id();
        Failure::new(format_args!(
            "{user} cannot log in ({error}): if you changed the password, write it into local.toml"
        ))
    } else {
        error.into()
    }
}

/// Makes the first room with the manager invited, unless it is there.
pub(super) async fn open_first_room(state: &mut State) -> Result<(), Failure> {
    if state.room.is_none() {
        state.room = Some(create_first_room(state).await?);
    }
    Ok(())
}

async fn create_first_room(state: &State) -> Result<String, MatrixError> {
    let account = account(state)?;
    let request = json!({
        "name": ROOM_NAME,
        "preset": "private_chat",
        "invite": [state.manager_id()],
        "initial_state": [{
            "type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "forbidden"},
        }],
    });
    account.create_room(&request).await
}

/// The human, as the last `up --local` left it.
pub(crate) fn account(state: &State) -> Result<Account, MatrixError> {
    let homeserver = Homeserver::at(state.homeserver_url())?;
    let token = state.human.access_token.as_deref().unwrap_or_default();
    Ok(Account::new(homeserver, token.into()))
}

/// The manager, by the token of the registration: only the homeserver that was started with it answers. Another one that
/// took the same port meanwhile does not.
pub(super) fn manager(state: &State, registration: &Path) -> Result<Account, Failure> {
    let token = registration::read(registration)?.as_token;
    Ok(Account::new(Homeserver::at(state.homeserver_url())?, token.expose().into()))
}
