use bmc::{Bmc, Identity, Lan, Sel, SelFull, Users};
use tokio::task::JoinHandle;

use super::*;
use crate::store::Store;

const GET_DEVICE_ID: [u8; 5] = [0x00, 0x18, 0x01, 0xe7, 0xa0];
const LIMIT: Duration = Duration::from_secs(10);

/// A door, and the QEMU that is connected to it.
struct Bench {
    qemu: UnixStream,
    close: oneshot::Sender<()>,
    door: JoinHandle<()>,
    controller: Arc<Controller>,
    connections: mpsc::UnboundedSender<InBand>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (sel_file, sel) = store.event_log(Sel::new(100, SelFull::Stop));
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.set_sel(sel);
        let controller = Controller::new(bmc, store, sel_file, folder.path().join("power.state"));
        let (connections, receive) = mpsc::unbounded_channel();
        let (close, closing) = oneshot::channel();
        let door = Door::new(Config { trusted: true, sol_port: 623 }, Arc::clone(&controller));
        let door = tokio::spawn(door.serve(receive, closing));
        let (ours, qemu) = UnixStream::pair().unwrap();
        connections.send(InBand { stream: ours, resumed: false }).unwrap();
        Self { qemu, close, door, controller, connections, _folder: folder }
    }

    /// Reads up to a frame that ends so.
    async fn read_until(&mut self, tail: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let read = async {
            while !all.ends_with(tail) {
                all.push(self.qemu.read_u8().await.expect("the connection is there"));
            }
        };
        time::timeout(LIMIT, read).await.expect("it comes");
        all
    }
}

#[tokio::test]
async fn a_machine_is_greeted_and_answered_and_told_of_changes() {
    let mut bench = Bench::new();
    assert_eq!(bench.read_until(&[0x00, 0xa1]).await, [0xff, 0x01, 0xa1, 0x06, 0xa1, 0x00, 0xa1]);
    bench.qemu.write_all(&GET_DEVICE_ID).await.unwrap();
    assert_eq!(bench.read_until(&[0xa0]).await[..4], [0x00, 0x1c, 0x01, 0x00]);
    bench.controller.with(|bmc| bmc.set_global_enables(0x09));
    assert_eq!(bench.read_until(&[0xa1]).await, [0x05, 0xa1]);
}

#[tokio::test]
async fn what_is_on_its_way_at_the_end_is_answered_before_the_close() {
    let mut bench = Bench::new();
    bench.read_until(&[0x00, 0xa1]).await;
    bench.qemu.write_all(&GET_DEVICE_ID).await.unwrap();
    bench.close.send(()).unwrap();
    let mut all = Vec::new();
    time::timeout(LIMIT, bench.qemu.read_to_end(&mut all)).await.expect("it closes").unwrap();
    assert!(all.windows(4).any(|bytes| bytes == [0x00, 0x1c, 0x01, 0x00]), "{all:02x?}");
    drop(bench.qemu);
    time::timeout(LIMIT, bench.door).await.expect("the door is closed").unwrap();
}

#[tokio::test]
async fn a_guest_that_never_stops_asking_holds_no_end_up() {
    let mut bench = Bench::new();
    bench.read_until(&[0x00, 0xa1]).await;
    let (mut reader, mut writer) = bench.qemu.into_split();
    let asking = tokio::spawn(async move {
        let mut bytes = [0; 100];
        writer.write_all(&GET_DEVICE_ID).await.unwrap();
        while let Ok(count @ 1..) = reader.read(&mut bytes).await {
            if bytes[..count].contains(&0xa0) && writer.write_all(&GET_DEVICE_ID).await.is_err() {
                break;
            }
        }
    });
    bench.close.send(()).unwrap();
    time::timeout(LIMIT, bench.door).await.expect("the door is closed").unwrap();
    asking.await.unwrap();
}

#[tokio::test]
async fn the_next_machine_is_served_when_the_last_is_gone() {
    let mut bench = Bench::new();
    let (ours, next) = UnixStream::pair().unwrap();
    bench.connections.send(InBand { stream: ours, resumed: false }).unwrap();
    bench.read_until(&[0x00, 0xa1]).await;
    bench.qemu = next;
    bench.qemu.write_all(&GET_DEVICE_ID).await.unwrap();
    assert!(bench.read_until(&[0xa0]).await.starts_with(&[0xff, 0x01, 0xa1]));
}
