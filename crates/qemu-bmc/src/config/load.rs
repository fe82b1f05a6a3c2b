//! What each setting means, and what they mean together.
//!
//! Every value is taken before the first missing one ends anything, so that all mistakes are found in one go:
//! a function here first takes all that it needs, as options, and only then puts its part together with `?`.

mod firmware;
mod hardware;
mod hold;
mod nics;
mod paths;
mod provisioning;
mod shares;
mod storage;

use std::{collections::HashSet, net::IpAddr, time::Duration};

use bmc::{Labels, Password, Privilege, Secret, sensors::standard};

pub(crate) use storage::disk_variable;

use super::{
    ConfigErrors,
    hardware::Platform,
    host::Host,
    plan::*,
    reader::{Findings, Reader},
    said::Texts,
    sensors,
    settings::{self, Setting, user},
    value,
};

/// Slots of the user table that aren't the null user's.
const USERS_MAX: usize = 15;
/// What RFB's authentication uses of a password.
const VNC_PASSWORD_USED: usize = 8;
/// Long enough for QEMU to flush a disk, short beside docker's ten seconds.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

impl Plan {
    /// Makes a plan of what was said of a machine. `findings` is what came to light before.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn make(
        texts: &Texts,
        users: &[Texts],
        host: &dyn Host,
        mut findings: Findings,
    ) -> Result<Self, ConfigErrors> {
        let plan = Reader { texts, host, findings: &mut findings }.plan(users);
        match plan {
            Some(plan) if findings.problems.is_empty() => {
                let Findings { warnings, machine_warnings, settings, .. } = findings;
                Ok(Self { warnings, machine_warnings, settings, ..plan })
            }
            _ => Err(ConfigErrors(findings.problems)),
        }
    }
}

impl Reader<'_> {
    fn plan(&mut self, users: &[Texts]) -> Option<Plan> {
        let config = self.get(&settings::CONFIG);
        let debug = self.get(&settings::DEBUG);
        let machine = self.of_machine(Self::machine);
        let controller = self.controller(users);
        let lan = self.lan();
        let sensors = self.sensors();
        let vnc = self.of_machine(Self::vnc);
        let console = self.console();
        let paths = self.paths();
        let times = self.times();

        config?;
        let (vnc, console) = (vnc?, console?);
        if vnc.port.is_some() && vnc.port == console.sol_port {
            let vnc = self.texts.name(&settings::VNC_PORT.row);
            self.refuse(&settings::SOL_PORT.row, &format!("this is VNC's port too ({vnc})"));
        }
        let (machine, lan, paths) = (machine?, lan?, paths?);
        self.check_folders(&machine, &paths);
        self.of_machine(|reader| {
            reader.check_forwards(&machine.nics.forwards, &lan, &vnc, &console);
            reader.check_interface(&machine.nics, &lan);
        });
        Some(Plan {
            name: self.texts.machine.clone(),
            machine,
            controller: controller?,
            lan,
            sensors: sensors?,
            vnc,
            console,
            paths,
            times: times?,
            debug: debug?,
            warnings: Vec::new(),
            machine_warnings: Vec::new(),
            settings: Vec::new(),
        })
    }

    fn machine(&mut self) -> Option<MachinePlan> {
        let name = self.get(&settings::VM_NAME);
        let uuid = self.get(&settings::VM_UUID);
        let serial = self.get(&settings::VM_SERIAL);
        let hardware = self.hardware();
        let platform = hardware.as_ref().map_or(Platform::Q35, |hardware| hardware.machine.platform);
        let labels = self.labels(hardware.as_ref().is_some_and(|hardware| hardware.hide_hypervisor));
        let storage = self.storage();
        let shares = self.shares();
        let boot = self.get(&settings::VM_BOOT);
        let firmware = self.firmware(platform);
        let ipmi = self.system_interface(platform);
        let nics = self.nics();
        let guest_agent = self.guest_agent(hardware.as_ref());
        let power_on_at_start = self.get(&settings::POWER_ON_AT_START);
        let name = name.map(|name| name.unwrap_or_else(|| host_name(self.host)));
        let provisioning = self.provisioning(name.as_deref());

        let name = name?;
        self.show(&settings::VM_NAME.row, &name);
        Some(MachinePlan {
            hardware: hardware?,
            storage: storage?,
            shares: shares?,
            boot: boot?,
            firmware: firmware?,
            ipmi: ipmi?,
            guest_agent: guest_agent?,
            nics: nics?,
            provisioning: provisioning?,
            power_on_at_start: power_on_at_start?,
            identity: IdentityPlan { uuid: uuid?, serial: serial?, name, labels: labels? },
        })
    }

    fn system_interface(&mut self, platform: Platform) -> Option<Option<SystemInterface>> {
        use SystemInterface::{Bt, Kcs, PciKcs, Ssif};

        let interface = self.get(&settings::VM_IPMI)?;
        let row = &settings::VM_IPMI.row;
        if platform != Platform::Virt {
            return Some(interface);
        }
        if !self.is_said(row) {
            self.show(row, "pci-kcs");
            return Some(Some(PciKcs));
        }
        if matches!(interface, Some(Kcs | Bt | Ssif)) {
            self.refuse(row, "an ARM machine has neither an ISA bus nor an SMBus: try pci-kcs or pci-bt");
        }
        Some(interface)
    }

    fn labels(&mut self, hide_hypervisor: bool) -> Option<Labels> {
        let mut manufacturer = self.get(&settings::VM_MANUFACTURER);
        let mut product = self.get(&settings::VM_PRODUCT);
        if hide_hypervisor {
            self.hide_in_label(&settings::VM_MANUFACTURER, &mut manufacturer, "Generic");
            self.hide_in_label(&settings::VM_PRODUCT, &mut product, "Server");
        }
        let part_number = self.get(&settings::VM_PART_NUMBER);
        let asset_tag = self.get(&settings::VM_ASSET_TAG);
        Some(Labels {
            manufacturer: manufacturer?,
            product: product?,
            part_number: part_number?,
            asset_tag: asset_tag?,
        })
    }

    /// A label that nobody asked for gives nothing away.
    fn hide_in_label(
        &mut self,
        setting: &'static Setting<String>,
        label: &mut Option<String>,
        neutral: &str,
    ) {
        const TELLING: [&str; 4] = ["qemu", "bochs", "kvm", "virtual"];

        let Some(label) = label else { return };
        if !self.is_said(&setting.row) {
            neutral.clone_into(label);
            self.show(&setting.row, neutral);
        } else if TELLING.iter().any(|word| label.to_ascii_lowercase().contains(word)) {
            let name = self.texts.name(&setting.row);
            self.warn(format!("{name} says what VM_HIDE_HYPERVISOR is to hide: {label:?}"));
        }
    }

    fn controller(&mut self, more_users: &[Texts]) -> Option<ControllerPlan> {
        let name = self.get(&settings::IPMI_USER);
        let password = self.get_secret(&settings::IPMI_PASS, &settings::IPMI_PASS_FILE);
        let more_users: Vec<_> = more_users.iter().map(|texts| self.user(texts)).collect();
        let kg = self.get(&settings::IPMI_KG);
        let cipher_suites = self.get(&settings::IPMI_CIPHER_SUITES);
        let v15 = self.get(&settings::IPMI_LAN15);
        let guest_trusted = self.get(&settings::VM_IPMI_TRUST);
        let sel_size = self.get(&settings::SEL_SIZE);
        let sel_full = self.get(&settings::SEL_FULL);
        if v15 == Some(true) {
            self.warn("IPMI 1.5 sessions are accepted: what they carry can be read on the way (IPMI_LAN15)");
        }

        let first = Some(UserPlan {
            name: name?,
            password: password?,
            privilege: Privilege::Administrator,
            enabled: true,
        });
        let users: Vec<_> = std::iter::once(first).chain(more_users).collect::<Option<_>>()?;
        self.check_users(&users);
        Some(ControllerPlan {
            users,
            kg: kg?,
            cipher_suites: cipher_suites?,
            v15: v15?,
            guest_trusted: guest_trusted?,
            sel_size: sel_size?,
            sel_full: sel_full?,
        })
    }

    fn user(&mut self, texts: &Texts) -> Option<UserPlan> {
        let mut reader = Reader { texts, host: self.host, findings: self.findings };
        let name = reader.get(&user::NAME);
        let password = reader.get_secret(&user::PASSWORD, &user::PASSWORD_FILE);
        let privilege = reader.get(&user::PRIVILEGE);
        let enabled = reader.get(&user::ENABLED);
        Some(UserPlan { name: name?, password: password?, privilege: privilege?, enabled: enabled? })
    }

    fn check_users(&mut self, users: &[UserPlan]) {
        if users.len() > USERS_MAX {
            let problem = format!("there are {} users, and room for {USERS_MAX}", users.len());
            self.findings.problems.push(problem);
        }
        let mut names = HashSet::new();
        for user in users {
            if !names.insert(&user.name) {
                self.findings.problems.push(format!("two users have the name {:?}", user.name));
            }
        }
        let default = Password::new(settings::IPMI_PASS.row.default.as_bytes());
        if let Some(user) = users.first().filter(|user| Ok(&user.password) == default.as_ref()) {
            self.warn(format!(
                "{} has the default password, which everyone knows: set IPMI_PASS or IPMI_PASS_FILE",
                user.name
            ));
        }
    }

    fn lan(&mut self) -> Option<LanPlan> {
        let addresses = self.get(&settings::IPMI_ADDRESS);
        let interface = self.get(&settings::IPMI_INTERFACE);
        let port = self.get(&settings::IPMI_PORT);
        let advertised_port = self.get(&settings::IPMI_ADVERTISED_PORT);
        let trap_port = self.get(&settings::IPMI_TRAP_PORT);
        let config = self.get(&settings::LAN_CONFIG);
        if matches!((&interface, port), (Some(Some(_)), Some(0))) {
            self.refuse(
                &settings::IPMI_PORT.row,
                "a free port can be taken once the interface is there (IPMI_INTERFACE)",
            );
        }
        Some(LanPlan {
            addresses: addresses?,
            interface: interface?,
            port: port?,
            advertised_port: advertised_port?,
            trap_port: trap_port?,
            config: config?,
        })
    }

    /// The sensors, and the file that says so, if there is one.
    fn sensors(&mut self) -> Option<SensorsPlan> {
        let Some(path) = self.get(&settings::SENSORS_FILE)? else {
            return Some(SensorsPlan { definitions: standard(), file: None });
        };
        let contents = match self.host.read(&path) {
            Ok(contents) => contents,
            Err(error) => {
                self.refuse(&settings::SENSORS_FILE.row, &format!("it cannot be read: {error}"));
                return None;
            }
        };
        let text = String::from_utf8_lossy(&contents).into_owned();
        match sensors::parse(&text) {
            Ok(definitions) => Some(SensorsPlan { definitions, file: Some(SensorsFile { path, text }) }),
            Err(problems) => {
                let place = path.display();
                self.findings.problems.extend(problems.iter().map(|problem| format!("{place}: {problem}")));
                None
            }
        }
    }

    fn vnc(&mut self) -> Option<VncPlan> {
        let addresses = self.get(&settings::VNC_ADDRESS);
        let port = self.get(&settings::VNC_PORT);
        let password = self.get_secret(&settings::VNC_PASSWORD, &settings::VNC_PASSWORD_FILE);

        let plan = VncPlan { addresses: addresses?, port: port?, password: password? };
        let open = plan.port.is_some() && !plan.addresses.iter().all(IpAddr::is_loopback);
        match plan.password.as_ref().map(Secret::expose) {
            None if open => self.warn(
                "VNC has no password: who reaches its port has the screen and the keyboard; \
                 set VNC_PASSWORD or VNC_PASSWORD_FILE",
            ),
            Some(password) if password.len() > VNC_PASSWORD_USED => {
                self.warn(format!("VNC uses only the first {VNC_PASSWORD_USED} bytes of its password"));
            }
            _ => {}
        }
        Some(plan)
    }

    fn console(&mut self) -> Option<ConsolePlan> {
        let sol_port = self.get(&settings::SOL_PORT);
        let sol_history = self.get(&settings::SOL_HISTORY);
        let log = self.get(&settings::CONSOLE_LOG);
        let log_size = self.get(&settings::CONSOLE_LOG_SIZE);
        let log_files = self.get(&settings::CONSOLE_LOG_FILES);
        Some(ConsolePlan {
            sol_port: sol_port?,
            log: log?,
            log_size: log_size?,
            log_files: log_files?,
            sol_history: sol_history?,
        })
    }

    fn times(&mut self) -> Option<Times> {
        let soft_shutdown = self.get(&settings::SOFT_TIMEOUT);
        let soft_shutdown_action = self.get(&settings::SOFT_TIMEOUT_ACTION);
        let stop = self.get(&settings::STOP_TIMEOUT);
        Some(Times {
            soft_shutdown: soft_shutdown?,
            soft_shutdown_action: soft_shutdown_action?,
            stop: stop?,
            quit: QUIT_LIMIT,
        })
    }
}

/// The host's name. A host can have one that fits no label; then the node has the program's.
fn host_name(host: &dyn Host) -> String {
    let label = host.name().and_then(|name| value::optional_label(&name).ok().flatten());
    label.unwrap_or_else(|| "qemu-bmc".into())
}

#[cfg(test)]
mod tests;
