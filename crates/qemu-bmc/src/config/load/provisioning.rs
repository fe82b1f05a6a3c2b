//! The guest's first boot: what its settings mean.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        host::PathKind,
        provisioning::{CloudInitPlan, MetaDataPlan, ProvisioningPlan, SshKeys},
        reader::Reader,
        settings::{self, Row},
    },
    provisioning::{PublicKey, Seed, check_ignition},
};

/// What a folder has for cloud-init.
#[derive(Default)]
struct Files {
    user_data: Option<PathBuf>,
    meta_data: Option<PathBuf>,
    network_config: Option<PathBuf>,
    vendor_data: Option<PathBuf>,
}

impl Reader<'_> {
    /// `node` is the name that a guest has whose settings say none.
    pub(super) fn provisioning(&mut self, node: Option<&str>) -> Option<ProvisioningPlan> {
        let cloud_init = self.cloud_init();
        let ignition = self.get(&settings::VM_IGNITION);

        let host = self.host;
        let read = |path: &Path| host.read(path);
        if let Some(Some(path)) = &ignition
            && let Err(problem) = check_ignition(path, &read)
        {
            self.findings.problems.push(problem.to_string());
        }
        if let Some(Some(plan)) = &cloud_init
            && let Err(problems) = Seed::read(plan, node.unwrap_or_default(), &read)
        {
            self.findings.problems.extend(problems.iter().map(ToString::to_string));
        }
        Some(ProvisioningPlan { cloud_init: cloud_init?, ignition: ignition? })
    }

    /// A seed, if anything is to be in it. Each of its files comes from one place.
    fn cloud_init(&mut self) -> Option<Option<CloudInitPlan>> {
        let user_data = self.get(&settings::VM_USER_DATA);
        let meta_data = self.get(&settings::VM_META_DATA);
        let network_config = self.get(&settings::VM_NETWORK_CONFIG);
        let hostname = self.get(&settings::VM_HOSTNAME);
        let keys = self.get(&settings::VM_SSH_KEY);
        if let Some(Some(SshKeys::Text(keys))) = &keys {
            let names = keys.iter().map(PublicKey::to_string).collect::<Vec<_>>().join(", ");
            self.show(&settings::VM_SSH_KEY.row, &names);
        }
        if let Some(Some(SshKeys::File(path))) = &keys {
            self.show(&settings::VM_SSH_KEY.row, &path.to_string_lossy());
        }

        // What was refused is a problem already; the rest is looked at all the same.
        let user_data = self.existing(&settings::VM_USER_DATA.row, user_data.flatten());
        let meta_data = self.existing(&settings::VM_META_DATA.row, meta_data.flatten());
        let network_config = self.existing(&settings::VM_NETWORK_CONFIG.row, network_config.flatten());
        let (hostname, keys) = (hostname.flatten(), keys.flatten());
        if let Some(SshKeys::File(path)) = &keys
            && self.host.kind(path).is_none()
        {
            self.refuse(&settings::VM_SSH_KEY.row, "this is no public key, and no file that is there");
            return None;
        }

        let folder = self.user_data(user_data)?;
        let meta_data = self.one_of(&settings::VM_META_DATA.row, meta_data, folder.meta_data)?;
        let network_config =
            self.one_of(&settings::VM_NETWORK_CONFIG.row, network_config, folder.network_config)?;
        let Files { user_data, vendor_data, .. } = folder;
        if user_data.is_none()
            && meta_data.is_none()
            && network_config.is_none()
            && hostname.is_none()
            && keys.is_none()
        {
            return Some(None);
        }
        let meta_data = match meta_data {
            None => MetaDataPlan::Made { hostname, keys },
            Some(path) => {
                let given = [
                    (hostname.is_some(), &settings::VM_HOSTNAME.row),
                    (keys.is_some(), &settings::VM_SSH_KEY.row),
                ];
                for (_, row) in given.iter().filter(|(given, _)| *given) {
                    let name = self.texts.name(row);
                    self.findings.problems.push(format!(
                        "{name}: there is a meta-data of your own, {path:?}: write local-hostname and public-keys in it, or leave it out"
                    ));
                }
                if given.iter().any(|(given, _)| *given) {
                    return None;
                }
                MetaDataPlan::File(path)
            }
        };
        Some(Some(CloudInitPlan { user_data, meta_data, network_config, vendor_data }))
    }

    /// A path that leads somewhere.
    fn existing(&mut self, row: &'static Row, path: Option<PathBuf>) -> Option<PathBuf> {
        let there = path.as_deref().is_none_or(|path| self.host.kind(path).is_some());
        if !there {
            self.refuse(row, "there is no such file");
        }
        path.filter(|_| there)
    }

    /// user-data alone, or what a folder has.
    fn user_data(&mut self, path: Option<PathBuf>) -> Option<Files> {
        let Some(path) = path else { return Some(Files::default()) };
        if self.host.kind(&path) != Some(PathKind::Folder) {
            return Some(Files { user_data: Some(path), ..Files::default() });
        }
        let file = |name| Some(path.join(name)).filter(|file| self.host.kind(file).is_some());
        let files = Files {
            user_data: file("user-data"),
            meta_data: file("meta-data"),
            network_config: file("network-config"),
            vendor_data: file("vendor-data"),
        };
        if files.user_data.is_none() {
            self.refuse(&settings::VM_USER_DATA.row, "there is no user-data in this folder");
            return None;
        }
        Some(files)
    }

    /// A file that a setting names, or the folder has.
    fn one_of(
        &mut self,
        row: &'static Row,
        named: Option<PathBuf>,
        in_folder: Option<PathBuf>,
    ) -> Option<Option<PathBuf>> {
        if let (Some(_), Some(other)) = (&named, &in_folder) {
            let folder = self.texts.name(&settings::VM_USER_DATA.row);
            self.refuse(row, &format!("the folder of {folder} has {other:?}: leave one of them out"));
            return None;
        }
        Some(named.or(in_folder))
    }
}
