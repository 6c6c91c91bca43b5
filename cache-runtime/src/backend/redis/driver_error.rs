use deadpool_redis::{PoolError, TimeoutType};
use redis::RedisError;

use crate::error::{Error, ErrorKind};

/// Returns the error of a call that gets no connection from the pool.
pub(super) fn error_of_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => error_of_attempt(&error),
        // The pool's timeout may expire before those of the driver and the connection.
        PoolError::Timeout(TimeoutType::Create) => Error::new(
            ErrorKind::Timeout,
            format!("no connection in time; {SILENT}"),
        ),
        error => Error::new(ErrorKind::Unavailable, error.to_string()),
    }
}

/// Returns `true` if the server has replied, with whatever error. `NOAUTH` does not count: the
/// server requires another login.
pub(super) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_)) && error.code() != Some("NOAUTH")
}

/// Returns `true` if the server has replied that it does not support the request, as older servers
/// and proxies do. A server that is loading or has too many clients does not count.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    let for_now = error.code() == Some("LOADING")
        || error
            .detail()
            .is_some_and(|why| why.contains("number of clients"));
    matches!(error.kind(), redis::ErrorKind::Server(_)) && !for_now
        || matches!(error.kind(), redis::ErrorKind::RESP3NotSupported)
}

/// Converts a driver error into the caller's error, with category and code but never with data.
pub(super) fn error_of(error: &RedisError) -> Error {
    let kind = match error.kind() {
        redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => ErrorKind::Server,
        _ if error.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::Unavailable,
    };
    let message = match (error.code(), error.is_io_error()) {
        (Some("NOAUTH"), _) => {
            "redis wants a login: write redis://user:password@host, or give `credentials`"
                .to_owned()
        }
        (Some("WRONGPASS"), _) => WRONG_LOGIN.to_owned(),
        (None, _) if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            WRONG_LOGIN.to_owned()
        }
        (Some(code), _) => {
            // `unknown command 'GET', with args beginning with: …` quotes keys.
            let detail = error.detail().unwrap_or("no detail");
            let (detail, _) = detail.split_once(", with args").unwrap_or((detail, ""));
            let fix = match code {
                "MOVED" => ": it is a node of a cluster: write redis+cluster://",
                _ if detail.starts_with("DB index") => ": see the number at the end of the url",
                _ => "",
            };
            format!("redis answered {code}: {detail}{fix}")
        }
        (None, true) => format!("{error}"),
        (None, false) if error.kind() == redis::ErrorKind::Parse => {
            "what answers there is no redis server, or something in between changes its words"
                .to_owned()
        }
        #[cfg(feature = "sentinel")]
        (None, false) if error.kind() == redis::ErrorKind::MasterNameNotFoundBySentinel => {
            "the sentinels know no server by the name in the url, or none that is a primary now"
                .to_owned()
        }
        // The driver asks a sentinel for its role.
        #[cfg(feature = "sentinel")]
        (None, false) if error.kind() == redis::ErrorKind::InvalidClientConfig => {
            "what answers there is no sentinel".to_owned()
        }
        (None, false) => error.category().to_owned(),
    };
    let known = Error::new(kind, message);
    match error.code() {
        Some(code) if FOR_NOW.contains(&code) => known.for_now(),
        _ => known,
    }
}

const WRONG_LOGIN: &str = "redis answered WRONGPASS: it does not know this user with this password; see the url, or what gives the `credentials`";

const NO_LOGIN: &str =
    "redis wants a login: write redis://user:password@host, or give `credentials`";

/// Possible causes if a server sends no readable reply.
pub(super) const SILENT: &str = "if a server listens there, it is no redis server, or it speaks TLS (rediss://) and the url does not, or the other way round";

/// Returns the error of an attempt to connect.
pub(super) fn error_of_attempt(error: &RedisError) -> Error {
    let known = error_of(error);
    if !error.is_io_error() {
        return known;
    }
    // For nodes of a cluster, the driver gives only the text.
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let message = if says(&["WRONGPASS"]) {
        WRONG_LOGIN.to_owned()
    } else if says(&["NOAUTH"]) {
        NO_LOGIN.to_owned()
    } else if says(&["timed out", "broken pipe", "reset by peer", "end of file"]) {
        format!("{known}; {SILENT}")
    } else {
        return known;
    };
    Error::new(known.kind(), message)
}

/// Error codes of a server that is starting, stopping, changing its role, full or busy.
const FOR_NOW: [&str; 10] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_has_one_error_for_every_waiter() {
        let error = error_of_pool(PoolError::Timeout(TimeoutType::Create));
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("or it speaks TLS"), "{error}");
    }
}
