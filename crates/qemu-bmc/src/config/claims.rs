//! What a machine takes for itself, so that no other can have it: ports, folders, images, interfaces, identities.
//!
//! Most of it would only fail when it is used, and some (an address that answers for two machines) would not even
//! then. So it is known before anything is started, of all machines at once.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use uuid::Uuid;

use super::{
    nics::{Networks, NicsPlan, lab_number},
    plan::{ConsoleLog, Plan},
    said::Origin,
    settings::{self, Row},
    several::{MachineName, listed},
    storage::{Medium, StoragePlan},
};

/// Something that a machine has.
struct Claim {
    what: Thing,
    /// Whether it is only looked at, as others may do at the same time.
    read_only: bool,
    /// What it is for.
    purpose: &'static str,
    /// The setting that says so.
    row: &'static Row,
}

/// What can be had once, or looked at by many.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    Port {
        tcp: bool,
        addresses: Vec<IpAddr>,
        port: u16,
        interface: Option<String>,
    },
    Path(PathBuf),
    Interface(String),
    /// Every interface that looks like a lab's.
    LabInterfaces,
    Uuid(Uuid),
    Serial(String),
    StandardOutput,
}

/// What several machines would have at once.
pub(super) struct Shared {
    pub(super) machines: BTreeSet<MachineName>,
    claim: Claim,
    /// Whether the environment says so, which holds for all of them.
    by_environment: bool,
}

/// Everything that two or more of these machines would have at once.
pub(super) fn shared(plans: &[&Plan]) -> Vec<Shared> {
    let mut all: Vec<Shared> = Vec::new();
    for plan in plans {
        for claim in claims(plan) {
            let Some(name) = plan.name.clone() else { continue };
            let by_environment = plan.said_by(claim.row).is_some_and(Origin::is_environment);
            let mut known = false;
            for other in all.iter_mut().filter(|other| other.claim.collides(&claim)) {
                // What a machine itself wants twice is found where its settings are read.
                other.machines.insert(name.clone());
                known |= other.claim.what == claim.what;
            }
            if !known {
                all.push(Shared { machines: BTreeSet::from([name]), claim, by_environment });
            }
        }
    }
    all.retain(|shared| shared.machines.len() > 1);
    all
}

fn claims(plan: &Plan) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut claim = |row, purpose, what| claims.push(Claim { what, read_only: false, purpose, row });
    let port = |tcp, addresses: &[IpAddr], port, interface: Option<&String>| Thing::Port {
        tcp,
        addresses: addresses.to_vec(),
        port,
        interface: interface.cloned(),
    };

    let (lan, vnc, console, paths) = (&plan.lan, &plan.vnc, &plan.console, &plan.paths);
    claim(&settings::IPMI_PORT.row, "IPMI", port(false, &lan.addresses, lan.port, lan.interface.as_ref()));
    if let Some(number) = vnc.port {
        claim(&settings::VNC_PORT.row, "VNC", port(true, &vnc.addresses, number, None));
    }
    if let Some(number) = console.sol_port {
        let here = [IpAddr::from(Ipv4Addr::LOCALHOST)];
        claim(&settings::SOL_PORT.row, "the serial console", port(true, &here, number, None));
    }
    let NicsPlan { networks, forwards, modes, .. } = &plan.machine.nics;
    for forward in forwards {
        let address = IpAddr::from(forward.address.unwrap_or(Ipv4Addr::UNSPECIFIED));
        let what = port(forward.tcp, &[address], forward.port, None);
        claim(&settings::VM_HOSTFWD.row, "a forward into the guest", what);
    }
    match networks {
        Networks::Named(names) => {
            for name in names.iter().filter(|name| modes.of(name).is_attached()) {
                claim(&settings::VM_NETWORKS.row, "the guest", Thing::Interface(name.clone()));
            }
        }
        Networks::Auto => claim(&settings::VM_NETWORKS.row, "the guest", Thing::LabInterfaces),
        Networks::None => {}
    }
    for (row, purpose, path) in [
        (&settings::RUN_DIR.row, "sockets", &paths.run_dir),
        (&settings::STATE_DIR.row, "what is kept", &paths.state_dir),
        (&settings::QMP_SOCK.row, "the QMP socket", &paths.qmp_socket),
        (&settings::POWER_STATE_FILE.row, "on or off", &paths.power_state_file),
    ] {
        claim(row, purpose, Thing::Path(path.clone()));
    }
    if let Some(uuid) = plan.machine.identity.uuid {
        claim(&settings::VM_UUID.row, "the system GUID", Thing::Uuid(uuid));
    }
    if let Some(serial) = &plan.machine.identity.serial {
        claim(&settings::VM_SERIAL.row, "the serial number", Thing::Serial(serial.clone()));
    }
    if console.log == ConsoleLog::FileAndStdout {
        claim(&settings::CONSOLE_LOG.row, "the serial console's output", Thing::StandardOutput);
    }
    claims.extend(images(plan));
    // Several can be answered by one interface, but not if it is a guest's.
    claims.extend(lan.interface.as_ref().map(|name| Claim {
        what: Thing::Interface(name.clone()),
        read_only: true,
        purpose: "IPMI",
        row: &settings::IPMI_INTERFACE.row,
    }));
    claims
}

/// Images that are written, and those that are only read.
fn images(plan: &Plan) -> impl Iterator<Item = Claim> {
    let StoragePlan { disks, cdroms } = &plan.machine.storage;
    let disks = disks.iter().flat_map(|disk| {
        let (row, base_row) = match disk.number {
            1 => (&settings::VM_DISK.row, &settings::VM_DISK_BASE.row),
            _ => (&settings::VM_DISK_N.row, &settings::VM_DISK_N_BASE.row),
        };
        let image = |path: &PathBuf, read_only, row| Claim {
            what: Thing::Path(path.clone()),
            read_only,
            purpose: "a disk",
            row,
        };
        let base = disk.base.iter().map(move |base| image(base, true, base_row));
        std::iter::once(image(&disk.path, disk.ephemeral, row)).chain(base)
    });
    let cds = cdroms.iter().flatten().filter_map(|medium| match medium {
        Medium::File(path) => Some(Claim {
            what: Thing::Path(path.clone()),
            read_only: true,
            purpose: "a CD",
            row: &settings::VM_CDROM.row,
        }),
        Medium::Url(_) => None,
    });
    disks.chain(cds)
}

impl Claim {
    fn collides(&self, other: &Self) -> bool {
        !(self.read_only && other.read_only) && self.what.collides(&other.what)
    }
}

impl Thing {
    fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Port { tcp, addresses, port, interface },
                Self::Port {
                    tcp: other_tcp,
                    addresses: others,
                    port: other_port,
                    interface: other_interface,
                },
            ) => {
                // Sockets that are bound to different interfaces never meet.
                let apart = matches!((interface, other_interface), (Some(one), Some(other)) if one != other);
                let meet = addresses.iter().any(|one| others.iter().any(|other| overlap(*one, *other)));
                tcp == other_tcp && port == other_port && *port != 0 && meet && !apart
            }
            (Self::LabInterfaces, Self::Interface(name)) | (Self::Interface(name), Self::LabInterfaces) => {
                lab_number(name).is_some()
            }
            _ => self == other,
        }
    }
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4() && (one == other || one.is_unspecified() || other.is_unspecified())
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { tcp, port, .. } => write!(f, "{} port {port}", if *tcp { "tcp" } else { "udp" }),
            Self::Path(path) => write!(f, "{path:?}"),
            Self::Interface(name) => write!(f, "the interface {name}"),
            Self::LabInterfaces => f.write_str("every interface from eth2 on"),
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Serial(serial) => write!(f, "{serial:?}"),
            Self::StandardOutput => f.write_str("standard output"),
        }
    }
}

/// As in the list of what is wrong.
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machines, claim: Claim { what, purpose, row, .. }, by_environment } = self;
        let names: Vec<_> = machines.iter().collect();
        write!(f, "{}: {what} can be only one machine's, for {purpose}: ", listed(&names))?;
        if *by_environment {
            write!(f, "{} is set in the environment, for all of them; leave it out, and ", row.variable)?;
        }
        let key = row.key.strip_prefix("machine.").unwrap_or(row.key);
        let address = row.key.split_once('.').map(|(table, _)| format!("{table}.address"));
        match address.filter(|address| settings::rows().any(|row| row.key == address)) {
            Some(address) => write!(f, "give each a {key} or {address} of its own"),
            None => write!(f, "give each a {key} of its own"),
        }
    }
}
