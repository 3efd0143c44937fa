//! Profile and media.

use std::time::Duration;

use reqwest::Method;
use ruma::{MxcUri, OwnedMxcUri};
use serde_json::json;

use super::Intent;
use crate::homeserver::IntentError;

const UPLOAD_TIMEOUT: Duration = Duration::from_mins(5);

impl Intent {
    /// Sets the name that people see.
    pub async fn set_display_name(&self, name: &str) -> Result<(), IntentError> {
        self.set_profile("displayname", name).await
    }

    /// Sets the picture that people see.
    pub async fn set_avatar_url(&self, url: &MxcUri) -> Result<(), IntentError> {
        self.set_profile("avatar_url", url.as_str()).await
    }

    async fn set_profile(&self, field: &str, value: &str) -> Result<(), IntentError> {
        self.device().await?;
        let path = ["profile", self.user.as_str(), field];
        self.client(Method::PUT, &path).json(&json!({ field: value })).send().await.map(drop)
    }

    /// Uploads a file to the media repository.
    /// [`POST /_matrix/media/v3/upload`](https://spec.matrix.org/v1.16/client-server-api/#post_matrixmediav3upload)
    pub async fn upload(
        &self,
        content: impl Into<bytes::Bytes>,
        content_type: &str,
        filename: &str,
    ) -> Result<OwnedMxcUri, IntentError> {
        self.device().await?;
        let path = ["_matrix", "media", "v3", "upload"];
        let call = self.shared.homeserver.call(Method::POST, &path).acting_as(&self.user).query("filename", filename);
        let answer = call.bytes(content.into(), content_type).within(UPLOAD_TIMEOUT).send().await?;
        let uri = answer["content_uri"].as_str().map(OwnedMxcUri::from);
        uri.filter(|uri| uri.is_valid()).ok_or(IntentError::Answer("content_uri"))
    }
}
