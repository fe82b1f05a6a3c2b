//! Several machines in one configuration: what each is called, and what no two of them may share.
//!
//! A host without containers has one file for all of its machines. Each becomes a [`Plan`] of its own, made of
//! what the file says of it and of all, and has a process of its own that reads no more than that. So nothing
//! else in the program knows that there are several, and a mistake in one keeps no other from running, once they
//! are started.

use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc};

use super::{
    ConfigErrors, claims,
    host::Host,
    plan::Plan,
    reader::{Findings, Reader},
    said::{Said, SaidOfMachine, Texts},
};

/// What one of several machines is called: by people, on the command line, and as a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MachineName(Arc<str>);

impl MachineName {
    /// What a name takes.
    pub(super) const TAKES: &str =
        "1 to 63 letters, digits, dots, hyphens and underscores, of which the first is a letter or a digit";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        (begins_well && text.len() <= 63 && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a configuration is about.
#[derive(Debug)]
pub(crate) enum Machines {
    /// One machine: the only one there is, or the one that was asked for.
    One(Box<Plan>),
    /// Several, and no one was asked for. Each has a name.
    Several(Vec<Plan>),
}

impl Machines {
    /// Makes plans from the environment, the configuration file and the host as it is: of all machines, or of the
    /// one of this name.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place, what it got unless that's a secret, and what it takes. Where
    /// one machine is asked for, what is wrong with others alone is not among it.
    pub(crate) fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        host: &dyn Host,
        asked_for: Option<&str>,
    ) -> Result<Self, ConfigErrors> {
        let Collected { said, machines, mut problems, warnings } = collect(environment, host, asked_for)?;
        if machines.is_empty() {
            let findings = Findings { problems, warnings, ..Findings::default() };
            return Plan::make(&said.settings, &said.users, host, findings)
                .map(|plan| Self::One(plan.into()));
        }
        let tried: Vec<_> = machines
            .into_iter()
            .map(|SaidOfMachine { name, settings, users, problems }| {
                let findings = Findings { problems, warnings: warnings.clone(), ..Findings::default() };
                (name, Plan::make(&settings, &users, host, findings))
            })
            .collect();

        let is_asked_for = |name: &MachineName| asked_for.is_none_or(|asked_for| name.as_str() == asked_for);
        let plans: Vec<_> = tried.iter().filter_map(|(_, plan)| plan.as_ref().ok()).collect();
        let shared = claims::shared(&plans).into_iter();
        let shared: Vec<_> = shared.filter(|shared| shared.machines.iter().any(is_asked_for)).collect();
        let (mut plans, mut failed) = (Vec::new(), Vec::new());
        for (name, plan) in tried.into_iter().filter(|(name, _)| is_asked_for(name)) {
            match plan {
                Ok(plan) => plans.push(plan),
                Err(ConfigErrors(problems)) => failed.push((name, problems)),
            }
        }
        problems.extend(said_once(failed, plans.is_empty()));
        problems.extend(shared.iter().map(ToString::to_string));
        match (problems.is_empty(), asked_for, plans.pop()) {
            (true, Some(_), Some(plan)) => Ok(Self::One(plan.into())),
            (true, None, Some(last)) => {
                plans.push(last);
                Ok(Self::Several(plans))
            }
            _ => Err(ConfigErrors(problems)),
        }
    }
}

/// Where the local commands find the controller of a machine.
pub(crate) struct ControlSocket {
    /// Its name, if it is one of several.
    pub(crate) machine: Option<MachineName>,
    pub(crate) path: PathBuf,
}

/// Where the local commands find the programs that run: the one thing that they need of a configuration. Of one
/// machine if it is the only one or was asked for, else of each.
///
/// # Errors
/// As [`Machines::load`], but for this setting alone and for what can't be read at all.
pub(crate) fn control_sockets(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    host: &dyn Host,
    asked_for: Option<&str>,
) -> Result<Vec<ControlSocket>, ConfigErrors> {
    let Collected { said, machines, problems, warnings: _ } = collect(environment, host, asked_for)?;
    let mut findings = Findings { problems, ..Findings::default() };
    let mut sockets = Vec::new();
    let mut look = |machine: Option<MachineName>, texts: &Texts| {
        let run_dir = Reader { texts, host, findings: &mut findings }.run_dir();
        sockets.extend(run_dir.map(|(_, path)| ControlSocket { machine, path }));
    };
    if machines.is_empty() {
        look(None, &said.settings);
    }
    for SaidOfMachine { name, settings, .. } in machines {
        if asked_for.is_none_or(|asked_for| name.as_str() == asked_for) {
            look(Some(name), &settings);
        }
    }
    if findings.problems.is_empty() { Ok(sockets) } else { Err(ConfigErrors(findings.problems)) }
}

/// What was said, and what is wrong and odd about that already.
struct Collected {
    said: Said,
    /// Each of several machines.
    machines: Vec<SaidOfMachine>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

/// Collects what was said, and makes sure that there is the machine that is asked for.
fn collect(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    host: &dyn Host,
    asked_for: Option<&str>,
) -> Result<Collected, ConfigErrors> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut said = Said::collect(environment, host, &mut problems, &mut warnings);
    let machines = said.of_several();
    if let Some(name) = asked_for.filter(|name| machines.iter().all(|one| one.name.as_str() != *name)) {
        problems.push(if machines.is_empty() {
            format!(
                "there is no machine {name:?}: there is one without a name, and [[machine]] makes several"
            )
        } else {
            let names: Vec<_> = machines.iter().map(|one| &one.name).collect();
            format!("there is no machine {name:?}: there is {}", listed(&names))
        });
        return Err(ConfigErrors(problems));
    }
    Ok(Collected { said, machines, problems, warnings })
}

/// What is wrong with machines: by machine, but once if it is the same with all of them.
fn said_once(failed: Vec<(MachineName, Vec<String>)>, all_failed: bool) -> Vec<String> {
    let of_all =
        |problem: &String| all_failed && failed.iter().all(|(_, problems)| problems.contains(problem));
    let mut said = Vec::new();
    for (name, problems) in &failed {
        for problem in problems {
            let sentence = if of_all(problem) { problem.clone() } else { format!("{name}: {problem}") };
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
    }
    said
}

/// Names in a sentence.
pub(crate) fn listed(names: &[impl ToString]) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
