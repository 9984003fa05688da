//! A proxy before an HTTP server that fails on purpose: it answers errors, is slow, hangs, or cuts the connection, before and after the
//! request took effect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// It is answered with this status, and nobody hears of it.
    Refuse(u16),
    /// It takes effect, and the answer is this status.
    FailAfter(u16),
    /// The connection ends while it is being sent.
    CutBefore,
    /// It takes effect, and the connection ends without an answer.
    CutAfter,
    /// It takes effect, and the connection ends in the middle of the answer.
    CutAnswer,
    /// It takes longer.
    Slow(Duration),
    /// It waits until [`Proxy::release`].
    Hang,
    /// It takes effect, but where it was refused because the object is there (412), the answer is a success: a store that ignores
    /// `If-None-Match`, as its clients see it.
    Forgive,
}

/// What a proxy sees of a request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub path: String,
}

type Choose = Arc<std::sync::Mutex<dyn FnMut(&Asked) -> Fault + Send>>;

/// A running proxy. It ends with the test.
#[derive(Debug)]
pub struct Proxy {
    endpoint: String,
    healthy: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server at `upstream`, whose faults are chosen request by request.
    pub async fn before(upstream: &str, choose: impl FnMut(&Asked) -> Fault + Send + 'static) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it listens"));
        let healthy = watch::Sender::new(false);
        let seen = healthy.subscribe();
        let choose: Choose = Arc::new(std::sync::Mutex::new(choose));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream.clone(), choose.clone(), seen.clone()));
            }
        });
        Proxy { endpoint, healthy, task }
    }

    /// A proxy with faults of every kind in so many percent of the requests, from [`Proxy::fail`] on.
    pub async fn chaos(upstream: &str, mut random: fastrand::Rng, percent: u32) -> Self {
        let proxy = Self::before(upstream, move |_| {
            if random.u32(..100) >= percent {
                return Fault::Pass;
            }
            match random.u32(..8) {
                0 => Fault::Refuse(500),
                1 => Fault::Refuse(503),
                2 => Fault::FailAfter(500),
                3 => Fault::FailAfter(503),
                4 => Fault::CutBefore,
                5 => Fault::CutAfter,
                6 => Fault::CutAnswer,
                _ => Fault::Slow(Duration::from_millis(random.u64(..300))),
            }
        })
        .await;
        proxy.release();
        proxy
    }

    /// Chooses faults from now on.
    pub fn fail(&self) {
        self.healthy.send_replace(false);
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Lets everything pass from now on, and what hangs go on.
    pub fn release(&self) {
        self.healthy.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request with all its bytes.
struct Request {
    asked: Asked,
    head: Vec<u8>,
    body: Vec<u8>,
}

async fn serve(mut client: TcpStream, upstream: String, choose: Choose, healthy: watch::Receiver<bool>) {
    // A connection carries one request: what comes after a cut is the client's business.
    let _ = answer(&mut client, &upstream, choose, healthy).await;
    let _ = client.shutdown().await;
}

async fn answer(
    client: &mut TcpStream,
    upstream: &str,
    choose: Choose,
    mut healthy: watch::Receiver<bool>,
) -> io::Result<()> {
    let Some((head, rest)) = read_head(client).await? else { return Ok(()) };
    let asked = asked(&head);
    let fault = match *healthy.borrow() {
        true => Fault::Pass,
        false => choose.lock().expect("no holder panics")(&asked),
    };
    if fault == Fault::CutBefore {
        return Ok(());
    }
    let request = Request { body: read_body(client, &head, rest).await?, asked, head };
    match fault {
        Fault::Refuse(status) => return client.write_all(&failure(status)).await,
        Fault::Slow(time) => tokio::time::sleep(time).await,
        Fault::Hang => drop(healthy.wait_for(|healthy| *healthy).await),
        _ => {}
    }
    let answer = forward(upstream, &request).await?;
    match fault {
        Fault::CutAfter => Ok(()),
        Fault::CutAnswer => client.write_all(&answer[..answer.len() / 2]).await,
        Fault::FailAfter(status) => client.write_all(&failure(status)).await,
        Fault::Forgive if answer.starts_with(b"HTTP/1.1 412") && request.asked.method == "PUT" => {
            client.write_all(b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await
        }
        _ => client.write_all(&answer).await,
    }
}

async fn forward(upstream: &str, request: &Request) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    let line_end = request.head.windows(2).position(|two| two == b"\r\n").expect("a head has a first line") + 2;
    server.write_all(&request.head[..line_end]).await?;
    server.write_all(b"Connection: close\r\n").await?;
    server.write_all(&request.head[line_end..]).await?;
    server.write_all(&request.body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The head of a request, and what came after it already; `None` when the client has gone.
pub(crate) async fn read_head(client: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut read, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok(Some((read, rest)));
        }
        match client.read(&mut chunk).await? {
            0 => return Ok(None),
            n => read.extend_from_slice(&chunk[..n]),
        }
    }
}

pub(crate) async fn read_body(client: &mut TcpStream, head: &[u8], mut body: Vec<u8>) -> io::Result<Vec<u8>> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length is a number"));
    let read = body.len();
    body.resize(length, 0);
    client.read_exact(&mut body[read..]).await?;
    Ok(body)
}

pub(crate) fn asked(head: &[u8]) -> Asked {
    let head = String::from_utf8_lossy(head);
    let mut words = head.split(' ').map(str::to_owned);
    Asked { method: words.next().unwrap_or_default(), path: words.next().unwrap_or_default() }
}

fn failure(status: u16) -> Vec<u8> {
    let code = if status == 403 { "AccessDenied" } else { "InternalError" };
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    format!("HTTP/1.1 {status} On Purpose\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}
