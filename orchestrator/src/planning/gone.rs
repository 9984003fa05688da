//! History that neither tier holds any more, where a new version starts at its beginning: its table will be without it.

use std::collections::BTreeMap;

use rekap_jobs::InputSpec;
use rekap_tiered_storage::{Extent, Offset, Partition, Start, Topic};

use crate::state::Version;

/// The partitions that a warning names; the rest of a large topic is counted.
const NAMED: usize = 5;

/// Tells what is gone of a topic that is read from its beginning, if anything is.
pub(super) fn warning(
    input: &InputSpec,
    topic: &Topic,
    extents: &BTreeMap<Partition, Extent>,
    serving: Option<&Version>,
) -> Option<String> {
    let from_beginning = |partition: &Partition| match &input.start {
        Start::Beginning => true,
        Start::Offsets(offsets) => !offsets.contains_key(partition),
        Start::End | Start::At(_) => false,
    };
    let begins = extents.iter().filter(|(partition, extent)| extent.start > Offset::ZERO && from_beginning(partition));
    let begins: Vec<(Partition, Offset)> = begins.map(|(partition, extent)| (*partition, extent.start)).collect();
    if begins.is_empty() {
        return None;
    }
    let named = |(partition, start): &(Partition, Offset)| format!("partition {partition} before {start}");
    let mut named: Vec<String> = begins.iter().take(NAMED).map(named).collect();
    if begins.len() > NAMED {
        named.push(format!("{} more partitions", begins.len() - NAMED));
    }
    let has_read = |version: &&Version| {
        let read = |(partition, start): &(Partition, Offset)| {
            version.start.get(&topic.name, *partition).unwrap_or_default() < *start
        };
        version.topics.values().any(|known| known.incarnation == topic.incarnation) && begins.iter().any(read)
    };
    let read = serving.filter(has_read);
    let read = read.map_or(String::new(), |version| format!("; version {}, which serves, has read it", version.number));
    let name = &topic.name;
    Some(format!("history of `{name}` is gone: {}; the table will be without it{read}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{JOB, Story, deployed, spec, topics};
    use rekap_tiered_storage::{HotRange, OffsetRange};

    fn extents(begin: &[u32]) -> BTreeMap<Partition, Extent> {
        let extent = |start: &u32| {
            let (start, end) = (Offset::new(u64::from(*start)), Offset::new(100));
            Extent { start, hot: HotRange { earliest: start, end }, mirrored: None::<OffsetRange>, gaps: vec![] }
        };
        begin.iter().enumerate().map(|(i, start)| (Partition(i as u32), extent(start))).collect()
    }

    fn told(start: Start, begin: &[u32], serving: bool) -> Option<String> {
        let mut story = Story::of([deployed(1)]);
        story.promote(1);
        let version = story.state.job(JOB).unwrap().versions[&1].clone();
        let input = InputSpec { start, ..spec("").inputs["ticks"].clone() };
        warning(&input, &topics()["ticks"], &extents(begin), serving.then_some(&version))
    }

    #[test]
    fn what_is_gone_before_the_beginning_is_told_with_its_place() {
        assert_eq!(told(Start::Beginning, &[0, 0], true), None);
        assert_eq!(
            told(Start::Beginning, &[0, 10], false).unwrap(),
            "history of `ticks` is gone: partition 1 before 10; the table will be without it"
        );
        let of_all = told(Start::Beginning, &[7, 10], true).unwrap();
        assert!(of_all.contains("partition 0 before 7, partition 1 before 10"), "{of_all}");
        assert!(of_all.ends_with("version 1, which serves, has read it"), "{of_all}");
        let many = told(Start::Beginning, &[9; 20], false).unwrap();
        assert!(many.contains("partition 4 before 9, 15 more partitions;"), "{many}");
    }

    #[test]
    fn who_starts_elsewhere_misses_nothing() {
        assert_eq!(told(Start::End, &[10, 10], true), None);
        let offsets = |of: &[u32]| Start::Offsets(of.iter().map(|p| (Partition(*p), Offset::new(12))).collect());
        assert_eq!(told(offsets(&[0, 1]), &[10, 10], true), None);
        assert!(told(offsets(&[0]), &[10, 10], true).unwrap().contains("gone: partition 1 before 10;"));
    }
}
