use redis::{ConnectionInfo, IntoConnectionInfo, RedisError};

use super::tcp;
use super::topology::Topology;
#[cfg(feature = "sentinel")]
use super::topology::Watched;
use crate::error::{Error, ErrorKind};

/// The parts of a URL with several hosts.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
struct UrlParts<'a> {
    tls: bool,
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
}

impl Topology {
    /// Parses a URL. Errors never contain its credentials.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if the URL is malformed, has an unknown option or needs a
    /// feature that is not enabled.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        check_options(scheme, rest)?;
        match scheme {
            "redis+cluster" | "rediss+cluster" => cluster(scheme, rest),
            "redis+sentinel" | "rediss+sentinel" => sentinel(scheme, rest),
            #[cfg(not(feature = "tls"))]
            "rediss" | "valkeys" => Err(behind("tls")),
            _ => info(url).map(Self::One),
        }
    }
}

#[cfg(any(feature = "cluster", feature = "sentinel"))]
impl<'a> UrlParts<'a> {
    fn of(scheme: &str, rest: &'a str) -> Self {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (credentials, hosts),
            None => ("", authority),
        };
        Self {
            tls: scheme.starts_with("rediss"),
            credentials,
            hosts: hosts.split(',').map(str::trim).collect(),
            path,
        }
    }

    /// Returns the connection settings of one host.
    fn server(&self, host: &str, login: &str, path: &str) -> Result<ConnectionInfo, Error> {
        #[cfg(not(feature = "tls"))]
        if self.tls {
            return Err(behind("tls"));
        }
        let scheme = if self.tls { "rediss" } else { "redis" };
        let at = if login.is_empty() { "" } else { "@" };
        info(&format!("{scheme}://{login}{at}{host}/{path}"))
    }
}

#[cfg(feature = "cluster")]
fn cluster(scheme: &str, rest: &str) -> Result<Topology, Error> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts = UrlParts::of(scheme, rest);
    if !matches!(parts.path, "" | "0") {
        return Err(Error::new(
            ErrorKind::Config,
            "the redis url names a database, and a cluster has none but 0: take a `namespace`",
        ));
    }
    let nodes = parts.hosts.iter();
    let path = format!("{}?{query}", parts.path);
    let nodes = nodes.map(|host| parts.server(host, parts.credentials, &path));
    nodes.collect::<Result<_, _>>().map(Topology::Cluster)
}

#[cfg(not(feature = "cluster"))]
fn cluster(_: &str, _: &str) -> Result<Topology, Error> {
    Err(behind("cluster"))
}

#[cfg(feature = "sentinel")]
fn sentinel(scheme: &str, rest: &str) -> Result<Topology, Error> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts = UrlParts::of(scheme, rest);
    let (name, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if name.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            "the redis url does not say what the sentinels call the server: write redis+sentinel://host:26379/mymaster/0",
        ));
    }
    let (own, query) = login_of_sentinels(query)?;
    let sentinels = parts.hosts.iter();
    let sentinels = sentinels.map(|host| parts.server(host, &own, ""));
    Ok(Topology::Sentinel(Watched {
        sentinels: sentinels.collect::<Result<_, _>>()?,
        name: name.to_owned(),
        node: parts.server(
            "localhost",
            parts.credentials,
            &format!("{database}?{query}"),
        )?,
        #[cfg(feature = "tls")]
        certificates: None,
    }))
}

/// Rejects unknown options, which the driver would ignore silently.
fn check_options(scheme: &str, rest: &str) -> Result<(), Error> {
    let fail = |text: String| Err(Error::new(ErrorKind::Config, text));
    let known: &[&str] = match scheme {
        "unix" | "redis+unix" | "valkey+unix" => &["db", "user", "pass", "protocol"],
        "redis+sentinel" | "rediss+sentinel" => &["protocol", "sentinel_user", "sentinel_password"],
        _ => &["protocol"],
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let is_tls = matches!(scheme, "rediss" | "valkeys");
    if !fragment.is_empty() && !is_tls {
        return fail(
            "the redis url has a `#`, and nothing behind one is known there: in a password write it as %23".to_owned(),
        );
    }
    let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut given = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let there = known.join(", ");
        if !known.contains(&name) {
            // The name of an option is quoted only if it is a plain word: other text may be part of
            // a password.
            let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            return fail(match is_word && !query.contains('@') {
                true => format!(
                    "the redis url has an option `{name}`, which there is not: there are {there}"
                ),
                false => format!(
                    "the redis url has an option that there is not: there are {there}; in a password write a `?` as %3F"
                ),
            });
        }
        if value.is_empty() || given.contains(&name) {
            return fail(format!(
                "the redis url has an option `{name}` without a value, or twice"
            ));
        }
        given.push(name);
    }
    Ok(())
}

/// Returns the sentinels' login from a query, in the form that precedes a host in a URL, and the
/// rest of the query.
#[cfg(feature = "sentinel")]
fn login_of_sentinels(query: &str) -> Result<(String, String), Error> {
    let (mut user, mut password, mut rest) = ("", None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sentinel_user", value)) => user = value,
            Some(("sentinel_password", value)) => password = Some(value),
            _ => rest.push(pair),
        }
    }
    // A query may contain characters that would end the login in a URL.
    let escaped = |text: &str| {
        let text = text.replace('@', "%40").replace(':', "%3A");
        text.replace('/', "%2F").replace('?', "%3F")
    };
    let login = match password {
        Some(password) => format!("{}:{}", escaped(user), escaped(password)),
        None if user.is_empty() => String::new(),
        None => {
            return Err(Error::new(
                ErrorKind::Config,
                "the redis url has a sentinel_user and no sentinel_password",
            ));
        }
    };
    Ok((login, rest.join("&")))
}

#[cfg(not(feature = "sentinel"))]
fn sentinel(_: &str, _: &str) -> Result<Topology, Error> {
    Err(behind("sentinel"))
}

#[cfg(not(all(feature = "cluster", feature = "sentinel", feature = "tls")))]
fn behind(feature: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the redis url needs a feature of recached: features = [\"{feature}\"]"),
    )
}

fn info(url: &str) -> Result<ConnectionInfo, Error> {
    let info = url.into_connection_info();
    let info = info.map_err(|error| unusable(&error))?;
    Ok(info.set_tcp_settings(tcp::config()))
}

/// Returns the error for a URL or setting that the driver rejects.
pub(super) fn unusable(error: &RedisError) -> Error {
    let detail = match error.detail() {
        // The driver's details name schemes and features, never the URL itself.
        Some(detail) if !detail.contains('@') => format!("{}: {detail}", error.category()),
        _ => error.to_string(),
    };
    Error::new(
        ErrorKind::Config,
        format!(
            "the redis url can't be used ({detail}); it looks like redis://user:password@host:6379/0, unix:///path/to/socket, redis+cluster://host1:6379,host2:6379 or redis+sentinel://host1:26379,host2:26379/mymaster/0"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        let refused = Topology::parse(url).err();
        refused.expect("it can't be used").to_string()
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn the_nodes_of_a_cluster_share_a_login() {
        let Ok(Topology::Cluster(nodes)) = Topology::parse("redis+cluster://ada:pw@one,two:7000")
        else {
            panic!("it is a cluster");
        };
        let shown: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(shown, ["one:6379", "two:7000"]);
        for node in nodes {
            assert_eq!(node.redis_settings().username(), Some("ada"));
            assert_eq!(node.redis_settings().password(), Some("pw"));
        }
    }

    #[cfg(feature = "sentinel")]
    #[test]
    fn sentinels_have_a_name_for_a_server() {
        let Ok(Topology::Sentinel(watched)) =
            Topology::parse("redis+sentinel://ada:pw@one:26379,two:26380/main/3")
        else {
            panic!("they are sentinels");
        };
        assert_eq!(
            (watched.name.as_str(), watched.sentinels.len()),
            ("main", 2)
        );
        assert_eq!(watched.node.redis_settings().db(), 3);
        assert_eq!(watched.node.redis_settings().password(), Some("pw"));
        // The server's login is not used for the sentinels.
        assert_eq!(watched.sentinels[0].redis_settings().password(), None);
        let own = "redis+sentinel://ada:pw@one/main/3?sentinel_user=eve&protocol=resp3&sentinel_password=a/b%26c";
        let Ok(Topology::Sentinel(watched)) = Topology::parse(own) else {
            panic!("they are sentinels");
        };
        let [server, sentinel] =
            [&watched.node, &watched.sentinels[0]].map(|info| info.redis_settings());
        assert_eq!(sentinel.username(), Some("eve"));
        assert_eq!(sentinel.password(), Some("a/b&c"));
        assert_eq!(server.password(), Some("pw"));
        assert_eq!(
            (server.db(), server.protocol()),
            (3, redis::ProtocolVersion::RESP3)
        );
        assert!(
            refusal("redis+sentinel://one/main?sentinel_user=eve").contains("sentinel_password")
        );
        assert!(refusal("redis+sentinel://one:26379").contains("mymaster"));
    }

    #[test]
    fn what_is_written_is_sent_at_once_wherever_it_goes() {
        let is_immediate = |info: &ConnectionInfo| {
            let tcp = info.tcp_settings();
            tcp.nodelay() && tcp.keepalive().is_some()
        };
        let one = |url: &str| match Topology::parse(url) {
            Ok(Topology::One(server)) => server,
            _ => panic!("it is one server"),
        };
        assert!(is_immediate(&one("redis://one:1/3")));
        #[cfg(feature = "tls")]
        assert!(is_immediate(&one("rediss://one:1/3")));
        #[cfg(feature = "cluster")]
        match Topology::parse("redis+cluster://one,two") {
            Ok(Topology::Cluster(nodes)) => assert!(nodes.iter().all(is_immediate)),
            _ => panic!("it is a cluster"),
        }
        #[cfg(feature = "sentinel")]
        match Topology::parse("redis+sentinel://one,two/main") {
            Ok(Topology::Sentinel(watched)) => {
                assert!(watched.sentinels.iter().all(is_immediate) && is_immediate(&watched.node));
            }
            _ => panic!("they are sentinels"),
        }
    }

    #[test]
    fn an_option_that_there_is_not_is_named_and_the_others_are_listed() {
        for (url, words) in [
            (
                "redis://one/?foo=bar",
                "`foo`, which there is not: there are protocol",
            ),
            ("redis://one?timeout=5", "`timeout`"),
            ("redis://one/0?protocol=resp3&db=1", "`db`"),
            ("redis://one/?protocol", "without a value"),
            ("redis://one/?protocol=resp3&protocol=resp2", "twice"),
            ("redis://one/?protocol=resp9", "resp9"),
            (
                "unix:///tmp/x?database=3",
                "there are db, user, pass, protocol",
            ),
            ("redis://one/#insecure", "%23"),
            ("redis://ada:hun?ter2@one/", "%3F"),
            #[cfg(feature = "cluster")]
            ("redis+cluster://one,two/?retries=3", "`retries`"),
            #[cfg(feature = "cluster")]
            ("redis+cluster://one,two?retries=3", "`retries`"),
            #[cfg(feature = "sentinel")]
            (
                "redis+sentinel://one/main?sentinel_pass=x",
                "sentinel_password",
            ),
        ] {
            let refusal = refusal(url);
            assert!(refusal.contains(words), "{url}: {refusal}");
            assert!(!refusal.contains("ter2"), "{refusal}");
        }
        for url in [
            "redis://one/?protocol=resp3",
            "redis://one:1/0?",
            "unix:///tmp/x?db=3&user=ada&pass=pw",
            #[cfg(feature = "cluster")]
            "redis+cluster://one,two/?protocol=resp3",
            #[cfg(feature = "cluster")]
            "redis+cluster://one,two?protocol=3",
        ] {
            assert!(Topology::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_reported_without_its_login() {
        for url in [
            "redis+cluster://ada:hunter2@one:port",
            "redis+sentinel://ada:hunter2@one:port/main",
            "redis+sentinel://one:port/main?sentinel_password=hunter2",
            "redis+cluster://ada:hunter2@",
            "redis+other://ada:hunter2@one",
        ] {
            let refusal = refusal(url);
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
        #[cfg(feature = "cluster")]
        assert!(refusal("redis+cluster://ada:hunter2@one/3").contains("database"));
        #[cfg(not(feature = "cluster"))]
        assert!(refusal("redis+cluster://one").contains("features = [\"cluster\"]"));
    }
}
