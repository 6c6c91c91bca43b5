//! Overrides of the fleet's functions.

use super::hash::ENDS;
use super::scripts::SCRIPTS;
use super::session::RedisSession;
use crate::error::Error;
use crate::overrides::rules::MOST;

impl RedisSession {
    /// Reads all overrides of the fleet in pieces, each with its own time limit, and no more than
    /// one field beyond [`MOST`].
    pub(super) async fn fleet_overrides(&self) -> Result<Vec<(String, String)>, Error> {
        let key = self.connection().config.overrides_key();
        let key = key.as_str();
        let mut all = Vec::new();
        let mut cursor = ENDS.to_vec();
        loop {
            let (next, fields) = match self.piece_of_hash(key, cursor).await? {
                Ok(piece) => piece,
                // The key holds another type, so no override is set.
                Err(error) => {
                    tracing::warn!(%error, "the overrides of the fleet can't be read");
                    return Ok(all);
                }
            };
            for pair in fields.chunks_exact(2) {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                // A field that is not text is reported as malformed.
                all.push((text(&pair[0]), text(&pair[1])));
            }
            if next == ENDS || all.len() > MOST {
                all.truncate(MOST + 1);
                return Ok(all);
            }
            cursor = next;
        }
    }

    pub(crate) async fn change_overrides(
        &self,
        fields: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        let key = self.connection().config.overrides_key();
        let key = key.as_str();
        // On the background connection, which receives the pushes of changes.
        let background = self.background();
        background
            .exchange(|mut handle| async move {
                let mut call = SCRIPTS.set.key(key);
                let set = fields
                    .iter()
                    .filter_map(|(field, value)| Some((field, value.as_ref()?)));
                call.arg(set.clone().count());
                for (field, value) in set {
                    call.arg(field).arg(value);
                }
                for (field, _) in fields.iter().filter(|(_, value)| value.is_none()) {
                    call.arg(field);
                }
                call.invoke_async::<()>(&mut handle.transport).await
            })
            .await?;
        background.apply_overrides().await
    }

    /// Applies the overrides that the fleet has set now.
    pub(crate) async fn apply_overrides(&self) -> Result<(), Error> {
        let background = self.background();
        loop {
            let told = background
                .connection()
                .push_handler
                .listener
                .overrides_version();
            let all = background.fleet_overrides().await?;
            // If another reading was applied meanwhile, their order is unknown: read again.
            if background
                .connection()
                .push_handler
                .listener
                .overrides(told, all)
            {
                return Ok(());
            }
        }
    }
}
