//! What was said (environment, file) → what it means ([`Plan`]).

mod plan;

pub(crate) use plan::*;

/// A setting with its text and its origin.
#[derive(Clone, Debug)]
pub(crate) struct Effective;
