//! Replies still owed by the server, oldest first: the protocol's state without any I/O.
//!
//! One entry per message that awaits an answer. After an error in the extended protocol the server ignores everything up to `Sync`; so does the queue.
//!
//! Source: PostgreSQL docs, `protocol-flow.html` (Extended Query, Pipelining, COPY Operations); `src/backend/tcop/postgres.c`, `ignore_till_sync`.

use std::{collections::VecDeque, sync::Arc};

use super::{
    names::Question,
    prepared::{Prepared, Step, Undo},
    running::Running,
};

/// One awaited answer.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is awaited.
    pub(super) kind: Owed,
    /// The client did not ask for it, or has its answer already: nothing of it is forwarded.
    pub(super) hidden: bool,
}

/// What is awaited.
#[derive(Debug)]
pub(super) enum Owed {
    /// `ParseComplete`.
    Parse(Option<Box<Step>>),
    /// `BindComplete`.
    Bind(Option<Box<Step>>),
    /// `CloseComplete`.
    Close(Option<Box<Undo>>),
    /// `RowDescription` or `NoData`, for a statement after `ParameterDescription`.
    Describe(Option<Arc<Prepared>>),
    /// Rows, then `CommandComplete`, `EmptyQueryResponse` or `PortalSuspended`.
    Execute(Option<Box<Running>>),
    /// All replies to a `Query`, up to `ReadyForQuery`.
    Query(Option<Box<Running>>),
    /// `ReadyForQuery`.
    Sync,
    /// `FunctionCallResponse`, then `ReadyForQuery`.
    FunctionCall,
    /// Nothing: the place of a `CopyDone` or `CopyFail` sent before the server said that it copies.
    CopyEnd,
    /// The answer to a question of our own.
    Question(Box<Question>),
}

impl Owed {
    /// What is awaited, for errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Parse(_) => "Parse",
            Self::Bind(_) => "Bind",
            Self::Close(_) => "Close",
            Self::Describe(_) => "Describe",
            Self::Execute(_) => "Execute",
            Self::Query(_) => "Query",
            Self::Sync => "Sync",
            Self::FunctionCall => "FunctionCall",
            Self::CopyEnd => "the end of COPY",
            Self::Question(_) => "a question of chronoguard",
        }
    }
}

/// Whether what is awaited belongs to one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// Something else is behind it.
    No,
    /// Its end (`Sync`, or it is a `Query`) is on its way, and nothing is behind that.
    Ends,
    /// Its `Sync` was not sent yet.
    Open,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// An error was seen and no `Sync` is on its way yet: the server ignores all that comes.
    skipping: bool,
    /// The server takes COPY data: it ignores `Sync` and `Flush`.
    copying_in: bool,
}

impl Queue {
    /// Adds what a message awaits. While the server skips, only `Sync` counts; returns whether the entry was taken.
    pub(super) fn push(&mut self, kind: Owed, hidden: bool) -> bool {
        match kind {
            Owed::Sync if self.copying_in => return false,
            Owed::Sync => self.skipping = false,
            Owed::CopyEnd if self.copying_in => {
                self.copying_in = false;
                return false;
            }
            _ if self.skipping => return false,
            _ => {}
        }
        if matches!(kind, Owed::CopyEnd) && self.entries.is_empty() {
            return false;
        }
        self.entries.push_back(Entry { kind, hidden });
        true
    }

    /// The server takes COPY data.
    pub(super) fn copying_in(&self) -> bool {
        self.copying_in
    }

    /// The server ignores what comes until a `Sync`.
    pub(super) fn skipping(&self) -> bool {
        self.skipping
    }

    /// Nothing is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the server answers now.
    pub(super) fn head(&mut self) -> Option<&mut Entry> {
        while matches!(self.entries.front(), Some(Entry { kind: Owed::CopyEnd, .. })) {
            self.entries.pop_front();
        }
        self.entries.front_mut()
    }

    /// Takes the head off.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.head()?;
        self.copying_in = false;
        self.entries.pop_front()
    }

    /// Whether the head's batch is all that is awaited.
    pub(super) fn alone(&self) -> Alone {
        match self.entries.iter().position(|e| matches!(e.kind, Owed::Sync | Owed::Query(_) | Owed::FunctionCall)) {
            None => Alone::Open,
            Some(end) if end + 1 == self.entries.len() => Alone::Ends,
            Some(_) => Alone::No,
        }
    }

    /// `CopyInResponse`: a `Sync` sent before the end of the data was, or will be, ignored by the server.
    ///
    /// Source: `src/backend/commands/copyfromparse.c`, `CopyGetData`: "ignore Flush/Sync for the convenience of client libraries".
    pub(super) fn copy_in_started(&mut self) {
        let mut at = 1;
        while let Some(entry) = self.entries.get(at) {
            match entry.kind {
                Owed::Sync => drop(self.entries.remove(at)),
                Owed::CopyEnd => {
                    self.entries.remove(at);
                    return;
                }
                _ => at += 1,
            }
        }
        self.copying_in = true;
    }

    /// `ErrorResponse`. A `Query`, a function call or a `Sync` still ends with `ReadyForQuery`; of a pipeline everything up to `Sync` is dropped.
    /// Returns the dropped entries, the failed one first.
    pub(super) fn fail(&mut self) -> Vec<Entry> {
        self.copying_in = false;
        match self.head() {
            None | Some(Entry { kind: Owed::Query(_) | Owed::FunctionCall | Owed::Sync, .. }) => Vec::new(),
            Some(Entry { kind: Owed::Question(question), .. }) if question.ends_with_sync() => Vec::new(),
            Some(_) => {
                let end = self.entries.iter().position(|e| matches!(e.kind, Owed::Sync));
                self.skipping = end.is_none();
                self.entries.drain(..end.unwrap_or(self.entries.len())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(kinds: Vec<Owed>) -> Queue {
        let mut queue = Queue::default();
        for kind in kinds {
            queue.push(kind, false);
        }
        queue
    }

    fn kinds(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|e| format!("{:?}", e.kind)).collect()
    }

    #[test]
    fn an_error_in_a_pipeline_drops_up_to_sync() {
        let mut q = queue(vec![
            Owed::Parse(None),
            Owed::Bind(None),
            Owed::Execute(None),
            Owed::Sync,
            Owed::Parse(None),
            Owed::Sync,
        ]);
        q.pop();
        assert_eq!(q.fail().len(), 2);
        assert!(!q.skipping());
        assert_eq!(kinds(&mut q), ["Sync", "Parse(None)", "Sync"]);
    }

    #[test]
    fn an_error_before_sync_was_sent_skips_until_it_is() {
        let mut q = queue(vec![Owed::Bind(None)]);
        q.fail();
        assert!(q.skipping());
        assert!(!q.push(Owed::Execute(None), false));
        assert!(!q.push(Owed::Query(None), false), "the server ignores a Query too");
        assert!(q.push(Owed::Sync, false));
        assert!(q.push(Owed::Query(None), false));
        assert_eq!(kinds(&mut q), ["Sync", "Query(None)"]);
    }

    #[test]
    fn an_error_at_sync_or_in_a_query_drops_nothing() {
        let mut q = queue(vec![Owed::Sync, Owed::Query(None)]);
        assert!(q.fail().is_empty());
        q.pop();
        assert!(q.fail().is_empty());
        assert!(!q.skipping());
        assert_eq!(kinds(&mut q), ["Query(None)"]);
    }

    #[test]
    fn a_sync_sent_into_copy_data_is_not_answered() {
        let mut q = queue(vec![Owed::Execute(None), Owed::Sync]);
        q.copy_in_started();
        assert!(!q.push(Owed::Sync, false), "while the server copies");
        assert!(!q.push(Owed::CopyEnd, false));
        assert!(q.push(Owed::Sync, false));
        assert_eq!(kinds(&mut q), ["Execute(None)", "Sync"]);
    }

    #[test]
    fn copy_data_pipelined_before_the_response() {
        let mut q = queue(vec![Owed::Execute(None), Owed::Sync, Owed::CopyEnd, Owed::Sync, Owed::Parse(None)]);
        q.copy_in_started();
        assert_eq!(kinds(&mut q), ["Execute(None)", "Sync", "Parse(None)"]);
    }

    #[test]
    fn a_copy_that_fails_before_it_starts_leaves_no_mark() {
        let mut q = queue(vec![Owed::Query(None), Owed::CopyEnd, Owed::Query(None)]);
        q.fail();
        q.pop();
        assert!(matches!(q.head(), Some(Entry { kind: Owed::Query(None), .. })));
    }
}
