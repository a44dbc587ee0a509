//! Frames: a length in four bytes, big-endian, then as many bytes.

use std::io::{self, Read, Write};

use super::MAX_FRAME_BYTES;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side ended, between two frames or within one.
    #[error("it ended")]
    Ended,
    /// More than [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is announced; at most {MAX_FRAME_BYTES} are taken")]
    TooLarge(usize),
    /// The pipe.
    #[error("the pipe failed")]
    Io(#[from] io::Error),
}

/// A frame's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    /// Reads one frame.
    ///
    /// # Errors
    /// [`FrameError`]; the length is held against the bound before anything is allocated.
    pub fn read(from: &mut impl Read) -> Result<Frame, FrameError> {
        let mut length = [0; 4];
        read_all(from, &mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge(length));
        }
        let mut bytes = vec![0; length];
        read_all(from, &mut bytes)?;
        Ok(Frame(bytes))
    }

    /// Writes bytes as one frame.
    ///
    /// # Errors
    /// [`FrameError`] for more than a frame holds, or a pipe that is closed.
    pub fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), FrameError> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length as usize <= MAX_FRAME_BYTES)
            .ok_or(FrameError::TooLarge(bytes.len()))?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(bytes)?;
        Ok(to.flush()?)
    }
}

fn read_all(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), FrameError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Ended,
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_and_nothing_is_allocated_on_trust() {
        let mut pipe = Vec::new();
        Frame::write(&mut pipe, b"one").unwrap();
        Frame::write(&mut pipe, b"").unwrap();
        let mut reader = &pipe[..];
        assert_eq!(Frame::read(&mut reader).unwrap(), Frame(b"one".to_vec()));
        assert_eq!(Frame::read(&mut reader).unwrap(), Frame(Vec::new()));
        assert!(matches!(Frame::read(&mut reader), Err(FrameError::Ended)));
        assert!(matches!(
            Frame::read(&mut &pipe[..5]),
            Err(FrameError::Ended)
        ));
        let huge = u32::MAX.to_be_bytes();
        assert!(matches!(
            Frame::read(&mut &huge[..]),
            Err(FrameError::TooLarge(_))
        ));
    }
}
