//! What decisions need, told once at start.

use std::collections::HashMap;

use control::{
    Config, SessionOpened, StoreError, Stored, StoredLease, StoredPart, StoredSession, Tally,
};
use rusqlite::{Connection, Row};
use types::{
    Capabilities, Fence, Incarnation, JobId, NodeId, PartId, Requirements, SessionId, SpanId,
    Timestamp, TraceId,
};

use super::error::failed;
use crate::codec;

const WHAT: &str = "load the queue";

pub(super) fn load(
    connection: &Connection,
    each: &mut dyn FnMut(Stored<'_>),
) -> Result<(), StoreError> {
    // One transaction, so that all of it is of one moment.
    let transaction = connection.unchecked_transaction().map_err(failed(WHAT))?;
    marks(connection, each)?;
    sessions(connection, each)?;
    let mut needs = Needs::default();
    leases(connection, &mut needs, each)?;
    ready(connection, &mut needs, each)?;
    transaction.commit().map_err(failed(WHAT))
}

/// Each distinct requirement is read once.
#[derive(Default)]
struct Needs(HashMap<String, Requirements>);

impl Needs {
    fn read(&mut self, text: &str) -> Result<&Requirements, StoreError> {
        if !self.0.contains_key(text) {
            self.0.insert(text.to_owned(), codec::decode_needs(text)?);
        }
        Ok(&self.0[text])
    }
}

fn marks(connection: &Connection, each: &mut dyn FnMut(Stored<'_>)) -> Result<(), StoreError> {
    let sql = "SELECT (SELECT coalesce(max(id), 0) FROM part),
                      (SELECT coalesce(max(id), 0) FROM session),
                      (SELECT max(uid) FROM job)";
    let (part, session, job) = connection
        .query_row(sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<[u8; 16]>>(2)?))
        })
        .map_err(failed(WHAT))?;
    let job = job.map(JobId::from_bytes);
    each(Stored::Marks { part: PartId(part), session: SessionId(session), job });
    Ok(())
}

fn sessions(connection: &Connection, each: &mut dyn FnMut(Stored<'_>)) -> Result<(), StoreError> {
    let sql = "SELECT id, node, incarnation, capabilities, registered_us, draining FROM session
               WHERE id IN (SELECT session FROM lease)
                  OR id IN (SELECT newest
                            FROM (SELECT max(id) AS newest, last_part FROM session GROUP BY node)
                            WHERE last_part IS NULL ORDER BY newest DESC LIMIT ?1)
               ORDER BY id";
    let mut statement = connection.prepare(sql).map_err(failed(WHAT))?;
    let nodes_max = i64::try_from(Config::NODES_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query([nodes_max]).map_err(failed(WHAT))?;
    while let Some(row) = rows.next().map_err(failed(WHAT))? {
        let read = || -> rusqlite::Result<_> {
            let incarnation = row.get::<_, i64>(2)?.cast_unsigned();
            Ok((row.get(0)?, row.get::<_, String>(1)?, incarnation, row.get::<_, String>(3)?))
        };
        let (session, node, incarnation, capabilities) = read().map_err(failed(WHAT))?;
        let registered_us = row.get(4).map_err(failed(WHAT))?;
        let opened = SessionOpened {
            session: SessionId(session),
            node: NodeId::new(node).map_err(|e| damaged(&e))?,
            incarnation: Incarnation(incarnation),
            capabilities: codec::from_json::<Capabilities>(&capabilities)?,
            registered_at: Timestamp::from_unix_micros(registered_us),
        };
        let draining = row.get(5).map_err(failed(WHAT))?;
        each(Stored::Session(&StoredSession { opened, draining }));
    }
    Ok(())
}

fn damaged(what: &dyn std::fmt::Display) -> StoreError {
    StoreError::new(control::StoreErrorKind::Corrupt, WHAT, what.to_string())
}

/// Reads the columns that `ready` and the leases share, in the order of the queries below.
fn part<'a>(row: &'a Row<'_>, needs: &'a mut Needs) -> Result<StoredPart<'a>, StoreError> {
    let read = || -> rusqlite::Result<_> {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
        Ok((text(3)?, text(5)?))
    };
    let (tenant, needs_text) = read().map_err(failed(WHAT))?;
    let requirements = needs.read(needs_text)?;
    let read = || -> rusqlite::Result<_> {
        Ok(StoredPart {
            part: PartId(row.get(0)?),
            part_index: row.get(1)?,
            part_count: row.get(2)?,
            tenant,
            priority: row.get(4)?,
            requirements,
            available_at: Timestamp::from_unix_micros(row.get(6)?),
            fence: Fence(row.get(7)?),
            attempt: row.get(8)?,
            tally: Tally { errors: row.get(9)?, crashes: row.get(10)?, errors_max: row.get(11)? },
        })
    };
    read().map_err(failed(WHAT))
}

fn ready(
    connection: &Connection,
    needs: &mut Needs,
    each: &mut dyn FnMut(Stored<'_>),
) -> Result<(), StoreError> {
    let sql = "SELECT part_id, part_index, part_count, tenant, priority, needs, available_us,
                      fence, attempt, errors, crashes, errors_max FROM ready ORDER BY part_id";
    let mut statement = connection.prepare(sql).map_err(failed(WHAT))?;
    let mut rows = statement.query([]).map_err(failed(WHAT))?;
    while let Some(row) = rows.next().map_err(failed(WHAT))? {
        each(Stored::Ready(part(row, needs)?));
    }
    Ok(())
}

fn leases(
    connection: &Connection,
    needs: &mut Needs,
    each: &mut dyn FnMut(Stored<'_>),
) -> Result<(), StoreError> {
    let sql = "SELECT l.part_id, p.part_index, j.part_count, j.tenant, j.priority, j.needs,
                      l.available_us, l.fence, l.attempt, l.errors, l.crashes, j.errors_max,
                      l.session, l.span, l.started_us, l.trace_id
               FROM lease l JOIN part p ON p.id = l.part_id JOIN job j ON j.id = p.job_id";
    let mut statement = connection.prepare(sql).map_err(failed(WHAT))?;
    let mut rows = statement.query([]).map_err(failed(WHAT))?;
    while let Some(row) = rows.next().map_err(failed(WHAT))? {
        let part = part(row, needs)?;
        let read = || -> rusqlite::Result<_> {
            let trace_id = row.get::<_, Option<[u8; 16]>>(15)?;
            Ok((row.get(12)?, row.get::<_, [u8; 8]>(13)?, row.get(14)?, trace_id))
        };
        let (session, span, started_us, trace_id) = read().map_err(failed(WHAT))?;
        each(Stored::Lease(StoredLease {
            part,
            session: SessionId(session),
            span_id: SpanId::new(span).ok_or_else(|| damaged(&"a span id is zero"))?,
            trace_id: trace_id.and_then(TraceId::new),
            started_at: Timestamp::from_unix_micros(started_us),
        }));
    }
    Ok(())
}
