//! A plan's JSON, as an analyzer sends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_contract::Plan;

fuzz_target!(|data: &[u8]| {
    if let Ok(plan) = Plan::from_json(data) {
        plan.find("shop.example:8080", "/cart?a=b");
    }
});
