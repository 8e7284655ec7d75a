use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use ziggurat_core::{Ambient, RawJson, Str, System};
use ziggurat_layers::conversation::{Owner, Store, StoreError, StoreFuture, Turn};

use super::worker::Worker;
use super::{OpenError, schema};

/// What a store keeps at most.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bounds {
    /// All that is kept, in bytes of JSON. The default is 64 MiB.
    pub max_bytes: u64,
    /// How long it is kept. The default is 30 days, as OpenAI does.
    pub keep: Duration,
    ambient: Arc<dyn Ambient>,
}

impl Default for Bounds {
    fn default() -> Self {
        let keep = Duration::from_secs(30 * 24 * 60 * 60);
        Self { max_bytes: 64 << 20, keep, ambient: Arc::new(System) }
    }
}

impl Bounds {
    /// Bounds all that is kept, in bytes of JSON.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bounds how long it is kept.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Where wall time comes from.
    #[must_use]
    pub fn ambient(mut self, ambient: impl Ambient) -> Self {
        self.ambient = Arc::new(ambient);
        self
    }

    fn now(&self) -> i64 {
        i64::try_from(self.ambient.unix_time().as_secs()).unwrap_or(i64::MAX)
    }

    /// When what is too old by now was put in.
    fn oldest(&self) -> i64 {
        self.now().saturating_sub(i64::try_from(self.keep.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Answers that are kept for callers of OpenAI Responses: for a
/// [`ConversationLayer`](ziggurat_layers::ConversationLayer). See the [module](super).
#[derive(Debug)]
pub struct Conversations {
    bounds: Bounds,
    /// Started when it is first needed, where nothing can be wrong with it.
    worker: OnceLock<Result<Worker, String>>,
}

impl Conversations {
    /// Answers in memory, gone with the program. Nothing is set aside before the first comes.
    #[must_use]
    pub fn in_memory(bounds: Bounds) -> Self {
        Self { bounds, worker: OnceLock::new() }
    }

    /// Answers in a file. It is made if there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, is no database, or of a later version.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        let worker = Worker::start(schema::open(path)?)?;
        Ok(Self { bounds, worker: OnceLock::from(Ok(worker)) })
    }

    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> StoreFuture<T> {
        let start = || {
            let connection = schema::memory().map_err(|error| error.to_string())?;
            Worker::start(connection).map_err(|error| error.to_string())
        };
        match self.worker.get_or_init(start) {
            Ok(worker) => worker.ask(job),
            Err(error) => {
                let error = StoreError::new(error.clone());
                Box::pin(async { Err(error) })
            }
        }
    }
}

impl Store for Conversations {
    fn put(&self, owner: Owner, turn: Turn) -> StoreFuture<()> {
        let bounds = self.bounds.clone();
        let bytes = turn.input.get().len() + turn.response.get().len();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if bytes > bounds.max_bytes / 8 {
            let most = bounds.max_bytes / 8;
            let error = StoreError::new(format!("it takes {bytes} bytes, {most} are the most"));
            return Box::pin(async { Err(error) });
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.ask(move |connection| {
            let all = connection.transaction()?;
            let owner = owner.as_bytes();
            delete(&all, owner, &turn.id)?;
            all.prepare_cached(
                "insert into turns (owner, id, previous, created, bytes, input, response) values (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                owner,
                turn.id.as_str(),
                turn.previous.as_deref(),
                bounds.now(),
                bytes,
                turn.input.get(),
                turn.response.get()
            ])?;
            let row = all.last_insert_rowid();
            for item in &turn.items {
                all.prepare_cached("insert or ignore into items (owner, item, turn) values (?, ?, ?)")?
                    .execute(params![owner, item.as_str(), row])?;
            }
            forget(&all, &bounds)?;
            all.commit()
        })
    }

    fn get(&self, owner: Owner, id: Str) -> StoreFuture<Option<Turn>> {
        let oldest = self.bounds.oldest();
        self.ask(move |connection| get(connection, owner, &id, oldest))
    }

    fn thread(&self, owner: Owner, id: Str) -> StoreFuture<Vec<Turn>> {
        let oldest = self.bounds.oldest();
        self.ask(move |connection| {
            let mut turns: Vec<Turn> = Vec::new();
            let mut next = Some(id);
            while let Some(id) = next {
                // An answer can be its own ancestor only if somebody wrote into the file.
                if turns.iter().any(|turn| turn.id == id) {
                    break;
                }
                let Some(turn) = get(connection, owner, &id, oldest)? else { break };
                next = turn.previous.clone();
                turns.push(turn);
            }
            Ok(turns)
        })
    }

    fn with_item(&self, owner: Owner, item: Str) -> StoreFuture<Option<Turn>> {
        let oldest = self.bounds.oldest();
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "select id, previous, input, response from turns where created >= ?3 and rowid = (select max(turn) from items where owner = ?1 and item = ?2)",
                )?
                .query_row(params![owner.as_bytes(), item.as_str(), oldest], read)
                .optional()
        })
    }

    fn delete(&self, owner: Owner, id: Str) -> StoreFuture<bool> {
        let oldest = self.bounds.oldest();
        self.ask(move |connection| {
            let was = get(connection, owner, &id, oldest)?.is_some();
            let all = connection.transaction()?;
            delete(&all, owner.as_bytes(), &id)?;
            all.commit()?;
            Ok(was)
        })
    }
}

fn get(
    connection: &Connection,
    owner: Owner,
    id: &Str,
    oldest: i64,
) -> Result<Option<Turn>, rusqlite::Error> {
    connection
        .prepare_cached(
            "select id, previous, input, response from turns where owner = ? and id = ? and created >= ?",
        )?
        .query_row(params![owner.as_bytes(), id.as_str(), oldest], read)
        .optional()
}

fn read(row: &Row<'_>) -> Result<Turn, rusqlite::Error> {
    let json = |index: usize| {
        let text: String = row.get(index)?;
        RawJson::parse(text.into()).map_err(|error| {
            let kind = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(index, kind, Box::new(error))
        })
    };
    let id: String = row.get(0)?;
    let previous: Option<String> = row.get(1)?;
    let mut turn = Turn::new(id, json(2)?, json(3)?);
    turn.previous = previous.map(Str::from);
    Ok(turn)
}

fn delete(connection: &Connection, owner: &[u8; 32], id: &Str) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "delete from items where turn in (select rowid from turns where owner = ? and id = ?)",
        )?
        .execute(params![owner, id.as_str()])?;
    connection
        .prepare_cached("delete from turns where owner = ? and id = ?")?
        .execute(params![owner, id.as_str()])?;
    Ok(())
}

/// Forgets what is too old, and what is too much.
fn forget(connection: &Connection, bounds: &Bounds) -> Result<(), rusqlite::Error> {
    let drop_row = |row: i64| -> Result<(), rusqlite::Error> {
        connection.prepare_cached("delete from items where turn = ?")?.execute([row])?;
        connection.prepare_cached("delete from turns where rowid = ?")?.execute([row])?;
        Ok(())
    };
    let oldest = bounds.oldest();
    loop {
        let row: Option<i64> = connection
            .prepare_cached("select rowid from turns where created < ? order by created limit 1")?
            .query_row([oldest], |row| row.get(0))
            .optional()?;
        let Some(row) = row else { break };
        drop_row(row)?;
    }
    let most = i64::try_from(bounds.max_bytes).unwrap_or(i64::MAX);
    let mut all: i64 =
        connection.prepare_cached("select bytes from total")?.query_row([], |row| row.get(0))?;
    while all > most {
        let (row, bytes): (i64, i64) = connection
            .prepare_cached("select rowid, bytes from turns order by created, rowid limit 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        drop_row(row)?;
        all -= bytes;
    }
    Ok(())
}
