//! The documentation of functions, relations and statements, beside their code.

use datafusion::logical_expr::{DocSection, Documentation};

/// The part of the page about relations.
pub const RELATIONS: DocSection = section("Relations", "They stand in FROM.");
/// The part of the page about distances.
pub const DISTANCES: DocSection = section(
    "Distances",
    "Between vectors (`FLOAT[dim]`) they are `FLOAT`, and equal to the `_distance` of `knn()`. With a list on one side, such \
     as the literal `[1.0, 2.0]`, the list becomes a vector. Between two lists they are `DOUBLE`, and what DataFusion computes.",
);
/// The part of the page about other functions over vectors.
pub const VECTORS: DocSection = section("Vectors", "");
/// The part of the page about text.
pub const TEXT: DocSection = section("Text", "");
/// The part of the page about types.
pub const TYPES: DocSection = section("Types", "");
/// The part of the page about statements.
pub const STATEMENTS: DocSection = section("Statements", "");

/// The part of the page about what is in memory.
pub const CACHE: DocSection = section(
    "The cache",
    "Table functions: what they do is done once, when their rows are read. Their arguments are text that is written in the \
     statement.",
);
/// The part of the page about what tells of the engine.
pub const SYSTEM: DocSection = section("System tables", "Their rows are of the moment when the statement runs.");

/// The parts of the page, in its order.
pub const SECTIONS: [DocSection; 8] = [RELATIONS, DISTANCES, VECTORS, TEXT, TYPES, STATEMENTS, CACHE, SYSTEM];

const fn section(label: &'static str, description: &'static str) -> DocSection {
    DocSection { include: true, label, description: Some(description) }
}

/// The entry of a function in the SQL reference.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The section of the page.
    pub section: DocSection,
    /// The description of the function, in Markdown.
    pub text: &'static str,
    /// Names and meanings; the name of one that may be left out ends with `?`.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The return value: its type, and its meaning.
    pub returns: &'static str,
    /// The unit of the answer.
    pub unit: &'static str,
    /// The condition under which the answer is NULL.
    pub nulls: &'static str,
    /// A script for a shell, with the expected rows as comments.
    pub example: &'static str,
}

impl Facts {
    /// To be completed.
    pub const NONE: Self =
        Self { section: VECTORS, text: "", arguments: &[], returns: "", unit: "", nulls: "", example: "" };

    /// The documentation of the function `name`.
    pub fn documentation(&self, name: &str) -> Documentation {
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

/// The entry of a relation, a type or a statement in the SQL reference.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The section of the page.
    pub section: DocSection,
    /// The heading.
    pub title: &'static str,
    /// The syntax.
    pub syntax: &'static str,
    /// The description, in Markdown.
    pub text: &'static str,
    /// Names and meanings of its arguments.
    pub arguments: &'static [(&'static str, &'static str)],
    /// A script for a shell, with the expected rows as comments.
    pub example: &'static str,
}

impl Entry {
    /// The entry as DataFusion keeps it.
    pub fn documentation(&self) -> Documentation {
        let mut documentation =
            Documentation::builder(self.section.clone(), self.text, self.syntax).with_sql_example(self.example);
        for (name, meaning) in self.arguments {
            documentation = documentation.with_argument(*name, *meaning);
        }
        documentation.build()
    }
}
