//! The source of truth: versioned registers that all processes share.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Number of registers.
pub(crate) const COUNT: u8 = 16;

/// Registers as files; the version of a register is the length of its file. Appending is atomic in
/// the kernel and takes no lock that a frozen or killed process could hold, and every read sees the
/// current length.
pub(crate) struct Registers(Vec<File>);

impl Registers {
    pub(crate) fn open(folder: &Path) -> Self {
        let open = |register: u8| {
            let mut options = OpenOptions::new();
            let file = options
                .append(true)
                .create(true)
                .open(folder.join(format!("register-{register}")));
            file.expect("the folder is writable")
        };
        Self((0..COUNT).map(open).collect())
    }

    pub(crate) fn version(&self, register: u8) -> u64 {
        let file = self.0[register as usize].metadata();
        file.expect("it is there").len()
    }

    pub(crate) fn advance(&self, register: u8) {
        let mut file = &self.0[register as usize];
        file.write_all(b".").expect("it is writable");
    }
}
