use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;

/// Idle time of a connection before the operating system sends keep-alive probes, and the interval
/// between probes.
const IDLE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// Maximum time without an acknowledgement before the operating system closes the connection
/// (`TCP_USER_TIMEOUT`). The heartbeat detects a loss sooner while the connection's runtime runs.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Returns the TCP settings of every connection. Written bytes are sent immediately: with Nagle's
/// algorithm (RFC 896), the driver's default, each write waits for the acknowledgement of the
/// previous one.
pub(super) fn config() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(IDLE.0).with_interval(IDLE.1);
    let config = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let config = config.set_user_timeout(UNACKNOWLEDGED);
    config
}
