use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The source of truth behind a cached function: a file with a value that all processes read, and a
/// log of the computations that began and ended.
#[derive(Clone, Debug)]
pub struct Source {
    folder: PathBuf,
}

impl Source {
    /// A source in an existing folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Replaces the value.
    pub fn set(&self, value: &str) {
        // Rename the file, so that no reader sees half of the value.
        let fresh = self.folder.join("value.new");
        fs::write(&fresh, value).expect("the folder is writable");
        fs::rename(fresh, self.folder.join("value")).expect("the folder is writable");
    }

    /// Reads the value and counts the beginning of a computation.
    pub fn begin(&self) -> String {
        let value = fs::read_to_string(self.folder.join("value")).expect("a value was set");
        self.log("begun");
        value
    }

    /// Counts the end of a computation.
    pub fn end(&self) {
        self.log("ended");
    }

    /// Number of computations that have begun, in all processes.
    pub fn begun(&self) -> usize {
        self.count("begun")
    }

    /// Number of computations that have ended, in all processes.
    pub fn ended(&self) -> usize {
        self.count("ended")
    }

    fn log(&self, name: &str) {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join(name));
        file.and_then(|mut file| file.write_all(b"."))
            .expect("the folder is writable");
    }

    fn count(&self, name: &str) -> usize {
        fs::metadata(self.folder.join(name)).map_or(0, |file| file.len() as usize)
    }
}
