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

use datafusion::logical_expr::Documentation;
use ruvector_embed::EmbedderOptions;

use ruvector_udfs::aggregate;
use ruvector_udfs::documentation::{Facts, SECTIONS};
use ruvector_udfs::role::Role;
use ruvector_udfs::scalar::{self, embed};

mod backends;
mod lake;
mod relations;
mod statements;
mod system;

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
