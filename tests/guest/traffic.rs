//! traffic: as much as goes through a network, for measurements.
//!
//!   traffic send ADDRESS:PORT SECONDS    sends over TCP until the time is up
//!   traffic receive ADDRESS:PORT         takes one connection, and prints "received BYTES in MICROSECONDS"
//!   traffic flood ADDRESS:PORT SECONDS   sends the smallest frames that there are, as UDP, and prints "sent FRAMES"
//!   traffic count ADDRESS:PORT           prints "received FRAMES in MICROSECONDS", from the first to the last
//!
//! It runs in the guest and beside it, so it is one static program without dependencies. Who listens says
//! "listening" first. A flood has ended when nothing has come for half a second.

use std::{
    error::Error,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// What a single call takes. The kernel makes frames of it.
const CHUNK: usize = 128 << 10;

/// With the headers of UDP, IPv4 and Ethernet, and the frame's checksum, it is 64 bytes.
const SMALLEST: [u8; 18] = [0; 18];

/// After which a flood is over.
const SILENCE: Duration = Duration::from_millis(500);

/// The clock is looked at once for so many frames.
const TURN: u64 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", address, seconds] => send(address, seconds.parse()?),
        ["receive", address] => receive(address),
        ["flood", address, seconds] => flood(address, seconds.parse()?),
        ["count", address] => count(address),
        _ => Err("usage: traffic send|flood ADDRESS:PORT SECONDS | traffic receive|count ADDRESS:PORT".into()),
    }
}

fn send(address: &str, seconds: f64) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&address.parse()?, Duration::from_secs(5))?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let chunk = vec![0; CHUNK];
    while Instant::now() < end {
        stream.write_all(&chunk)?;
    }
    Ok(())
}

fn receive(address: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address)?;
    println!("listening");
    let (mut stream, _) = listener.accept()?;
    let start = Instant::now();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match stream.read(&mut chunk)? {
            0 => break,
            size => bytes += size as u64,
        }
    }
    println!("received {bytes} in {}", start.elapsed().as_micros());
    Ok(())
}

fn flood(address: &str, seconds: f64) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut sent = 0;
    while Instant::now() < end {
        for _ in 0..TURN {
            match socket.send(&SMALLEST) {
                Ok(_) => sent += 1,
                // The interface's queue is full, which is as it should be.
                Err(error) if error.raw_os_error() == Some(105) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    println!("sent {sent}");
    Ok(())
}

fn count(address: &str) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(address)?;
    println!("listening");
    let mut datagram = [0; 2048];
    socket.recv(&mut datagram)?;
    let first = Instant::now();
    let (mut last, mut frames) = (first, 0_u64);
    socket.set_read_timeout(Some(SILENCE))?;
    loop {
        match socket.recv(&mut datagram) {
            Ok(_) => frames += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
        last = Instant::now();
    }
    println!("received {frames} in {}", last.duration_since(first).as_micros());
    Ok(())
}
