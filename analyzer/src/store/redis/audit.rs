//! The audit in Redis: a sorted set by number, which is the line's time, or the next that is free.

use super::Redis;
use crate::store::StoreError;
use crate::store::audit::AuditLine;
use crate::store::redb::decode;

impl Redis {
    pub(super) fn read_audit(&self, before: u64, most: usize) -> Result<Vec<(u64, AuditLine)>, StoreError> {
        let mut command = redis::cmd("ZREVRANGEBYSCORE");
        command.arg(self.keys.of("audit")).arg(format!("({before}")).arg("-inf").arg("WITHSCORES");
        command.arg("LIMIT").arg(0).arg(most);
        let rows: Vec<(Vec<u8>, u64)> = self.link.call("read", |connection| command.query(connection))?;
        rows.iter().map(|(line, number)| Ok((*number, decode("audit", line)?))).collect()
    }
}
