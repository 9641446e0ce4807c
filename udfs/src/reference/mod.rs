//! The SQL reference, `docs/sql.md`, as text that is made from the code.
//!
//! A function is documented where it is written: its `Facts` become DataFusion's `Documentation` of it, which
//! `information_schema.routines` shows too. What else there is has an `Entry`: `relations`, `backends`, `statements`, `lake`,
//! `system`.
//! `make docs` writes the page; a test fails if it is not what is in the tree, and another runs the examples.
//!
//! An example is a script for a shell. The lines after a query that begin with `-- ` are its rows, with ` | ` between the
//! columns; `-- error: part of the message` follows a statement that fails, and `-- ...` stands for whatever is answered.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::logical_expr::{DocSection, Documentation};
use ruvector_embed::EmbedderOptions;

use crate::aggregate;
use crate::engine::authorize::Role;
use crate::scalar::{self, embed};

mod backends;
mod lake;
mod relations;
mod statements;
mod system;

/// The part of the page about relations.
pub(crate) const RELATIONS: DocSection = section("Relations", "They stand in FROM.");
/// The part of the page about distances.
pub(crate) const DISTANCES: DocSection = section(
    "Distances",
    "Between vectors (`FLOAT[dim]`) they are `FLOAT`, and equal to the `_distance` of `knn()`. With a list on one side, such \
     as the literal `[1.0, 2.0]`, the list becomes a vector. Between two lists they are `DOUBLE`, and what DataFusion computes.",
);
/// The part of the page about other functions over vectors.
pub(crate) const VECTORS: DocSection = section("Vectors", "");
/// The part of the page about text.
pub(crate) const TEXT: DocSection = section("Text", "");
/// The part of the page about types.
pub(crate) const TYPES: DocSection = section("Types", "");
/// The part of the page about statements.
pub(crate) const STATEMENTS: DocSection = section("Statements", "");

/// The part of the page about what is in memory.
pub(crate) const CACHE: DocSection = section(
    "The cache",
    "Table functions: what they do is done once, when their rows are read. Their arguments are text that is written in the \
     statement.",
);
/// The part of the page about what tells of the engine.
pub(crate) const SYSTEM: DocSection = section("System tables", "Their rows are of the moment when the statement runs.");

/// The parts of the page, in its order.
const SECTIONS: [DocSection; 8] = [RELATIONS, DISTANCES, VECTORS, TEXT, TYPES, STATEMENTS, CACHE, SYSTEM];

const fn section(label: &'static str, description: &'static str) -> DocSection {
    DocSection { include: true, label, description: Some(description) }
}

/// What the reference says of a function.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) section: DocSection,
    pub(crate) text: &'static str,
    /// Names and meanings; the name of one that may be left out ends with `?`.
    pub(crate) arguments: &'static [(&'static str, &'static str)],
    pub(crate) returns: &'static str,
    pub(crate) unit: &'static str,
    /// When the answer is NULL.
    pub(crate) nulls: &'static str,
    pub(crate) example: &'static str,
}

impl Facts {
    /// To be completed.
    pub(crate) const NONE: Self =
        Self { section: VECTORS, text: "", arguments: &[], returns: "", unit: "", nulls: "", example: "" };

    /// The documentation of the function `name`.
    pub(crate) fn documentation(&self, name: &str) -> Documentation {
        let mut signature = format!("{name}(");
        for (i, (argument, _)) in self.arguments.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match argument.strip_suffix('?') {
                Some(optional) => signature.push_str(&format!(" [{comma}{optional}]")),
                None => signature.push_str(&format!("{comma}{argument}")),
            }
        }
        signature.push(')');
        let Self { text, returns, unit, nulls, .. } = self;
        let description = format!("{text}\n\n- Returns: {returns}.\n- Unit: {unit}.\n- NULL: {nulls}.");
        let mut documentation =
            Documentation::builder(self.section.clone(), description, signature).with_sql_example(self.example);
        for (name, meaning) in self.arguments {
            documentation = documentation.with_argument(name.trim_end_matches('?'), *meaning);
        }
        documentation.build()
    }
}

/// What the reference says of a relation, a type or a statement.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) section: DocSection,
    pub(crate) title: &'static str,
    /// How it is written.
    pub(crate) syntax: &'static str,
    pub(crate) text: &'static str,
    pub(crate) arguments: &'static [(&'static str, &'static str)],
    pub(crate) example: &'static str,
}

impl Entry {
    fn documentation(&self) -> Documentation {
        let mut documentation =
            Documentation::builder(self.section.clone(), self.text, self.syntax).with_sql_example(self.example);
        for (name, meaning) in self.arguments {
            documentation = documentation.with_argument(*name, *meaning);
        }
        documentation.build()
    }
}

/// The page `docs/sql.md`, from the code.
///
/// A function without documentation is on it with its name only: a test looks for such.
pub fn page() -> String {
    let mut page = "# SQL reference\n\n\
        <!-- Made from the code by `make docs`; a test holds it against the code and runs the examples. -->\n\n\
        What ruvector adds to [DataFusion's SQL](https://datafusion.apache.org/user-guide/sql/index.html). The lines of an \
        example that begin with `-- ` are what the statement above them answers. `$LAKE` is a folder with the Parquet files \
        `docs/1.parquet`, `docs/2.parquet` and `notes.parquet`, and with `animals.csv` and `words.rbpx`.\n"
        .to_owned();
    let entries: Vec<_> = entries();
    for section in SECTIONS {
        let _ = write!(page, "\n## {}\n", section.label);
        if let Some(description) = section.description.filter(|description| !description.is_empty()) {
            let _ = write!(page, "\n{description}\n");
        }
        for (title, aliases, documentation) in &entries {
            if documentation.doc_section.label == section.label {
                write_entry(&mut page, title, aliases, documentation);
            }
        }
    }
    page
}

/// Titles, other names and what is said of them.
fn entries() -> Vec<(String, Vec<String>, Documentation)> {
    let by_hand = relations::ENTRIES.iter().chain(backends::ENTRIES).chain(statements::ENTRIES);
    let by_hand = by_hand.chain(lake::ENTRIES).chain(system::ENTRIES).chain(aggregate::ENTRIES);
    let mut entries: Vec<_> =
        by_hand.map(|entry| (entry.title.to_owned(), Vec::new(), entry.documentation())).collect();
    for function in scalar::functions(Arc::new(embed::Models::new(EmbedderOptions::default())), Role::Admin) {
        let documentation = function.documentation().cloned();
        let documentation = documentation.unwrap_or_else(|| Facts::NONE.documentation(function.name()));
        entries.push((function.name().to_owned(), function.aliases().to_vec(), documentation));
    }
    entries
}

fn write_entry(page: &mut String, title: &str, aliases: &[String], documentation: &Documentation) {
    let Documentation { description, syntax_example, sql_example, arguments, .. } = documentation;
    // Writing to a string cannot fail.
    let _ = write!(page, "\n### {title}\n\n```text\n{syntax_example}\n```\n\n{description}\n");
    if let Some(arguments) = arguments {
        // Without words between them two lists would be one.
        let _ = write!(page, "\nArguments:\n\n");
        for (name, meaning) in arguments {
            let _ = writeln!(page, "- `{name}`: {meaning}");
        }
    }
    if !aliases.is_empty() {
        let _ = write!(page, "\nAlso `{}`.\n", aliases.join("`, `"));
    }
    if let Some(example) = sql_example {
        let _ = write!(page, "\n```sql\n{example}\n```\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_says_what_it_returns_its_unit_and_its_nulls() {
        for function in scalar::functions(Arc::new(embed::Models::new(EmbedderOptions::default())), Role::Admin) {
            let documentation = function.documentation().unwrap_or_else(|| panic!("{} says nothing", function.name()));
            for part in ["- Returns: ", "- Unit: ", "- NULL: "] {
                let said = documentation.description.lines().find_map(|line| line.strip_prefix(part));
                assert!(said.is_some_and(|said| said.len() > 1), "{}: {part}", function.name());
            }
            assert!(
                documentation.sql_example.as_ref().is_some_and(|example| !example.is_empty()),
                "{}",
                function.name()
            );
            assert!(
                documentation.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty()),
                "{}",
                function.name()
            );
        }
    }

    #[test]
    fn nothing_is_left_out_of_the_page() {
        let page = page();
        for (title, _, _) in entries() {
            assert!(page.contains(&format!("\n### {title}\n")), "{title} is in no section of the page");
        }
    }
}
