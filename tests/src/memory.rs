use crate::Server;

/// Resident memory of this process in bytes; `None` if the system has no `/proc`.
pub fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl Server {
    /// A number from a section of the server's `INFO`.
    pub fn info(&self, section: &str, name: &str) -> u64 {
        let info: String = self.ask(&["INFO", section]);
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.and_then(|value| value.trim().parse().ok());
        value.expect("the server tells it")
    }

    /// Memory used by the server, in bytes.
    pub fn used_memory(&self) -> u64 {
        self.info("memory", "used_memory")
    }
}
