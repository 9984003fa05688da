//! The bytes of a data file in the making, in pieces: as it grows nothing is copied again, and little more is held than there is. Pure.

use std::io::{self, Write};
use std::mem;

use bytes::{Bytes, BytesMut};
use object_store::PutPayload;

/// The size of a piece.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes that were written.
#[derive(Default)]
pub(super) struct Pieces {
    whole: Vec<Bytes>,
    last: BytesMut,
}

impl Pieces {
    /// All of them, to be stored.
    pub(super) fn finish(mut self) -> PutPayload {
        self.whole.push(self.last.freeze());
        self.whole.into_iter().collect()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == PIECE_BYTES {
            let next = BytesMut::with_capacity(PIECE_BYTES);
            self.whole.push(mem::replace(&mut self.last, next).freeze());
        }
        let taken = bytes.len().min(PIECE_BYTES - self.last.len());
        self.last.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_out_whole_and_in_order_however_it_was_cut() {
        let written: Vec<u8> = (0..3 * PIECE_BYTES + 17).map(|i| (i % 251) as u8).collect();
        let mut pieces = Pieces::default();
        for (i, part) in written.chunks(777_777).enumerate() {
            part.chunks(1 + i * 100_000).for_each(|part| pieces.write_all(part).unwrap());
        }
        let payload = pieces.finish();
        assert_eq!(payload.content_length(), written.len());
        assert_eq!(Bytes::from(payload), written);
    }
}
