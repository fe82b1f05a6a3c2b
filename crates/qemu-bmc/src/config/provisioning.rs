//! What the guest is told at its first boot, as it was asked for.

use std::path::PathBuf;

use crate::provisioning::PublicKey;

/// What the guest is told at its first boot. Files could be read and were good when the plan was made.
#[derive(Clone, Debug)]
pub(crate) struct ProvisioningPlan {
    /// A seed for cloud-init.
    pub(crate) cloud_init: Option<CloudInitPlan>,
    /// A configuration for Ignition.
    pub(crate) ignition: Option<PathBuf>,
}

/// What a seed for cloud-init is made from.
#[derive(Clone, Debug)]
pub(crate) struct CloudInitPlan {
    /// What the guest is to do.
    pub(crate) user_data: Option<PathBuf>,
    /// Who it is.
    pub(crate) meta_data: MetaDataPlan,
    /// Its network, if that is to be other than the image's own.
    pub(crate) network_config: Option<PathBuf>,
    /// What somebody else than the user wants it to do.
    pub(crate) vendor_data: Option<PathBuf>,
}

/// Who the guest is.
#[derive(Clone, Debug)]
pub(crate) enum MetaDataPlan {
    /// A file says so.
    File(PathBuf),
    /// Settings do.
    Made {
        /// Its name; the node's, unless set.
        hostname: Option<String>,
        /// Who may log in to it.
        keys: Option<SshKeys>,
    },
}

/// Public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SshKeys {
    /// At least one.
    Text(Vec<PublicKey>),
    /// Those in a file.
    File(PathBuf),
}
