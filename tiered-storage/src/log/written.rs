//! Leaving out of a slice what was surely written at another time.
//!
//! Record timestamps need not rise with offsets, so only what both tiers know of whole files, row groups and the hot tier's beginning
//! is left out: what stays may hold records of other times. Nothing but footers of files is read.

use super::{Log, LogSlice, Segment};
use crate::cold::is_gone;
use crate::{LogError, OffsetRange, Timestamp};

/// When records were written: from one moment to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Not before this.
    pub from: Timestamp,
    /// Not after this.
    pub to: Timestamp,
}

impl Written {
    /// At any time.
    pub const ALWAYS: Written =
        Written { from: Timestamp::from_micros(i64::MIN), to: Timestamp::from_micros(i64::MAX) };
}

impl Log {
    /// The parts of a slice that may hold records written then, in order. What neither tier holds is left out.
    pub async fn within(&self, slice: LogSlice, written: Written) -> Result<Vec<LogSlice>, LogError> {
        let mut parts: Vec<LogSlice> = Vec::new();
        for segment in &slice.segments {
            let Some(range) = self.narrowed(&slice, segment, written).await? else { continue };
            let segment = segment.clip(&range).expect("a part of its range");
            match parts.last_mut().filter(|part| part.range.to == range.from) {
                Some(part) => {
                    part.range.to = range.to;
                    part.segments.push(segment);
                }
                None => parts.push(LogSlice {
                    topic: slice.topic.clone(),
                    partition: slice.partition,
                    range,
                    segments: vec![segment],
                }),
            }
        }
        Ok(parts)
    }

    async fn narrowed(
        &self,
        slice: &LogSlice,
        segment: &Segment,
        written: Written,
    ) -> Result<Option<OffsetRange>, LogError> {
        let range = segment.range();
        match segment {
            Segment::Gap { .. } => Ok(None),
            Segment::Hot { .. } if written.from == Written::ALWAYS.from => Ok(Some(range)),
            Segment::Hot { .. } => {
                let first = self.hot.offset_at(&slice.topic, slice.partition, written.from).await?;
                Ok(range.intersect(&OffsetRange::new(first.min(range.to), range.to)).filter(|range| !range.is_empty()))
            }
            Segment::Cold { file, .. } => {
                if file.newest < written.from || file.oldest.is_some_and(|oldest| oldest > written.to) {
                    return Ok(None);
                }
                let whole = file.newest <= written.to && file.oldest.is_some_and(|oldest| oldest >= written.from);
                if whole || written == Written::ALWAYS {
                    return Ok(Some(range));
                }
                let (from, to) = (written.from.as_micros(), written.to.as_micros());
                match self.cold(&slice.topic).await?.open_file(file.clone()).await {
                    Ok(reader) => Ok(reader.written_in(range, from, to)),
                    // Whoever reads the part plans again.
                    Err(e) if is_gone(&e) => Ok(Some(range)),
                    Err(e) => Err(e),
                }
            }
        }
    }
}
