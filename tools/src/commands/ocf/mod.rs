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
use crate::doctor::finding::Sight;
use crate::edited;
use crate::error::Error;
use crate::group;
use crate::host::Host;
use crate::key::Key;
use crate::manifest::{
    Found,
    Stored, //
};
use crate::mark::{
    self,
    Mark, //
};
use crate::ocf::facts::{
    self,
    Facts,
    Module, //
};
use crate::ocf::judge::{
    is_absent,
    is_new,
    judge,
    of_all,
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
use crate::release;
use crate::syslog;
use std::net::IpAddr;
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

/// The same where it may be waited for long.
const LONG_PAUSE: Duration = Duration::from_secs(1);

const ACTIONS: [&str; 5] = ["start", "stop", "monitor", "notify", "validate-all"];

/// A resource, as far as this node knows it.
#[derive(Clone)]
struct Resource<'a> {
    cli: &'a Cli,
    host: &'a Host,
    config: Config,
    parameters: Parameters,
    /// The one that was named, and those that share its filesystem or address.
    services: Vec<Service>,
}

/// What is seen of a resource.
struct Seen {
    /// Of each filesystem.
    each: Vec<Part>,
    /// Of all of it.
    state: State,
}

/// One filesystem of a resource.
struct Part {
    /// The first of its services.
    service: Service,
    facts: Facts,
    state: State,
    /// What a takeover has left of it.
    mark: Option<Mark>,
}

impl Seen {
    /// The addresses that are up.
    fn up(&self) -> crate::error::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for part in &self.each {
            found.extend(part.facts.up.clone().map_err(Error::new)?);
        }
        Ok(found)
    }

    /// What the module says, which is the same for all but for their units.
    fn module(&self) -> &Sight<Option<Module>> {
        &self.each[0].facts.module
    }

    /// Whether it may be another state in a moment, without anybody doing something: it was not seen, or
    /// clients hold something that was dropped, or that nfsd is forgetting.
    fn may_change(&self) -> bool {
        let held = |part: &Part| part.facts.held != Ok(Vec::new());
        matches!(self.state, State::Unseen(_)) || self.each.iter().any(held)
    }

    fn is_floating(&self) -> bool {
        self.each.iter().any(|part| part.facts.is_floating())
    }

    /// Whether clients can reclaim on one of them, or on all.
    fn any_recovers(&self) -> bool {
        self.each.iter().any(Part::recovers)
    }

    fn all_recover(&self) -> bool {
        self.each.iter().all(Part::recovers)
    }
}

impl Part {
    fn recovers(&self) -> bool {
        matches!(&self.facts.module, Ok(Some(module)) if module.recovers())
    }

    /// Whether clients can come by this address, and are known by it.
    fn is_open(&self, ip: IpAddr) -> bool {
        let floats =
            matches!(&self.facts.module, Ok(Some(module)) if module.floating.contains(&ip));
        floats && self.facts.up.as_ref().is_ok_and(|up| up.contains(&ip))
    }

    /// Whether clients may use it since it was taken over.
    fn is_reached(&self) -> bool {
        let is_there = !matches!(self.facts.mount, Ok(None)) && self.facts.exported != Ok(false);
        self.mark.is_some() && is_there
    }

    /// Says if an address of it that is served is not the one under which it was taken over: that may be there
    /// for others, and clients come by the one of before.
    fn is_by_another(&self) -> Option<String> {
        let (Ok(Some(module)), Some(mark)) = (&self.facts.module, &self.mark) else {
            return None;
        };
        let other = module.floating.iter().find(|ip| !mark.ips.contains(ip))?;
        let ips: Vec<_> = mark.ips.iter().map(IpAddr::to_string).collect();
        let path = self.service.path.display();
        Some(format!(
            "{path} was taken over by {}, and ip of the configuration file is {other}, which is served for others: change it back",
            ips.join(" and ")
        ))
    }

    /// Whether it was taken over here, as one of its addresses is in `floating_ips`. That may be there
    /// for others only, if the configuration file got to know of it later.
    fn was_served(&self) -> bool {
        let is_edited = matches!(self.state, State::Edited(_));
        let is_new = is_edited && self.mark.is_none() && is_absent(&self.facts);
        self.facts.is_floating() && !is_new
    }
}

/// Whether what is held on filesystems that are not mounted where we see it is none of this one: the
/// module knows nothing of it, and nobody has its disk. A probe that fails stops it everywhere.
fn is_of_others(services: &[Service], facts: &Facts) -> bool {
    let unknown = match &facts.module {
        Ok(Some(module)) => module.floating.is_empty() && module.units.is_empty(),
        Ok(None) => true,
        Err(_) => false,
    };
    let known = |service| release::known_disk(service).is_some();
    let free = |service| release::is_hidden(service).is_none();
    // A disk is looked at only if that matters: for a moment nobody else can mount it.
    unknown
        && facts.mount == Ok(None)
        && matches!(&facts.held, Ok(held) if !held.is_empty())
        && services.iter().any(known)
        && services.iter().all(free)
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

    fn look(&self) -> Seen {
        self.look_for(false)
    }

    /// Looks, perhaps for a probe.
    fn look_for(&self, probe: bool) -> Seen {
        let part = |service: &Service| {
            let services: Vec<_> = self.of_filesystem(service).cloned().collect();
            let mut facts = Facts::look(self.host, &self.config, &services);
            if probe && is_of_others(&services, &facts) {
                facts.held = Ok(Vec::new());
            }
            Part {
                service: service.clone(),
                state: judge(&facts),
                facts,
                mark: service.fsid.and_then(|fsid| mark::read(self.host, fsid)),
            }
        };
        let mut each: Vec<_> = group::filesystems(&self.services)
            .into_iter()
            .map(part)
            .collect();
        let is_served = |part: &Part| matches!(part.state, State::Running | State::Edited(_));
        if each.len() > 1 && each.iter().any(is_served) {
            let any_mark = each.iter().any(|part| part.mark.is_some());
            for part in each.iter_mut().filter(|part| part.mark.is_none()) {
                if is_new(&part.facts, &part.state, any_mark) {
                    part.state = State::Edited(format!(
                        "{} is of this resource now, and was not when that was taken over: put the filesystem and its exports in front of this resource, and restart it",
                        part.service.path.display()
                    ));
                }
            }
        }
        for part in each.iter_mut().filter(|part| part.state == State::Running) {
            if let Some(why) = part.is_by_another() {
                part.state = State::Edited(why);
            }
        }
        let states: Vec<_> = each.iter().map(|part| part.state.clone()).collect();
        let state = match (of_all(&states), self.earlier()) {
            (State::Running, Err(why)) => State::Edited(why.to_string()),
            // Clients use it, by an address that it does not have any more.
            (State::Stopped, Err(why)) if each.iter().any(Part::is_reached) => {
                State::Edited(why.to_string())
            }
            (state, _) => state,
        };
        Seen { each, state }
    }

    /// The addresses by which it was taken over and that are not its own any more, see
    /// [`edited::as_it_is_here`].
    fn earlier(&self) -> crate::error::Result<Vec<IpAddr>> {
        let found = edited::as_it_is_here(self.host, &self.config, &self.services)?;
        Ok(found.ips)
    }

    /// Fails if what is to be begun or ended is not all that was taken over with it. What nothing is left of
    /// but a mark is only noted.
    fn is_as_taken_over(&self) -> crate::error::Result<()> {
        let found = edited::as_it_is_here(self.host, &self.config, &self.services)?;
        found.notes().for_each(|note| syslog::note(&note));
        Ok(())
    }

    /// The services of one filesystem.
    fn of_filesystem<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = &'s Service> {
        let services = self.services.iter();
        services.filter(|other| other.path == service.path)
    }

    /// Those with which an address comes first.
    fn addresses(&self) -> Vec<&Service> {
        let mut found: Vec<&Service> = Vec::new();
        for service in &self.services {
            if !found.iter().any(|known| known.ip == service.ip) {
                found.push(service);
            }
        }
        found
    }

    /// What is there of a list of locks. The disk may be busy until then.
    fn list(&self, service: &Service, until: Instant) -> crate::error::Result<Found> {
        let stored = Stored::new(service, &manifest(service))?;
        // A disk that does not answer would keep us.
        stored.answers_within(until.saturating_duration_since(Instant::now()))?;
        Ok(match Key::load(&self.config.key_file) {
            Ok(key) => stored.read(key.as_ref()),
            Err(error) => match stored.read(None) {
                Found::Nothing => Found::Nothing,
                _ => Found::Other(error.to_string()),
            },
        })
    }

    /// Looks until it is in a state, for some seconds: the kernel drops once a second what clients have
    /// slipped in. What may still change by itself has all the time until then. Returns the last look, and why
    /// it is not in that state.
    fn see(&self, wanted: &State, until: Instant) -> (Seen, Option<String>) {
        let deadline = Instant::now() + SLIPPED_IN;
        loop {
            let seen = self.look();
            if seen.state == *wanted {
                return (seen, None);
            }
            let now = Instant::now();
            if now >= deadline && (now >= until || !seen.may_change()) {
                let why = seen.state.to_string();
                return (seen, Some(why));
            }
            sleep(if now < deadline { PAUSE } else { LONG_PAUSE });
        }
    }

    /// Looks until something is seen, or until then.
    fn look_until(&self, until: Instant) -> Seen {
        loop {
            let seen = self.look();
            if !matches!(seen.state, State::Unseen(_)) || Instant::now() >= until {
                return seen;
            }
            sleep(LONG_PAUSE);
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

/// Where the list of locks of a filesystem is, for all of its addresses.
fn manifest(service: &Service) -> PathBuf {
    service.state_dir().join("manifest")
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
