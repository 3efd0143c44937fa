//! Registering a user: once, with a device, and never a person's account.

use reqwest::Method;
use ruma::{DeviceId, OwnedDeviceId};
use serde_json::{Value, json};
use tracing::info;

use super::Intent;
use crate::homeserver::IntentError;

/// Account data of each of our users, which tells them from a person's account even if our database is lost.
const MARKER: &str = "org.doorward.registration";
/// Homeservers that create the sender themselves when the registration is installed.
const MAKE_THE_SENDER: [&str; 4] = ["tuwunel", "conduwuit", "continuwuity", "conduit"];

impl Intent {
    /// Sees to it that this user exists on the homeserver, with a device, and is ours.
    ///
    /// # Errors
    /// [`IntentError::UserInUse`] if a person has this name.
    pub async fn ensure_registered(&self) -> Result<(), IntentError> {
        self.device().await.map(drop)
    }

    /// The device of this user, which is registered first if need be.
    pub(super) async fn device(&self) -> Result<OwnedDeviceId, IntentError> {
        if let Some(device_id) = self.known_device().await? {
            return Ok(device_id);
        }
        let _alone = self.shared.registering.alone(&self.user).await;
        match self.known_device().await? {
            Some(device_id) => Ok(device_id),
            None => self.register_with_device().await,
        }
    }

    async fn known_device(&self) -> Result<Option<OwnedDeviceId>, IntentError> {
        let known = self.shared.users.get(&self.user).await?;
        Ok(known.filter(|known| known.registered).map(|known| known.device_id))
    }

    async fn register_with_device(&self) -> Result<OwnedDeviceId, IntentError> {
        let users = &self.shared.users;
        let new = self.new_device_id();
        let device_id = users.begin(&self.user, &new).await?;
        let first = device_id == new;
        match self.register().await {
            Ok(()) => info!(user_id = %self.user, "a user was registered"),
            Err(error) if error.is("M_USER_IN_USE") => self.adopt(&device_id, first).await?,
            Err(error) => {
                self.remember_what_is_unknown(&device_id, first, &error).await?;
                return Err(error);
            }
        }
        self.put_marker().await?;
        self.put_device(&device_id).await?;
        users.registered(&self.user, &device_id).await?;
        Ok(device_id)
    }

    /// Keeps the attempt in mind only if it may have made an account: what is then found under the name may be ours.
    async fn remember_what_is_unknown(
        &self,
        device_id: &DeviceId,
        first: bool,
        error: &IntentError,
    ) -> Result<(), IntentError> {
        let users = &self.shared.users;
        if !error.changed_nothing() {
            // Another attempt made at the same time, which was refused, may have abandoned the row.
            users.begin(&self.user, device_id).await?;
        } else if first {
            users.abandon(&self.user).await?;
        }
        Ok(())
    }

    /// [Application Service API, "Server admin style permissions"](https://spec.matrix.org/v1.16/application-service-api/#server-admin-style-permissions)
    async fn register(&self) -> Result<(), IntentError> {
        // Without `inhibit_login` Synapse answers with an error after it has created the user.
        let body = json!({
            "type": "m.login.application_service",
            "username": self.user.localpart(),
            "inhibit_login": true,
        });
        let path = ["_matrix", "client", "v3", "register"];
        self.shared.homeserver.call(Method::POST, &path).json(&body).send().await.map(drop)
    }

    /// The name is taken: by us, if the marker says so, or if an earlier attempt of ours was cut short.
    async fn adopt(&self, device_id: &DeviceId, first: bool) -> Result<(), IntentError> {
        let ours = self.is_ours(device_id, first).await;
        // A first attempt that finds the name taken has made no account, even if we cannot find out now whose it is.
        if matches!(ours, Ok(false)) || (first && ours.is_err()) {
            self.shared.users.abandon(&self.user).await?;
        }
        if ours? { Ok(()) } else { Err(IntentError::UserInUse { user: self.user.clone() }) }
    }

    async fn is_ours(&self, device_id: &DeviceId, first: bool) -> Result<bool, IntentError> {
        if self.has_marker().await? {
            return Ok(true);
        }
        // A person's account has devices. One that we have registered has none yet, or the one that we gave it.
        let could_be_ours = !first || self.was_made_by_the_homeserver().await?;
        Ok(could_be_ours && self.devices().await?.iter().all(|device| device == device_id))
    }

    async fn has_marker(&self) -> Result<bool, IntentError> {
        let path = ["user", self.user.as_str(), "account_data", MARKER];
        match self.client(Method::GET, &path).send().await {
            Ok(content) => Ok(content["id"] == self.shared.registration.id.as_str()),
            Err(error) if error.is("M_NOT_FOUND") => Ok(false),
            // The account may be outside of what we may act as: then it is nobody of ours.
            Err(error) if error.is("M_FORBIDDEN") || error.is("M_EXCLUSIVE") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn put_marker(&self) -> Result<(), IntentError> {
        let path = ["user", self.user.as_str(), "account_data", MARKER];
        let content = json!({ "id": self.shared.registration.id });
        self.client(Method::PUT, &path).json(&content).send().await.map(drop)
    }

    async fn was_made_by_the_homeserver(&self) -> Result<bool, IntentError> {
        if self.user != self.shared.sender {
            return Ok(false);
        }
        let path = ["_matrix", "federation", "v1", "version"];
        let name = match self.shared.homeserver.call(Method::GET, &path).send().await {
            Ok(answer) => answer["server"]["name"].as_str().unwrap_or_default().to_lowercase(),
            Err(error) if error.is_retryable() && error.errcode().is_some() => return Err(error),
            Err(_) => String::new(),
        };
        Ok(MAKE_THE_SENDER.contains(&name.as_str()))
    }

    async fn devices(&self) -> Result<Vec<OwnedDeviceId>, IntentError> {
        let answer = match self.client(Method::GET, &["devices"]).send().await {
            Ok(answer) => answer,
            Err(error) if error.is("M_FORBIDDEN") => return Ok(vec!["UNKNOWN".into()]),
            Err(error) => return Err(error),
        };
        let devices: &Vec<Value> = answer["devices"].as_array().ok_or(IntentError::Answer("devices"))?;
        Ok(devices.iter().filter_map(|device| device["device_id"].as_str()).map(Into::into).collect())
    }

    /// Creates the device, or finds that it is there. Only with MSC4190 may an application service do that.
    /// [MSC4190](https://github.com/matrix-org/matrix-spec-proposals/pull/4190)
    pub(super) async fn put_device(&self, device_id: &OwnedDeviceId) -> Result<(), IntentError> {
        if !self.shared.registration.msc4190 {
            return Ok(());
        }
        let body = json!({ "display_name": self.shared.registration.id });
        self.client(Method::PUT, &["devices", device_id.as_str()]).json(&body).send().await.map(drop)
    }

    fn new_device_id(&self) -> OwnedDeviceId {
        self.shared.random.text(10).to_uppercase().into()
    }
}
