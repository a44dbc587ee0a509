//! The record format: one row as a sequence of typed values (file format, section 2.1).

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL; also the column that stands for the row id.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text; bytes that are no UTF-8 are replaced.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes, if it is a blob.
    #[must_use]
    pub fn blob(&self) -> Option<&[u8]> {
        match self {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A variable-length number and how many bytes it takes: at most 8 bytes of 7 bits and a ninth of 8.
pub(super) fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value: u64 = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some(((value << 8 | u64::from(*byte)).cast_signed(), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value.cast_signed(), at + 1));
        }
    }
    None
}

/// The values of a record; `None` if its types and its length do not fit together.
pub(super) fn values(record: &[u8]) -> Option<Vec<Value>> {
    let (length, start) = varint(record)?;
    let length = usize::try_from(length).ok()?;
    let mut types = record.get(start..length)?;
    let mut body = record.get(length..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let (kind, n) = varint(types)?;
        types = types.get(n..)?;
        let size = size(kind)?;
        let bytes = body.get(..size)?;
        body = body.get(size..)?;
        values.push(match kind {
            0 => Value::Null,
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => Value::Integer(integer(bytes)),
            kind if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        });
    }
    Some(values)
}

/// How many bytes a value of this serial type takes.
fn size(kind: i64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        12.. => usize::try_from((kind - 12) / 2).ok(),
        _ => None,
    }
}

/// A signed number in two's complement, the most significant byte first.
fn integer(bytes: &[u8]) -> i64 {
    let first = bytes.first().copied().unwrap_or_default().cast_signed();
    bytes.iter().skip(1).fold(i64::from(first), |value, byte| {
        value << 8 | i64::from(*byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        assert_eq!(varint(&[0x05]), Some((5, 1)));
        assert_eq!(varint(&[0x81, 0x00]), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9]), Some((-1, 9)));
        assert_eq!(varint(&[0x80; 8]), None);
        assert_eq!(varint(&[]), None);
        assert_eq!(integer(&[0xff]), -1);
        assert_eq!(integer(&[0x01, 0x00]), 256);
        assert_eq!(integer(&[0x80, 0, 0, 0, 0, 0, 0, 0]), i64::MIN);
    }

    #[test]
    fn a_record_is_whole_or_nothing() {
        let record = [5, 0, 1, 15, 14, 7, b'a', b'z'];
        let values = values(&record).unwrap();
        assert_eq!(
            values,
            [
                Value::Null,
                Value::Integer(7),
                Value::Text("a".into()),
                Value::Blob(b"z".to_vec())
            ]
        );
        for cut in 0..record.len() {
            assert_eq!(super::values(&record[..cut]), None, "{cut}");
        }
        assert_eq!(super::values(&[2, 10]), None, "a reserved type");
        assert_eq!(super::values(&[0x8f, 0xff, 0x7f]), None);
    }
}
