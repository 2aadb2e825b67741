//! A segment's JSON, and what it makes of a request: the first line is the segment, the rest a header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::parse::from_json;
use serin_contract::segment::{Segment, SegmentDocument};

fuzz_target!(|data: &[u8]| {
    let (rules, value) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"2"[..]),
    };
    let Ok(document) = from_json::<SegmentDocument>(rules) else { return };
    if let Ok(segment) = Segment::compile(document) {
        segment.matches(&serin_fuzz::Request { name: "x-tier", value });
    }
});
