//! Strangers' bytes and a broken analyzer, while users come and go: Envoy serves, the filter stays in
//! the path, and memory stays flat.

use anyhow::{Context, Result};
use serin_tests::half::{Half, user_of, version_of};
use serin_tests::load::{Load, LoadOptions};
use serin_tests::world::WorldOptions;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const UNITS: &str = "{ cookie: uid }, { jwt: { header: authorization, claim: sub } }, { header: x-user-id }";

/// One request written byte by byte, as no well-behaved client would; answers the status and the version.
async fn raw(target: SocketAddr, headers: &[(&str, Vec<u8>)]) -> Result<(u16, Option<String>)> {
    let mut request = b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n".to_vec();
    for (name, value) in headers {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(target).await?;
        let (mut reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        let read = async {
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                if reader.read_buf(&mut answer).await? == 0 {
                    break;
                }
            }
            std::io::Result::Ok(())
        };
        // Envoy may answer before it has read everything; what counts is what it says.
        let (_, read) = tokio::join!(writer.write_all(&request), read);
        read?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await.context("no answer")??;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let version = answer.lines().find_map(|line| line.strip_prefix("x-shop-version: ")).map(str::to_owned);
    Ok((status.with_context(|| format!("no status in {answer:?}"))?, version))
}

type Headers = Vec<(&'static str, Vec<u8>)>;

/// What strangers send; each with whether Envoy's default limits let it in.
fn hostile() -> Vec<(Headers, bool)> {
    let deep = "eyJhIjpb".repeat(6_000);
    vec![
        (vec![("x-a", b"\xff\xfe\x80".to_vec()), ("cookie", b"\xc3\x28=\xff; uid".to_vec())], true),
        (vec![("authorization", b"Bearer \xff.\xfe.\xfd".to_vec())], true),
        (vec![("authorization", b"Bearer ....,,Bearer %%%, Bearer e30.e30!.x".to_vec())], true),
        (vec![("authorization", format!("Bearer e30.{deep}.x").into_bytes())], true),
        (vec![("x-canary", b"\xf0\x28\x8c\x28".to_vec()), ("x-canary-by", b"\xff".to_vec())], true),
        (vec![("cookie", "a=b; ".repeat(12_288).into_bytes())], false),
        ((0..1_000).map(|_| ("x-many", b"1".to_vec())).collect(), false),
        ((0..1_000).map(|_| ("cookie", b"=;=;uid=;".to_vec())).collect(), false),
    ]
}

/// Sends each of them many times beside the usual load and looks at memory and at who is routed where.
async fn bombarded(half: &Half, raised: bool) {
    let load = Load::start(LoadOptions { time: Duration::from_secs(300), ..half.world.load() }).unwrap();
    let target = half.world.targets()[0];
    let (stable, canary) = (user_of("v1", 0), user_of("v2", 0));
    let mut memory = Vec::new();
    for round in 0..90 {
        let user = if round % 2 == 0 { &stable } else { &canary };
        for (headers, fits) in hostile() {
            let mut headers = headers;
            headers.push(("x-user-id", user.clone().into_bytes()));
            let shown = format!("{} of {} headers", headers[0].0, headers.len());
            let (status, version) = raw(target, &headers).await.unwrap();
            if fits || raised {
                assert_eq!((status, version.as_deref()), (200, Some(version_of(user))), "{shown}");
            } else {
                assert_eq!((status, version), (431, None), "{shown}");
            }
        }
        if round >= 30 {
            memory.push(half.world.envoys[0].process.memory().unwrap());
        }
    }
    let (early, late) = (memory[..10].iter().max().unwrap(), memory[50..].iter().max().unwrap());
    assert!(*late < early + (8 << 20), "Envoy grew from {early} to {late} bytes");
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(serin_tests::load::Exchange::failed), 0, "{record}");
}

fn options() -> WorldOptions {
    let mut canary = Half::canary();
    canary.units = UNITS.to_owned();
    WorldOptions { canary, ..WorldOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_do_no_harm_with_envoys_limits() {
    let half = Half::start(options()).await.unwrap();
    bombarded(&half, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_headers_do_no_harm_with_raised_limits() {
    let prefix = "                stat_prefix: shop\n";
    let limits = "                max_request_headers_kb: 1024\n                \
                  common_http_protocol_options: { max_headers_count: 3000 }\n";
    let mut options = options();
    options.bootstrap.push((prefix.to_owned(), format!("{prefix}{limits}")));
    // The shop need not take what the filter does.
    let routes = "        routes:\n";
    let removed = "        request_headers_to_remove: [cookie, x-many, authorization]\n";
    options.routes.push((routes.to_owned(), format!("{removed}{routes}")));
    let half = Half::start(options).await.unwrap();
    bombarded(&half, true).await;
}

/// How an analyzer can be broken.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Garbage,
    Errors,
    Nothing,
    OneByteASecond,
    WrongPlan,
    HugePlan,
    Endless,
}

/// Stands on the analyzer's port and answers as broken as told, until it is dropped.
async fn impostor(address: SocketAddr, how: Broken) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        // Its connections end with it.
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(pretend(stream, how));
        }
    })
}

async fn pretend(mut stream: TcpStream, how: Broken) -> Result<()> {
    let mut request = vec![0; 65_536];
    while stream.read(&mut request).await? > 0 {
        let json = |body: String| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        match how {
            Broken::Garbage => stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await?,
            Broken::Errors => {
                stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}").await?;
            }
            Broken::Nothing => std::future::pending().await,
            Broken::OneByteASecond => {
                for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{\"acknowledged\": 1000000000}" {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Broken::WrongPlan => {
                let plan =
                    r#"{"revision": 99999999999999, "report_interval_ms": 500, "canaries": [{"name": 5}]}"#;
                let body = format!(r#"{{"acknowledged": 0, "plan": {plan}}}"#);
                stream.write_all(json(body).as_bytes()).await?;
            }
            Broken::HugePlan => {
                let body = format!(r#"{{"acknowledged": 0, "plan": [{}]}}"#, "[0], ".repeat(2 << 20));
                stream.write_all(json(body).as_bytes()).await?;
            }
            Broken::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536));
                loop {
                    stream.write_all(chunk.as_bytes()).await?;
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_analyzer_changes_nothing_for_users_and_costs_no_count() {
    let mut half = Half::start(options()).await.unwrap();
    let load = Load::start(LoadOptions { time: Duration::from_secs(300), ..half.world.load() }).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let address = half.world.analyzer.api().address();
    half.world.analyzer.terminate().unwrap();
    let before = half.world.envoys[0].process.memory().unwrap();
    let mut most = 0;
    for how in [
        Broken::Garbage,
        Broken::Errors,
        Broken::Nothing,
        Broken::OneByteASecond,
        Broken::WrongPlan,
        Broken::HugePlan,
        Broken::Endless,
    ] {
        let impostor = impostor(address, how).await;
        for second in 0..5 {
            for n in 0..5 {
                for version in ["v1", "v2"] {
                    let user = user_of(version, 5 * second + n);
                    assert_eq!(half.version("/", &[("x-user-id", &user)]).await.unwrap(), version, "{how:?}");
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let memory = half.world.envoys[0].process.memory().unwrap();
            println!("{how:?}: Envoy has {} MB", memory >> 20);
            most = memory.max(most);
        }
        impostor.abort();
        // The port is free when the task is gone.
        impostor.await.unwrap_err();
    }
    assert!(most < before + (160 << 20), "Envoy grew from {before} to {most} bytes");
    half.world.analyzer.restart().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(serin_tests::load::Exchange::failed), 0, "{record}");
    half.counted(record.sent() + 7 * 5 * 10).await.unwrap();
}
