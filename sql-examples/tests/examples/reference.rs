//! The page `docs/sql.md` is what the code says, and its examples answer what they say.

use std::sync::Arc;

use futures::TryStreamExt;
use ruvector_sql::{Answer, Engine, EngineConfig, Session};
use ruvector_sql_examples::{lake, values};

use crate::{root, runtime};

/// Set by `make docs`.
const WRITE: &str = "RUVECTOR_WRITE_DOCS";

#[test]
fn the_reference_is_what_the_code_says() {
    let path = root().join("docs/sql.md");
    let page = ruvector_sql::reference::page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    let differs = kept.lines().zip(page.lines()).position(|(kept, made)| kept != made);
    assert!(kept == page, "docs/sql.md is not what the code says (line {differs:?}): run `make docs`");
}

#[test]
fn the_examples_of_the_reference_hold() {
    let page = ruvector_sql::reference::page();
    let examples: Vec<&str> =
        page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(examples.len() >= 10, "only {} examples", examples.len());
    let runtime = runtime();
    let failed: Vec<String> = examples
        .into_iter()
        .filter(|example| !example.contains("embed(") || has_model())
        .filter_map(|example| {
            let example = example.to_owned();
            runtime.block_on(runtime.spawn(async move { run(&example).await })).unwrap().err()
        })
        .collect();
    assert!(failed.is_empty(), "{} examples failed\n\n{}", failed.len(), failed.join("\n\n"));
}

fn has_model() -> bool {
    let has = ["RUVECTOR_MODELS_DIR", "ORT_DYLIB_PATH"].iter().all(|name| std::env::var_os(name).is_some());
    assert!(has || std::env::var("CI").as_deref() != Ok("true"), "CI must not skip the example of embed()");
    has
}

/// Runs an example in a database of its own; `$LAKE` is a folder of its own, too.
async fn run(example: &str) -> Result<(), String> {
    let (variable, folder) = (format!("${}", lake::VARIABLE), tempfile::tempdir().map_err(|e| e.to_string())?);
    if example.contains(&variable) {
        lake::write(folder.path()).await?;
    }
    let example = example.replace(&variable, &folder.path().display().to_string());
    let engine = Engine::open(EngineConfig::default()).await.map_err(|e| e.to_string())?;
    let session = engine.session();
    let (mut sql, mut answered) = (String::new(), None);
    let mut lines = example.lines().peekable();
    while let Some(line) = lines.next() {
        match line.strip_prefix("-- ") {
            None => {
                sql.push_str(line);
                sql.push('\n');
                if line.ends_with(';') {
                    answered = Some(answer(&engine, &session, &sql).await);
                }
            }
            Some(_) => return Err(format!("{line} stands before the statement's end\n{example}")),
        }
        if let Some(answered) = answered.take() {
            let mut expected = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("-- ")) {
                expected.push(line.trim_start_matches("-- "));
            }
            check(&expected, answered).map_err(|e| format!("{sql}{e}"))?;
            sql.clear();
        }
    }
    match sql.trim().is_empty() {
        true => Ok(()),
        false => Err(format!("{sql}expected a ; at its end")),
    }
}

fn check(expected: &[&str], answered: Result<Vec<String>, String>) -> Result<(), String> {
    let error = expected.first().and_then(|line| line.strip_prefix("error: "));
    match (answered, error) {
        (_, _) if expected == ["..."] => Ok(()),
        (Ok(rows), None) if rows == expected => Ok(()),
        (Err(message), Some(part)) if message.contains(part) => Ok(()),
        (answered, _) => Err(format!("expected {expected:?}, got {answered:?}")),
    }
}

/// The rows of the answer as lines; none if it is a count.
async fn answer(engine: &Arc<Engine>, session: &Arc<Session>, sql: &str) -> Result<Vec<String>, String> {
    let rows = match engine.execute(session, sql, &[]).await.map_err(|e| e.to_string())? {
        Answer::Count(_) => return Ok(Vec::new()),
        Answer::Rows(rows) => {
            rows.try_collect::<Vec<_>>().await.map_err(|e| ruvector_sql::Error::from(e).to_string())?
        }
    };
    let rows = rows.iter().map(values::rows).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    Ok(rows.concat().into_iter().map(|row| row.join(" | ")).collect())
}
