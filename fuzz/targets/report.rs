//! A report's JSON, as a filter sends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::Report;

fuzz_target!(|data: &[u8]| {
    if let Ok(report) = Report::from_json(data) {
        assert!(report.sequence > 0);
    }
});
