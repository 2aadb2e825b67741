//! The example of istio/ on this machine, for a person to try with kubectl: brings everything up, says how to
//! reach it, sends it some traffic, and takes it down when it is told to end.

use anyhow::{Context, Result};
use clap::Parser;
use serin_tests::load::Load;
use serin_tests::mesh::{HOST, Mesh, MeshOptions};
use serin_tests::shop::Faults;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The longest that it stays up by itself.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Parser)]
#[command(about = "The example of istio/ on this machine")]
struct Arguments {
    /// How many replicas the analyzer has
    #[arg(long, default_value_t = 2)]
    replicas: usize,
    /// Requests a second; 0 for none
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// The part of its requests that the canary fails, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    errors: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("starting etcd, kube-apiserver, istiod, a gateway and the analyzer");
    let options = MeshOptions { replicas: arguments.replicas, ..MeshOptions::default() };
    let mesh = tokio::select! {
        mesh = Mesh::start(options) => mesh?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    mesh.canary.set_faults(Faults::errors(arguments.errors));
    let load = if arguments.rate > 0.0 {
        let load = serin_tests::load::LoadOptions { rate: arguments.rate, time: A_DAY, ..mesh.load() };
        Some(Load::start(load).context("the load")?)
    } else {
        None
    };
    explain(&mesh);
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(A_DAY) => {}
    }
    println!("stopping");
    drop(load);
    Ok(())
}

fn explain(mesh: &Mesh) {
    let gateway = mesh.gateway.envoy.address();
    println!("\n  export KUBECONFIG={}", mesh.plane.kubeconfig().display());
    println!("  kubectl get canaries -w");
    println!("  kubectl describe canary canary-demo");
    println!("  kubectl get virtualservice canary-demo-vs -o yaml");
    println!(
        "  kubectl patch canary canary-demo --type merge -p '{{\"spec\": {{\"canaryVersion\": \"v3\"}}}}'"
    );
    println!("  curl -H 'host: {HOST}' -H 'x-user-id: kim' http://{gateway}/");
    println!("  curl -H 'host: {HOST}' -H 'x-canary: true' http://{gateway}/");
    for replica in &mesh.replicas {
        println!("  {} listens on 127.0.0.1:{}", replica.name(), replica.port());
    }
    if let Some(replica) = mesh.replicas.first() {
        let token = mesh.plane.folder().join("tokens/operator");
        let (port, token) = (replica.port(), token.display());
        println!("  serin status --watch --server http://127.0.0.1:{port} --token-file {token}");
    }
    println!("  everything's logs and files: {}\n", mesh.plane.folder().display());
}
