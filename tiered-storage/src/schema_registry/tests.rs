use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::Format;

/// A registry that answers each request by a function of its path and its `Authorization`.
async fn registry(
    answer: impl Fn(&str, Option<&str>) -> (u16, &'static str) + Send + Sync + 'static,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    let (asked, answer) = (Arc::new(AtomicU64::new(0)), Arc::new(answer));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (count, answer) = (count.clone(), answer.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = client.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap();
                let allowed = head.lines().find_map(|line| line.strip_prefix("authorization: "));
                count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answer(path.strip_prefix("/base").unwrap_or(path), allowed);
                let answer =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                client.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (url, asked)
}

fn open(url: &str, folder: &std::path::Path) -> SchemaRegistry {
    SchemaRegistry::open(RegistrySettings { url: url.into(), folder: folder.into(), ..Default::default() }).unwrap()
}

const LONG: &str = r#"{"schema": "\"long\""}"#;
const ABSENT: &str = r#"{"error_code": 40403, "message": "Schema not found"}"#;

#[tokio::test]
async fn a_schema_is_asked_for_once_and_kept_over_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = registry(|path, _| if path == "/schemas/ids/7" { (200, LONG) } else { (404, ABSENT) }).await;
    for _ in 0..2 {
        let registry = open(&url, folder.path());
        for _ in 0..3 {
            let writers = registry.writers([7].into()).await.unwrap();
            assert_eq!(writers.get(7).unwrap().unwrap().schema, "\"long\"");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Ids of another registry mean other schemas.
    let (other, asked) = registry(|_, _| (200, r#"{"schema": "\"int\""}"#)).await;
    let writers = open(&other, folder.path()).writers([7].into()).await.unwrap();
    assert_eq!((writers.get(7).unwrap().unwrap().schema.as_str(), asked.load(Ordering::SeqCst)), ("\"int\"", 1));
}

#[tokio::test]
async fn an_id_is_absent_only_when_the_registry_says_so_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let behind = AtomicU32::new(0);
    let (url, asked) = registry(move |path, _| match path {
        "/schemas/ids/1" => (404, ABSENT),
        "/schemas/ids/2" if behind.fetch_add(1, Ordering::SeqCst) > 0 => (200, LONG),
        "/schemas/ids/2" => (404, ABSENT),
        _ => (404, "<html>nothing here</html>"),
    })
    .await;
    let registry = open(&url, folder.path());
    assert!(registry.writers([1].into()).await.unwrap().get(1).unwrap().is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert!(registry.writers([1].into()).await.unwrap().get(1).unwrap().is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "its word is taken for a while");
    assert!(registry.writers([2].into()).await.unwrap().get(2).unwrap().is_some(), "a node may be a little behind");
    let wrong = registry.writers([3].into()).await.unwrap_err().to_string();
    assert!(wrong.contains("/base/schemas/ids/3") && wrong.contains("url"), "{wrong}");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_left_alone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = registry(|_, _| (503, "busy")).await;
    let registry = open(&url, folder.path());
    let failed = registry.writers([1].into()).await.unwrap_err();
    assert!(matches!(&failed, LogError::Registry(detail) if detail.contains("503")), "{failed}");
    let tries = asked.load(Ordering::SeqCst);
    assert_eq!(tries, 3);
    registry.writers([1].into()).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), tries, "the next one is told at once");
    let nobody = open("http://127.0.0.1:9", folder.path()).writers([1].into()).await.unwrap_err();
    assert!(matches!(nobody, LogError::Registry(_)), "{nobody}");
    let none = SchemaRegistry::none().writers([1].into()).await.unwrap_err();
    assert!(none.to_string().contains("[schema_registry]"), "{none}");
}

#[tokio::test]
async fn a_user_or_a_token_lets_in_and_a_refusal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = registry(|_, allowed| match allowed {
        Some("Basic cmVrYXA6c2VjcmV0" | "Bearer abc") => (200, LONG),
        _ => (401, r#"{"error_code": 401, "message": "Unauthorized"}"#),
    })
    .await;
    let settings = RegistrySettings { url, folder: folder.path().into(), ..Default::default() };
    let user = RegistrySettings { user: Some("rekap".into()), password: Some("secret".into()), ..settings.clone() };
    SchemaRegistry::open(user).unwrap().writers([1].into()).await.unwrap();
    let token = RegistrySettings { token: Some("abc".into()), ..settings.clone() };
    SchemaRegistry::open(token).unwrap().writers([2].into()).await.unwrap();
    let before = asked.load(Ordering::SeqCst);
    let refused = SchemaRegistry::open(settings).unwrap().writers([3].into()).await.unwrap_err().to_string();
    assert!(refused.contains("401") && refused.contains("[schema_registry]"), "{refused}");
    assert_eq!(asked.load(Ordering::SeqCst), before + 1, "asking again does not help");
}

#[tokio::test]
async fn a_subjects_latest_schema_comes_with_what_it_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = registry(|path, _| match path {
        "/subjects/a%2Fb-value/versions/latest" => (
            200,
            r#"{"schema": "s", "schemaType": "PROTOBUF", "references": [{"name": "m.proto", "subject": "money", "version": 3}]}"#,
        ),
        "/subjects/money/versions/3?deleted=true" => (200, r#"{"schema": "money", "schemaType": "PROTOBUF"}"#),
        _ => (404, r#"{"error_code": 40401, "message": "no such subject"}"#),
    })
    .await;
    let registry = open(&url, folder.path());
    let found = registry.latest("a/b-value").await.unwrap().unwrap();
    assert_eq!((found.format, found.schema.as_str()), (Format::Protobuf, "s"));
    assert_eq!(found.references["m.proto"], "money");
    assert_eq!(registry.latest("absent").await.unwrap(), None);
}

#[tokio::test]
async fn a_schema_that_cannot_be_put_together_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = registry(|path, _| match path {
        "/schemas/ids/1" => {
            (200, r#"{"schema": "s", "references": [{"name": "m", "subject": "money", "version": 3}]}"#)
        }
        "/schemas/ids/2" => (200, r#"{"schema": "s", "references": [{"name": "m", "subject": "gone", "version": 1}]}"#),
        "/schemas/ids/3" => (200, r#"{"schema": "s", "schemaType": "THRIFT"}"#),
        "/schemas/ids/4" => (200, LONG),
        // Deleted softly: it is there for those who ask for it so.
        "/subjects/money/versions/3?deleted=true" => (200, LONG),
        _ => (404, r#"{"error_code": 40402, "message": "no such version"}"#),
    })
    .await;
    let registry = open(&url, folder.path());
    let writers = registry.writers([1, 2, 3, 4].into()).await.unwrap();
    let found = |id| writers.get(id).unwrap().is_some();
    assert_eq!([1, 2, 3, 4].map(found), [true, false, false, true]);
    assert_eq!(writers.get(1).unwrap().unwrap().references["m"], "\"long\"");
}
