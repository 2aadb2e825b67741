//! Everything that is in the embedded store, for another one.

use super::audit::AUDIT;
use super::exchange::{Row, to_hex};
use super::redb::{
    HISTORY, INBOX, JOURNAL, MARKS, REPORTS, Redb, SAMPLES, SNAPSHOTS, UNITS, decode, fail, post_of,
};
use super::{Store, StoreError};
use redb::{ReadableDatabase, ReadableTable};
use serin_contract::report::Instance;
use serin_judge::time::Time;

impl Redb {
    /// See [`Store::dump`].
    pub(super) fn dump_all(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        for row in reading.open_table(MARKS).map_err(fail)?.iter().map_err(fail)? {
            let (instance, json) = row.map_err(fail)?;
            show(Row::Mark { instance: Instance(instance.value()), mark: decode("marks", json.value())? });
        }
        let units = reading.open_table(UNITS).map_err(fail)?;
        for row in reading.open_table(SNAPSHOTS).map_err(fail)?.iter().map_err(fail)? {
            let (canary, json) = row.map_err(fail)?;
            let packed = units.get(canary.value()).map_err(fail)?;
            show(Row::Snapshot {
                canary: canary.value().to_owned(),
                snapshot: Box::new(decode("snapshots", json.value())?),
                units: packed.map(|packed| to_hex(packed.value())).unwrap_or_default(),
            });
        }
        for row in reading.open_table(JOURNAL).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let (canary, offset) = key.value();
            let entry = decode("journal", json.value())?;
            show(Row::Journal { canary: canary.to_owned(), offset, entry });
        }
        for row in reading.open_table(HISTORY).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let transition = decode("history", json.value())?;
            show(Row::Transition { canary: key.value().0.to_owned(), transition });
        }
        for row in reading.open_table(SAMPLES).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let (canary, time) = key.value();
            let sample = decode("samples", json.value())?;
            show(Row::Sample { canary: canary.to_owned(), time: Time(time), sample });
        }
        for row in reading.open_table(REPORTS).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let report = Box::new(decode("reports", json.value())?);
            show(Row::Report { canary: key.value().0.to_owned(), report });
        }
        self.dump_experiments(&reading, show)?;
        for row in reading.open_table(AUDIT).map_err(fail)?.iter().map_err(fail)? {
            let (_, json) = row.map_err(fail)?;
            show(Row::Audit { line: Box::new(decode("audit", json.value())?) });
        }
        match self.cursor()? {
            0 => {}
            place => show(Row::Cursor { place }),
        }
        for row in reading.open_table(INBOX).map_err(fail)?.iter().map_err(fail)? {
            let (place, json) = row.map_err(fail)?;
            show(Row::of_post(place.value(), post_of(json.value())?));
        }
        Ok(())
    }
}
