//! A server that is further away than loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Delays what passes by a fixed time each way, and limits no rate. Lives as long as the process.
pub struct Distance {
    port: u16,
}

impl Distance {
    /// In front of the server at this port of this machine.
    pub fn to(server: u16, each_way: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
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
        });
        Self { port }
    }

    /// The url of the server behind it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

/// One direction of a connection: it is read at once, and written when it is due.
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
