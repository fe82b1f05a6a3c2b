//! Disks and CDs: what their settings mean.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::config::{
    host::PathKind,
    reader::Reader,
    settings::{self, Row, Setting},
    storage::*,
};

/// The numbers of disks besides the first.
const FURTHER: std::ops::RangeInclusive<u8> = 2..=9;

/// What can be said of the first disk alone, and of the others.
static OF_FURTHER: [&Row; 10] = [
    &settings::VM_DISK_N.row,
    &settings::VM_DISK_N_SIZE.row,
    &settings::VM_DISK_N_BASE.row,
    &settings::VM_DISK_N_FORMAT.row,
    &settings::VM_DISK_N_EPHEMERAL.row,
    &settings::VM_DISK_N_SERIAL.row,
    &settings::VM_DISK_N_BUS.row,
    &settings::VM_DISK_N_DISCARD.row,
    &settings::VM_DISK_N_CACHE.row,
    &settings::VM_DISK_N_AIO.row,
];

/// What was said of a disk, each setting taken.
struct DiskSaid {
    number: u8,
    path: Option<Option<PathBuf>>,
    size: Option<Option<u64>>,
    base: Option<Option<PathBuf>>,
    format: Option<Option<DiskFormat>>,
    ephemeral: Option<bool>,
    serial: Option<Option<String>>,
    bus: Option<Bus>,
    discard: Option<bool>,
    cache: Option<Cache>,
    aio: Option<Aio>,
}

impl Reader<'_> {
    pub(super) fn storage(&mut self) -> Option<StoragePlan> {
        let first = self.first_disk();
        let further = self.further_disks(&first);
        let cdrom = self.get(&settings::VM_CDROM);
        let second = self.get(&settings::VM_CDROM2);
        self.check_medium(&settings::VM_CDROM.row, cdrom.as_ref().and_then(Option::as_ref));
        self.check_medium(&settings::VM_CDROM2.row, second.iter().flatten().flatten().next());

        let disks: Vec<_> = std::iter::once(first).chain(further).map(|said| self.disk(said)).collect();
        let disks: Vec<_> = disks.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
        self.check_disks(&disks);
        let cdroms = std::iter::once(cdrom?).chain(second?).collect();
        Some(StoragePlan { disks, cdroms })
    }

    fn first_disk(&mut self) -> DiskSaid {
        DiskSaid {
            number: 1,
            path: self.get(&settings::VM_DISK),
            size: self.get(&settings::VM_DISK_SIZE),
            base: self.get(&settings::VM_DISK_BASE),
            format: self.get(&settings::VM_DISK_FORMAT),
            ephemeral: self.get(&settings::VM_DISK_EPHEMERAL),
            serial: self.get(&settings::VM_DISK_SERIAL),
            bus: self.get(&settings::VM_DISK_BUS),
            discard: self.get(&settings::VM_DISK_DISCARD),
            cache: self.get(&settings::VM_DISK_CACHE),
            aio: self.get(&settings::VM_DISK_AIO),
        }
    }

    fn further_disks(&mut self, first: &DiskSaid) -> Vec<DiskSaid> {
        let mut numbers = BTreeSet::new();
        for row in OF_FURTHER {
            let members = self.texts.members(row);
            if members.is_empty() {
                self.show(row, "");
            }
            for member in members {
                match member.name.parse() {
                    Ok(number) if FURTHER.contains(&number) && member.name == number.to_string() => {
                        numbers.insert(number);
                    }
                    _ => {
                        let problem = format!(
                            "{}: disks after the first have numbers from {} to {}",
                            member.place(),
                            FURTHER.start(),
                            FURTHER.end()
                        );
                        self.findings.problems.push(problem);
                    }
                }
            }
        }
        numbers.into_iter().map(|number| self.further_disk(number, first)).collect()
    }

    fn further_disk(&mut self, number: u8, first: &DiskSaid) -> DiskSaid {
        DiskSaid {
            number,
            path: self.of_disk(number, &settings::VM_DISK_N, Some(None)),
            size: self.of_disk(number, &settings::VM_DISK_N_SIZE, Some(None)),
            base: self.of_disk(number, &settings::VM_DISK_N_BASE, Some(None)),
            format: self.of_disk(number, &settings::VM_DISK_N_FORMAT, Some(None)),
            ephemeral: self.of_disk(number, &settings::VM_DISK_N_EPHEMERAL, Some(false)),
            serial: self.of_disk(number, &settings::VM_DISK_N_SERIAL, Some(None)),
            bus: self.of_disk(number, &settings::VM_DISK_N_BUS, first.bus),
            discard: self.of_disk(number, &settings::VM_DISK_N_DISCARD, first.discard),
            cache: self.of_disk(number, &settings::VM_DISK_N_CACHE, first.cache),
            aio: self.of_disk(number, &settings::VM_DISK_N_AIO, first.aio),
        }
    }

    fn of_disk<T>(&mut self, number: u8, setting: &'static Setting<T>, otherwise: Option<T>) -> Option<T> {
        let members = self.texts.members(&setting.row);
        // A variable comes after the file, and goes over it.
        match members.iter().rfind(|member| member.name == number.to_string()) {
            Some(member) => self.get_member(setting, member),
            None => otherwise,
        }
    }

    /// The disk, if there is one.
    fn disk(&mut self, said: DiskSaid) -> Option<Option<DiskPlan>> {
        let access = said.cache.zip(said.aio).zip(said.discard);
        let ((cache, aio), discard) = access?;
        let (size, base, ephemeral, format) = (said.size?, said.base?, said.ephemeral?, said.format?);
        let (bus, serial, number) = (said.bus?, said.serial?, said.number);
        let name = disk_variable(number);
        let Some(path) = said.path? else {
            if size.is_some() || base.is_some() {
                self.problem(format!("{name}_SIZE or {name}_BASE is set, and {name} is none: set its path"));
                return None;
            }
            if number > 1 {
                self.warn(format!(
                    "there are settings of {name}, and {name} itself is not set: there is no such disk"
                ));
            }
            return Some(None);
        };
        if aio == Aio::Native && !cache.is_direct() {
            self.problem(format!(
                "{name}: {name}_AIO=native needs {name}_CACHE=none or directsync, and it is {cache}"
            ));
            return None;
        }
        if let Some(base) = &base {
            self.check_base(&name, base, &path);
            if !ephemeral {
                self.check_overlay(&name, &path, format);
            }
        }
        if !self.is_there(number, &path, size.is_some() || base.is_some())? {
            return Some(None);
        }
        let access = Access { discard, cache, aio };
        Some(Some(DiskPlan { number, path, size, base, format, ephemeral, bus, serial, access }))
    }

    /// Whether there is such a disk, or is going to be. An absent first one is a machine without a disk: users start
    /// from the CD or the network and add it later.
    fn is_there(&mut self, number: u8, path: &Path, is_made: bool) -> Option<bool> {
        let name = disk_variable(number);
        match self.host.kind(path) {
            Some(PathKind::File) => return Some(true),
            Some(PathKind::Folder) => {
                self.problem(format!("{name}: got {path:?}: this is a folder"));
            }
            None if path.starts_with("/dev") => {
                self.problem(format!(
                    "{name}: got {path:?}: there is no such device; a container is given one by docker run --device={}",
                    path.display()
                ));
            }
            None if is_made => return Some(true),
            None if number == 1 => {
                self.warn(format!(
                    "there is no disk image {path:?} ({name}): the machine has no disk; {name}_SIZE has one made"
                ));
                return Some(false);
            }
            None => {
                self.problem(format!(
                    "{name}: got {path:?}: there is no such file; {name}_SIZE has one made"
                ));
            }
        }
        None
    }

    fn check_base(&mut self, name: &str, base: &Path, path: &Path) {
        let why = match self.host.kind(base) {
            Some(PathKind::File) if base == path => "this is the disk itself",
            Some(PathKind::File) => return,
            Some(PathKind::Folder) => "this is a folder",
            None => "there is no such file",
        };
        self.problem(format!("{name}_BASE: got {base:?}: {why}"));
    }

    /// An overlay has a format, whatever was asked for.
    fn check_overlay(&mut self, name: &str, path: &Path, format: Option<DiskFormat>) {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let named = DiskFormat::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(extension));
        let named = named
            .map(|(_, format)| *format)
            .or(extension.eq_ignore_ascii_case("img").then_some(DiskFormat::Raw));
        if let Some(format) = format.filter(|format| *format != DiskFormat::Qcow2) {
            self.problem(format!("{name}_FORMAT: got {format}: an overlay ({name}_BASE) is qcow2"));
        } else if let (None, Some(named)) = (format, named.filter(|named| *named != DiskFormat::Qcow2)) {
            self.problem(format!(
                "{name}: got {path:?}: an overlay ({name}_BASE) is qcow2, and this name says {named}: \
                 have it end in .qcow2, or say {name}_FORMAT=qcow2"
            ));
        }
    }

    /// What contradicts each other among disks.
    fn check_disks(&mut self, disks: &[DiskPlan]) {
        for (index, disk) in disks.iter().enumerate() {
            let (before, _) = disks.split_at(index);
            for other in before {
                let names = (disk_variable(other.number), disk_variable(disk.number));
                if disk.path == other.path && !(disk.ephemeral && other.ephemeral) {
                    self.problem(format!("{} and {} are the same image: {:?}", names.0, names.1, disk.path));
                }
                for (one, other) in [(disk, other), (other, disk)] {
                    if one.base.as_ref() == Some(&other.path) && !other.ephemeral {
                        let (one, other) = (disk_variable(one.number), disk_variable(other.number));
                        self.problem(format!(
                            "{one}_BASE is {other}, which the machine writes to: an overlay is worth nothing on a base \
                             that changes; {other}_EPHEMERAL=true leaves it as it is"
                        ));
                    }
                }
                if disk.serial.is_some() && disk.serial == other.serial {
                    self.problem(format!("{}_SERIAL and {}_SERIAL are the same", names.0, names.1));
                }
            }
        }
    }

    fn check_medium(&mut self, row: &'static Row, medium: Option<&Medium>) {
        let Some(Medium::File(path)) = medium else { return };
        match self.host.kind(path) {
            Some(PathKind::File) => {}
            Some(PathKind::Folder) => self.refuse(row, "this is a folder"),
            None => self.refuse(row, "there is no such file"),
        }
    }

    fn problem(&mut self, problem: String) {
        self.findings.problems.push(problem);
    }
}

/// What a disk's settings begin with.
pub(crate) fn disk_variable(number: u8) -> String {
    match number {
        1 => "VM_DISK".into(),
        number => format!("VM_DISK{number}"),
    }
}
