//! Servers with TLS.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use recached::{Cache, ErrorKind, Event, Policy, TlsConfig};
use recached_tests::{Cluster, PATIENCE, Sentinels, free_port, server, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("they are names");
        // The name differs from that of the signed certificates, which would count as self-signed
        // otherwise.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is entropy");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for this machine and returns it with its key.
    fn signed(&self) -> (String, String) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("they are names");
        let key = KeyPair::generate().expect("there is entropy");
        let certificate = params.signed_by(&key, &self.0).expect("it signs");
        (certificate.pem(), key.serialize_pem())
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn url(&self) -> String {
        format!("rediss://localhost:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Server settings for certificates, as names and values.
fn settings(folder: &Path, authority: &Authority, mutual: bool) -> [(&'static str, String); 4] {
    let (certificate, key) = authority.signed();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    };
    let clients = if mutual { "yes" } else { "no" };
    [
        ("tls-cert-file", file("server.crt", &certificate)),
        ("tls-key-file", file("server.key", &key)),
        ("tls-ca-cert-file", file("ca.crt", &authority.pem())),
        ("tls-auth-clients", clients.to_owned()),
    ]
}

fn start(folder: &Path, authority: &Authority, mutual: bool) -> Option<Server> {
    let port = free_port();
    let mut command = server();
    command.args(["--port", "0", "--tls-port", &port.to_string(), "--save", ""]);
    for (name, value) in settings(folder, authority, mutual) {
        command.arg(format!("--{name}")).arg(value);
    }
    let mut process = command
        .spawn()
        .expect("there is a server: run tests/run, which installs one");
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "no server came up");
        if process.try_wait().expect("it can be asked").is_some() {
            // A server chosen by hand may lack TLS; the one that tests/run installs has it.
            let chosen = std::env::var_os("REDISRS_SERVER_BIN").is_some();
            assert!(chosen, "the server was built without TLS");
            eprintln!("not tested: this server was built without TLS");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(Server { process, port })
}

fn build(url: String, certificates: Option<TlsConfig>) -> (Cache, Arc<Mutex<String>>) {
    let told = Arc::new(Mutex::new(String::new()));
    let observed = Arc::clone(&told);
    let builder = Cache::builder()
        .redis(url)
        .namespace("tls")
        .connect_timeout(Duration::from_secs(5))
        .command_timeout(Duration::from_secs(5))
        .observer(move |event| {
            if let Event::Disconnected(error) = event {
                *observed.lock().expect("no panic") = error.to_string();
            }
        });
    let builder = match certificates {
        Some(certificates) => builder.tls(certificates),
        None => builder,
    };
    (builder.build().expect("it builds"), told)
}

async fn serves(url: String, certificates: TlsConfig) {
    let (cache, told) = build(url, Some(certificates));
    until("there are hits in the process", || async {
        cache.get_or_compute("item:1", MINUTE, || async { 5 }).await;
        cache.stats().total.near_hits > 3
    })
    .await;
    assert_eq!(
        cache.stats().total.computations,
        1,
        "{}",
        told.lock().expect("no panic")
    );
}

async fn refuses(url: String, certificates: Option<TlsConfig>, words: &[&str]) {
    let (cache, told) = build(url, certificates);
    assert_eq!(
        cache.get_or_compute("item:1", MINUTE, || async { 5 }).await,
        5
    );
    until("it is told", || async {
        !told.lock().expect("no panic").is_empty()
    })
    .await;
    let told = told.lock().expect("no panic").clone();
    assert!(words.iter().any(|word| told.contains(word)), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_by_its_authority_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (Authority::new(), Authority::new());
    let Some(server) = start(folder.path(), &ours, false) else {
        return;
    };
    serves(server.url(), TlsConfig::new().authority(ours.pem())).await;
    let wrong = TlsConfig::new().authority(theirs.pem());
    refuses(server.url(), Some(wrong), &["certificate"]).await;
    // The system's authorities do not include this one either.
    refuses(server.url(), None, &["certificate"]).await;
    let plain = server.url().replace("rediss://", "redis://");
    refuses(plain, None, &["TLS"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new();
    let Some(server) = start(folder.path(), &authority, true) else {
        return;
    };
    let (certificate, key) = authority.signed();
    let trust = || TlsConfig::new().authority(authority.pem());
    serves(server.url(), trust().client(certificate, key)).await;
    refuses(server.url(), Some(trust()), &["certificate", "Certificate"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_of_a_cluster_and_sentinels_are_shown_certificates_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (Authority::new(), Authority::new());
    // Check whether this server supports TLS.
    if start(folder.path(), &ours, true).is_none() {
        return;
    }
    let settings = settings(folder.path(), &ours, true);
    let (certificate, key) = ours.signed();
    let shown = |authority: &Authority| {
        let certificates = TlsConfig::new().authority(authority.pem());
        certificates.client(certificate.clone(), key.clone())
    };
    let arguments = settings
        .each_ref()
        .map(|(name, value)| [format!("--{name}"), value.clone()]);
    let arguments: Vec<&str> = arguments.iter().flatten().map(String::as_str).collect();
    let cluster = Cluster::start_tls(&arguments);
    serves(cluster.tls_url(), shown(&ours)).await;
    refuses(cluster.tls_url(), Some(shown(&theirs)), &["certificate"]).await;
    drop(cluster);
    let lines = settings.map(|(name, value)| format!("{name} {value}\n"));
    let sentinels = Sentinels::start_tls(&lines.concat());
    serves(sentinels.tls_url(), shown(&ours)).await;
    refuses(sentinels.tls_url(), Some(shown(&theirs)), &["certificate"]).await;
}

#[test]
fn certificates_that_can_not_be_used_are_an_error_when_it_is_built() {
    let (ours, builder) = (Authority::new(), || {
        Cache::builder().redis("rediss://localhost")
    });
    let refusal = |builder: recached::Builder| {
        let error = builder.build().expect_err("it can't be used");
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let (certificate, _) = ours.signed();
    let garbled = TlsConfig::new().client(certificate, "no key");
    let words = refusal(builder().tls(garbled));
    assert!(words.contains("certificates"), "{words}");
    let plain = Cache::builder().redis("redis://localhost");
    let words = refusal(plain.tls(TlsConfig::new().authority(ours.pem())));
    assert!(words.contains("rediss://"), "{words}");
}
