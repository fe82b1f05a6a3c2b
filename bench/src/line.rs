//! A serial line, however it is reached: as SOL, or as the bare socket of QEMU.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ipmi::{
    client::{Incoming, Session},
    wire::sol::{CHARACTERS_MAX, Packet, Status},
};

use crate::{peers::login, requests::expect_ok};

/// How long one attempt to read waits.
const READ: Duration = Duration::from_millis(100);
/// After this an unacknowledged packet is sent again.
const RETRY: Duration = Duration::from_millis(300);
/// After this nobody will acknowledge it.
const SETTLED: Duration = Duration::from_secs(10);

/// Two directions of bytes.
pub(crate) trait Line {
    /// Types, when what was typed before has been acknowledged.
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()>;

    /// Waits until what was typed has been acknowledged, where the line has such a thing.
    fn settle(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Appends what has come, after waiting a moment if nothing has.
    fn read(&mut self, bytes: &mut Vec<u8>) -> anyhow::Result<()>;

    /// Reads until the condition gives something for all that came.
    fn read_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&[u8]) -> Option<T>,
    ) -> anyhow::Result<T>
    where
        Self: Sized,
    {
        let end = Instant::now() + limit;
        let mut came = Vec::new();
        loop {
            if let Some(found) = condition(&came) {
                return Ok(found);
            }
            if Instant::now() > end {
                let tail = came.len().saturating_sub(400);
                let tail = String::from_utf8_lossy(came.get(tail..).unwrap_or_default()).into_owned();
                bail!("wait for {what}: not within {limit:?}; what came ends with {tail:?}");
            }
            self.read(&mut came)?;
        }
    }
}

/// QEMU's socket, with nothing in between.
pub(crate) struct Bare(TcpStream);

impl Bare {
    /// Connects to the serial port's socket.
    pub(crate) fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connect to QEMU's serial port")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ))?;
        Ok(Self(stream))
    }
}

impl Line for Bare {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(bytes).context("write to QEMU's serial port")
    }

    fn read(&mut self, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut chunk = [0; 16 << 10];
        if let Some(count) = in_time(self.0.read(&mut chunk)).context("read QEMU's serial port")? {
            if count == 0 {
                bail!("read QEMU's serial port: it was closed");
            }
            bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        Ok(())
    }
}

/// A session with the SOL payload, of which every packet is encrypted and authenticated.
pub(crate) struct Sol {
    session: Box<Session>,
    socket: UdpSocket,
    /// The number of the last packet that was sent.
    sequence: u8,
    /// The number of the last packet of the BMC.
    received: u8,
    /// The last packet that was sent, and when, until it is acknowledged.
    flight: Option<(Vec<u8>, Instant)>,
    /// What came while an acknowledgement was waited for.
    early: Vec<u8>,
    out: Vec<u8>,
}

impl Sol {
    /// Logs in and activates SOL.
    pub(crate) fn activate(address: SocketAddr) -> anyhow::Result<Self> {
        let mut client = login(address, 3)?;
        expect_ok(&mut client, (0x06, 0x48, &[1, 1, 0xc0, 0, 0, 0])).context("activate SOL")?;
        let (session, socket) = client.into_parts();
        socket.set_read_timeout(Some(READ))?;
        Ok(Self {
            session,
            socket,
            sequence: 0,
            received: 0,
            flight: None,
            early: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Deactivates SOL and logs out.
    pub(crate) fn deactivate(mut self) -> anyhow::Result<()> {
        self.await_response(0x49, &[1, 1, 0, 0, 0, 0]).context("deactivate SOL")?;
        let id = self.session.id().to_le_bytes();
        self.await_response(0x3c, &id).context("close the session of SOL")
    }

    fn await_response(&mut self, command: u8, data: &[u8]) -> anyhow::Result<()> {
        let wanted = self.session.request(0x06, command, data, &mut self.out);
        self.socket.send(&self.out)?;
        let end = Instant::now() + Duration::from_secs(2);
        let mut datagram = [0; 1024];
        while Instant::now() < end {
            let Some(size) = in_time(self.socket.recv(&mut datagram))? else { continue };
            match self.session.receive(datagram.get_mut(..size).unwrap_or_default()) {
                Ok(Incoming::Response { sequence, .. }) if sequence == wanted => return Ok(()),
                _ => {}
            }
        }
        bail!("wait for the answer to command {command:#04x}")
    }

    fn send(&mut self, packet: &Packet<'_>) -> anyhow::Result<()> {
        self.session.sol(packet, &mut self.out);
        self.socket.send(&self.out).context("send a SOL packet")?;
        Ok(())
    }

    fn take(&mut self, payload: &[u8], bytes: &mut Vec<u8>) -> anyhow::Result<()> {
        let packet = Packet::parse(payload)?;
        if packet.status().contains(Status::DEACTIVATED) {
            bail!("read a SOL packet: the BMC has deactivated SOL");
        }
        if packet.ack != 0
            && packet.ack == self.sequence
            && let Some((characters, _)) = &self.flight
        {
            if usize::from(packet.accepted) != characters.len() {
                bail!("type {} characters: {} were accepted", characters.len(), packet.accepted);
            }
            self.flight = None;
        }
        if packet.sequence == 0 {
            return Ok(());
        }
        if packet.sequence != self.received {
            self.received = packet.sequence;
            bytes.extend_from_slice(packet.characters);
        }
        let accepted = packet.characters.len().try_into()?;
        self.send(&Packet { ack: packet.sequence, accepted, ..Packet::default() })
    }
}

impl Line for Sol {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.len() > CHARACTERS_MAX {
            bail!("type {} characters: more than fit a packet", bytes.len());
        }
        self.settle()?;
        self.sequence = self.sequence % 15 + 1;
        self.send(&Packet { sequence: self.sequence, characters: bytes, ..Packet::default() })?;
        self.flight = Some((bytes.to_vec(), Instant::now()));
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + SETTLED;
        let mut early = std::mem::take(&mut self.early);
        while self.flight.is_some() {
            if Instant::now() > end {
                bail!("wait for the acknowledgement of what was typed: none within {SETTLED:?}");
            }
            self.read(&mut early)?;
        }
        self.early = early;
        Ok(())
    }

    fn read(&mut self, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
        if !self.early.is_empty() {
            bytes.append(&mut self.early);
            return Ok(());
        }
        let mut datagram = [0; 1024];
        if let Some(size) = in_time(self.socket.recv(&mut datagram)).context("receive a SOL packet")? {
            let datagram = datagram.get_mut(..size).unwrap_or_default();
            if let Ok(Incoming::Sol(payload)) = self.session.receive(datagram) {
                self.take(&payload, bytes)?;
            }
        }
        if let Some((characters, _)) = self.flight.take_if(|(_, at)| at.elapsed() >= RETRY) {
            self.send(&Packet { sequence: self.sequence, characters: &characters, ..Packet::default() })?;
            self.flight = Some((characters, Instant::now()));
        }
        Ok(())
    }
}

/// What was read, or nothing if there was nothing in time.
fn in_time(count: io::Result<usize>) -> io::Result<Option<usize>> {
    match count {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
