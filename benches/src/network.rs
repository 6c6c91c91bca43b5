//! A server across a simulated network.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use redis::IntoConnectionInfo;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;

/// A proxy that delays bytes by a fixed time in each direction without a rate limit. The proxy is a
/// process of its own, so that it takes no CPU time of this process, like a network. It ends with
/// this process.
pub struct Distance {
    process: Child,
    port: u16,
}

/// Variable with the arguments of the process: the server's port, and microseconds in each
/// direction.
const TOLD: &str = "RECACHED_BENCH_DISTANCE";

impl Distance {
    /// Starts a proxy to the server at this port. The program must call [`stand_between`] first.
    pub fn to(server: u16, each_way: Duration) -> Self {
        let this = std::env::current_exe().expect("the system tells");
        let mut process = Command::new(this)
            .env(TOLD, format!("{server} {}", each_way.as_micros()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = process.stdout.take().expect("it is piped");
        let mut port = String::new();
        BufReader::new(out).read_line(&mut port).expect("it tells");
        let port = port.trim().parse().expect("it tells its port");
        Self { process, port }
    }

    /// URL of the server behind the proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

/// Opens a connection of the driver, for hand-written commands.
pub async fn connect(url: &str, nodelay: bool) -> MultiplexedConnection {
    let info = url.into_connection_info().expect("the url is good");
    let settings = TcpSettings::default().set_nodelay(nodelay);
    let client = redis::Client::open(info.set_tcp_settings(settings)).expect("it is good");
    let connected = client.get_multiplexed_async_connection().await;
    connected.expect("the server is up")
}

impl Drop for Distance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the proxy if this process was started as a [`Distance`], and otherwise returns at once.
pub fn stand_between() {
    let Ok(told) = std::env::var(TOLD) else {
        return;
    };
    let (server, micros) = told.split_once(' ').expect("two numbers");
    let server: u16 = server.parse().expect("a port");
    let each_way = Duration::from_micros(micros.parse().expect("microseconds"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    println!("{}", listener.local_addr().expect("it is bound").port());
    thread::spawn(|| {
        // The input ends when the parent process ends.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    for client in listener.incoming().flatten() {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else {
            continue;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("it can be set");
        }
        let again = |stream: &TcpStream| stream.try_clone().expect("it is open");
        pass(again(&client), again(&server), each_way);
        pass(server, client, each_way);
    }
}

/// Forwards one direction of a connection: bytes are read at once and written after the delay.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1_024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let due = Instant::now() + delay;
            if send.send((due, bytes[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        while let Ok((due, bytes)) = receive.recv() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
