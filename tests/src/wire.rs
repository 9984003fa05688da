//! A connection that does no more than HTTP/1.1 needs, so that a benchmark measures the server and not its client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::Client;

/// One connection, kept open.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    /// A connection of its own to the server.
    pub fn wire(&self) -> Wire {
        let host = self.url().trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).expect("the server listens");
        stream.set_nodelay(true).expect("TCP can be told");
        Wire { stream: BufReader::with_capacity(64 << 10, stream), host }
    }
}

impl Wire {
    /// `GET`, below `/v1`. Gives the status and the body.
    pub fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        let request = format!("GET /v1/{path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.send(request.as_bytes());
        self.answer()
    }

    /// `POST`, below `/v1`. Gives the status and the body.
    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let (host, length) = (&self.host, body.len());
        let head = format!(
            "POST /v1/{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat());
        self.answer()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    fn answer(&mut self) -> (u16, Vec<u8>) {
        let status = self.line().split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut length = 0;
        loop {
            let line = self.line();
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().expect("a length");
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the body is as long as was said");
        (status, body)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        line.truncate(line.trim_end().len());
        line
    }
}
