//! A web server with one folder: busybox' own, which sends parts of files.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{SOON, own_address, wait_for};

const PORT: u16 = 8080;

/// A web server, until dropped.
pub struct WebServer {
    process: Child,
    address: Ipv4Addr,
}

impl WebServer {
    pub fn start(folder: &Path) -> Self {
        let address = own_address();
        let listen = format!("{address}:{PORT}");
        let mut command = Command::new("busybox");
        command.args(["httpd", "-f", "-p", &listen, "-h"]).arg(folder);
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let server = Self { process, address };
        wait_for("the web server answers", SOON, || TcpStream::connect(&listen).ok().map(drop));
        server
    }

    pub fn url(&self, file: &str) -> String {
        format!("http://{}:{PORT}/{file}", self.address)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
