//! Checksums and segments that nobody has computed yet.
//!
//! A veth pair hands TCP segments over unfinished: longer than any frame, their checksum left to whoever sends them
//! to a real wire. What of that a guest's driver can do itself, QEMU tells the TAP device; the rest is the kernel's
//! to do before QEMU reads the frame. The guest here is a TCP server of a few lines.

use std::{io::Write as _, net::TcpStream, thread};

use super::{
    Bench, Instant, Mode, PEER, ip,
    namespace::in_namespace,
    wire::{TapEnd, VNET_HEADER, send_with_header},
};
use crate::os::tap;

const CHECKSUMS: libc::c_ulong = 1;
const TCP_SEGMENTS: libc::c_ulong = 2;

const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const GUEST: [u8; 4] = [192, 0, 2, 9];
const PORT: [u8; 2] = [0, 80];
const LENGTH: usize = 200_000;

const IP: usize = 14;
const TCP: usize = 34;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A segment that came from the lab's TCP stack: the header before the frame, and the frame.
struct Segment {
    header: Vec<u8>,
    frame: Vec<u8>,
}

impl Segment {
    fn parse((header, frame): (Vec<u8>, Vec<u8>)) -> Option<Self> {
        let is_ours = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6);
        (is_ours && frame.get(30..34) == Some(&GUEST[..])).then_some(Self { header, frame })
    }

    /// What is after the IP header, without what may have been filled up to the shortest frame.
    fn tcp(&self) -> &[u8] {
        let length = usize::from(u16::from_be_bytes([self.frame[16], self.frame[17]]));
        &self.frame[TCP..IP + length]
    }

    fn sequence(&self) -> u32 {
        u32::from_be_bytes(self.tcp()[4..8].try_into().unwrap())
    }

    fn is_syn(&self) -> bool {
        self.tcp()[13] & SYN != 0
    }

    fn data(&self) -> &[u8] {
        &self.tcp()[usize::from(self.tcp()[12] >> 4) * 4..]
    }

    fn needs_checksum(&self) -> bool {
        self.header[0] & 1 != 0
    }

    fn has_right_checksums(&self) -> bool {
        let addresses = &self.frame[26..34];
        sum(&[&self.frame[IP..TCP]]) == 0xFFFF
            && sum(&[&pseudo_header(addresses, self.tcp()), self.tcp()]) == 0xFFFF
    }
}

fn pseudo_header(addresses: &[u8], tcp: &[u8]) -> Vec<u8> {
    [addresses, &[0, 6], &u16::try_from(tcp.len()).unwrap().to_be_bytes()].concat()
}

/// The Internet's checksum, not yet inverted (RFC 1071). All parts but the last are of even length.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |byte| u32::from(*byte))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// The guest's answer to a segment. With `offload` its checksum is left to the kernel, as by a virtio driver.
fn answer(
    segment: &Segment,
    flags: u8,
    sequence: u32,
    acknowledge: u32,
    offload: bool,
) -> ([u8; VNET_HEADER], Vec<u8>) {
    let from = &segment.frame;
    // A maximum segment size of 1460 is the only option.
    let options: &[u8] = if flags & SYN != 0 { &[2, 4, 5, 0xB4] } else { &[] };
    let mut tcp =
        [&PORT[..], &segment.tcp()[..2], &sequence.to_be_bytes(), &acknowledge.to_be_bytes()].concat();
    tcp.push(u8::try_from((20 + options.len()) / 4).unwrap() << 4);
    tcp.extend([flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    tcp.extend(options);
    let mut ip = vec![0x45, 0];
    ip.extend(u16::try_from(20 + tcp.len()).unwrap().to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(GUEST);
    ip.extend(&from[26..30]);
    let checksum = !sum(&[&ip]);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let pseudo = pseudo_header(&ip[12..20], &tcp);
    let (header, checksum) = if offload {
        let [start, offset] = [34u16, 16].map(u16::to_ne_bytes);
        ([1, 0, 0, 0, 0, 0, start[0], start[1], offset[0], offset[1]], sum(&[&pseudo]))
    } else {
        ([0; VNET_HEADER], !sum(&[&pseudo, &tcp]))
    };
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    (header, [&from[6..12], &GUEST_MAC, &[8, 0], &ip, &tcp].concat())
}

/// Has the lab send the guest a file over TCP, and returns the segments in which it came.
fn receive(offloads: libc::c_ulong, mode: Mode) -> Vec<Segment> {
    const FIRST: u32 = 1000;

    let bench = Bench::new();
    let (_attachment, tap) = bench.attach(mode);
    let guest = TapEnd(tap);
    tap::set_offloads(guest.queue(), offloads).unwrap();
    ip(&format!("addr add 192.0.2.1/24 dev {PEER}"));
    ip(&format!("neighbour add 192.0.2.9 lladdr 02:00:00:00:00:07 dev {PEER}"));
    let sent: Vec<u8> = (0..LENGTH).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let file = sent.clone();
    let lab = thread::spawn(move || TcpStream::connect(("192.0.2.9", 80)).unwrap().write_all(&file).unwrap());

    let (mut segments, mut received, mut next) = (Vec::new(), Vec::<u8>::new(), 0);
    let deadline = Instant::now() + super::Duration::from_secs(30);
    while received.len() < LENGTH {
        assert!(Instant::now() < deadline, "{} of {LENGTH} bytes came", received.len());
        let Some(segment) = guest.next_with_header().and_then(Segment::parse) else { continue };
        let (flags, number) = if segment.is_syn() {
            next = segment.sequence().wrapping_add(1);
            (SYN | ACK, FIRST)
        } else {
            if segment.sequence() == next {
                received.extend(segment.data());
                next = next.wrapping_add(u32::try_from(segment.data().len()).unwrap());
            }
            (ACK, FIRST + 1)
        };
        let (header, frame) = answer(&segment, flags, number, next, offloads != 0);
        send_with_header(guest.queue(), header, &frame);
        segments.push(segment);
    }
    assert_eq!(received, sent);
    lab.join().unwrap();
    segments
}

#[test]
fn a_guest_that_computes_no_checksums_gets_right_ones_and_whole_frames() {
    for mode in [Mode::Redirect, Mode::Bridge, Mode::Macvtap] {
        in_namespace(move || {
            for segment in receive(0, mode) {
                assert!(segment.frame.len() <= 1514, "{mode:?}: {} bytes", segment.frame.len());
                assert!(!segment.needs_checksum(), "{mode:?}: a checksum is left to the guest");
                assert!(segment.has_right_checksums(), "{mode:?}: {:02x?}", segment.frame);
            }
        });
    }
}

#[test]
fn a_guest_that_takes_unfinished_segments_gets_them() {
    for mode in [Mode::Redirect, Mode::Bridge, Mode::Macvtap] {
        in_namespace(move || {
            let segments = receive(CHECKSUMS | TCP_SEGMENTS, mode);
            assert!(segments.iter().any(Segment::needs_checksum), "{mode:?}");
            assert!(segments.iter().any(|segment| segment.frame.len() > 1514), "{mode:?}");
        });
    }
}
