//! Several sessions, one step at a time. Whether a step waits for another session is what PostgreSQL says (`pg_blocking_pids`), not how long it takes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::harness::{Message, Talk, cluster, fe, talk};

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions by name.
pub(super) struct Steps {
    addr: SocketAddr,
    database: String,
    watcher: Talk,
    sessions: BTreeMap<String, Session>,
    /// What each step came to.
    pub(super) log: Vec<String>,
}

struct Session {
    pid: u32,
    talk: Option<Talk>,
    /// A step that waits, with what is read of it.
    waits: Option<JoinHandle<(Talk, Vec<Message>)>>,
}

impl Steps {
    pub(super) fn new(addr: SocketAddr, database: &str) -> Self {
        let watcher = cluster().direct(database);
        Self { addr, database: database.to_owned(), watcher, sessions: BTreeMap::new(), log: Vec::new() }
    }

    /// Plays lines: `a SQL` runs to its end; `a! SQL` may wait for another session, and the log says whether it does; `a.` is the end of such a step.
    pub(super) fn play(&mut self, lines: &[&str]) {
        for line in lines {
            let (who, sql) = line.split_once(' ').unwrap_or((line, ""));
            if let Some(who) = who.strip_suffix('!') {
                let blocked = self.start(who, sql);
                self.log.push(format!("{who} {}", if blocked { "waits" } else { "is free" }));
                if !blocked {
                    self.finish(who);
                }
            } else if let Some(who) = who.strip_suffix('.') {
                self.finish(who);
            } else {
                let blocked = self.start(who, sql);
                assert!(!blocked, "{line}: waits; {:?}", self.log);
                self.finish(who);
            }
        }
    }

    /// Starts a step and returns once it is over (`false`) or waits for another session (`true`).
    pub(super) fn start(&mut self, who: &str, sql: &str) -> bool {
        let (addr, database) = (self.addr, self.database.clone());
        let session = self.sessions.entry(who.to_owned()).or_insert_with(|| {
            let talk = Talk::login(addr, "postgres", &database);
            let pid = talk.key.as_ref().expect("a key").0;
            Session { pid, talk: Some(talk), waits: None }
        });
        let mut talk = session.talk.take().unwrap_or_else(|| panic!("{who} still waits"));
        talk.send(&fe::query(sql));
        session.waits = Some(std::thread::spawn(move || {
            let replies = talk.ready();
            (talk, replies)
        }));
        self.waits(who)
    }

    /// Whether the step of a session waits for another one.
    fn waits(&mut self, who: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let session = &self.sessions[who];
        let question = format!("SELECT cardinality(pg_blocking_pids({})) > 0", session.pid);
        while !session.waits.as_ref().is_none_or(JoinHandle::is_finished) {
            if self.watcher.value(&question) == "t" {
                return true;
            }
            assert!(Instant::now() < deadline, "{who} neither ends nor waits: {:?}", self.log);
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// A step of this session has not ended, and waits for another session.
    pub(super) fn is_waiting(&mut self, who: &str) -> bool {
        self.sessions.get(who).is_some_and(|session| session.waits.is_some()) && self.waits(who)
    }

    /// Waits for the end of a step and logs what it came to.
    pub(super) fn finish(&mut self, who: &str) {
        let session = self.sessions.get_mut(who).expect("a session");
        let waits = session.waits.take().unwrap_or_else(|| panic!("{who} does nothing"));
        let (talk, replies) = waits.join().expect("the session came through");
        session.talk = Some(talk);
        self.log.push(format!("{who}: {}", summary(&replies)));
    }

    /// A step began and its end was not waited for.
    pub(super) fn is_open(&self, who: &str) -> bool {
        self.sessions.get(who).is_some_and(|session| session.waits.is_some())
    }
}

/// Rows in no order (no statement has one), command tags and SQLSTATEs.
pub(super) fn summary(replies: &[Message]) -> String {
    let mut parts: Vec<String> = talk::rows(replies).iter().map(|row| format!("({})", row.join(","))).collect();
    parts.sort();
    for message in replies {
        match message.tag {
            b'C' => parts.push(String::from_utf8_lossy(&message.body[..message.body.len() - 1]).into_owned()),
            b'E' => parts.push(format!("{} {}", message.field('C'), message.field('n')).trim().to_owned()),
            _ => {}
        }
    }
    parts.join(" ")
}
