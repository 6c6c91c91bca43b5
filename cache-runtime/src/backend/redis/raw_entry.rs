use std::iter;
use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Value, cmd};

use crate::backend::lookup::ReadMode;
use crate::entry::header::is_of_another_call;
use crate::error::Error;
use crate::key::Key;

/// Replies to commands that were sent together.
pub(super) type Replies = Box<dyn Iterator<Item = RedisResult<Value>> + Send>;

/// An entry and its remaining life, if they were requested and exist.
#[derive(Default)]
pub(super) struct RawEntry {
    pub(super) entry: Option<Vec<u8>>,
    pub(super) left: Option<Duration>,
}

/// Returns the commands that read an entry. They request one byte more than the largest entry has
/// (`most` bytes), so that a larger one is detected.
pub(super) fn ask(key: &Key, look: ReadMode, most: u64) -> impl Iterator<Item = Cmd> {
    let mut get = cmd("GETRANGE");
    get.arg(key.as_str()).arg(0).arg(most);
    let life = (look == ReadMode::WithLife).then(|| {
        let mut life = cmd("PTTL");
        life.arg(key.as_str());
        life
    });
    iter::once(get).chain(life)
}

/// Parses the replies to [`ask`].
pub(super) fn seen(
    replies: &mut impl Iterator<Item = RedisResult<Value>>,
    key: &Key,
    look: ReadMode,
    most: u64,
) -> RedisResult<RawEntry> {
    // Both replies are taken in any case, because the next replies belong to another call.
    let entry = replies.next();
    let left = match look {
        ReadMode::Entry => None,
        ReadMode::WithLife => replies.next(),
    };
    let entry = match entry {
        Some(reply) => self::entry(reply?, key, most)?,
        None => None,
    };
    let left = match left {
        Some(reply) => life(reply?.extract_error()?),
        None => None,
    };
    Ok(RawEntry { entry, left })
}

/// Parses the reply to GETRANGE. It is empty if there is no entry, and longer than `most` bytes if
/// the entry is too large; both count as a miss.
fn entry(reply: Value, key: &Key, most: u64) -> RedisResult<Option<Vec<u8>>> {
    let usable = |entry: &Vec<u8>| !entry.is_empty() && entry.len() as u64 <= most;
    let entry = match bytes(reply) {
        // The claim replaces a key of another type.
        Err(error) if is_wrong_type(&error) => None,
        entry => entry?,
    };
    match entry {
        Some(entry) if is_of_another_call(&entry, key) => Err(of_another_call()),
        entry => Ok(entry.filter(usable)),
    }
}

/// Returns the error for a reply that belongs to another call.
pub(super) fn of_another_call() -> RedisError {
    let text = "the reply is about another call";
    RedisError::from((ErrorKind::UnexpectedReturnType, text))
}

/// Returns `true` if the key holds a value of another type.
pub(super) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Parses the reply to PTTL, which is negative without an entry or without an expiry.
pub(super) fn life(reply: Value) -> Option<Duration> {
    match reply {
        Value::Int(left) => u64::try_from(left).ok().map(Duration::from_millis),
        _ => None,
    }
}

/// Parses a reply that is a string or nil.
pub(super) fn bytes(reply: Value) -> RedisResult<Option<Vec<u8>>> {
    match reply.extract_error()? {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        other => Ok(FromRedisValue::from_redis_value(other)?),
    }
}

/// Returns a lifetime in milliseconds, between 1, because Redis rejects zero, and 2^53.
pub(super) fn millis(life: Duration) -> u64 {
    // Redis adds the lifetime to its clock as a signed 64-bit number.
    u64::try_from(life.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 53)
}

/// Returns the error for a key that was written by another program.
pub(super) fn foreign(what: &str) -> Error {
    let text = format!("something else stood in the place of {what} and was replaced");
    Error::new(crate::error::ErrorKind::Server, text)
}
