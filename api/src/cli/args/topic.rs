//! `rekap topic …` and `rekap mirror …`: where records go in, and how far they are kept.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use rekap_jobs::parse_duration;

/// `rekap topic …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TopicVerb {
    /// Make a topic
    Create {
        /// Its name
        topic: String,
        /// The number of partitions
        #[arg(short, long, default_value_t = 1)]
        partitions: u32,
        /// A field of the record key; repeat it for several
        #[arg(short, long)]
        key: Vec<String>,
        /// A file with its schema: a JSON Schema, an Avro schema, or a .proto source
        #[arg(long)]
        schema: Option<PathBuf>,
        /// json, avro, protobuf, text or bytes [default: json]
        #[arg(long)]
        format: Option<String>,
        /// confluent: each value follows the id of its schema in the schema registry [default: bare]
        #[arg(long)]
        wire: Option<String>,
        /// Which message of the .proto source the records are [default: its first]
        #[arg(long)]
        message: Option<String>,
        /// How long the hot tier keeps a record
        #[arg(long, value_parser = parse_duration)]
        retention: Option<Duration>,
    },
    /// List the topics
    List,
    /// Show a topic's partitions
    Show {
        /// The topic
        topic: String,
    },
    /// Append events: one JSON value a line, or a .csv file; .gz and .zst files go as they are
    Append {
        /// The topic
        topic: String,
        /// The file; - or nothing is the standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// So many lines of the file are in the log already
        #[arg(long, value_name = "LINES", default_value_t = 0)]
        skip: u64,
        /// The Idempotency-Key of the first request: what landed under it within a day is not appended again
        #[arg(long)]
        key: Option<String>,
    },
    /// Read records from both tiers
    Read {
        /// The topic
        topic: String,
        /// The partition [default: all]
        #[arg(short, long)]
        partition: Option<u32>,
        /// beginning, end, an offset, or a time
        #[arg(long, default_value = "beginning")]
        from: String,
        /// At most this many records
        #[arg(short = 'n', long)]
        number: Option<u64>,
        /// Wait for further records
        #[arg(short, long)]
        follow: bool,
    },
    /// Delete a topic with its hot records
    Delete {
        /// The topic
        topic: String,
    },
}

/// `rekap mirror …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MirrorVerb {
    /// How far the mirror is
    Status {
        /// One topic, by partition [default: all topics]
        topic: Option<String>,
    },
    /// Mirror a topic up to its present end
    Flush {
        /// The topic
        topic: String,
    },
}
