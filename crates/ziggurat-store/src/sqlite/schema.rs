//! The layout of a file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::OpenError;

/// The layout that this program writes.
const VERSION: i64 = 1;

const TABLES: &str = "
    create table turns (
        owner blob not null,
        id text not null,
        previous text,
        created integer not null,
        bytes integer not null,
        input text not null,
        response text not null,
        unique (owner, id)
    );
    create index turns_created on turns (created);
    create table items (
        owner blob not null,
        item text not null,
        turn integer not null,
        primary key (owner, item, turn)
    ) without rowid;
    create index items_turn on items (turn);
    create table total (bytes integer not null);
    insert into total values (0);
    create trigger turns_put after insert on turns begin update total set bytes = bytes + new.bytes; end;
    create trigger turns_deleted after delete on turns begin update total set bytes = bytes - old.bytes; end;
";

/// Opens a file, and makes it if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    restrict(path);
    let connection = Connection::open_with_flags(path, OpenFlags::default()).map_err(failed)?;
    let prepared = connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .and_then(|()| connection.pragma_update(None, "journal_mode", "wal"))
        .and_then(|()| connection.pragma_update(None, "synchronous", "normal"));
    prepared.map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    match found {
        0 => create(&connection).map_err(failed)?,
        VERSION => {}
        found => {
            return Err(OpenError::Version { path: path.to_owned(), found, known: VERSION });
        }
    }
    Ok(connection)
}

/// A database in memory.
pub(super) fn memory() -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_in_memory()?;
    create(&connection)?;
    Ok(connection)
}

fn version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn create(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "begin immediate; {TABLES} pragma user_version = {VERSION}; commit;"
    ))
}

/// Makes a new file readable by its owner alone. That it cannot be made is told when it is opened.
fn restrict(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}
