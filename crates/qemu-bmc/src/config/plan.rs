//! What the settings mean: values that the rest of the program uses without a second look.
//!
//! A [`Plan`] exists only if every setting was good, so nothing here can be out of range, contradict
//! something else, or still be text that somebody has to parse. What was odd but good enough to start with
//! is in [`Plan::warnings`], to be logged once logging works.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use bmc::{KgKey, Labels, Password, Privilege, Secret, SelFull, sensors::Definition};
use uuid::Uuid;

use super::{
    BootOrder, FirmwarePlan, HardwarePlan, MachineName, NicsPlan, ProvisioningPlan, SharesPlan, StoragePlan,
};

/// Everything that was decided before anything was started.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the machine is called, if it is one of several.
    pub(crate) name: Option<MachineName>,
    /// The guest and its hardware.
    pub(crate) machine: MachinePlan,
    /// Who may talk to the controller, and with which cryptography.
    pub(crate) controller: ControllerPlan,
    /// Where IPMI over LAN is answered.
    pub(crate) lan: LanPlan,
    /// The sensors.
    pub(crate) sensors: SensorsPlan,
    /// Where the screen is shown.
    pub(crate) vnc: VncPlan,
    /// Who else gets the serial console.
    pub(crate) console: ConsolePlan,
    /// Folders, sockets and files of the program itself.
    pub(crate) paths: Paths,
    /// How long things may take.
    pub(crate) times: Times,
    /// Whether to log what only a developer wants to know.
    pub(crate) debug: bool,
    /// What a user should hear about, one sentence each, without secrets.
    pub(crate) warnings: Vec<String>,
    /// What is odd about the machine and its screen, which concerns nobody where they are somebody else's.
    pub(crate) machine_warnings: Vec<String>,
    /// Every setting with its text and its origin, for [`Plan::describe`].
    pub(super) settings: Vec<super::describe::Effective>,
}

/// The guest and its hardware.
#[derive(Clone, Debug)]
pub(crate) struct MachinePlan {
    /// QEMU, processors, memory.
    pub(crate) hardware: HardwarePlan,
    /// Disks and CDs.
    pub(crate) storage: StoragePlan,
    /// Shared folders.
    pub(crate) shares: SharesPlan,
    /// The order in which the firmware tries devices while nobody overrides it.
    pub(crate) boot: BootOrder,
    /// What starts the guest.
    pub(crate) firmware: FirmwarePlan,
    /// The guest's interface to its BMC, if it is to have one.
    pub(crate) ipmi: Option<SystemInterface>,
    /// Whether there is a port for an agent in the guest.
    pub(crate) guest_agent: bool,
    /// The guest's NICs.
    pub(crate) nics: NicsPlan,
    /// What the guest is told at its first boot.
    pub(crate) provisioning: ProvisioningPlan,
    /// Whether the guest starts with the program.
    pub(crate) power_on_at_start: bool,
    /// Who the machine is, as far as somebody said.
    pub(crate) identity: IdentityPlan,
}

/// The guest's interface to its BMC (IPMI 2.0 §9 to §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemInterface {
    /// Keyboard controller style, on the ISA bus.
    Kcs,
    /// Block transfer, on the ISA bus.
    Bt,
    /// Keyboard controller style, on the PCI bus.
    PciKcs,
    /// Block transfer, on the PCI bus.
    PciBt,
    /// SMBus.
    Ssif,
}

/// Who the machine is, as far as somebody said. What nobody said is derived from the name and then kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityPlan {
    /// System GUID.
    pub(crate) uuid: Option<Uuid>,
    /// Serial number: printable ASCII.
    pub(crate) serial: Option<String>,
    /// The node's name: a setting, else containerlab's, else the host name.
    pub(crate) name: String,
    /// Manufacturer, product and the like.
    pub(crate) labels: Labels,
}

/// Who may talk to the controller, and with which cryptography.
#[derive(Clone, Debug)]
pub(crate) struct ControllerPlan {
    /// The users, the first of whom is always there. Their names differ, and they fit the user table.
    pub(crate) users: Vec<UserPlan>,
    /// K_G, where two-key logins are wanted.
    pub(crate) kg: Option<KgKey>,
    /// Cipher suites to offer: 17, 3 or both, the preferred one first.
    pub(crate) cipher_suites: Vec<u8>,
    /// Whether IPMI 1.5 sessions are accepted.
    pub(crate) v15: bool,
    /// Whether the guest may change users, the LAN and the firmware's settings.
    pub(crate) guest_trusted: bool,
    /// How many entries the event log has room for: one of [`bmc::SEL_SIZES`].
    pub(crate) sel_size: u16,
    /// What happens when it is full.
    pub(crate) sel_full: SelFull,
}

/// A user as configured.
#[derive(Clone, Debug)]
pub(crate) struct UserPlan {
    /// 1 to 16 printable ASCII characters.
    pub(crate) name: String,
    /// The password.
    pub(crate) password: Password,
    /// The highest level of the user's sessions.
    pub(crate) privilege: Privilege,
    /// Whether the user can log in.
    pub(crate) enabled: bool,
}

/// What becomes of network settings that are made over IPMI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LanConfig {
    /// They are kept and reported.
    Store,
    /// They are also applied to the container's interface.
    Apply,
}

/// Where IPMI over LAN is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LanPlan {
    /// What becomes of network settings that are made over IPMI.
    pub(crate) config: LanConfig,
    /// Addresses to listen on, at least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// The one interface by which it is answered, if it is to be one. It need not exist yet.
    pub(crate) interface: Option<String>,
    /// UDP port; 0 takes a free one.
    pub(crate) port: u16,
    /// The port that SOL's activation reports, where it differs from the one that is bound.
    pub(crate) advertised_port: Option<u16>,
    /// The UDP port that alerts are sent to; `None` where none is to leave.
    pub(crate) trap_port: Option<u16>,
}

/// The sensors that there are.
#[derive(Clone, Debug)]
pub(crate) struct SensorsPlan {
    /// Each of them.
    pub(crate) definitions: Vec<Definition>,
    /// The file that had a say in this, to be followed.
    pub(crate) file: Option<SensorsFile>,
}

/// A sensors file as it was when the plan was made.
#[derive(Clone, Debug)]
pub(crate) struct SensorsFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it said.
    pub(crate) text: String,
}

/// Where the screen is shown.
#[derive(Clone, Debug)]
pub(crate) struct VncPlan {
    /// Addresses to listen on, at least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// TCP port; `None` where VNC isn't wanted.
    pub(crate) port: Option<u16>,
    /// The password, of which RFB's authentication (RFC 6143 §7.2.2) uses the first eight bytes.
    pub(crate) password: Option<Secret<String>>,
}

/// Who else gets the serial console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsolePlan {
    /// TCP port on localhost for the raw stream; `None` where it isn't wanted.
    pub(crate) sol_port: Option<u16>,
    /// Where a copy of all output goes.
    pub(crate) log: ConsoleLog,
    /// The log file is rotated when it has reached this many bytes.
    pub(crate) log_size: u64,
    /// How many rotated files are kept beside the current one.
    pub(crate) log_files: u32,
    /// Whether activating SOL replays what was printed before.
    pub(crate) sol_history: bool,
}

/// Where a copy of the serial console's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsoleLog {
    /// Nowhere.
    None,
    /// Into a file in the state folder.
    File,
    /// Into the file and to standard output, which is the container's log.
    FileAndStdout,
}

/// Folders, sockets and files of the program itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// What lives as long as the container: sockets, process ids.
    pub(crate) run_dir: PathBuf,
    /// What outlives it: settings, UEFI variables, the console's log.
    pub(crate) state_dir: PathBuf,
    /// The QMP socket for the user's own tools.
    pub(crate) qmp_socket: PathBuf,
    /// The file that always says `on` or `off`.
    pub(crate) power_state_file: PathBuf,
    /// The socket of the local commands.
    pub(crate) control_socket: PathBuf,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// How long the guest has to follow an ACPI shutdown request; `None` is for ever.
    pub(crate) soft_shutdown: Option<Duration>,
    /// What happens to a guest that didn't.
    pub(crate) soft_shutdown_action: SoftTimeoutAction,
    /// How long the guest has to shut down when the program is told to stop.
    pub(crate) stop: Duration,
    /// How long QEMU has to end after `quit` before it is killed.
    pub(crate) quit: Duration,
}

/// What happens to a guest that ignored an ACPI shutdown request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoftTimeoutAction {
    /// It stays on, and the log says so.
    Leave,
    /// It is switched off.
    Off,
}
