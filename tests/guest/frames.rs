//! frames: sends and shows Ethernet frames bit for bit, for tests.
//!
//!   frames send INTERFACE HEX [LENGTH]   sends one frame; with a length, it is filled up to it with bytes that count
//!   frames show INTERFACE                prints "listening", then each frame that comes in, in hexadecimal
//!
//! It runs in the guest and beside it, so it is one static program without dependencies: what the C library has
//! is declared here. "show" puts a VLAN tag back that the kernel or the NIC took off, and asks for frames that
//! are somebody else's.

use std::{
    error::Error,
    ffi::{CString, c_char, c_int, c_void},
    io::{self, Write as _},
};

const AF_PACKET: c_int = 17;
const SOCK_RAW: c_int = 3;
const ETH_P_ALL: u16 = 3;
const SOL_PACKET: c_int = 263;
const PACKET_ADD_MEMBERSHIP: c_int = 1;
const PACKET_AUXDATA: c_int = 8;
const PACKET_IGNORE_OUTGOING: c_int = 23;
const PACKET_MR_PROMISC: u16 = 1;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
const ETH_P_8021Q: u16 = 0x8100;

/// Both hardware addresses: what stands before a tag.
const ADDRESSES: usize = 12;

/// `struct sockaddr_ll`
#[repr(C)]
#[derive(Default)]
struct Address {
    family: u16,
    protocol: u16,
    interface: c_int,
    hardware: u16,
    packet: u8,
    length: u8,
    address: [u8; 8],
}

/// `struct packet_mreq`
#[repr(C)]
#[derive(Default)]
struct Membership {
    interface: c_int,
    kind: u16,
    length: u16,
    address: [u8; 8],
}

#[repr(C)]
struct Buffer {
    base: *mut c_void,
    length: usize,
}

/// `struct msghdr`
#[repr(C)]
struct Message {
    name: *mut c_void,
    name_length: u32,
    buffers: *mut Buffer,
    buffer_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

/// `struct cmsghdr` with the `struct tpacket_auxdata` behind it.
#[repr(C)]
#[derive(Default)]
struct Auxiliary {
    length: usize,
    level: c_int,
    kind: c_int,
    status: u32,
    frame_length: u32,
    captured: u32,
    mac: u16,
    net: u16,
    tag: u16,
    protocol: u16,
}

unsafe extern "C" {
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(socket: c_int, address: *const Address, length: u32) -> c_int;
    fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    fn send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    fn recvmsg(socket: c_int, message: *mut Message, flags: c_int) -> isize;
    fn if_nametoindex(name: *const c_char) -> u32;
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", interface, hex] => Wire::open(interface)?.send(&parse(hex)?),
        ["send", interface, hex, length] => {
            let mut frame = parse(hex)?;
            frame.extend((frame.len()..length.parse()?).map(|position| position as u8));
            Wire::open(interface)?.send(&frame)
        }
        ["show", interface] => Wire::open(interface)?.show(),
        _ => Err("usage: frames send INTERFACE HEX [LENGTH] | frames show INTERFACE".into()),
    }
}

fn parse(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let byte = |at| Ok(u8::from_str_radix(hex.get(at..at + 2).ok_or("half a byte")?, 16)?);
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The interface, as whoever has the cable in his hand sees it.
struct Wire(c_int);

impl Wire {
    fn open(interface: &str) -> Result<Self, Box<dyn Error>> {
        let name = CString::new(interface)?;
        // SAFETY: the name ends with a zero.
        let index = unsafe { if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(format!("no interface {interface}: {}", io::Error::last_os_error()).into());
        }
        // Bound later, so that nothing of other interfaces is read.
        // SAFETY: numbers only.
        let wire = Self(checked(unsafe { socket(AF_PACKET, SOCK_RAW, 0) } as isize)? as c_int);
        wire.set(PACKET_AUXDATA, &1)?;
        wire.set(PACKET_IGNORE_OUTGOING, &1)?;
        let interface = c_int::try_from(index)?;
        wire.set(
            PACKET_ADD_MEMBERSHIP,
            &Membership { interface, kind: PACKET_MR_PROMISC, ..Membership::default() },
        )?;
        let address = Address {
            family: AF_PACKET as u16,
            protocol: ETH_P_ALL.to_be(),
            interface,
            ..Address::default()
        };
        // SAFETY: the address is as long as is said.
        checked(unsafe { bind(wire.0, &address, size_of::<Address>() as u32) } as isize)?;
        Ok(wire)
    }

    fn set<T>(&self, name: c_int, value: &T) -> io::Result<()> {
        let value: *const T = value;
        // SAFETY: the value is as long as is said.
        let result = unsafe { setsockopt(self.0, SOL_PACKET, name, value.cast(), size_of::<T>() as u32) };
        checked(result as isize).map(drop)
    }

    fn send(&self, frame: &[u8]) -> Result<(), Box<dyn Error>> {
        // SAFETY: the frame is as long as is said.
        checked(unsafe { send(self.0, frame.as_ptr().cast(), frame.len(), 0) })?;
        Ok(())
    }

    fn show(&self) -> Result<(), Box<dyn Error>> {
        let mut out = io::stdout().lock();
        writeln!(out, "listening")?;
        out.flush()?;
        loop {
            let mut line: String = self.receive()?.iter().map(|byte| format!("{byte:02x}")).collect();
            line.push('\n');
            // In one piece, for somebody may be reading the file that this goes to.
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; 1 << 17];
        let mut auxiliary = Auxiliary::default();
        let mut buffer = Buffer { base: frame.as_mut_ptr().cast(), length: frame.len() };
        let mut message = Message {
            name: std::ptr::null_mut(),
            name_length: 0,
            buffers: &mut buffer,
            buffer_count: 1,
            control: (&raw mut auxiliary).cast(),
            control_length: size_of::<Auxiliary>(),
            flags: 0,
        };
        // SAFETY: the message's pointers are to values that are as long as it says, and outlive the call.
        let length = checked(unsafe { recvmsg(self.0, &mut message, 0) })?;
        frame.truncate(length as usize);
        if auxiliary.status & TP_STATUS_VLAN_VALID != 0 {
            let has_protocol = auxiliary.status & TP_STATUS_VLAN_TPID_VALID != 0;
            let protocol = if has_protocol { auxiliary.protocol } else { ETH_P_8021Q };
            frame
                .splice(ADDRESSES..ADDRESSES, [protocol.to_be_bytes(), auxiliary.tag.to_be_bytes()].concat());
        }
        Ok(frame)
    }
}

fn checked(result: isize) -> io::Result<isize> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
