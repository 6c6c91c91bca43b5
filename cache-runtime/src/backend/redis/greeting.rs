use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};

/// Longest wait for a server to refuse a connection.
const PATIENCE: Duration = Duration::from_millis(250);

/// Returns the error with which a server refuses a connection before any command, as at
/// `maxclients`. The driver loses this error, because the server closes the connection right after
/// sending it.
pub(super) async fn refusal(server: &ConnectionInfo) -> Option<Error> {
    let ConnectionAddr::Tcp(host, port) = server.addr() else {
        return None;
    };
    let greeting = async {
        let stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
        let mut words = [0; 256];
        stream.readable().await.ok()?;
        let length = stream.try_read(&mut words).ok()?;
        let words = std::str::from_utf8(words.get(..length)?).ok()?;
        let words = words.strip_prefix('-')?.lines().next()?;
        let text = format!("redis answered {}", words.replacen(' ', ": ", 1));
        Some(Error::new(ErrorKind::Unavailable, text))
    };
    timeout(PATIENCE, greeting).await.ok()?
}
