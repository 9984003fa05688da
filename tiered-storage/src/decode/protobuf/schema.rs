//! A `.proto` source, compiled, and the one message of it that a topic's records are.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use serde::Deserialize;
use serde_json::Value;

/// The name under which the source itself is compiled; its imports keep theirs.
const MAIN: &str = "rekap-topic.proto";

/// What a topic's owner gives: `{proto, message?, imports?}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// The source.
    proto: String,
    /// The full name of the message; the first one of the source when it is not said.
    message: Option<String>,
    /// The sources that it imports, by the names that it calls them; Google's own need not be here.
    #[serde(default)]
    imports: BTreeMap<String, String>,
}

/// The message that a topic's records are.
#[derive(Debug, Clone)]
pub(crate) struct ProtobufSchema {
    pub(super) message: MessageDescriptor,
}

impl ProtobufSchema {
    pub(crate) fn parse(raw: &Value) -> Result<Self, String> {
        let given = Given::deserialize(raw)
            .map_err(|e| format!("a Protobuf schema is {{\"proto\": \"…source…\", \"message\": \"pkg.Name\"}}: {e}"))?;
        let file = compile(&given.proto, given.imports)?;
        let message = match &given.message {
            Some(name) => file.parent_pool().get_message_by_name(name),
            None => file.messages().next(),
        };
        let names = || file.messages().map(|m| m.full_name().to_owned()).collect::<Vec<_>>().join(", ");
        let message = message.ok_or_else(|| {
            let asked = given.message.as_deref().unwrap_or("the first message");
            format!("there is no message `{asked}`; the source has {}", names())
        })?;
        Ok(ProtobufSchema { message })
    }

    /// Whether what is written as `self` reads as `newer`, and the other way round: a field keeps its number.
    pub(crate) fn keeps_numbers(&self, newer: &ProtobufSchema) -> Result<(), (String, String)> {
        for field in self.message.fields() {
            if let Some(other) = newer.message.get_field_by_name(field.name())
                && other.number() != field.number()
            {
                let detail = format!("had the number {} and would have {}", field.number(), other.number());
                return Err((field.name().to_owned(), detail));
            }
            if let Some(other) = newer.message.get_field(field.number())
                && other.name() != field.name()
            {
                let detail = format!("has the number {}, which would be `{}`", field.number(), other.name());
                return Err((field.name().to_owned(), detail));
            }
        }
        Ok(())
    }
}

/// Compiles a source with its imports.
pub(super) fn compile(source: &str, imports: BTreeMap<String, String>) -> Result<FileDescriptor, String> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources { source: source.to_owned(), imports });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    // Its debug form says where.
    compiler.open_file(MAIN).map_err(|e| format!("{e:?}"))?;
    let pool: DescriptorPool = compiler.descriptor_pool();
    pool.get_file_by_name(MAIN).ok_or_else(|| "the source did not compile".to_owned())
}

/// The sources at hand; nothing is read from a disk.
struct Sources {
    source: String,
    imports: BTreeMap<String, String>,
}

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = if name == MAIN { Some(&self.source) } else { self.imports.get(name) };
        File::from_source(name, source.ok_or_else(|| protox::Error::file_not_found(name))?)
    }
}
