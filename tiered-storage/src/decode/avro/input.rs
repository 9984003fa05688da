//! The bytes of one Avro value, read from the front.

use super::super::codec::Detail;
use super::schema::{Shape, TypeId, Types};

/// How deep values may nest: deeper ones come from schemas that contain themselves, and would end the stack.
const MAX_DEPTH: u32 = 100;

/// What is left of a value. A copy reads the same bytes again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    /// Items that may still come: no value has more of them than bytes, but those that take no bytes.
    items: usize,
    depth: u32,
}

/// Items of no bytes, as in an array of nulls, that one value may have beside its bytes.
const SPARE_ITEMS: usize = 1024;

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Input { bytes, items: bytes.len() + SPARE_ITEMS, depth: 0 }
    }

    /// Checks that everything was read.
    pub(super) fn end(&self) -> Result<(), Detail> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(format!("{left} bytes follow the value: it was written with another schema").into()),
        }
    }

    /// Goes into a value that holds others; to be undone by [`Input::leave`].
    pub(super) fn enter(&mut self) -> Result<(), Detail> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(format!("values nest deeper than {MAX_DEPTH}").into()) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Detail> {
        if len > self.bytes.len() {
            let missing = len - self.bytes.len();
            return Err(format!("the value is cut off: {missing} of {len} bytes are missing").into());
        }
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn long(&mut self) -> Result<i64, Detail> {
        let mut number = 0u64;
        for (i, byte) in self.bytes.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                if i == 9 && *byte > 1 {
                    break;
                }
                self.bytes = &self.bytes[i + 1..];
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        match self.bytes.len() {
            0..10 => Err("the value is cut off within a number".into()),
            _ => Err("a number is longer than 64 bits".into()),
        }
    }

    pub(super) fn int(&mut self) -> Result<i32, Detail> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| format!("{number} does not fit into an int").into())
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Detail> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(format!("{} is neither true nor false", other[0]).into()),
        }
    }

    pub(super) fn float(&mut self) -> Result<f32, Detail> {
        Ok(f32::from_le_bytes(self.take(4)?.try_into().expect("4 bytes were taken")))
    }

    pub(super) fn double(&mut self) -> Result<f64, Detail> {
        Ok(f64::from_le_bytes(self.take(8)?.try_into().expect("8 bytes were taken")))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Detail> {
        let len = self.long()?;
        let len = usize::try_from(len).map_err(|_| format!("{len} is no length"))?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Detail> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8".into())
    }

    /// The number of a union's branch, or of an enum's symbol, of which there are so many.
    pub(super) fn choice(&mut self, of: usize, what: &str) -> Result<usize, Detail> {
        let chosen = self.long()?;
        let known = usize::try_from(chosen).ok().filter(|chosen| *chosen < of);
        known.ok_or_else(|| format!("there is no {what} {chosen}, only {of}").into())
    }

    /// How many items the next block of an array or a map has; 0 at its end.
    pub(super) fn block(&mut self) -> Result<usize, Detail> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        self.items = self.items.checked_sub(count).ok_or_else(|| format!("{count} items do not fit into the value"))?;
        Ok(count)
    }

    /// Goes over a value.
    pub(super) fn skip(&mut self, types: &Types, ty: TypeId) -> Result<(), Detail> {
        self.enter()?;
        match types.shape(ty) {
            Shape::Null => {}
            Shape::Boolean => {
                self.boolean()?;
            }
            Shape::Int | Shape::Long | Shape::Enum { .. } => {
                self.long()?;
            }
            Shape::Float => {
                self.take(4)?;
            }
            Shape::Double => {
                self.take(8)?;
            }
            Shape::Bytes | Shape::String => {
                self.bytes()?;
            }
            Shape::Fixed(size) => {
                self.take(*size)?;
            }
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.skip(types, field.ty))?,
            Shape::Union(branches) => {
                let branch = self.choice(branches.len(), "branch")?;
                self.skip(types, branches[branch])?;
            }
            Shape::Array(item) => self.skip_blocks(types, *item, false)?,
            Shape::Map(value) => self.skip_blocks(types, *value, true)?,
        }
        self.leave();
        Ok(())
    }

    fn skip_blocks(&mut self, types: &Types, item: TypeId, keyed: bool) -> Result<(), Detail> {
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keyed {
                    self.bytes()?;
                }
                self.skip(types, item)?;
            }
        }
    }
}
