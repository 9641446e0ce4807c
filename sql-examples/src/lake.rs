//! A folder of Parquet, CSV, JSON and index files, for the lessons that read one.

use std::path::Path;

use ruvector_rabitq::{BuildParams, Dim, IndexKind, Metric, VectorBatch};
use ruvector_sql::{Engine, EngineConfig};

/// The variable of lessons that holds the folder's path.
pub const VARIABLE: &str = "LAKE";

const FILES: [(&str, &str); 3] = [
    ("docs/1.parquet", "(1, 'a cat', [1.0, 0.0]), (2, 'a dog', [0.8, 0.6])"),
    ("docs/2.parquet", "(3, 'a tax form', [0.0, 1.0])"),
    ("notes.parquet", "(1, 'call the vet', [0.9, 0.1])"),
];

/// Index files over the same vectors: one that keeps them, and one of codes alone.
const INDEXES: [(&str, IndexKind); 2] = [("words.rbpx", IndexKind::RabitqPlus), ("codes.rbpx", IndexKind::Rabitq)];
const IDS: [u64; 4] = [10, 20, 30, 40];
const VECTORS: [f32; 8] = [1.0, 0.0, 0.8, 0.6, 0.0, 1.0, -1.0, 0.0];

fn write_indexes(folder: &Path) -> Result<(), ruvector_rabitq::Error> {
    let vectors = VectorBatch::new(Dim::new(2)?, &VECTORS)?;
    for (file, kind) in INDEXES {
        let index = kind.build(Some(&IDS), vectors, &BuildParams::new(Metric::Cosine), None)?;
        index.save(&folder.join(file))?;
    }
    Ok(())
}
const TEXTS: [(&str, &str); 2] = [
    ("animals.csv", "id,body,vec\n1,a cat,\"[1.0, 0.0]\"\n2,a dog,\"[0.8, 0.6]\"\n"),
    ("events.json", "{\"id\": 1, \"vec\": [1.0, 0.0]}\n{\"id\": 2, \"vec\": [0.0, 1.0]}\n"),
];

/// Writes the files: ruvector itself writes no Parquet but that of its tables, DataFusion under it does.
///
/// # Errors
/// If one cannot be written.
pub async fn write(folder: &Path) -> Result<(), String> {
    write_indexes(folder).map_err(|e| e.to_string())?;
    let engine = Engine::open(EngineConfig::default()).await.map_err(|e| e.to_string())?;
    let session = engine.session();
    for (file, rows) in FILES {
        let rows = format!("SELECT id, body, CAST(vec AS FLOAT[2]) AS vec FROM (VALUES {rows}) AS t(id, body, vec)");
        let copy = format!("COPY ({rows}) TO '{}' STORED AS PARQUET", folder.join(file).display());
        let written = session.context().sql(&copy).await.map_err(|e| e.to_string())?;
        written.collect().await.map_err(|e| e.to_string())?;
    }
    for (file, text) in TEXTS {
        std::fs::write(folder.join(file), text).map_err(|e| e.to_string())?;
    }
    Ok(())
}
