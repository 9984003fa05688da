//! `rekap topic append`: a file of events on its way to the log, a piece at a time.
//!
//! Each piece is one request and lands as a whole or not at all. When one does not, those before it stay: the failure says up to which
//! line of the file the log has it, and how to go on without appending a line twice. If the process dies in between, what landed is in
//! the log and nobody is told how much it was; `rekap topic show` tells.

use std::path::Path;

use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::Session;
use super::failure::{Failure, named};
use super::out::count;
use crate::Problem;

/// How many bytes of events go in one request: large enough to amortise an fsync, far below the server's bound.
const CHUNK_BYTES: usize = 4 << 20;
/// What to do about a file that is not there.
const NAME_A_FILE: &str = "name a file of events, one JSON value a line, or - for the standard input";

/// What a file's events are sent as, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    media: &'static str,
    encoding: Option<&'static str>,
}

impl Form {
    /// One event a line, as they are: what can be sent piece by piece.
    const LINES: Form = Form { media: "application/x-ndjson", encoding: None };

    fn of(file: &Path) -> Form {
        let name = file.to_string_lossy().to_lowercase();
        let (name, encoding) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
            (Some(name), _) => (name, Some("gzip")),
            (_, Some(name)) => (name, Some("zstd")),
            _ => (name.as_str(), None),
        };
        Form { media: if name.ends_with(".csv") { "text/csv" } else { Form::LINES.media }, encoding }
    }
}

/// What is appended, and from where on.
#[derive(Debug)]
pub(super) struct How<'a> {
    /// The topic.
    pub(super) topic: &'a str,
    /// The file; `-` is the standard input.
    pub(super) file: &'a Path,
    /// So many lines of the file are in the log already.
    pub(super) skip: u64,
    /// The `Idempotency-Key` of the first request.
    pub(super) key: Option<String>,
}

/// Appends the lines of a file, a few MB at a time; CSV and packed files go as they are, in one request.
pub(super) async fn append(s: &Session, how: How<'_>) -> Result<(), Failure> {
    let (topic, file, form) = (how.topic, how.file, Form::of(how.file));
    let answers = if form == Form::LINES {
        in_pieces(s, how).await?
    } else if how.skip > 0 {
        let what = format!("{}: --skip goes by lines of plain NDJSON", file.display());
        return Err(Failure::Folder(what, "a .csv or packed file goes as a whole: leave --skip out, or unpack it"));
    } else {
        let whole = tokio::fs::read(file).await.map_err(named(file, NAME_A_FILE))?;
        let (key, all) = (how.key.unwrap_or_else(fresh), Piece::default());
        let sent = send(s, topic, form, &key, whole).await;
        vec![sent.map_err(|failure| Stopped { topic, file, skip: 0, key: &key, piece: &all }.tell(failure))?]
    };
    let appended = answers.iter().filter_map(|answer| answer["appended"].as_u64()).sum();
    let all = json!({"appended": appended, "requests": answers});
    s.out.answer(&all, |out, _| out.line(format!("{} events appended to {topic}", count(appended))))
}

/// Sends the lines of a file piece by piece; the answers to them.
async fn in_pieces(s: &Session, how: How<'_>) -> Result<Vec<Value>, Failure> {
    let How { topic, file, skip, key } = how;
    let source = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    let opened = tokio::fs::File::open(source).await.map_err(named(file, NAME_A_FILE))?;
    let mut lines = BufReader::with_capacity(CHUNK_BYTES, opened);
    let mut key = key.unwrap_or_else(fresh);
    let (mut piece, mut answers) = (Piece::default(), Vec::new());
    loop {
        let read = lines.read_until(b'\n', &mut piece.bytes).await.map_err(named(file, NAME_A_FILE))?;
        if read > 0 && piece.last() < skip {
            piece.step_over();
            continue;
        }
        piece.lines += u64::from(read > 0);
        if piece.bytes.len() >= CHUNK_BYTES || read == 0 {
            // The file's end may be empty lines only; a file of nothing else is for the server to refuse.
            if !piece.is_blank() || (answers.is_empty() && skip == 0) {
                let sent = send(s, topic, Form::LINES, &key, piece.bytes.clone()).await;
                answers.push(
                    sent.map_err(|failure| Stopped { topic, file, skip, key: &key, piece: &piece }.tell(failure))?,
                );
                key = fresh();
            }
            piece = piece.next();
        }
        if read == 0 {
            break;
        }
    }
    if answers.is_empty() {
        let what = format!("{} has no event after its line {skip}", file.display());
        return Err(Failure::Folder(what, "leave --skip out, or skip fewer lines"));
    }
    Ok(answers)
}

/// An `Idempotency-Key` that nobody else has.
fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// One request of events.
async fn send(s: &Session, topic: &str, form: Form, key: &str, events: Vec<u8>) -> Result<Value, Failure> {
    let request = s
        .client
        .request(Method::POST, &format!("/v1/topics/{topic}/records"))
        .header("Content-Type", form.media)
        .header("Idempotency-Key", key);
    let request = form.encoding.into_iter().fold(request, |request, coding| request.header("Content-Encoding", coding));
    s.client.json(request.body(Body::from(events))).await
}

/// Some lines of a file that go in one request; without any it stands for the whole of a file that has no lines to go by.
#[derive(Debug, Default)]
struct Piece {
    /// How many lines of the file come before it.
    after: u64,
    /// How many events those are: lines that hold something.
    events_before: u64,
    /// How many lines it has.
    lines: u64,
    bytes: Vec<u8>,
}

impl Piece {
    /// The number of its last line in the file, from 1.
    fn last(&self) -> u64 {
        self.after + self.lines
    }

    fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    /// The lines of it that hold an event, by their numbers in the file.
    fn events(&self) -> impl Iterator<Item = u64> + '_ {
        let lines = self.bytes.split(|byte| *byte == b'\n').zip(self.after + 1..);
        lines.filter(|(line, _)| !line.trim_ascii().is_empty()).map(|(_, number)| number)
    }

    /// Leaves out the one line that was read into it.
    fn step_over(&mut self) {
        self.events_before += u64::from(!self.is_blank());
        self.after += 1;
        self.bytes.clear();
    }

    /// The piece that follows.
    fn next(self) -> Piece {
        let events_before = self.events_before + self.events().count() as u64;
        Piece { after: self.last(), events_before, lines: 0, bytes: Vec::new() }
    }
}

/// A piece that did not land, or of which nobody knows.
struct Stopped<'a> {
    topic: &'a str,
    file: &'a Path,
    skip: u64,
    key: &'a str,
    piece: &'a Piece,
}

impl Stopped<'_> {
    /// The failure of the piece, as one of the file.
    fn tell(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Server(problem) if problem.facts.contains_key("index") => self.refused(&problem).into(),
            Failure::Server(problem) if problem.status >= 500 => {
                let detail = format!("{}; {}; {}", problem.detail, self.landed(), self.perhaps());
                let remedy = format!("{}; then go on with `{} --key {}`", problem.remedy, self.command(), self.key);
                self.again(&problem, detail, remedy).with("idempotency_key", self.key).into()
            }
            Failure::Server(problem) if self.piece.after > 0 => {
                let detail = format!("{}; {}", problem.detail, self.landed());
                let remedy = format!("{}; then go on with `{}`", problem.remedy, self.command());
                self.again(&problem, detail, remedy).into()
            }
            // Whoever has no server at all is to hear of that alone.
            Failure::Unreachable { url, reason, sent } if sent || self.piece.after > self.skip => {
                let command = format!("{} --key {}", self.command(), self.key);
                let reason = format!("{reason}; {}; {}: go on with `{command}`", self.landed(), self.perhaps());
                Failure::Unreachable { url, reason, sent }
            }
            other => other,
        }
    }

    /// The refusal of events, by the lines of the file that they stand in.
    fn refused(&self, problem: &Problem) -> Problem {
        let place = |index: &Value| {
            let index = index.as_u64()?;
            let line = self.piece.events().nth(usize::try_from(index).ok()?)?;
            Some((self.piece.events_before + index, line))
        };
        let mut errors = problem.facts.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
        for error in &mut errors {
            if let Some((index, line)) = place(&error["index"]) {
                error["index"] = index.into();
                error["line"] = line.into();
            }
        }
        let Some((index, line)) = place(&problem.facts["index"]) else { return problem.clone() };
        let (why, field) = (errors[0]["detail"].as_str().unwrap_or(""), errors[0]["field"].as_str().unwrap_or(""));
        let field = if field.is_empty() { String::new() } else { format!(", field `{field}`") };
        let detail = format!("line {line} of {}{field}: {why}; {}", self.named(), self.landed());
        let remedy = match (problem.code.as_str(), self.piece.after) {
            ("INVALID_RECORD", 0) => "correct the lines that `errors` lists and append all of it again".to_owned(),
            (_, 0) => problem.remedy.clone(),
            ("INVALID_RECORD", _) => {
                format!("correct the lines that `errors` lists; then go on with `{}`", self.command())
            }
            _ => format!("{}; then go on with `{}`", problem.remedy, self.command()),
        };
        self.again(problem, detail, remedy).with("index", index).with("line", line).with("errors", errors)
    }

    /// The same case in other words.
    fn again(&self, problem: &Problem, detail: String, remedy: String) -> Problem {
        let other = Problem::new(problem.status(), &problem.code, detail, remedy);
        let facts = problem.facts.iter().fold(other, |other, (name, fact)| other.with(name, fact.clone()));
        facts.with("appended_lines", self.piece.after)
    }

    fn named(&self) -> String {
        if self.file == Path::new("-") { "the standard input".to_owned() } else { self.file.display().to_string() }
    }

    /// Up to where the log has the file.
    fn landed(&self) -> String {
        let Piece { after, .. } = *self.piece;
        match (self.skip, after) {
            (_, 0) => "nothing was appended".to_owned(),
            (skip, after) if skip == after => format!("nothing was appended after line {skip}"),
            (skip, after) => format!("lines {} to {after} are appended, nothing after them", skip + 1),
        }
    }

    /// What may have landed too.
    fn perhaps(&self) -> String {
        let what = match self.piece.lines {
            0 => "it".to_owned(),
            _ => format!("lines {} to {}", self.piece.after + 1, self.piece.last()),
        };
        format!("unless {what} landed and only the answer was lost")
    }

    /// How to go on, once what is in the way is gone.
    fn command(&self) -> String {
        let skip = if self.piece.after > 0 { format!(" --skip {}", self.piece.after) } else { String::new() };
        format!("rekap topic append {} {}{skip}", self.topic, self.file.display())
    }
}

#[cfg(test)]
mod tests;
