//! A stored run of records of one partition, without a hole in its offsets.
//!
//! Column by column, so that a reader copies whole columns into Arrow and nothing is allocated per record; a record of a live append
//! costs 34 bytes beside its value. Little-endian, version 1:
//!
//! ```text
//! version u8 · parts u8 · count u32 · appended i64 · max_time i64 · bytes_before u64
//! [times: count × i64]                                  parts & 1, else each record has the time of the append
//! [keys: total u32 · count × length i32 · bytes]        parts & 2; length -1 is null
//! values: total u32 · count × length i32 · bytes
//! [headers: total u32 · count × length i32 · bytes]     parts & 4; each header: length u32 · name · length i32 · value
//! ```

use bytes::Bytes;

use crate::{NewRecord, Timestamp};

const VERSION: u8 = 1;
const TIMES: u8 = 1;
const KEYS: u8 = 2;
const HEADERS: u8 = 4;

/// A growing entry.
pub(super) struct EntryBuilder {
    appended: Timestamp,
    max_time: Timestamp,
    bytes_before: u64,
    parts: u8,
    times: Vec<u8>,
    keys: Column,
    values: Column,
    headers: Column,
}

#[derive(Default)]
struct Column {
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

impl EntryBuilder {
    /// An entry appended at that time, behind records of `bytes_before` bytes whose greatest timestamp is `max_time`.
    pub(super) fn new(appended: Timestamp, max_time: Timestamp, bytes_before: u64) -> Self {
        EntryBuilder {
            appended,
            max_time,
            bytes_before,
            parts: 0,
            times: Vec::new(),
            keys: Column::default(),
            values: Column::default(),
            headers: Column::default(),
        }
    }

    pub(super) fn push(&mut self, record: &NewRecord) {
        let time = record.timestamp.unwrap_or(self.appended);
        self.max_time = self.max_time.max(time);
        self.times.extend_from_slice(&time.as_micros().to_le_bytes());
        self.keys.push(record.key.as_deref());
        self.values.push(record.value.as_deref());
        self.parts |= if time == self.appended { 0 } else { TIMES };
        self.parts |= if record.key.is_none() { 0 } else { KEYS };
        if record.headers.is_empty() {
            self.headers.push(None);
        } else {
            self.parts |= HEADERS;
            self.headers.push(Some(&encode_headers(&record.headers)));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.lengths.is_empty()
    }

    /// The bytes of its records.
    pub(super) fn record_bytes(&self) -> u64 {
        (self.keys.bytes.len() + self.values.bytes.len() + self.headers.bytes.len()) as u64
    }

    /// The bytes of the partition's records up to and with these.
    pub(super) fn bytes_after(&self) -> u64 {
        self.bytes_before + self.record_bytes()
    }

    pub(super) fn max_time(&self) -> Timestamp {
        self.max_time
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let count = (self.values.lengths.len() / 4) as u32;
        let mut entry = Vec::with_capacity(HEADER_BYTES + self.record_bytes() as usize + self.times.len() * 3);
        entry.extend_from_slice(&[VERSION, self.parts]);
        entry.extend_from_slice(&count.to_le_bytes());
        entry.extend_from_slice(&self.appended.as_micros().to_le_bytes());
        entry.extend_from_slice(&self.max_time.as_micros().to_le_bytes());
        entry.extend_from_slice(&self.bytes_before.to_le_bytes());
        if self.parts & TIMES != 0 {
            entry.extend_from_slice(&self.times);
        }
        if self.parts & KEYS != 0 {
            self.keys.write(&mut entry);
        }
        self.values.write(&mut entry);
        if self.parts & HEADERS != 0 {
            self.headers.write(&mut entry);
        }
        entry
    }
}

/// The fixed part at the start of an entry.
const HEADER_BYTES: usize = 30;

impl Column {
    fn push(&mut self, value: Option<&[u8]>) {
        self.lengths.extend_from_slice(&value.map_or(-1, |value| value.len() as i32).to_le_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    fn write(&self, entry: &mut Vec<u8>) {
        entry.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        entry.extend_from_slice(&self.lengths);
        entry.extend_from_slice(&self.bytes);
    }
}

fn encode_headers(headers: &[(String, Option<Bytes>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&value.as_ref().map_or(-1, |value| value.len() as i32).to_le_bytes());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    bytes
}

/// A stored entry, looked at in place.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) count: u32,
    /// When it was appended.
    pub(super) appended: Timestamp,
    /// The greatest timestamp of its partition up to and with this entry.
    pub(super) max_time: Timestamp,
    /// The bytes of its partition's records before this entry.
    pub(super) bytes_before: u64,
    times: Option<&'a [u8]>,
    pub(super) keys: Option<Values<'a>>,
    pub(super) values: Values<'a>,
    pub(super) headers: Option<Values<'a>>,
}

/// One column of an entry.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    lengths: &'a [[u8; 4]],
    pub(super) bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Looks into a stored entry; `None` when these bytes are none.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Cursor(bytes);
        let [version, parts] = rest.array()?;
        if version != VERSION {
            return None;
        }
        let count = u32::from_le_bytes(rest.array()?);
        let appended = Timestamp::from_micros(i64::from_le_bytes(rest.array()?));
        let max_time = Timestamp::from_micros(i64::from_le_bytes(rest.array()?));
        let bytes_before = u64::from_le_bytes(rest.array()?);
        let times = if parts & TIMES != 0 { Some(rest.take(count as usize * 8)?) } else { None };
        let keys = if parts & KEYS != 0 { Some(rest.values(count)?) } else { None };
        let values = rest.values(count)?;
        let headers = if parts & HEADERS != 0 { Some(rest.values(count)?) } else { None };
        Some(Entry { count, appended, max_time, bytes_before, times, keys, values, headers })
    }

    /// The bytes of the partition's records up to and with these.
    pub(super) fn bytes_after(&self) -> u64 {
        let len = |column: Option<Values<'_>>| column.map_or(0, |column| column.bytes.len());
        self.bytes_before + (len(self.keys) + len(Some(self.values)) + len(self.headers)) as u64
    }

    /// The bytes of one record.
    pub(super) fn record_bytes(&self, i: usize) -> u64 {
        let len = |column: Option<Values<'_>>| column.map_or(0, |column| column.length(i).unwrap_or(0));
        (len(self.keys) + len(Some(self.values)) + len(self.headers)) as u64
    }

    /// The timestamp of one record.
    pub(super) fn time(&self, i: usize) -> Timestamp {
        match self.times {
            Some(times) => Timestamp::from_micros(i64::from_le_bytes(times.as_chunks::<8>().0[i])),
            None => self.appended,
        }
    }
}

impl<'a> Values<'a> {
    /// The length of one value; `None` is null.
    pub(super) fn length(&self, i: usize) -> Option<usize> {
        usize::try_from(i32::from_le_bytes(self.lengths[i])).ok()
    }

    /// The bytes that the values before `i` take.
    pub(super) fn start_of(&self, i: usize) -> usize {
        (0..i).filter_map(|i| self.length(i)).sum()
    }

    /// The values `[from, to)`, in order.
    pub(super) fn slices(self, from: usize, to: usize) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut start = self.start_of(from);
        (from..to).map(move |i| {
            let length = self.length(i)?;
            start += length;
            Some(&self.bytes[start - length..start])
        })
    }
}

/// The headers of one record, from their stored bytes.
pub(super) fn decode_headers(bytes: &[u8]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    let mut rest = Cursor(bytes);
    std::iter::from_fn(move || {
        let name = u32::from_le_bytes(rest.array()?);
        let name = std::str::from_utf8(rest.take(name as usize)?).ok()?;
        let value = i32::from_le_bytes(rest.array()?);
        let value = usize::try_from(value).ok().map(|length| rest.take(length));
        Some((name, value.flatten()))
    })
}

/// The bytes not yet looked at.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn values(&mut self, count: u32) -> Option<Values<'a>> {
        let total = u32::from_le_bytes(self.array()?);
        let (lengths, _) = self.take(count as usize * 4)?.as_chunks::<4>();
        Some(Values { lengths, bytes: self.take(total as usize)? })
    }
}
