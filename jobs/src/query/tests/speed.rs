//! How fast the engine alone is, without log and table. Run with `-- --ignored --nocapture speed`.

use std::time::Duration;

use arrow::array::{Int64Array, TimestampMicrosecondArray};
use tokio::time::Instant;

use super::*;

const RECORDS: i64 = 5_000_000;
const BATCH: i64 = 8_192;

const TOML: &str = "name = 'bids'\n[inputs.bid]\ntopic = 'bid'\n[inputs.bid.columns]\nts = 'timestamp_us'\n";

fn bids() -> Topic {
    let schema = serde_json::json!({"type": "object", "properties": {
        "auction": {"type": "integer"}, "price": {"type": "integer"}, "ts": {"type": "integer"}
    }});
    topic("bid", &[], schema)
}

/// Batches of bids as the cold tier hands them out, with the columns that the job reads.
fn batches(job: &CompiledJob) -> Vec<Records> {
    let input = &job.inputs()[0];
    let schema = Arc::new(input.schema().project(&input.columns).unwrap());
    let column = |name: &str, from: i64| -> ArrayRef {
        let rows = from..from + BATCH;
        match name {
            "auction" => Arc::new(Int64Array::from_iter_values(rows.map(|i| i / 50 + i % 97))),
            "price" => Arc::new(Int64Array::from_iter_values(rows.map(|i| i % 1_000))),
            "ts" | "_timestamp" => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.map(|i| i * 100)).with_timezone(UTC))
            }
            other => panic!("{other} is not read"),
        }
    };
    let starts = (0..RECORDS).step_by(BATCH as usize);
    let of = |from| Records {
        input: 0,
        partition: Partition(0),
        offsets: Int64Array::from_iter_values(from..from + BATCH),
        rows: RecordBatch::try_new(schema.clone(), schema.fields().iter().map(|f| column(f.name(), from)).collect())
            .unwrap(),
        tombstones: None,
    };
    starts.map(of).collect()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn speed() {
    for query in [
        "SELECT auction, count(*) AS n, sum(price) AS total, max(price) AS top FROM bid GROUP BY auction",
        "SELECT auction, date_bin(INTERVAL '10 seconds', ts) AS w, count(*) AS n FROM bid GROUP BY 1, 2",
        "SELECT auction, last_value(price ORDER BY ts) AS p FROM bid GROUP BY auction",
    ] {
        let bench = Bench::new(TOML, query, &[bids()]).await;
        let batches = batches(&bench.job);
        let started = Instant::now();
        let parts = std::thread::scope(|scope| {
            let half = |part: usize| {
                let (job, batches) = (&bench.job, &batches);
                scope.spawn(move || {
                    let mut worker = job.worker(&memory()).unwrap();
                    batches
                        .iter()
                        .skip(part)
                        .step_by(2)
                        .for_each(|records| assert_eq!(worker.add(records, None).unwrap(), []));
                    worker.finish().unwrap()
                })
            };
            [half(0), half(1)].map(|thread| thread.join().unwrap())
        });
        let partial = started.elapsed();
        let touched = bench.job.combine(parts.into(), &memory()).unwrap();
        let combined = started.elapsed();
        let keys = bench.job.keys(&touched).unwrap().num_rows();
        let stored = rekap_tables::Gathered {
            found: BooleanArray::from(vec![false; keys]),
            had_row: BooleanArray::from(vec![false; keys]),
            state: RecordBatch::new_empty(bench.job.table_schema().state_schema()),
        };
        let change = bench.job.apply(touched, &stored).unwrap();
        let per_s = |took: Duration| RECORDS as f64 / took.as_secs_f64() / 1e6;
        println!(
            "{query}\n  {:.1} M records/s to {} keys (partial {partial:?}, combine {:?}, apply {:?})",
            per_s(started.elapsed()),
            change.rows.num_rows(),
            combined - partial,
            started.elapsed() - combined,
        );
    }
}
