//! Whether KVM really works here.
//!
//! That `/dev/kvm` exists says little: it may be forbidden, and in nested or restricted hosts it opens and
//! then QEMU aborts or its guest never executes an instruction. So the same QEMU runs, for a moment, a ROM
//! of 206 bytes with `-accel kvm -cpu host`: from the reset vector through protected mode into long mode,
//! where it writes one byte to a debug port that makes QEMU exit with a known status.

use std::{fs, io, path::Path, time::Duration};

use rustix::thread::CapabilitySet;

use crate::chain;
use crate::config::{HardwarePlan, Platform};
use crate::os::children::{self, Ended, Spawn};

/// How long the ROM may take. A working KVM needs a fraction of this; a hung one is found out by it.
const MOMENT: Duration = Duration::from_millis(1500);

/// What the ROM writes to the debug port, and what QEMU's exit status becomes of it.
const SIGN: i32 = 0x2a;
const EXIT_STATUS: i32 = SIGN << 1 | 1;

const DEVICE: &str = "/dev/kvm";

const ROM_SIZE: usize = 64 << 10;
const RESET_VECTOR: usize = 0xfff0;

/// Real mode at F000:0000 (the top of the 4 GiB space), then the mirror of the ROM below 1 MiB.
#[rustfmt::skip]
const CODE: [u8; 206] = [
    // 16 bit: cli; lgdt cs:[00c8]; cr0.PE = 1; jmp 08:000f0018
    0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0xc8, 0x00, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
    0x66, 0xea, 0x18, 0x00, 0x0f, 0x00, 0x08, 0x00,
    // 32 bit: ds = es = 10
    0xb8, 0x10, 0x00, 0x00, 0x00, 0x8e, 0xd8, 0x8e, 0xc0,
    // page tables at 1000 (PML4), 2000 (PDPT) and 3000 (PD): the first 2 MiB onto themselves
    0xc7, 0x05, 0x00, 0x10, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00,
    0xc7, 0x05, 0x04, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xc7, 0x05, 0x00, 0x20, 0x00, 0x00, 0x03, 0x30, 0x00, 0x00,
    0xc7, 0x05, 0x04, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xc7, 0x05, 0x00, 0x30, 0x00, 0x00, 0x83, 0x00, 0x00, 0x00,
    0xc7, 0x05, 0x04, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    // cr3 = 1000; cr4.PAE = 1; EFER.LME = 1; cr0.PG = 1; jmp 18:000f0080
    0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8,
    0xb8, 0x20, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0,
    0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30,
    0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0,
    0xea, 0x8d, 0x00, 0x0f, 0x00, 0x18, 0x00,
    // 64 bit: rax = 2a00000000; rax >>= 32; out f4, al; then halt for ever
    0x48, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x00, 0x00, 0x00,
    0x48, 0xc1, 0xe8, 0x20, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4, 0xeb, 0xfd,
    // the GDT: null, 32-bit code, data, 64-bit code; then its limit and address
    0x0f, 0x1f, 0x44, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xaf, 0x00,
    0x1f, 0x00, 0xa8, 0x00, 0x0f, 0x00,
];

/// What is in the way of KVM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKvm {
    /// It executes the host's kind of instructions alone.
    #[error("KVM can't run a guest for {0} on this host")]
    Foreign(&'static str),
    /// There is no such device.
    #[error("/dev/kvm does not exist: hardware virtualisation is off, or the device was not passed in")]
    Missing,
    /// It can't be opened.
    #[error("/dev/kvm can't be opened: {0}")]
    Forbidden(io::Error),
    /// The probe can't be made.
    #[error("the probe of KVM could not be run: {0}")]
    Probe(String),
    /// QEMU ended otherwise than it should.
    #[error("KVM does not work here: QEMU ended with {0} when it ran its first instructions")]
    Broken(String),
    /// The guest did not get there in time.
    #[error("KVM does not work here: a guest of a few instructions did not end within {MOMENT:?}")]
    Hangs,
}

/// Whether it is worth trying.
pub(crate) fn is_likely(hardware: &HardwarePlan) -> bool {
    hardware.kvm && hardware.machine.platform.is_native() && Path::new(DEVICE).exists()
}

/// Runs the ROM under KVM. Takes some tens of milliseconds where KVM works.
pub(crate) async fn probe(hardware: &HardwarePlan, run_dir: &Path) -> Result<(), NoKvm> {
    let platform = hardware.machine.platform;
    if !platform.is_native() {
        return Err(NoKvm::Foreign(platform.architecture()));
    }
    let device = Path::new(DEVICE);
    match fs::File::options().read(true).write(true).open(device) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoKvm::Missing),
        Err(error) => return Err(NoKvm::Forbidden(error)),
    }
    if platform == Platform::Virt {
        // The ROM is for a PC. A KVM that opens and does not work is unheard of where there is no nesting.
        return Ok(());
    }
    run_rom(&hardware.qemu_binary, run_dir, &["-accel", "kvm", "-cpu", "host"]).await
}

async fn run_rom(qemu: &Path, run_dir: &Path, accelerator: &[&str]) -> Result<(), NoKvm> {
    let path = run_dir.join("kvm-probe.rom");
    fs::write(&path, rom()).map_err(|error| NoKvm::Probe(format!("write {}: {error}", path.display())))?;
    let mut spawn = Spawn::new(qemu);
    // As the machine's QEMU will be, so that what is found out holds for it.
    spawn.confine(CapabilitySet::DAC_OVERRIDE).args(accelerator);
    spawn.args([
        "-machine",
        "q35",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-m",
        "16",
        "-bios",
    ]);
    spawn.arg(&path);
    spawn.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    if let Ok(null) = fs::File::options().write(true).open("/dev/null") {
        spawn.output(null.into());
    }
    let outcome = watch(spawn).await;
    let _ = fs::remove_file(&path);
    outcome
}

async fn watch(spawn: Spawn) -> Result<(), NoKvm> {
    let failed = |error: children::Error| NoKvm::Probe(chain(&error));
    let child = spawn.start().map_err(failed)?;
    match tokio::time::timeout(MOMENT, child.wait()).await {
        Ok(Ok(Ended::Exited(EXIT_STATUS))) => Ok(()),
        Ok(Ok(how)) => Err(NoKvm::Broken(how.to_string())),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => {
            child.kill().map_err(failed)?;
            child.wait().await.map_err(failed)?;
            Err(NoKvm::Hangs)
        }
    }
}

fn rom() -> Vec<u8> {
    let mut rom = CODE.to_vec();
    rom.resize(ROM_SIZE, 0xf4);
    // A near jump to offset 0, relative to the instruction after it.
    let back = u16::try_from(ROM_SIZE - RESET_VECTOR - 3).unwrap_or_default().to_le_bytes();
    let jump = [0xe9, back[0], back[1]];
    for (to, from) in rom.iter_mut().skip(RESET_VECTOR).zip(jump) {
        *to = from;
    }
    rom
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ROM is right if an accelerator that certainly works runs it.
    #[tokio::test]
    async fn the_rom_reaches_long_mode() {
        let dir = tempfile::tempdir().unwrap();
        run_rom(Path::new("qemu-system-x86_64"), dir.path(), &["-accel", "tcg", "-cpu", "max"])
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_qemu_that_aborts_is_no_kvm() {
        let dir = tempfile::tempdir().unwrap();
        let error = run_rom(Path::new("false"), dir.path(), &[]).await.unwrap_err();
        assert!(matches!(error, NoKvm::Broken(_)), "{error}");
    }

    #[tokio::test]
    async fn a_guest_that_hangs_is_no_kvm() {
        let dir = tempfile::tempdir().unwrap();
        // -S: not one instruction is executed
        let error =
            run_rom(Path::new("qemu-system-x86_64"), dir.path(), &["-accel", "tcg", "-S"]).await.unwrap_err();
        assert!(matches!(error, NoKvm::Hangs), "{error}");
    }
}
