//! The screen.

#![allow(missing_docs)]

mod support;
