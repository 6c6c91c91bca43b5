use std::fmt;

use smallvec::SmallVec;

/// A text that is being written: on the stack while it is short.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(SmallVec<[u8; 64]>);

impl Text {
    pub(super) fn push(&mut self, ascii: u8) {
        debug_assert!(ascii.is_ascii());
        self.0.push(ascii);
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        // Whole texts and ASCII are all that is ever pushed.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}
