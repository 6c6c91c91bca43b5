use std::io;

use crate::error::{Error, ErrorKind};

/// Writer of one entry with a maximum size, so that an oversized value is detected before all of it
/// is written.
pub(crate) struct EntryWriter {
    bytes: Vec<u8>,
    room: u64,
    most: u64,
}

impl EntryWriter {
    /// Starts an entry after `header`, with a payload of at most `most` bytes.
    pub(crate) fn new(header: Vec<u8>, most: u64) -> Self {
        Self {
            bytes: header,
            room: most,
            most,
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the error for a payload that does not fit.
    pub(crate) fn oversized(&self) -> Error {
        oversized(self.most)
    }
}

/// Returns the error for a value that takes more than `most` bytes.
pub(crate) fn oversized(most: u64) -> Error {
    Error::new(
        ErrorKind::Oversized,
        format!(
            "the value takes more than {most} bytes when it is written: see `max_value_size` and `max_bytes`"
        ),
    )
}

impl io::Write for EntryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.room.checked_sub(bytes.len() as u64) {
            Some(room) => self.room = room,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::codec::Encoding;

    fn written(value: &str, most: u64) -> Result<Vec<u8>, ErrorKind> {
        let mut draft = EntryWriter::new(b"head".to_vec(), most);
        let outcome = Encoding::JSON.encode(value, &mut draft);
        outcome
            .map(|()| draft.finish())
            .map_err(|error| error.kind())
    }

    #[test]
    fn a_payload_fills_its_room_and_no_more() {
        assert_eq!(written("abc", 5), Ok(b"head\"abc\"".to_vec()));
        assert_eq!(written("abc", 4), Err(ErrorKind::Oversized));
        assert_eq!(written("abc", 0), Err(ErrorKind::Oversized));
        assert_eq!(written("abc", u64::MAX), Ok(b"head\"abc\"".to_vec()));
    }
}
