//! A topology file, and what containerlab makes of it: containers first, then the links between them, then what is
//! to be executed in each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{
    docker::{A_WHILE, docker, logs, pid},
    run, tail,
};

/// As much of containerlab's format as the files in `containerlab/` use; nothing else is accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    name: String,
    topology: Topology,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topology {
    defaults: Node,
    nodes: BTreeMap<String, Node>,
    links: Vec<Link>,
}

/// A node, or what all nodes have unless they say otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    kind: Option<String>,
    pub image: Option<String>,
    pub binds: Vec<String>,
    pub env: BTreeMap<String, String>,
    ports: Vec<String>,
    pub entrypoint: Option<String>,
    pub cmd: Option<String>,
    exec: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    endpoints: [String; 2],
}

impl Lab {
    /// A file of `containerlab/`.
    #[track_caller]
    pub fn read(file: &str) -> (Self, PathBuf) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../containerlab").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let mut lab: Self = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let Topology { defaults, nodes, .. } = &mut lab.topology;
        for node in nodes.values_mut() {
            node.kind = node.kind.take().or_else(|| defaults.kind.clone());
            node.image = node.image.take().or_else(|| defaults.image.clone());
            for (name, value) in &defaults.env {
                node.env.entry(name.clone()).or_insert_with(|| value.clone());
            }
            assert_eq!(node.kind.as_deref(), Some("linux"));
        }
        (lab, path.parent().unwrap().canonicalize().unwrap())
    }

    pub fn nodes(&mut self) -> &mut BTreeMap<String, Node> {
        &mut self.topology.nodes
    }

    fn ends(&self) -> impl Iterator<Item = [(&str, &str); 2]> {
        self.topology
            .links
            .iter()
            .map(|link| link.endpoints.each_ref().map(|end| end.split_once(':').unwrap()))
    }
}

/// The containers of a lab, removed when the test is over. Folders that are bound and not there are made elsewhere.
pub struct Deployed {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Deployed {
    /// Starts the nodes; there is no link between them yet.
    #[track_caller]
    pub fn start(lab: Lab, beside: &Path, prepare: impl Fn(&str, &Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("qemu-bmc-lab-").tempdir().unwrap();
        let deployed = Self { lab, folder };
        for (name, node) in &deployed.lab.topology.nodes {
            let links = deployed.lab.ends().flatten().filter(|(end, _)| end == name).count();
            let mut run = vec!["run".to_owned(), "-d".into(), "--name".into(), deployed.container(name)];
            // As much of all privileges, which containerlab gives, as matters.
            run.extend(["--cap-add", "NET_ADMIN", "--device", "/dev/net/tun"].map(str::to_owned));
            let mut environment = node.env.clone();
            environment.insert("CLAB_INTFS".into(), links.to_string());
            environment.insert("CLAB_LABEL_CLAB_NODE_NAME".into(), name.clone());
            for (variable, value) in environment {
                run.extend(["-e".into(), format!("{variable}={value}")]);
            }
            for bind in &node.binds {
                let (source, target) = bind.split_once(':').unwrap();
                let mut source = beside.join(source);
                if !source.exists() {
                    source = deployed.folder.path().join(source.file_name().unwrap());
                    fs::create_dir_all(&source).unwrap();
                    prepare(name, &source);
                }
                run.extend(["-v".into(), format!("{}:{target}", source.display())]);
            }
            if let Some(entrypoint) = &node.entrypoint {
                run.extend(["--entrypoint".into(), entrypoint.clone()]);
            }
            run.extend(node.image.clone());
            run.extend(node.cmd.clone());
            docker(&run.iter().map(String::as_str).collect::<Vec<_>>()).ok();
        }
        deployed
    }

    /// Makes the links, each in the host's namespace, then moved and renamed, and has nodes execute what they are to.
    #[track_caller]
    pub fn connect(&self) {
        for (number, ends) in self.lab.ends().enumerate() {
            let names = ["a", "b"].map(|side| format!("t{}{side}{number}", std::process::id()));
            let ip = |arguments: &str| run(Command::new("ip").args(arguments.split(' ')), A_WHILE).ok();
            let [here, there] = &names;
            ip(&format!("link add {here} mtu 9500 type veth peer name {there} mtu 9500"));
            for (name, (node, interface)) in names.iter().zip(ends) {
                let pid = pid(&self.container(node));
                ip(&format!("link set {name} netns {pid} name {interface}"));
                self.enter(node, &format!("ip link set {interface} up"));
            }
        }
        for (name, node) in &self.lab.topology.nodes {
            for line in &node.exec {
                docker(
                    &[&["exec", &self.container(name)], &line.split(' ').collect::<Vec<_>>()[..]].concat(),
                )
                .ok();
            }
        }
    }

    /// A shell's line in a node's network, with this host's programs.
    #[track_caller]
    pub fn enter(&self, node: &str, line: &str) -> String {
        let pid = pid(&self.container(node));
        run(Command::new("nsenter").args(["-t", &pid, "-n", "sh", "-c", line]), A_WHILE).ok()
    }

    pub fn container(&self, node: &str) -> String {
        format!("qemu-bmc-test-{}-{node}-{}", self.lab.name, std::process::id())
    }

    pub fn logs(&self, node: &str) -> String {
        logs(&self.container(node))
    }

    /// What the guest of a node has printed.
    pub fn console(&self, node: &str) -> String {
        let log = fs::read(self.folder.path().join(node).join("bmc/console.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// A client's command to the BMC of a node, over the management network.
    #[track_caller]
    pub fn ipmitool(&self, node: &str, arguments: &[&str]) -> String {
        let format = "{{.NetworkSettings.IPAddress}}";
        let address = docker(&["inspect", "-f", format, &self.container(node)]).ok();
        let session = ["-I", "lanplus", "-H", address.trim(), "-U", "admin", "-P", "password"];
        run(Command::new("ipmitool").args(session).args(arguments), A_WHILE).ok()
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        for node in self.lab.topology.nodes.keys() {
            if std::thread::panicking() {
                let (said, printed) = (self.logs(node), self.console(node));
                eprintln!("---- {node} says\n{said}\n---- its console's end\n{}", tail(&printed));
            }
            let _ = docker(&["rm", "-f", &self.container(node)]);
        }
    }
}
