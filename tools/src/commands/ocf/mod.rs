// SPDX-License-Identifier: GPL-2.0-only

//! `ocf`: the actions of the resource agent.

mod drop;
mod monitor;
mod notify;
mod start;
mod stop;

use crate::check;
use crate::cli::Cli;
use crate::config::{
    Config,
    Service, //
};
use crate::host::Host;
use crate::key::Key;
use crate::manifest::{
    Found,
    Stored, //
};
use crate::ocf::facts::{
    self,
    Facts, //
};
use crate::ocf::judge::{
    judge,
    State, //
};
use crate::ocf::parameters::{
    Call,
    Parameters, //
};
use crate::ocf::{
    metadata,
    services,
    Answer,
    Code, //
};
use crate::program;
use crate::syslog;
use std::path::{
    Path,
    PathBuf, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long what was done may take to be seen.
const SLIPPED_IN: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(100);

const ACTIONS: [&str; 5] = ["start", "stop", "monitor", "notify", "validate-all"];

/// A resource, as far as this node knows it.
#[derive(Clone)]
struct Resource<'a> {
    cli: &'a Cli,
    host: &'a Host,
    config: Config,
    parameters: Parameters,
    /// The one that was named, and those that share its filesystem.
    services: Vec<Service>,
}

/// Does what the cluster manager wants. Returns the exit status.
pub(super) fn ocf(cli: &Cli, host: &Host, action: &str, wait: bool) -> u8 {
    let variables: Vec<_> = std::env::vars_os()
        .map(|(name, value)| {
            let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
            (text(name), text(value))
        })
        .collect();
    let call = Call::parse(&variables);
    let answer = match action {
        "meta-data" => {
            syslog::print(metadata::text().trim_end());
            Answer::success()
        }
        "notify" if call.of_others => Answer::success(),
        _ if ACTIONS.contains(&action) => act(cli, host, action, wait, call, &variables),
        _ => Answer::new(
            Code::Unimplemented,
            format!(
                "there is no action \"{action}\": {} and meta-data are known",
                ACTIONS.join(", ")
            ),
        ),
    };
    if !answer.reason.is_empty() {
        let prefix = std::env::var("OCF_EXIT_REASON_PREFIX").unwrap_or("ocf-exit-reason:".into());
        // It is one line for the cluster manager.
        syslog::error(&format!("{prefix}{}", answer.reason.replace('\n', "; ")));
    }
    answer.code as u8
}

fn act(
    cli: &Cli,
    host: &Host,
    action: &str,
    wait: bool,
    call: Call,
    variables: &[(String, String)],
) -> Answer {
    let resource = match Resource::load(cli, host, variables) {
        Ok(resource) => resource,
        Err(wrong) => return unknown(host, action, call, wrong, &known(cli, variables)),
    };
    match action {
        "start" => resource.start(call),
        "stop" => resource.stop(call),
        "monitor" => resource.monitor(call),
        "notify" => resource.notify(wait),
        _ => resource.validate(call),
    }
    .unwrap_or_else(|error| Answer::new(Code::Generic, error.to_string()))
}

/// What becomes of an action if it is not known what the resource is.
fn unknown(host: &Host, action: &str, call: Call, wrong: Answer, known: &[Service]) -> Answer {
    let may_be_here = || facts::anything(host, known);
    match action {
        "stop" => match may_be_here() {
            // There is nothing to be stopped.
            None => Answer::new(Code::Success, wrong.reason),
            Some(why) => Answer::new(
                Code::Generic,
                format!("cannot be stopped, as it is not known what it is: {wrong}; and {why}"),
            ),
        },
        // Only the node itself is closed: a probe that fails has the resource stopped on all nodes, and
        // this one fenced, as it does not know what to stop.
        "monitor" if call.probe => wrong,
        // It may be what is served as another service of the file, whose section was edited.
        "monitor" => match facts::anything(host, &[]) {
            None => wrong,
            // It was taken over when it was known, and whoever edits the file is not to end it by that.
            Some(_) if wrong.code != Code::Configured => Answer::new(Code::Degraded, wrong.reason),
            Some(why) => Answer::new(
                Code::Generic,
                format!("it is not known whether it runs: {wrong}; and {why}"),
            ),
        },
        _ => wrong,
    }
}

/// The services that this node knows although it does not know which of them is meant.
fn known(cli: &Cli, variables: &[(String, String)]) -> Vec<Service> {
    let file = match Parameters::parse(variables) {
        Ok(parameters) => file(cli, &parameters),
        Err(_) => return Vec::new(),
    };
    services::load(&file).map_or(Vec::new(), |config| config.services)
}

impl<'a> Resource<'a> {
    fn load(cli: &'a Cli, host: &'a Host, variables: &[(String, String)]) -> Result<Self, Answer> {
        let parameters =
            Parameters::parse(variables).map_err(|why| Answer::new(Code::Configured, why))?;
        let config = services::load(&file(cli, &parameters))?;
        let services = services::of(&config, &parameters.service)?;
        Ok(Self {
            cli,
            host,
            config,
            parameters,
            services,
        })
    }

    fn look(&self) -> (Facts, State) {
        let facts = Facts::look(self.host, &self.config, &self.services);
        let state = judge(&facts);
        (facts, state)
    }

    /// The one by whose name all of them go.
    fn service(&self) -> &Service {
        &self.services[0]
    }

    /// Where the list of locks is, for all of them.
    fn manifest(&self) -> PathBuf {
        self.service().state_dir().join("manifest")
    }

    /// What is there. The disk may be busy for so long.
    fn list(&self, patience: Duration) -> crate::error::Result<Found> {
        let stored = Stored::new(self.service(), &self.manifest())?;
        // A disk that does not answer would keep us.
        stored.answers_within(patience)?;
        Ok(match Key::load(&self.config.key_file) {
            Ok(key) => stored.read(key.as_ref()),
            Err(error) => match stored.read(None) {
                Found::Nothing => Found::Nothing,
                _ => Found::Other(error.to_string()),
            },
        })
    }

    /// Looks until it is in a state, for some seconds: the kernel drops once a second what clients have
    /// slipped in. Returns the last look, and why it is not in that state.
    fn see(&self, wanted: &State) -> (Facts, Option<String>) {
        let deadline = Instant::now() + SLIPPED_IN;
        loop {
            let (facts, state) = self.look();
            if state == *wanted {
                return (facts, None);
            }
            if Instant::now() >= deadline {
                return (facts, Some(state.to_string()));
            }
            sleep(PAUSE);
        }
    }

    /// The options for other processes of ours.
    fn options(&self) -> Vec<String> {
        Cli {
            config: Some(file(self.cli, &self.parameters)),
            ..self.cli.clone()
        }
        .options()
    }

    fn validate(&self, call: Call) -> crate::error::Result<Answer> {
        if call.level < 10 {
            return Ok(Answer::success());
        }
        let errors = check::file(&file(self.cli, &self.parameters), self.host).errors();
        Ok(match errors.is_empty() {
            true => Answer::success(),
            false => Answer::new(Code::Arguments, errors.join("; ")),
        })
    }
}

fn file(cli: &Cli, parameters: &Parameters) -> PathBuf {
    let named = parameters.config.clone().or_else(|| cli.config.clone());
    named.unwrap_or_else(|| Path::new(crate::config::DEFAULT_PATH).into())
}

/// Loads the module. Fails if there is none for this kernel.
fn load_module() -> Result<(), Answer> {
    program::run("modprobe", &["nfs_failover"]).map_err(|error| {
        Answer::new(
            Code::Installed,
            format!(
                "this kernel has no module nfs_failover, so locks would be lost, and nothing is served from this node: {error}; \"nfs-failoverctl doctor\" says more"
            ),
        )
    })
}
