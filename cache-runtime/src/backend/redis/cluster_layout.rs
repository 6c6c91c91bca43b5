#[cfg(feature = "cluster")]
use redis::Cmd;
#[cfg(feature = "cluster")]
use redis::cluster_routing::Slot;

/// Address of one server that holds keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NodeAddress {
    LocalSession,
    #[cfg(feature = "cluster")]
    There(String, u16),
}

/// Servers that hold the keys.
pub(super) struct ClusterLayout {
    pub(super) places: Vec<NodeAddress>,
    #[cfg(feature = "cluster")]
    pub(super) slots: SlotRanges,
}

impl ClusterLayout {
    /// Returns the layout of a single server that holds all keys.
    pub(super) fn one() -> Self {
        Self {
            places: vec![NodeAddress::LocalSession],
            #[cfg(feature = "cluster")]
            slots: SlotRanges::default(),
        }
    }

    /// Returns `true` if `other` contains all servers of this layout.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.places.iter().all(|place| other.places.contains(place))
    }
}

/// Servers of a cluster's slots: for each range of slots, the index of its server.
#[cfg(feature = "cluster")]
#[derive(Clone, Default, PartialEq)]
pub(super) struct SlotRanges(Vec<(u16, u16, usize)>);

#[cfg(feature = "cluster")]
impl SlotRanges {
    pub(super) fn add(&mut self, first: u16, last: u16, place: usize) {
        self.0.push((first, last, place));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over all slots, each with the index of its server.
    pub(super) fn each(&self) -> impl Iterator<Item = (Slot, usize)> {
        let ranges = self.0.iter();
        ranges.flat_map(|&(first, last, place)| {
            let slots = (first..=last).filter_map(Slot::new);
            slots.map(move |slot| (slot, place))
        })
    }
}

/// Returns the slot of the command's first key, or `None` if the command has no key.
#[cfg(feature = "cluster")]
pub(super) fn slot_of(command: &Cmd) -> Option<Slot> {
    use redis::Arg;
    let mut args = command.args_iter();
    // In `EVALSHA`, the script's hash and the number of keys come before the first key.
    let before = match args.next() {
        Some(Arg::Simple(b"EVALSHA")) => 2,
        _ => 0,
    };
    match args.nth(before) {
        Some(Arg::Simple(key)) => Some(Slot::for_key(key)),
        _ => None,
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_sent_to_where_its_first_key_is() {
        let mut get = redis::cmd("GETRANGE");
        get.arg("ns:{f}:1").arg(0).arg(10);
        let mut script = redis::cmd("EVALSHA");
        script
            .arg("0123")
            .arg(2)
            .arg("ns:{f}:1")
            .arg("ns:{f}:1:lease");
        let slot = Slot::for_key("ns:{f}:1");
        assert_eq!(slot_of(&get), Some(slot));
        assert_eq!(slot_of(&script), Some(slot));
        assert_eq!(slot_of(&redis::cmd("PING")), None);
    }

    #[test]
    fn each_slot_has_its_server() {
        let mut slots = SlotRanges::default();
        slots.add(0, 2, 0);
        slots.add(16_382, 16_383, 1);
        let places: Vec<usize> = slots.each().map(|(_, place)| place).collect();
        assert_eq!(places, [0, 0, 0, 1, 1]);
    }
}
