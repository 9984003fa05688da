//! Bodies that are sent compressed: `Content-Encoding: gzip` and `zstd`.
//!
//! What a body unpacks to is bounded like a body that is sent as it is, and unpacking stops there: a small body that would fill the
//! memory costs no more than any other.

use std::io::{ErrorKind, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::Problem;
use crate::server::extract::{bad_body, too_large};

/// The largest window of a zstd frame, as a power of two: 8 MiB is what every decoder has to take.
const MAX_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    /// From the request's headers; 415 for any other.
    pub(in crate::server) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(said) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Plain) };
        match said.to_str().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Plain),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("the body's Content-Encoding is {said:?}"),
                "send it as it is, or compressed by gzip or zstd",
            )),
        }
    }

    /// The body as it was before it was compressed, of at most `limit` bytes.
    pub(in crate::server) fn unpack(self, body: Bytes, limit: usize) -> Result<Bytes, Problem> {
        match self {
            Encoding::Plain => Ok(body),
            Encoding::Gzip => bounded(MultiGzDecoder::new(body.as_ref()), limit),
            Encoding::Zstd => {
                let mut frames = zstd::stream::read::Decoder::with_buffer(body.as_ref()).map_err(|e| broken(&e))?;
                frames.window_log_max(MAX_WINDOW_LOG).map_err(|e| broken(&e))?;
                bounded(frames, limit)
            }
        }
    }
}

fn bounded(unpacking: impl Read, limit: usize) -> Result<Bytes, Problem> {
    let mut unpacked = Vec::new();
    unpacking.take(limit as u64 + 1).read_to_end(&mut unpacked).map_err(|e| broken(&e))?;
    if unpacked.len() > limit { Err(too_large(limit)) } else { Ok(unpacked.into()) }
}

/// 400: the bytes are not compressed as they claim to be.
fn broken(error: &std::io::Error) -> Problem {
    let ended = error.kind() == ErrorKind::UnexpectedEof;
    let why = if ended { "it ends early".to_owned() } else { error.to_string() };
    bad_body(format!("the body is not compressed as its Content-Encoding says: {why}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap().into()
    }

    #[test]
    fn what_was_packed_comes_out_as_it_was() {
        let text = b"{\"a\":1}\n".repeat(1000);
        for (encoding, packed) in
            [(Encoding::Gzip, gzip(&text)), (Encoding::Zstd, zstd::encode_all(&text[..], 3).unwrap().into())]
        {
            assert_eq!(encoding.unpack(packed.clone(), text.len()).unwrap(), text);
            assert_eq!(encoding.unpack(packed.clone(), text.len() - 1).unwrap_err().status, 413);
            assert_eq!(encoding.unpack(packed.slice(..packed.len() / 2), text.len()).unwrap_err().status, 400);
        }
        assert_eq!(Encoding::Gzip.unpack("{}".into(), 10).unwrap_err().code, "BAD_BODY");
        assert_eq!(Encoding::Zstd.unpack("{}".into(), 10).unwrap_err().code, "BAD_BODY");
    }

    #[test]
    fn several_gzip_members_are_one_body() {
        let both = [gzip(b"1\n"), gzip(b"2\n")].concat();
        assert_eq!(Encoding::Gzip.unpack(both.into(), 10).unwrap(), "1\n2\n");
    }
}
