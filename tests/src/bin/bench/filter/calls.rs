//! A price list of the calls between Envoy and a filter: processor time of an Envoy whose filter makes so many calls
//! of one kind in each request, less that of the same filter without them, over their number.

use super::kinds::{Backend, Filter, Kind};
use super::load::Wrk;
use super::start;
use crate::figures::{Figures, Spread, table};
use crate::processor;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use serin_tests::envoy::Envoy;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Options {
    /// How often each kind is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each time, in seconds
    #[arg(long, default_value_t = 1)]
    seconds: u64,
    /// Calls of a kind in each request
    #[arg(long, default_value_t = 20)]
    count: usize,
}

/// Filters in a row where a whole filter is priced.
const FILTERS: usize = 5;

/// Names as tests/calls-filter knows them, and what they are.
const KINDS: [(&str, &str); 11] = [
    ("allocate", "100 bytes allocated and freed in the VM, no call"),
    ("time", "current time"),
    ("get-absent", "a request header that is not there"),
    ("get", "a request header"),
    ("get-all", "all request headers, about a dozen"),
    ("set", "set a request header"),
    ("add", "add a request header"),
    ("remove-absent", "remove a request header that is not there"),
    ("cluster", "property xds.cluster_name where no cluster answered, at the end"),
    ("flags", "property response.flags, at the end"),
    ("duration", "property request.duration, at the end"),
];

struct Priced {
    what: &'static str,
    envoy: Envoy,
    /// What the difference to the first is divided by.
    count: usize,
    micros: Vec<f64>,
}

/// Measures and prints the list.
pub(crate) async fn measure(options: &Options) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let wrk = Wrk::new(folder.path())?;
    let mut all = Vec::new();
    let mut add = async |what, order: String, filters, count| -> Result<()> {
        let kind = Kind::new(what, Backend::Direct, Filter::Calls { order, filters });
        let envoy = start(&kind, 1, folder.path(), 0, 0).await?;
        all.push(Priced { what, envoy, count, micros: vec![] });
        Ok(())
    };
    add("the filter without calls, whole request", "nothing 0".to_owned(), 1, 1).await?;
    add("one more filter without calls", "nothing 0".to_owned(), 1 + FILTERS, FILTERS).await?;
    for (name, what) in KINDS {
        add(what, format!("{name} {}", options.count), 1, options.count).await?;
    }
    for priced in &all {
        wrk.run(priced.envoy.address(), Duration::from_secs(1)).context(priced.what)?;
    }
    for round in 0..options.rounds {
        eprintln!("bench: round {} of {}", round + 1, options.rounds);
        for priced in &mut all {
            let before = processor::time(priced.envoy.process.id())?;
            let requests =
                wrk.run(priced.envoy.address(), Duration::from_secs(options.seconds)).context(priced.what)?;
            let spent = processor::time(priced.envoy.process.id())? - before;
            priced.micros.push(spent.as_secs_f64() * 1e6 / requests as f64);
        }
    }
    Ok(print(&all))
}

/// Against the cheapest round of the filter without calls: what disturbs a round only adds to it.
fn print(all: &[Priced]) -> Figures {
    let base = all.first().map_or(f64::NAN, |first| Spread::of(&first.micros).min);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (place, priced) in all.iter().enumerate() {
        let base = if place == 0 { 0.0 } else { base };
        let price = |micros: &f64| (micros - base) / priced.count as f64;
        let price = Spread::of(&priced.micros.iter().map(price).collect::<Vec<_>>());
        rows.push(vec![priced.what.to_owned(), format!("{price:.2}")]);
        values.push(json!({ "what": priced.what, "micros": price.json() }));
    }
    table("The price of a call", &["what", "µs of processor time (min / median / max)"], &rows);
    let mut figures = Figures::default();
    figures.set("calls", values.into());
    figures
}
