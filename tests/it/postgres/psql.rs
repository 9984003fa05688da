//! `psql`: what its commands tell of tables, keys, and of what there is none of.

use super::prices;

#[tokio::test(flavor = "multi_thread")]
async fn psql_lists_describes_reads_and_explains() {
    let (_world, postgres) = prices().await;
    let said = async |commands: &[&str]| postgres.psql(commands).await.exits(0).stdout;
    let tables = said(&["\\dt"]).await;
    assert!(tables.contains("live") && tables.contains("bpi"), "{tables}");
    assert!(
        !tables.contains("bpi@1") && !tables.contains("raw.ticks"),
        "only `live` is found without its name: {tables}"
    );
    let all = said(&["\\dt *.*"]).await;
    assert!(all.contains("bpi@1") && all.contains("raw.ticks"), "{all}");
    let described = said(&["\\d bpi"]).await;
    for part in [
        "Table \"live.bpi\"",
        "currency",
        "text",
        "minute",
        "timestamp",
        "price",
        "double precision",
        "trades",
        "bigint",
        "numeric",
    ] {
        assert!(described.contains(part), "no {part} in {described}");
    }
    let described = said(&["\\d log.\"raw.ticks\""]).await;
    assert!(described.contains("_offset") && described.contains("tags"), "{described}");
    assert!(said(&["\\l"]).await.contains("rekap"));
    let schemas = said(&["\\dn"]).await;
    assert!(["live", "log", "version"].iter().all(|schema| schemas.contains(schema)), "{schemas}");
    for command in ["\\dt+", "\\df", "\\dv", "\\di", "\\conninfo", "\\encoding"] {
        said(&[command]).await;
    }
    let counted = "SELECT currency, sum(trades) FROM bpi GROUP BY currency ORDER BY currency";
    assert_eq!(postgres.rows(counted).await, ["EUR|20", "USD|40"]);
    for table in ["live.bpi", "rekap.live.bpi", "version.\"bpi@1\""] {
        assert_eq!(postgres.rows(&format!("SELECT sum(trades) AS n FROM {table}")).await, ["60"], "{table}");
    }
    assert_eq!(postgres.rows("SELECT count(*) FROM log.\"raw.ticks\" WHERE ok").await, ["30"]);
    let one = "SELECT at, price, n, ok, tags FROM log.\"raw.ticks\" WHERE n = 4";
    assert_eq!(postgres.rows(one).await, ["2026-01-01 00:00:30.000000+00|4.5|4|t|{a,\"b,c\"}"]);
    let explained = postgres.rows("EXPLAIN SELECT * FROM bpi WHERE currency = 'EUR'").await.join("\n");
    assert!(explained.contains("TableScan: bpi@1"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_tells_keys_as_primary_keys_and_the_index_that_each_has() {
    let (_world, postgres) = prices().await;
    let said = async |command: &str| postgres.psql(&[command]).await.exits(0).stdout;
    for command in ["\\d bpi", "\\d+ live.bpi"] {
        let described = said(command).await;
        assert!(described.contains("\"bpi_pkey\" PRIMARY KEY, btree (currency, minute)"), "{command}: {described}");
        assert!(described.contains("numeric(30,4)"), "{command}: {described}");
    }
    let topic = said("\\d+ log.\"raw.ticks\"").await;
    assert!(topic.contains("PRIMARY KEY, btree (_partition, _offset)") && topic.contains("record"), "{topic}");
    let index = said("\\d bpi_pkey").await;
    assert!(
        index.contains("Index \"live.bpi_pkey\"") && index.contains("primary key, btree, for table \"live.bpi\""),
        "{index}"
    );
    let indexes = said("\\di").await;
    assert!(indexes.contains("bpi_pkey") && !indexes.contains("bpi@1_pkey"), "{indexes}");
    let all = said("\\dt *.*").await;
    assert!(["bpi", "bpi@1", "raw.ticks"].iter().all(|table| all.contains(table)) && !all.contains("_pkey"), "{all}");
    assert!(said("\\dn+").await.contains("live"));
    let databases = said("\\l").await;
    assert!(databases.contains("rekap") && databases.contains("(1 row)"), "{databases}");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_finds_none_of_what_there_is_none_of() {
    let (_world, postgres) = prices().await;
    // Nobody has roles, types, functions, views, policies, triggers and so on of their own.
    for command in [
        "\\dT", "\\dT+", "\\df", "\\df+", "\\dv", "\\dv+", "\\dm", "\\ds", "\\dD", "\\ddp", "\\drds", "\\des", "\\dew",
        "\\det", "\\deu", "\\dRp", "\\dRs", "\\dy", "\\dX", "\\dP", "\\da", "\\dl", "\\dx",
    ] {
        let said = postgres.psql(&["\\pset tuples_only on", "\\pset footer off", command]).await.exits(0);
        let told = |line: &&str| !line.trim().is_empty() && !line.contains(" is on") && !line.contains(" is off");
        let rows: Vec<&str> = said.stdout.lines().filter(told).collect();
        assert!(rows.is_empty() || rows[0].starts_with("Did not find"), "{command}: {rows:?}");
    }
    let roles = postgres.psql(&["\\du"]).await.exits(0).stdout;
    assert!(roles.contains("Member of") && !roles.contains("rekap"), "{roles}");
    for command in ["\\du+", "\\dp", "\\l+", "\\db+", "\\dconfig", "\\dF", "\\dC", "\\do", "\\dA", "\\sf+ nothing"] {
        let said = postgres.psql(&[command]).await;
        assert!(!said.stderr.contains("planning") && !said.stderr.contains("INVALID"), "{command}: {}", said.stderr);
    }
}
