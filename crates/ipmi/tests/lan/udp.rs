//! The client on a socket, over loopback.

use std::{
    net::{SocketAddr, UdpSocket},
    thread::{self, JoinHandle},
    time::Instant,
};

use ipmi::client::{Client, ClientError, Credentials, LoginError};

use super::bench::{APP, Bench, CHASSIS, GET_DEVICE_ID, admin, password, reader, route};

/// Serves until an empty datagram comes, and returns the bench.
fn serve(mut bench: Bench) -> (SocketAddr, JoinHandle<Bench>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut datagram, mut out) = ([0; 2048], Vec::new());
        loop {
            let (size, peer) = socket.recv_from(&mut datagram).unwrap();
            if size == 0 {
                return bench;
            }
            let now = Instant::now();
            if bench.server.handle(now, route(peer), &mut datagram[..size], &mut bench.bmc, &mut out) {
                socket.send_to(&out, peer).unwrap();
            }
        }
    });
    (address, server)
}

#[test]
fn the_client_logs_in_runs_commands_and_closes() {
    let (address, server) = serve(Bench::new());
    for suite in [3, 17] {
        let mut client = Client::login(address, Credentials { suite, ..admin() }, [suite; 32]).unwrap();
        let (code, data) = client.command(APP, GET_DEVICE_ID, &[]).unwrap();
        assert_eq!((code.0, data[0]), (0, 0x20));
        assert_eq!(client.command(CHASSIS, 0x02, &[1]).unwrap().0.0, 0);
        client.close().unwrap();
    }
    let mut client = Client::login(address, reader(), [1; 32]).unwrap();
    assert_eq!(client.command(CHASSIS, 0x02, &[1]).unwrap().0.0, 0xd4);

    let wrong = Credentials { password: password("wrong"), ..admin() };
    let error = Client::login(address, wrong, [2; 32]).err().unwrap();
    assert!(matches!(error, ClientError::Login(LoginError::WrongPassword)), "{error}");

    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], address).unwrap();
    let bench = server.join().unwrap();
    assert_eq!(bench.server.active_sessions(), 1, "the reader's; the others were closed");
}
