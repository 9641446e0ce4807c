//! DELETE and UPDATE on a Delta table, by the Delta library's own operations.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use deltalake::delta_datafusion::expr::fmt_expr_to_sql;

use super::DeltaBackend;
use super::layout::writer_properties;
use crate::error::{Error, Result, from_datafusion, from_delta};

/// A column and the expression of its new value.
pub type Assignment = (String, Expr);

impl DeltaBackend {
    /// Deletes the rows that `predicate` holds for (all of them, if there is none) and returns their number.
    ///
    /// The predicate must be deterministic, simplified (the library simplifies it before it writes it into the log) and
    /// free of subqueries; its columns are those of the stored schema.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput`; `Unavailable` if a concurrent writer won. Nothing is changed on error.
    pub async fn delete(&self, collection: &str, predicate: Option<Expr>) -> Result<u64> {
        let _shared = self.lock(collection).read_owned().await;
        let snapshot = self.delta_snapshot(collection).await?;
        // Before anything is changed: afterwards the files that go may be gone.
        let rows_before = snapshot.count_rows().await?;
        let mut delete =
            snapshot.table().clone().delete().with_writer_properties(writer_properties(snapshot.stored_schema()));
        if let Some(predicate) = predicate {
            delete = delete.with_predicate(recordable(predicate)?);
        }
        let (table, metrics) = delete.await.map_err(from_delta)?;
        if let Some(rows) = metrics.num_deleted_rows {
            return Ok(rows as u64);
        }
        // Whole files went, and the library did not look into them.
        let rows_after = match super::DeltaSnapshot::new(table, None).await {
            Ok(after) => after.count_rows().await,
            Err(e) => Err(e),
        };
        let rows_after = rows_after.unwrap_or_else(|e| {
            tracing::warn!(table = collection, reason = %e, "rows left by a DELETE cannot be counted");
            0
        });
        Ok(rows_before.saturating_sub(rows_after))
    }

    /// Sets `assignments` in the rows that `predicate` holds for (all of them, if there is none) and returns their number.
    ///
    /// # Errors
    /// As [`DeltaBackend::delete`].
    pub async fn update(&self, collection: &str, predicate: Option<Expr>, assignments: Vec<Assignment>) -> Result<u64> {
        let _shared = self.lock(collection).read_owned().await;
        let snapshot = self.delta_snapshot(collection).await?;
        let mut update =
            snapshot.table().clone().update().with_writer_properties(writer_properties(snapshot.stored_schema()));
        if let Some(predicate) = predicate {
            update = update.with_predicate(recordable(predicate)?);
        }
        for (column, value) in assignments {
            update = update.with_update(column, value);
        }
        let (_, metrics) = update.await.map_err(from_delta)?;
        Ok(metrics.num_updated_rows as u64)
    }
}

/// The predicate, if the library can write it into the log: it panics on what it cannot write, constant vectors included.
pub(super) fn recordable(predicate: Expr) -> Result<Expr> {
    let mut parts = Vec::new();
    predicate
        .apply(|part| {
            parts.push(part.clone());
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(from_datafusion)?;
    // Innermost first: it panics where a part of a function's arguments cannot be written.
    for part in parts.iter().rev() {
        fmt_expr_to_sql(part).map_err(|_| {
            Error::not_supported(format!(
                "a data change by a predicate with {part}: select the keys of the rows in a subquery that stands alone, \
                 as in WHERE id IN (SELECT id ...)"
            ))
        })?;
    }
    Ok(predicate)
}
