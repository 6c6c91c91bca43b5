//! What the fleet keeps in common: the names of its functions, and what is set of them.

use redis::cmd;

use super::Way;
use super::scripts::SCRIPTS;
use crate::error::Error;

/// Names in one command: a script can't unpack many thousands.
const BATCH: usize = 1_000;

impl Way {
    pub(super) async fn announce_names(&self, names: &[String]) -> Result<(), Error> {
        let key = self.settings.names_key();
        for batch in names.chunks(BATCH) {
            self.refill();
            let key = key.as_str();
            self.exchange(|mut line| async move {
                let mut call = SCRIPTS.announce.key(key);
                for name in batch {
                    call.arg(name);
                }
                call.invoke_async::<u64>(&mut line.connection).await
            })
            .await?;
        }
        Ok(())
    }

    /// What the fleet has set, all of it.
    pub(super) async fn fleet_settings(&self) -> Result<Vec<(String, String)>, Error> {
        let key = self.settings.settings_key();
        self.exchange(|mut line| async move {
            let mut all = cmd("HGETALL");
            all.arg(key).query_async(&mut line.connection).await
        })
        .await
    }

    pub(crate) async fn change_settings(
        &self,
        fields: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        let key = self.settings.settings_key();
        let key = key.as_str();
        // On the link that hears of changes; in one piece, so that what is given holds them.
        let steady = self.steady();
        let mut told = steady.inbox.listener.settings_told();
        let mut all = steady
            .exchange(|mut line| async move {
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
                call.invoke_async(&mut line.connection).await
            })
            .await?;
        // Another change was told meanwhile; which of the two is the later one?
        while !steady.inbox.listener.settings(told, all) {
            told = steady.inbox.listener.settings_told();
            all = steady.fleet_settings().await?;
        }
        Ok(())
    }
}
