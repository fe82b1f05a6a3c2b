//! Standard output of the local commands, which a reader may leave when it has seen enough: `status | head -1`.
//!
//! Nobody is to be told of that, neither by a message nor by a status. Other pipes that break are errors still, so
//! the error of this one says whose it is.

use std::{
    fmt,
    io::{self, Stdout, Write},
};

/// Standard output.
pub(super) struct Output(Stdout);

/// Standard output, for a command's answer.
pub(super) fn output() -> Output {
    Output(io::stdout())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(known)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(known)
    }
}

fn known(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::new(error.kind(), NobodyReads) } else { error }
}

/// Whoever read standard output reads it no more.
#[derive(Debug)]
struct NobodyReads;

impl fmt::Display for NobodyReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output")
    }
}

impl std::error::Error for NobodyReads {}

/// Whether a command ended because nobody wanted to know more.
pub(crate) fn nobody_reads(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.filter_map(io::Error::get_ref).any(<dyn std::error::Error + Send + Sync>::is::<NobodyReads>)
}
