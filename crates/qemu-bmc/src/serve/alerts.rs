//! Alerts on their way out: each is one datagram, an SNMP trap. What is sent, to whom and how often is the
//! model's ([`Bmc::take_alerts`]).

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Instant,
};

use bmc::{Alert, Bmc};
use nix::sys::socket::{setsockopt, sockopt};
use tracing::{info, warn};

use crate::{config::LanPlan, controller::Controller};

/// Where alerts come from and go to.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    controller: Arc<Controller>,
    /// The controller's own addresses; an alert comes from one of them.
    addresses: Vec<IpAddr>,
    /// The interface by which alone it leaves, if it is to be one.
    interface: Option<String>,
    /// The port of the receivers; none if no alert is to leave.
    port: Option<u16>,
}

impl Sender {
    pub(crate) fn new(controller: &Arc<Controller>, lan: &LanPlan) -> Self {
        let (addresses, interface, port) = (lan.addresses.clone(), lan.interface.clone(), lan.trap_port);
        Self { controller: Arc::clone(controller), addresses, interface, port }
    }

    /// Sends alerts, for ever.
    pub(crate) async fn run(self) -> Infallible {
        let began = Instant::now();
        loop {
            self.controller.alert().await;
            for alert in self.controller.with(Bmc::take_alerts) {
                let Some(port) = self.port else {
                    info!("alert {} to {} is not sent (IPMI_TRAP_PORT)", alert.sequence, alert.to);
                    continue;
                };
                // Hundredths of a second, as many as 32 bits hold: SNMP lets them wrap.
                let uptime = u32::try_from(began.elapsed().as_millis() / 10 % (1 << 32)).unwrap_or_default();
                match self.send(&alert, port, uptime) {
                    Ok(()) => info!("alert {} sent to {}", alert.sequence, alert.to),
                    Err(error) => warn!("send alert {} to {}: {error}", alert.sequence, alert.to),
                }
            }
        }
    }

    fn send(&self, alert: &Alert, port: u16, uptime: u32) -> io::Result<()> {
        let any = if alert.to.is_ipv4() {
            IpAddr::from(Ipv4Addr::UNSPECIFIED)
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let own = self.addresses.iter().find(|address| address.is_ipv4() == alert.to.is_ipv4());
        let socket = UdpSocket::bind(SocketAddr::new(*own.unwrap_or(&any), 0))?;
        socket.set_nonblocking(true)?;
        if let Some(interface) = &self.interface {
            setsockopt(&socket, sockopt::BindToDevice, &interface.into())?;
        }
        // So that the kernel chooses the address that the receiver is to see.
        socket.connect(SocketAddr::new(alert.to, port))?;
        let agent = match socket.local_addr()?.ip() {
            IpAddr::V4(address) => address,
            // A trap has no room for another.
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        socket.send(&ipmi::pet::trap(alert, agent, uptime))?;
        Ok(())
    }
}
