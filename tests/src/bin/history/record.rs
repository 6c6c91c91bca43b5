//! Operations of a process with their times, on the clock that all processes of a machine share.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).expect("it began at zero");
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).expect("a part of a second")
}

/// A duration in nanoseconds.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Refresh,
    Entry,
    Keys,
    Function,
    Everything,
    /// A period in which the process did not run.
    Stall,
    /// A call that returned the value of another call.
    Foreign,
    /// Number of near hits of the process so far.
    Hits,
}

const KINDS: [Kind; 9] = [
    Kind::Read,
    Kind::Refresh,
    Kind::Entry,
    Kind::Keys,
    Kind::Function,
    Kind::Everything,
    Kind::Stall,
    Kind::Foreign,
    Kind::Hits,
];

impl Kind {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::Refresh)
    }

    pub(crate) fn is_invalidation(self) -> bool {
        use Kind::{Entry, Everything, Function, Keys};
        matches!(self, Entry | Keys | Function | Everything)
    }
}

/// One operation on one register. An invalidation of several registers is one record per register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) register: u8,
    /// `false` for an invalidation that returned an error; no guarantee holds for it yet.
    pub(crate) ok: bool,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// The version that was read, or the version of the source when an invalidation began.
    pub(crate) version: u64,
}

/// Size of a record in bytes.
pub(crate) const SIZE: usize = 27;

impl Record {
    fn write(&self, bytes: &mut Vec<u8>) {
        let place = KINDS.iter().position(|kind| *kind == self.kind);
        bytes.push(place.expect("all are listed") as u8);
        bytes.extend([self.register, u8::from(self.ok)]);
        for number in [self.begin, self.end, self.version] {
            bytes.extend(number.to_le_bytes());
        }
    }

    /// Decodes a record of `SIZE` bytes.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let number = |place: usize| {
            let number = bytes[place..].first_chunk::<8>().expect("it is there");
            u64::from_le_bytes(*number)
        };
        Self {
            kind: KINDS[bytes[0] as usize],
            register: bytes[1],
            ok: bytes[2] != 0,
            begin: number(3),
            end: number(11),
            version: number(19),
        }
    }
}

/// Records of a process, buffered on their way to a file. A killed process loses the records of its
/// last milliseconds, which leaves less to check and causes no false violation.
#[derive(Clone)]
pub(crate) struct Log {
    pending: Arc<Mutex<Vec<u8>>>,
    file: Arc<File>,
}

impl Log {
    pub(crate) fn to(path: &Path) -> Self {
        Self {
            pending: Arc::default(),
            file: Arc::new(File::create(path).expect("the folder is writable")),
        }
    }

    pub(crate) fn add(&self, record: Record) {
        record.write(&mut self.pending.lock().expect("nobody panics with it"));
    }

    pub(crate) fn flush(&self) {
        let pending = std::mem::take(&mut *self.pending.lock().expect("nobody panics with it"));
        (&*self.file)
            .write_all(&pending)
            .expect("the folder is writable");
    }
}
