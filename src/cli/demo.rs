//! `chronoguard demo`: the incidents of `examples/`, replayed on a throwaway PostgreSQL through the proxy by real clients.
//!
//! Every incident is sent three times: the buggy client with its rules on *observe*, the buggy client with its rules on *reject*, the fixed client
//! with its rules on *reject*. The exit code is 0 only if all of it was observed and refused, nothing wrong landed, and no good write was refused.

mod client;
mod incident;
mod report;
mod session;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::{
    client::{Client, Target, Version},
    incident::{ALL, Incident},
    report::{Report, Row},
};
use super::{Error, Exit, Outcome, print};
use crate::{
    config::{HostPort, Settings},
    run::Proxy,
    scratch::{Cluster, Options, SUPERUSER},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Leave everything running, and print how to connect
    #[arg(long)]
    pub(super) keep: bool,
}

const OBSERVE: &str = "observe";
const REJECT: &str = "reject";

/// Everything that runs. Fields are dropped in this order: the proxies before the server they stand before.
struct Stage {
    observing: Proxy,
    rejecting: Proxy,
    cluster: Cluster,
    /// Rules and scripts; it goes with the cluster's directory, whatever ends us.
    dir: PathBuf,
}

pub(super) fn demo(arguments: Arguments) -> Outcome {
    let stage = Stage::set(arguments.keep)?;
    let clients = Client::find(stage.cluster.binaries());
    print(&stage.opening(&clients))?;
    let mut report = Report::default();
    for incident in &ALL {
        stage.prepare(incident)?;
        let before = report.len();
        for client in &clients {
            if let Some(row) = stage.replay(incident, client)? {
                report.add(row);
            }
        }
        if report.len() == before {
            return Err(Error(format!("nothing here can replay incident {}: install psql", incident.number)));
        }
    }
    print(&report.to_string())?;
    if arguments.keep {
        print(&stage.invitation())?;
        wait_for_interrupt()?;
    }
    Ok(if report.as_it_should_be() { Exit::Done } else { Exit::Failed })
}

impl Stage {
    fn set(with_admin: bool) -> Result<Self, Error> {
        let cluster = Cluster::start(Options::default()).map_err(|e| Error(e.to_string()))?;
        let dir = cluster.socket_dir().join("demo");
        make_dir(&dir)?;
        let observing = start_proxy(&cluster, &dir, OBSERVE, with_admin, Incident::rules_on_observe)?;
        let rejecting = start_proxy(&cluster, &dir, REJECT, with_admin, |i| i.rules.to_owned())?;
        Ok(Self { observing, rejecting, cluster, dir })
    }

    fn proxy(&self, mode: &str) -> &Proxy {
        if mode == OBSERVE { &self.observing } else { &self.rejecting }
    }

    /// The incident's database for each mode, by way of the server itself.
    fn prepare(&self, incident: &Incident) -> Result<(), Error> {
        for mode in [OBSERVE, REJECT] {
            let database = incident.database(mode);
            session::batch(&self.directly("postgres"), &format!("CREATE DATABASE {database}"))?;
            session::batch(&self.directly(&database), incident.schema)?;
        }
        Ok(())
    }

    fn directly(&self, database: &str) -> Target {
        Target { port: self.cluster.port(), database: database.to_owned() }
    }

    /// One client's three runs; `None` if it has nothing to send for this incident.
    fn replay(&self, incident: &Incident, client: &Client) -> Result<Option<Row>, Error> {
        let send = |version, mode| {
            let to = Target { port: self.proxy(mode).address().port(), database: incident.database(mode) };
            client.send(incident, version, &to, &self.dir)
        };
        let wrong = |mode| session::count(&self.directly(&incident.database(mode)), incident.wrong);
        let (wrong_before, observed_before) = (wrong(OBSERVE)?, self.observed(incident));
        let Some(buggy) = send(Version::Buggy, OBSERVE)? else { return Ok(None) };
        let observed = self.observed(incident) - observed_before;
        let (Some(rejected), Some(fixed)) = (send(Version::Buggy, REJECT)?, send(Version::Fixed, REJECT)?) else {
            return Ok(None);
        };
        Ok(Some(Row {
            incident: format!("{} {}", incident.number, incident.title),
            client: client.name(),
            sent: buggy.sent,
            refused_on_observe: buggy.refused,
            observed,
            wrong_on_observe: wrong(OBSERVE)? - wrong_before,
            rejected: rejected.refused,
            wrong_on_reject: wrong(REJECT)?,
            fixed_sent: fixed.sent,
            fixed_refused: fixed.refused,
            refusal: rejected.refusal,
            causes: self.causes(incident),
        }))
    }

    /// Violations of the incident's rules that the observing proxy has counted.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter is whole and not negative")]
    fn observed(&self, incident: &Incident) -> u64 {
        self.observing.metrics().snapshot().sum("violations_total", &[("table", incident.table)]) as u64
    }

    fn causes(&self, incident: &Incident) -> Vec<String> {
        let by = self.rejecting.metrics().snapshot().by("violations_total", ["table", "cause"]);
        let of_table = by.into_iter().filter(|([table, _], count)| table == incident.table && *count > 0.0);
        of_table.map(|([_, cause], count)| format!("{cause} {count}")).collect()
    }

    fn opening(&self, clients: &[Client]) -> String {
        let names: Vec<_> = clients.iter().map(Client::name).collect();
        format!(
            "PostgreSQL {} on 127.0.0.1:{}, chronoguard before it; clients: {}\n\n",
            self.cluster.binaries().version(),
            self.cluster.port(),
            names.join(", ")
        )
    }

    fn invitation(&self) -> String {
        let mut text =
            String::from("\nStill running; Ctrl-C ends all of it and removes the databases. To connect:\n\n");
        let databases: Vec<_> = ALL.iter().map(|i| i.database("…")).collect();
        for (what, port, mode) in [
            ("chronoguard, rules on reject ", self.rejecting.address().port(), REJECT),
            ("chronoguard, rules on observe", self.observing.address().port(), OBSERVE),
            ("PostgreSQL itself            ", self.cluster.port(), REJECT),
        ] {
            text += &format!("  {what}  psql -h 127.0.0.1 -p {port} -U {SUPERUSER} -d incident_000_{mode}\n");
        }
        for (what, proxy) in [("reject ", &self.rejecting), ("observe", &self.observing)] {
            if let Some(address) = proxy.admin_address() {
                text += &format!("  status page, rules on {what}  http://{address}/\n");
            }
        }
        text + &format!("\n  databases: {}  (… is {OBSERVE} or {REJECT})\n", databases.join(", "))
    }
}

/// A proxy before the cluster, with the rules of all incidents in files of their own.
fn start_proxy(
    cluster: &Cluster,
    dir: &Path,
    mode: &str,
    with_admin: bool,
    rules: impl Fn(&Incident) -> String,
) -> Result<Proxy, Error> {
    let rules_dir = dir.join(mode);
    make_dir(&rules_dir)?;
    for incident in &ALL {
        let file = rules_dir.join(format!("incident-{}.yaml", incident.number));
        fs::write(&file, rules(incident)).map_err(|e| Error(format!("write {}: {e}", file.display())))?;
    }
    let local = |port| HostPort { host: "127.0.0.1".into(), port };
    let settings = Settings {
        listen: local(0),
        upstream: local(cluster.port()),
        admin: with_admin.then(|| local(0)),
        rules: vec![rules_dir],
        ..Settings::default()
    };
    Proxy::start(&settings).map_err(|e| Error(e.to_string()))
}

fn make_dir(dir: &Path) -> Result<(), Error> {
    fs::create_dir(dir).map_err(|e| Error(format!("make {}: {e}", dir.display())))
}

fn wait_for_interrupt() -> Result<(), Error> {
    let failed = |e: std::io::Error| Error(format!("wait for Ctrl-C: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime
        .block_on(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                result = tokio::signal::ctrl_c() => result,
                _ = terminate.recv() => Ok(()),
            }
        })
        .map_err(failed)
}
