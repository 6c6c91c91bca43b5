use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// A fault that a [`Proxy`] applies to the bytes it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Delays bytes by the first duration to the server and by the second one back to the client.
    Slow(Duration, Duration),
    /// Holds bytes back and delivers them when the fault ends.
    Held,
    /// Drops bytes silently. A connection that has lost bytes stays dead because no network
    /// delivers bytes after a gap.
    HalfOpen,
    /// Closes each connection after this many more bytes of replies, possibly in the middle of one.
    Cut(usize),
    /// Inserts bytes that no server has sent after this many more bytes of replies.
    Garbage(usize, &'static [u8]),
    /// Simulates a server without `HELLO` for new connections, like Redis before 6.0 or some
    /// proxies.
    NoHello,
    /// Refuses new connections; existing connections stay open.
    Refused,
}

#[derive(Clone, Copy)]
struct State {
    server: SocketAddr,
    fault: Fault,
    /// Number of faults set so far. Bytes are counted from zero for each fault.
    faults: u64,
    /// Number of cuts so far. A cut ends all connections made before it.
    cuts: u64,
}

/// A proxy on real sockets between a cache and its server. The proxy runs on its own thread, so it
/// keeps running while the runtime of a test is blocked. The proxy ends with its test.
pub struct Proxy {
    port: u16,
    state: Option<watch::Sender<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy to the server at this port.
    pub fn to(port: u16) -> Self {
        let (state, states) = watch::channel(State {
            server: local(port),
            fault: Fault::None,
            faults: 0,
            cuts: 0,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let context = runtime.enter();
        let own = bind(0).expect("there is a port");
        let port = own.local_addr().expect("it is bound").port();
        // Listen before the first connection attempt.
        let listener = listen(port);
        drop(context);
        let thread = std::thread::spawn(move || {
            // This socket is bound but never listens, so no other process gets the port while it is
            // refused.
            let _own = own;
            runtime.block_on(serve(port, listener, states));
        });
        Self {
            port,
            state: Some(state),
            thread: Some(thread),
        }
    }

    /// URL of the server behind the proxy.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sets the fault. The fault also applies to bytes that are on their way and have not reached
    /// the proxy yet.
    pub fn set(&self, fault: Fault) {
        self.change(|state| {
            state.fault = fault;
            state.faults += 1;
        });
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.change(|state| state.cuts += 1);
    }

    /// Sends new connections to the server at another port.
    pub fn aim(&self, port: u16) {
        self.change(|state| state.server = local(port));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let state = self.state.as_ref().expect("it lives until it is dropped");
        state.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state = None;
        let thread = self.thread.take().expect("it is dropped once");
        if thread.join().is_err() && !std::thread::panicking() {
            panic!("the proxy has panicked");
        }
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(local(port))?;
    Ok(socket)
}

fn listen(port: u16) -> TcpListener {
    patiently(|| bind(port)?.listen(1_024))
}

/// Retries until the port is free. A process that another test forks at this moment inherits the
/// closed listener and keeps the port in use until it executes its program.
fn patiently<T>(bind: impl Fn() -> io::Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match bind() {
            Ok(bound) => return bound,
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && begun.elapsed() < Duration::from_secs(10) =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("the port is ours: {error}"),
        }
    }
}

/// Accepts connections until the proxy is dropped. Its runtime then ends with every connection.
async fn serve(port: u16, listener: TcpListener, mut states: watch::Receiver<State>) {
    let mut listener = Some(listener);
    loop {
        let refused = states.borrow_and_update().fault == Fault::Refused;
        if refused {
            listener = None;
        } else if listener.is_none() {
            listener = Some(listen(port));
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            accepted = accepted => {
                // Read the state now: a cut before the task starts must end this connection too.
                let now = *states.borrow();
                if let (Ok((client, _)), true) = (accepted, now.fault != Fault::Refused) {
                    tokio::spawn(pass(client, now, states.clone()));
                }
            },
        }
    }
}

/// Forwards one connection until either side closes it or a cut ends it.
async fn pass(client: TcpStream, now: State, states: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(now.server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let dead = AtomicBool::new(false);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let way = |is_reply| Way {
        is_reply,
        hides_hello: !is_reply && now.fault == Fault::NoHello,
        states: states.clone(),
        dead: &dead,
    };
    let mut cuts = states.clone();
    tokio::select! {
        () = way(false).pass(from_client, to_server) => {}
        () = way(true).pass(from_server, to_client) => {}
        _ = cuts.wait_for(|state| state.cuts > now.cuts) => {}
    }
}

/// One direction of a connection.
struct Way<'a> {
    is_reply: bool,
    hides_hello: bool,
    states: watch::Receiver<State>,
    /// Set when bytes of the connection were dropped.
    dead: &'a AtomicBool,
}

impl Way<'_> {
    async fn pass(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (queue, queued) = mpsc::unbounded_channel();
        let delivered = deliver(queued, to, self.states.clone());
        tokio::join!(self.receive(from, queue), delivered);
    }

    /// Reads bytes and queues them with the time at which to write them. Returns when the
    /// connection ends.
    async fn receive(mut self, mut from: OwnedReadHalf, queue: mpsc::UnboundedSender<Due>) {
        let mut bytes = vec![0; 64 * 1_024];
        let (mut faults, mut passed) = (0, 0);
        loop {
            let read = tokio::select! {
                read = from.read(&mut bytes) => read,
                () = queue.closed() => return,
            };
            let Ok(count @ 1..) = read else { return };
            let mut chunk = bytes[..count].to_vec();
            let now = *self.states.borrow();
            if now.faults != faults {
                (faults, passed) = (now.faults, 0);
            }
            let mut ends = false;
            let mut later = Duration::ZERO;
            match now.fault {
                Fault::HalfOpen => self.dead.store(true, Ordering::Relaxed),
                Fault::Slow(there, back) => later = if self.is_reply { back } else { there },
                Fault::Cut(after) if self.is_reply && passed + count > after => {
                    chunk.truncate(after.saturating_sub(passed));
                    ends = true;
                }
                Fault::Garbage(after, garbage)
                    if self.is_reply && (passed..passed + count).contains(&after) =>
                {
                    let place = after - passed;
                    chunk.splice(place..place, garbage.iter().copied());
                }
                _ => {}
            }
            passed += count;
            if self.dead.load(Ordering::Relaxed) {
                continue;
            }
            if std::mem::take(&mut self.hides_hello) {
                hide_hello(&mut chunk);
            }
            if queue.send((Instant::now() + later, chunk)).is_err() || ends {
                return;
            }
        }
    }
}

/// Bytes and the time at which to write them.
type Due = (Instant, Vec<u8>);

async fn deliver(
    mut queued: mpsc::UnboundedReceiver<Due>,
    mut to: OwnedWriteHalf,
    mut states: watch::Receiver<State>,
) {
    while let Some((due, bytes)) = queued.recv().await {
        sleep_until(due).await;
        let held = |state: &State| state.fault == Fault::Held;
        let ended = states.wait_for(|state| !held(state)).await.is_err();
        if ended || to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Replaces `HELLO` by an unknown command, so that the server replies with an error.
fn hide_hello(bytes: &mut [u8]) {
    let place = bytes.windows(5).position(|word| word == b"HELLO");
    if let Some(place) = place {
        bytes[place..place + 5].copy_from_slice(b"OLLEH");
    }
}
