//! Errors of failed connections, and changing logins.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Credentials, Event, Policy};
use recached_tests::{Server, reaches, until};

/// Output of `check`, and the events that the observer received.
async fn words(url: &str) -> String {
    let told = Arc::new(Mutex::new(String::new()));
    let observed = {
        let told = Arc::clone(&told);
        Cache::builder().redis(url).observer(move |event| {
            if let Event::Disconnected(error) = event {
                *told.lock().expect("no panic") = error.to_string();
            }
        })
    };
    let cache = observed.build().expect("the url is good");
    until("it is told", || async {
        !told.lock().expect("no panic").is_empty()
    })
    .await;
    let error = cache.check().await.expect_err("it can't be reached");
    let words = told.lock().expect("no panic").clone();
    format!("{words}\n{error}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cause_is_named_without_the_login() {
    let open = Server::start();
    let closed = Server::start();
    closed.ask::<()>(&["CONFIG", "SET", "requirepass", "sesame"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let web = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("somebody connects");
            let _ = connection.read(&mut [0; 1_000]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let silent = silent.local_addr().map(|it| (it.port(), silent));
    let (silent, _listens) = silent.expect("it is bound");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let curt = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let (open, closed) = (open.port(), closed.port());
    for (url, cause) in [
        (format!("redis://:hunter2@127.0.0.1:{closed}"), "WRONGPASS"),
        (
            format!("redis://ada:hunter2@127.0.0.1:{closed}"),
            "WRONGPASS",
        ),
        (format!("redis://127.0.0.1:{closed}"), "wants a login"),
        (
            format!("redis://127.0.0.1:{open}/99"),
            "see the number at the end of the url",
        ),
        (
            format!("redis://:hunter2@127.0.0.1:{web}"),
            "no redis server",
        ),
        (
            format!("redis://:hunter2@127.0.0.1:{silent}"),
            "no redis server, or it speaks TLS",
        ),
        (
            format!("redis://:hunter2@127.0.0.1:{curt}"),
            "no redis server, or it speaks TLS",
        ),
        (
            format!("rediss://:hunter2@127.0.0.1:{open}"),
            "no redis server, or it speaks TLS",
        ),
        (
            format!("redis+cluster://:hunter2@127.0.0.1:{silent}"),
            "no redis server, or it speaks TLS",
        ),
        (
            format!("redis+cluster://:hunter2@127.0.0.1:{closed}"),
            "does not know this user",
        ),
        (
            format!("redis+cluster://127.0.0.1:{closed}"),
            "wants a login",
        ),
        (
            format!("redis+cluster://127.0.0.1:{open}"),
            "cluster support disabled",
        ),
        ("redis+cluster://127.0.0.1:1".to_owned(), "refused"),
        (
            format!("redis+sentinel://:hunter2@127.0.0.1:{silent}/main"),
            "no redis server, or it speaks TLS",
        ),
        (
            format!("redis+sentinel://:hunter2@127.0.0.1:{open}/main"),
            "is no sentinel",
        ),
        ("redis://:hunter2@127.0.0.1:1".to_owned(), "refused"),
        ("redis://:hunter2@no-such-host.invalid".to_owned(), "lookup"),
    ] {
        let words = words(&url).await;
        assert!(words.contains(cause), "{url}: {words}");
        assert!(
            !words.contains("hunter2") && !words.contains("sesame"),
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_changes_is_asked_for_anew() {
    let server = Server::start();
    let password = Arc::new(Mutex::new("first".to_owned()));
    let user = |password: &str| {
        let password = format!(">{password}");
        server.ask::<()>(&[
            "ACL", "SETUSER", "app", "reset", "on", &password, "~*", "+@all",
        ]);
    };
    user("first");
    let asked = Arc::clone(&password);
    let cache = Cache::builder()
        .redis(format!("redis://app:stale@127.0.0.1:{}", server.port()))
        .command_timeout(Duration::from_secs(5))
        .credentials(move || {
            let password = asked.lock().expect("no panic").clone();
            Credentials::new("app", password)
        })
        .build()
        .expect("it builds");
    let minute = Policy::new(Duration::from_secs(60));
    let stored = async |key: &str| {
        until("it is stored", || async {
            cache.get_or_compute(key, minute, || async { 1 }).await;
            cache.exists(key).await.unwrap_or(false)
        })
        .await;
    };
    stored("item:1").await;
    // The password changes, and existing connections are closed.
    user("second");
    *password.lock().expect("no panic") = "second".to_owned();
    server.ask::<u64>(&["CLIENT", "KILL", "USER", "app"]);
    stored("item:2").await;
    // The password changes without the program's knowledge: calls run without the cache, which
    // recovers by itself.
    user("third");
    server.ask::<u64>(&["CLIENT", "KILL", "USER", "app"]);
    until("it is away", || async { cache.check().await.is_err() }).await;
    assert_eq!(
        cache.get_or_compute("item:3", minute, || async { 3 }).await,
        3
    );
    until("it is told why", || async {
        let error = cache.check().await.expect_err("it can't log in");
        assert!(!error.to_string().contains("second"), "{error}");
        error.to_string().contains("WRONGPASS")
    })
    .await;
    *password.lock().expect("no panic") = "third".to_owned();
    stored("item:4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_alone_is_the_default_users_whatever_the_url_says() {
    let server = Server::start();
    server.ask::<()>(&["CONFIG", "SET", "requirepass", "sesame"]);
    let cache = Cache::builder()
        .redis(format!("redis://app:stale@127.0.0.1:{}", server.port()))
        .credentials(|| Credentials::password("sesame"))
        .build()
        .expect("it builds");
    until("it is reached", || async { reaches(&cache).await }).await;
}

/// Otherwise each attempt would take a thread and keep the program's runtime from ending.
#[test]
fn who_hangs_when_asked_for_credentials_is_asked_by_one_thread() {
    let (asked, hang) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<()>>::default());
    let hung = hang.lock().expect("no panic");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (count, wait) = (Arc::clone(&asked), Arc::clone(&hang));
    let builder = Cache::builder()
        .redis("redis://127.0.0.1:1")
        .connect_timeout(Duration::from_millis(20))
        .credentials(move || {
            count.fetch_add(1, Ordering::SeqCst);
            drop(wait.lock());
            Credentials::password("sesame")
        });
    let cache = builder.build().expect("it builds");
    let minute = Policy::new(Duration::from_secs(60));
    runtime.block_on(async {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            cache.get_or_compute("item:1", minute, async || 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    drop(runtime);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(hung);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_and_sockets_are_kept_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("redis.sock");
    let server = Server::start_with(&format!("unixsocket {}\n", socket.display()));
    let build = |url: String| {
        let builder = Cache::builder().redis(url).namespace("apart");
        builder
            .command_timeout(Duration::from_secs(5))
            .build()
            .expect("it builds")
    };
    let none = build(format!("redis://127.0.0.1:{}/0", server.port()));
    let three = build(format!("redis://127.0.0.1:{}/3", server.port()));
    let same = build(format!("unix://{}?db=3", socket.display()));
    let minute = Policy::new(Duration::from_secs(60));
    for (cache, value) in [(&none, 0), (&three, 3), (&same, 9)] {
        until("it is reached", || async { reaches(cache).await }).await;
        let wanted = if value == 9 { 3 } else { value };
        for _ in 0..4 {
            assert_eq!(
                cache
                    .get_or_compute("item:1", minute, || async { value })
                    .await,
                wanted
            );
        }
        assert!(cache.stats().total.near_hits > 0);
    }
    let _ = three.remove("item:1").await.expect("it works");
    until("the socket has heard of it", || async {
        same.get_or_compute("item:1", minute, || async { 7 }).await == 7
    })
    .await;
    assert_eq!(
        none.get_or_compute("item:1", minute, || async { 8 }).await,
        0
    );
}
