//! The value of `:path`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::attributes::Source;

fuzz_target!(|data: &[u8]| serin_fuzz::read(Source::Query("tier".to_owned()), ":path", data));
