//! `rekap new DIR`: a job folder to start from, which deploys and passes its own test as it stands.
//!
//! With `--topic` it is made from a topic of the server: schema, key and a few of its records. Without, it comes with a topic of its
//! own. Nothing that is there is written over.

mod draft;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Session;
use super::failure::{Failure, at};
use super::out::{Out, Style};
use super::test;
use draft::Draft;

/// How many records of the topic become the first test: enough to see their shape.
const SAMPLE: usize = 5;

/// Makes the folder `dir`.
pub(super) async fn new(s: &Session, dir: &Path, topic: Option<&str>) -> Result<(), Failure> {
    let name = job_name(dir)?;
    if dir.join("job.toml").exists() {
        return Err(Failure::Usage(format!("{}: there is a job.toml already", dir.display())));
    }
    let draft = match topic {
        Some(topic) => from_topic(s, &name, topic).await?,
        None => Draft::example(&name),
    };
    let files = draft.files();
    for (path, text) in &files {
        write_new(&dir.join(path), text)?;
    }
    if files.iter().any(|(path, _)| path.starts_with("tests")) {
        test::accept(dir).await?;
    }
    let answer = json!({"job": name, "folder": dir, "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>()});
    s.out.answer(&answer, |out, _| tell(out, dir, &files))
}

/// What was made, and what to do next.
fn tell(out: &Out, dir: &Path, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    for (path, _) in files {
        out.line(format!("{} {}", out.paint(Style::Good, "+"), dir.join(path).display()))?;
    }
    let dir = dir.display();
    out.line("")?;
    for (verb, what) in [
        (
            format!("rekap test {dir}"),
            "run the query over the sample records; --accept keeps what comes out as expected",
        ),
        (format!("rekap apply {dir}"), "make the topic and deploy the job"),
    ] {
        out.line(format!("{}  {}", out.paint(Style::Name, format!("{verb:<36}")), out.paint(Style::Dim, what)))?;
    }
    Ok(())
}

/// A draft from a topic that is there.
async fn from_topic(s: &Session, name: &str, topic: &str) -> Result<Draft, Failure> {
    let shown = s.client.get(&format!("/v1/topics/{topic}")).await?;
    let mut sample = Vec::new();
    for partition in shown["partitions"].as_array().into_iter().flatten() {
        let path =
            format!("/v1/topics/{topic}/records?partition={}&from=beginning&limit={SAMPLE}", partition["partition"]);
        let page = s.client.get(&path).await?;
        let texts = page["records"].as_array().into_iter().flatten().filter_map(|record| record["value"].as_str());
        sample.extend(texts.filter(|text| !text.contains('\n')).map(str::to_owned));
        if sample.len() >= SAMPLE {
            break;
        }
    }
    sample.truncate(SAMPLE);
    Draft::of_topic(name, topic, &shown, sample).ok_or_else(|| {
        Failure::Usage(format!(
            "topic `{topic}` has neither a schema nor a record from which columns could be read; give it a schema, or run \
             `rekap new` without --topic"
        ))
    })
}

/// The job is named as its folder.
fn job_name(dir: &Path) -> Result<String, Failure> {
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    let name = folder.to_lowercase().replace(['-', ' ', '.'], "_");
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if valid {
        Ok(name)
    } else {
        Err(Failure::Usage(format!(
            "a job cannot be named `{folder}`, as the folder is: use a letter first, then letters, digits and _"
        )))
    }
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let mut options = fs::OpenOptions::new();
    let mut opened = options.write(true).create_new(true).open(file).map_err(at(file))?;
    std::io::Write::write_all(&mut opened, text.as_bytes()).map_err(at(file))
}

/// The fields of a JSON object, whatever else it is.
fn fields(of: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of.as_object().into_iter().flatten()
}
