//! Collects one body under a cap, decompressing as it comes. A gzip bomb is stopped at the cap, not after it, and a body
//! whose end can't be proved is no body: what is missing would look deleted.

use flate2::write::MultiGzDecoder;
use std::io::{self, Write};

/// Room that is made for a body because its headers say so, at most, in bytes: a page of any provider. A longer body
/// grows as it comes, so that a lie costs nobody more than this.
const USUAL_BYTES: usize = 2 * 1024 * 1024;

/// What the reply's headers say about its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

/// Why a body is no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the reply is longer than the {0} bytes allowed")]
    TooLarge(usize),
    #[error("the reply is cut or malformed: {0}")]
    Cut(String),
}

impl Encoding {
    /// Reads `content-encoding`. We ask for gzip alone; anything else can't be read to its end.
    pub(crate) fn read(header: Option<&str>) -> Result<Self, BodyFault> {
        match header.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some(other) => {
                Err(BodyFault::Cut(format!("content-encoding `{}` was not asked for", crate::fault::quote(other))))
            }
        }
    }
}

/// A body on its way in.
pub(crate) struct Collector {
    sink: Sink,
    received: usize,
    cap: usize,
}

enum Sink {
    Identity(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

/// Keeps at most `cap` bytes and remembers that there were more.
struct Capped {
    bytes: Vec<u8>,
    cap: usize,
    full: bool,
}

impl Write for Capped {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + chunk.len() > self.cap {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Collector {
    /// `announced` is the length that the reply says it has; room for it is made at once, as far as that is usual.
    pub(crate) fn new(encoding: &Encoding, announced: Option<u64>, cap: usize) -> Self {
        let room = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0).min(cap).min(USUAL_BYTES);
        let capped = Capped { bytes: Vec::with_capacity(room), cap, full: false };
        let sink = match encoding {
            Encoding::Identity => Sink::Identity(capped),
            Encoding::Gzip => Sink::Gzip(Box::new(MultiGzDecoder::new(capped))),
        };
        Self { sink, received: 0, cap }
    }

    /// Takes a piece of the body as it came over the wire.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), BodyFault> {
        self.received = self.received.saturating_add(chunk.len());
        // An endless stream of empty gzip members decompresses to nothing.
        if self.received > self.cap {
            return Err(BodyFault::TooLarge(self.cap));
        }
        let written = match &mut self.sink {
            Sink::Identity(capped) => capped.write_all(chunk),
            Sink::Gzip(decoder) => decoder.write_all(chunk),
        };
        written.map_err(|e| self.fault(&e))
    }

    /// The whole body. A compressed one must have come to its own end, checksum included.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, BodyFault> {
        if let Sink::Gzip(decoder) = &mut self.sink
            && self.received > 0
            && let Err(e) = decoder.try_finish()
        {
            return Err(self.fault(&e));
        }
        match self.sink {
            Sink::Identity(capped) => Ok(capped.bytes),
            Sink::Gzip(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
        }
    }

    fn fault(&self, error: &io::Error) -> BodyFault {
        let full = match &self.sink {
            Sink::Identity(capped) => capped.full,
            Sink::Gzip(decoder) => decoder.get_ref().full,
        };
        if full { BodyFault::TooLarge(self.cap) } else { BodyFault::Cut(error.to_string()) }
    }
}

/// Does a body that ended with its connection prove its own end? HTTP/1 without a length and without chunks can't tell a
/// whole body from a cut one; JSON that closes its outermost bracket can.
pub(crate) fn ends_by_itself(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, None | Some(b'{' | b'['))
        && (body.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn collect(encoding: &Encoding, cap: usize, body: &[u8]) -> Result<Vec<u8>, BodyFault> {
        let mut collector = Collector::new(encoding, None, cap);
        for chunk in body.chunks(7) {
            collector.push(chunk)?;
        }
        collector.finish()
    }

    #[test]
    fn bodies_come_through_up_to_the_cap() {
        let plain = vec![b'x'; 1000];
        assert_eq!(collect(&Encoding::Identity, 1000, &plain), Ok(plain.clone()));
        assert_eq!(collect(&Encoding::Identity, 999, &plain), Err(BodyFault::TooLarge(999)));
        assert_eq!(collect(&Encoding::Gzip, 1000, &gzip(&plain)), Ok(plain.clone()));
        assert_eq!(collect(&Encoding::Gzip, 999, &gzip(&plain)), Err(BodyFault::TooLarge(999)));
        assert_eq!(collect(&Encoding::Gzip, 1000, b""), Ok(Vec::new()));
        let two_members = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(collect(&Encoding::Gzip, 100, &two_members), Ok(b"ab".to_vec()));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let mut collector = Collector::new(&Encoding::Gzip, Some(1 << 30), 1 << 20);
        assert_eq!(collector.push(&bomb), Err(BodyFault::TooLarge(1 << 20)));
        let Sink::Gzip(decoder) = &collector.sink else { unreachable!() };
        assert!(decoder.get_ref().bytes.capacity() <= 2 << 20);
        let empty_members = gzip(b"").repeat(1000);
        assert_eq!(collect(&Encoding::Gzip, 10_000, &empty_members), Err(BodyFault::TooLarge(10_000)));
    }

    #[test]
    fn a_cut_or_broken_gzip_body_is_a_fault() {
        let whole = gzip(b"some text that is long enough to be cut in many places");
        for end in 1..whole.len() {
            assert!(matches!(collect(&Encoding::Gzip, 1000, &whole[..end]), Err(BodyFault::Cut(_))), "cut at {end}");
        }
        let mut broken = whole.clone();
        let at = broken.len() - 6;
        broken[at] ^= 1;
        assert!(matches!(collect(&Encoding::Gzip, 1000, &broken), Err(BodyFault::Cut(_))));
        assert!(matches!(collect(&Encoding::Gzip, 1000, b"{\"a\":1}"), Err(BodyFault::Cut(_))));
    }

    #[test]
    fn encodings_that_were_not_asked_for_are_refused() {
        assert_eq!(Encoding::read(None), Ok(Encoding::Identity));
        assert_eq!(Encoding::read(Some("GZIP")), Ok(Encoding::Gzip));
        for other in ["br", "zstd", "gzip, gzip", "deflate"] {
            assert!(matches!(Encoding::read(Some(other)), Err(BodyFault::Cut(_))), "{other}");
        }
    }

    #[test]
    fn only_json_proves_its_own_end() {
        for whole in ["", "{}", " [1,2] ", "{\"a\":[]}"] {
            assert!(ends_by_itself(whole.as_bytes()), "{whole}");
        }
        for open in ["[1,2", "{\"a\":", "12", "\"abc\"", "<html>", "true"] {
            assert!(!ends_by_itself(open.as_bytes()), "{open}");
        }
    }
}
