use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;

/// Idle time of a connection before the system sends keep-alive probes, and the interval of the
/// probes.
const IDLE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// Longest time without an acknowledgement before the system gives the connection up. The heartbeat
/// is quicker if its runtime runs.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// TCP settings of every connection: written bytes are sent at once. With Nagle's algorithm (RFC
/// 896), the driver's default, each write waits for the acknowledgement of the one before.
pub(super) fn config() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(IDLE.0).with_interval(IDLE.1);
    let config = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let config = config.set_user_timeout(UNACKNOWLEDGED);
    config
}
