use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The truth behind a cached function: a value in a file that all processes read, and a line
/// for each computation that began and ended.
#[derive(Clone, Debug)]
pub struct Source {
    folder: PathBuf,
}

impl Source {
    /// A source in a folder that exists.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Replaces the value.
    pub fn set(&self, value: &str) {
        // By a rename, so that no reader sees half of it.
        let fresh = self.folder.join("value.new");
        fs::write(&fresh, value).expect("the folder is writable");
        fs::rename(fresh, self.folder.join("value")).expect("the folder is writable");
    }

    /// Reads the value, as the beginning of a computation.
    pub fn begin(&self) -> String {
        let value = fs::read_to_string(self.folder.join("value")).expect("a value was set");
        self.log("begun");
        value
    }

    /// Notes the end of a computation.
    pub fn end(&self) {
        self.log("ended");
    }

    /// How many computations have begun, in all processes.
    pub fn begun(&self) -> usize {
        self.count("begun")
    }

    /// How many have ended.
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
