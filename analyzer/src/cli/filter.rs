//! `serin filter > filter.wasm`.

use super::Failure;
use crate::module::Module;
use std::io::Write;

pub(super) fn run() -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::Failed(error.to_string());
    let module = Module::load(None).map_err(|error| failed(&error))?;
    let bytes = module.bytes().map_err(|error| failed(&error))?;
    std::io::stdout().lock().write_all(bytes).map_err(|error| failed(&error))
}
