//! Prints `docs/ipmi-commands.md`: `cargo run -p ipmi --example commands > docs/ipmi-commands.md`.

#![allow(clippy::print_stdout)]

fn main() {
    print!("{}", ipmi::reference());
}
