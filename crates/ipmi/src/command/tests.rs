use std::{net::SocketAddr, time::Instant};

use bmc::{Bmc, Fact, Identity, Intent, Lan, Password, Privilege, UserId, Users};
use proptest::prelude::*;

use super::{
    table::{APP, CHASSIS, GROUP_EXTENSION},
    *,
};

/// Two sessions: handle 1, an administrator's, which commands come by, and handle 2, a user's.
pub(super) struct Sessions {
    pub(super) own: Option<SessionFacts>,
    pub(super) other: SessionFacts,
    pub(super) closed: Vec<SessionRef>,
    pub(super) sol_owner: Option<u8>,
    pub(super) sol_told: bool,
    pub(super) sol_request: Option<SolRequest>,
}

impl Sessions {
    fn new() -> Self {
        let facts = |handle: u8, privilege: Privilege, v20: bool, peer: &str| SessionFacts {
            handle,
            id: 0xa000_0000 + u32::from(handle),
            user: UserId::new(handle + 1).unwrap(),
            privilege,
            max: Privilege::Administrator,
            v20,
            peer: peer.parse::<SocketAddr>().unwrap(),
            encrypted: true,
            authenticated: true,
        };
        Self {
            own: Some(facts(1, Privilege::Administrator, true, "192.0.2.1:12345")),
            other: facts(2, Privilege::User, false, "[2001:db8::1]:12346"),
            closed: Vec::new(),
            sol_owner: None,
            sol_told: false,
            sol_request: None,
        }
    }
}

impl SessionPort for Sessions {
    fn current(&self) -> Option<SessionFacts> {
        self.own
    }

    fn find(&self, which: SessionRef) -> Option<SessionFacts> {
        let open = || self.own.into_iter().chain([self.other]);
        match which {
            SessionRef::Own => self.own,
            SessionRef::Handle(handle) => open().find(|session| session.handle == handle),
            SessionRef::Id(id) => open().find(|session| session.id == id),
            SessionRef::Nth(nth) => open().nth(usize::from(nth).checked_sub(1)?),
        }
    }

    fn capacity(&self) -> u8 {
        64
    }

    fn active(&self) -> u8 {
        2
    }

    fn set_privilege(&mut self, level: Privilege) {
        self.own.as_mut().unwrap().privilege = level;
    }

    fn close(&mut self, which: SessionRef) -> bool {
        let found = self.find(which).is_some();
        if found {
            self.closed.push(which);
        }
        found
    }

    fn sol_owner(&self) -> Option<SessionFacts> {
        self.find(SessionRef::Handle(self.sol_owner?))
    }

    fn sol_port(&self) -> u16 {
        623
    }

    fn sol_activate(&mut self, request: SolRequest) -> SolActivation {
        self.sol_owner = self.own.map(|own| own.handle);
        self.sol_request = Some(request);
        SolActivation {
            inbound_size: crate::sol::INBOUND_SIZE,
            outbound_size: crate::sol::OUTBOUND_SIZE,
            port: 623,
        }
    }

    fn sol_deactivate(&mut self, by_other: bool) {
        self.sol_owner = None;
        self.sol_told = by_other;
    }

    fn challenge_v15(&mut self, name: &[u8; 16]) -> Result<(u32, [u8; 16]), CompletionCode> {
        match name {
            b"admin\0\0\0\0\0\0\0\0\0\0\0" => Ok((0x1122_3344, [0xcc; 16])),
            _ => Err(CompletionCode(0x81)),
        }
    }

    fn activate_v15(
        &mut self,
        max: Privilege,
        challenge: &[u8; 16],
        initial_outbound_seq: u32,
    ) -> Result<(u32, u32, Privilege), CompletionCode> {
        if challenge != &[0xcc; 16] {
            return Err(CompletionCode(0x85));
        }
        Ok((0x5566_7788, initial_outbound_seq.wrapping_add(0x0104), max))
    }
}

/// A controller on which commands are tried.
pub(super) struct Bench {
    pub(super) now: Instant,
    pub(super) bmc: Bmc,
    pub(super) channel: u8,
    pub(super) trusted: bool,
    pub(super) sessions: Sessions,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut users = Users::default();
        for name in ["admin", "reader"] {
            users.add(name, Password::new(b"password").unwrap(), Privilege::Administrator).unwrap();
        }
        Self {
            now: Instant::now(),
            bmc: Bmc::new(Identity::derive("node1"), users, Lan::default()),
            channel: LAN_CHANNEL,
            trusted: true,
            sessions: Sessions::new(),
        }
    }

    pub(super) fn own(&mut self) -> &mut SessionFacts {
        self.sessions.own.as_mut().unwrap()
    }

    pub(super) fn other(&mut self) -> &mut SessionFacts {
        &mut self.sessions.other
    }

    pub(super) fn run(&mut self, request: &Request<'_>) -> Reply {
        let mut context = Context {
            now: self.now,
            bmc: &mut self.bmc,
            channel: self.channel,
            trusted: self.trusted,
            port: &mut self.sessions,
        };
        dispatch(&mut context, request)
    }

    /// The data of a command that succeeds.
    pub(super) fn ok(&mut self, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
        let reply = self.run(&Request { netfn, lun: 0, command, data });
        assert_eq!(reply.code(), CompletionCode::OK, "{netfn:02x}:{command:02x} {data:02x?}");
        reply.data().to_vec()
    }

    /// The completion code of a command that fails, or does not.
    pub(super) fn code(&mut self, netfn: u8, command: u8, data: &[u8]) -> u8 {
        self.run(&Request { netfn, lun: 0, command, data }).code().0
    }

    /// The machine driver: takes the power request that waits and reports what became of it.
    pub(super) fn carry_out(&mut self, fact: Fact) {
        assert!(matches!(self.bmc.take_intent(), Some(Intent::Power(_))));
        self.bmc.on_fact(self.now, fact);
        self.bmc.power_done();
    }

    pub(super) fn power_on(&mut self) {
        self.bmc.on_fact(self.now, Fact::Started);
    }
}

#[test]
fn no_command_is_in_the_table_twice() {
    for (index, row) in TABLE.iter().enumerate() {
        let first = TABLE.iter().position(|other| {
            (other.netfn, other.group, other.command) == (row.netfn, row.group, row.command)
        });
        assert_eq!(first, Some(index), "{}", row.name);
        assert_eq!(row.netfn % 2, 0, "{}: a response's NetFn", row.name);
    }
}

/// A request of this many zeros, after the defining body if it has one.
fn request_of(row: &Row, len: usize) -> Vec<u8> {
    row.group.into_iter().chain(std::iter::repeat_n(0, len)).collect()
}

#[test]
fn every_row_is_refused_below_its_level() {
    for row in TABLE.iter().filter(|row| row.channels != Channels::SystemInterface) {
        let Some(needed) = row.privilege else { continue };
        for level in (1..5).filter_map(Privilege::from_number) {
            let mut bench = Bench::new();
            bench.own().privilege = level;
            // One byte more than the row takes: a level that is high enough is told from one that is not
            // without running the command.
            let data = request_of(row, row.lengths.end() + 1);
            let expected = if level < needed { 0xd4 } else { 0xc7 };
            let code = bench.code(row.netfn, row.command, &data);
            assert_eq!(code, expected, "{} as {level}", row.name);
        }
        let mut bench = Bench::new();
        bench.sessions.own = None;
        assert_eq!(
            bench.code(row.netfn, row.command, &request_of(row, *row.lengths.start())),
            0xd4,
            "{}",
            row.name
        );
    }
}

#[test]
fn without_a_session_six_commands_run() {
    let open: Vec<_> =
        TABLE.iter().filter(|row| row.privilege.is_none()).map(|row| (row.netfn, row.command)).collect();
    assert_eq!(open, [(6, 0x37), (6, 0x38), (6, 0x39), (6, 0x3a), (6, 0x54), (4, 0x17)]);
    let mut bench = Bench::new();
    bench.sessions.own = None;
    bench.ok(APP, 0x38, &[0x8e, 4]);
    bench.ok(APP, 0x54, &[0x0e, 0, 0x80]);
    bench.ok(APP, 0x37, &[]);
}

#[test]
fn maas_controls_power_and_boot_as_an_operator() {
    let mut bench = Bench::new();
    bench.own().privilege = Privilege::Operator;
    bench.ok(CHASSIS, 0x08, &[0x05, 0x80, 0x04, 0, 0, 0]);
    bench.ok(CHASSIS, 0x02, &[1]);
    assert_eq!(bench.code(APP, 0x02, &[]), 0xd4);
}

#[test]
fn the_system_interface_may_do_everything() {
    let mut bench = Bench::new();
    bench.channel = SYSTEM_INTERFACE;
    bench.sessions.own = None;
    bench.ok(CHASSIS, 0x01, &[]);
    bench.ok(APP, 0x02, &[]);
}

#[test]
fn a_channel_that_a_command_does_not_come_by_does_not_know_it() {
    for row in TABLE.iter().filter(|row| row.channels != Channels::Any) {
        let mut bench = Bench::new();
        if row.channels == Channels::Lan {
            bench.channel = SYSTEM_INTERFACE;
            bench.sessions.own = None;
        }
        let request = request_of(row, *row.lengths.start());
        assert_eq!(bench.code(row.netfn, row.command, &request), 0xc1, "{}", row.name);
    }
}

#[test]
fn a_guest_that_is_not_trusted_is_refused_what_is_guarded() {
    for row in TABLE.iter().filter(|row| row.guarded) {
        let mut bench = Bench::new();
        bench.channel = SYSTEM_INTERFACE;
        bench.trusted = false;
        bench.sessions.own = None;
        let request = request_of(row, *row.lengths.start());
        assert_eq!(bench.code(row.netfn, row.command, &request), 0xd4, "{}", row.name);
    }
}

#[test]
fn a_guest_that_is_not_trusted_changes_what_the_readme_says() {
    let left: Vec<_> = TABLE
        .iter()
        .filter(|row| row.mutates && !row.guarded && row.channels != Channels::Lan)
        .map(|row| row.name)
        .collect();
    let expected = [
        "Chassis Control",
        "Chassis Identify",
        "Set System Boot Options",
        "Set ACPI Power State",
        "Set BMC Global Enables",
        "Reset Watchdog Timer",
        "Set Watchdog Timer",
        "Clear Message Flags",
        "Enable Message Channel Receive",
        "Get Message",
        "Send Message",
        "Read Event Message Buffer",
        "Master Write-Read",
        "Set Session Privilege Level",
        "Set System Info Parameters",
        "Activate Payload",
        "Deactivate Payload",
        "Platform Event",
        "Reserve SEL",
        "Add SEL Entry",
        "Partial Add SEL Entry",
        "Get IP/UDP/RMCP Statistics",
    ];
    assert_eq!(left, expected);
}

#[test]
fn what_is_not_there_has_its_code() {
    let mut bench = Bench::new();
    for (netfn, command) in [(CHASSIS, 0x03), (CHASSIS, 0x0a), (APP, 0x05), (0x2c, 0xff), (0x3f, 0xff)] {
        assert_eq!(bench.code(netfn, command, &[0xdc]), 0xc1, "{netfn:02x}:{command:02x}");
    }
    let request = Request { netfn: APP, lun: 1, command: 0x01, data: &[] };
    assert_eq!(bench.run(&request).code().0, 0xc2);
    assert_eq!(bench.code(APP, 0x01, &[0]), 0xc7);
}

#[test]
fn an_error_has_no_data() {
    let mut bench = Bench::new();
    let reply = bench.run(&Request { netfn: CHASSIS, lun: 0, command: 0x09, data: &[7, 9, 0] });
    assert_eq!((reply.code().0, reply.data()), (0xc9, &[][..]));
}

/// A session's requests, most of them to commands that exist and of a length that fits.
fn any_request() -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
    let known = (0..TABLE.len()).prop_flat_map(|index| {
        let row = &TABLE[index];
        let data = proptest::collection::vec(any::<u8>(), row.lengths.clone());
        let group = row.group;
        let data = data.prop_map(move |data| group.into_iter().chain(data).collect());
        (Just(row.netfn), Just(row.command), data)
    });
    prop_oneof![4 => known, 1 => (0..64u8, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300))]
}

proptest! {
    #[test]
    fn nothing_that_is_asked_panics(
        level in 0..6u8,
        in_band: bool,
        v15: bool,
        lun in 0..4u8,
        requests in proptest::collection::vec(any_request(), 1..30),
    ) {
        let mut bench = Bench::new();
        bench.bmc.lan.v15 = v15;
        match Privilege::from_number(level) {
            Some(level) => bench.own().privilege = level,
            None => bench.sessions.own = None,
        }
        if in_band {
            bench.channel = SYSTEM_INTERFACE;
            bench.sessions.own = None;
        }
        for (netfn, command, data) in requests {
            let lun = if lun == 1 { 1 } else { 0 };
            let reply = bench.run(&Request { netfn, lun, command, data: &data });
            // DCMI's Get Power Limit alone remarks on what it tells.
            if reply.code() != CompletionCode::OK && (netfn, command) != (GROUP_EXTENSION, 0x03) {
                prop_assert_eq!(reply.data(), &[]);
            }
        }
    }
}
