//! Bounds on the depth of a statement's tree and on the work of its parser, found by a pass over the tokens.
//!
//! Trees of expressions, types and plans are walked, copied and dropped by functions that call themselves. The parser bounds how
//! deep it calls itself, but builds chains (`1 = 1 = 1 ...`, `INT[][]...`) in loops, and reads a piece that failed again in
//! another way: each level of `CAST(CAST(...` doubles the time until the error.
//!
//! The measure has no list of operators. Every token is a level of the tree, except those that can only be a leaf (a value, a
//! name, the first word of an operand) and those that end an expression (a comma, a clause). An end counts only behind an
//! operand, for the parser takes any word for a name: `and` behind `=` is a column.

use datafusion::sql::sqlparser::dialect::Dialect as Grammar;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use words::{ends_from, is_clause, is_open_prefix, is_prefix, is_relation, is_unit};

use ruvector_udfs::error::{Error, Result};

mod words;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// Levels of one expression's tree, at most: threads have a stack of 16 MiB, of which a level takes up to 3 KiB in builds without
/// full optimisation.
const LEVELS_MAX: u64 = 5000;
/// Queries, joins, common tables and windows of a statement, at most: each may be a level of its plan.
const RELATIONS_MAX: u64 = 1000;
/// Brackets within each other (CASE is one), at most, and subscripts in a row. The parser stops at 50 levels of expressions by
/// itself; it reads types to any depth.
const NESTING_MAX: u64 = 60;
/// Times that a token may be read without being counted: a long list within two calls is no danger.
const READS_FREE: u64 = 8;
/// Tokens that a parser may have to read, at most, those apart that are read seldom. It is up to a second in builds without full
/// optimisation.
const READS_MAX: u64 = 500_000;

/// Refuses a statement whose tree would be too deep to be walked, or that could keep the parser busy.
///
/// # Errors
/// `InvalidInput` that names the limit and the place.
pub(crate) fn check(grammar: &dyn Grammar, tokens: &[TokenWithSpan]) -> Result<()> {
    let mut pass = Pass::new(grammar);
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        pass.token(&token.token);
        if let Some((max, what)) = pass.exceeded() {
            let at = token.span.start;
            return Err(Error::invalid_input(format!(
                "expected at most {max} {what}, got more at line {}, column {}",
                at.line, at.column
            )));
        }
    }
    // Brackets that were left open are read all the same.
    while let Some(level) = pass.around.pop() {
        pass.leave(level);
        if let Some((max, what)) = pass.exceeded() {
            return Err(Error::invalid_input(format!("expected at most {max} {what}, got more at the end")));
        }
    }
    Ok(())
}

/// The token before the one that is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// A bracket that opens.
    Open,
    /// Nothing, or an end: an operand follows.
    Start,
    /// An operator of punctuation: an operand follows.
    Operator,
    /// The point of a name with several parts.
    Point,
    /// A value or a name: an operand ended.
    Operand,
    /// A bracket that closes: an operand ended.
    Close,
    /// AND, OR or a clause.
    End,
    /// Another word that the parser knows: an operand, or a part of an operator.
    Word(Keyword),
}

impl Before {
    fn ends_operand(self) -> bool {
        matches!(self, Self::Operand | Self::Close)
    }

    /// Returns true if an operand certainly begins behind this token.
    fn begins_operand(self) -> bool {
        matches!(self, Self::Open | Self::Start | Self::Operator | Self::End)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bracket {
    Statement,
    Round,
    /// The bracket of `OPERATOR(name)`, which is an operator.
    Named,
    Square,
    Curly,
    /// CASE ... END.
    Case,
    /// The bracket of `ARRAY<INT>`.
    Angle,
}

/// The tokens between two brackets.
#[derive(Clone, Copy, Debug)]
struct Level {
    bracket: Bracket,
    /// Levels since the last AND or OR, and the deepest bracket there.
    chain: u64,
    inner: u64,
    /// ANDs and ORs since the last end, and the depth of what they connect.
    conditions: u64,
    condition: u64,
    /// The deepest expression that has ended.
    deepest: u64,
    /// BETWEENs whose AND is to come: that one connects no conditions.
    between: u64,
    /// Tokens since the last end.
    tokens: u64,
    /// Points of this name, and subscripts in a row.
    points: u32,
    subscripts: u64,
    /// True if it is the list of FROM, in which a comma joins.
    from: bool,
    /// The number of brackets that each may hold a table or a query, if nothing is between them. Each is read both ways.
    tables: u64,
    /// Times that the parser may read this, the rest of the expression, the rest up to an AND or OR, and the next operand.
    reads: u64,
    reads_rest: u64,
    reads_condition: u64,
    reads_operand: u64,
}

impl Level {
    fn new(bracket: Bracket, reads: u64) -> Self {
        Self {
            bracket,
            chain: 0,
            inner: 0,
            conditions: 0,
            condition: 0,
            deepest: 0,
            between: 0,
            tokens: 0,
            points: 0,
            subscripts: 0,
            from: false,
            tables: 0,
            reads,
            reads_rest: 1,
            reads_condition: 1,
            reads_operand: 1,
        }
    }

    /// The depth of the expression that has not ended.
    fn depth(&self) -> u64 {
        self.conditions + self.condition.max(self.chain + self.inner)
    }

    fn reads(&self) -> u64 {
        let of_name = 1_u64.checked_shl(self.points).unwrap_or(u64::MAX);
        self.reads.saturating_mul(self.reads_of_rest()).saturating_mul(self.reads_operand).saturating_mul(of_name)
    }

    fn reads_of_rest(&self) -> u64 {
        self.reads_rest.saturating_mul(self.reads_condition)
    }

    fn end_condition(&mut self) {
        self.reads_condition = 1;
        self.condition = self.condition.max(self.chain + self.inner);
        (self.chain, self.inner) = (0, 0);
        self.conditions += 1;
    }

    fn end_expression(&mut self) {
        self.deepest = self.deepest.max(self.depth());
        (self.chain, self.inner, self.conditions, self.condition, self.between) = (0, 0, 0, 0, 0);
        (self.tokens, self.points, self.subscripts) = (0, 0, 0);
        (self.reads_rest, self.reads_condition, self.reads_operand) = (1, 1, 1);
    }
}

struct Pass {
    here: Level,
    around: Vec<Level>,
    before: Before,
    /// The word before, if it may be a prefix or a name: `NOT - 1` is read as both.
    prefix: Option<Keyword>,
    /// The word before, which may be a name behind a point, and whether it is the first one in a bracket.
    called: Keyword,
    is_first: bool,
    /// The word before that one.
    word: Keyword,
    /// True if the token before belongs to a relation that is counted: `UNION ALL SELECT` is one.
    in_relation: bool,
    relations: u64,
    explains: u64,
    reads: u64,
    /// Times that an argument of a call is read: where its name may be an expression, as a name and as a value.
    argument: u64,
    /// The operators behind which an argument is read as one with a name, and as an assignment or a comparison.
    names_by_eq: bool,
    names_by_assignment: bool,
    lambdas: bool,
    whole_intervals: bool,
}

impl Pass {
    fn new(grammar: &dyn Grammar) -> Self {
        Self {
            here: Level::new(Bracket::Statement, 1),
            around: Vec::new(),
            before: Before::Start,
            prefix: None,
            called: Keyword::NoKeyword,
            is_first: false,
            word: Keyword::NoKeyword,
            in_relation: false,
            relations: 0,
            explains: 0,
            reads: 0,
            argument: if grammar.supports_named_fn_args_with_expr_name() { 2 } else { 1 },
            names_by_eq: grammar.supports_named_fn_args_with_eq_operator(),
            names_by_assignment: grammar.supports_named_fn_args_with_assignment_operator(),
            lambdas: grammar.supports_lambda_functions(),
            whole_intervals: grammar.require_interval_qualifier(),
        }
    }

    /// The limit that is exceeded.
    fn exceeded(&self) -> Option<(u64, &'static str)> {
        let nesting = (self.around.len() as u64).max(self.here.subscripts).max(self.explains);
        let limits = [
            (self.here.depth(), LEVELS_MAX, "levels of one expression"),
            // The first query is no level.
            (self.relations, RELATIONS_MAX + 1, "queries, joins and windows"),
            (nesting, NESTING_MAX, "brackets, CASEs or EXPLAINs within each other"),
            (self.reads, READS_MAX, "tokens to be read again in calls, casts and arrays that are within each other"),
        ];
        limits.into_iter().find(|(found, max, _)| found > max).map(|(_, max, what)| (max, what))
    }

    fn token(&mut self, token: &Token) {
        self.after_prefix(token);
        let reads = self.here.reads();
        if reads > READS_FREE {
            self.reads = self.reads.saturating_add(reads);
        }
        self.here.tokens += 1;
        let was = self.before;
        if !matches!(token, Token::Period | Token::LBracket) && was != Before::Point {
            self.here.points = 0;
        }
        if *token != Token::LBracket {
            self.here.subscripts = 0;
        }
        let mut in_relation = false;
        let mut word = Keyword::NoKeyword;
        match token {
            Token::Comma => {
                self.here.end_expression();
                self.relations += u64::from(self.here.from);
                self.before = Before::Start;
            }
            Token::SemiColon => {
                self.here.end_expression();
                self.before = Before::Start;
            }
            Token::LParen => self.open_round(),
            Token::LBracket => self.open_square(),
            Token::LBrace => {
                self.here.chain += u64::from(was == Before::Close);
                self.open(Bracket::Curly, self.argument);
            }
            Token::RParen => self.close(&[Bracket::Round, Bracket::Named]),
            Token::RBracket => self.close(&[Bracket::Square]),
            Token::RBrace => self.close(&[Bracket::Curly]),
            Token::Period => {
                self.here.points += 1;
                // A catalog, a schema, a table and a column are one name.
                self.here.chain += u64::from(self.here.points > 3 || was == Before::Close);
                self.before = Before::Point;
            }
            Token::Word(name) if name.keyword != Keyword::NoKeyword && was != Before::Point => {
                word = name.keyword;
                in_relation = self.keyword(word);
            }
            _ if is_operand(token) => self.operand(),
            _ => self.operator(token),
        }
        self.called = match token {
            Token::Word(name) => name.keyword,
            _ => Keyword::NoKeyword,
        };
        // A word that goes on after an operand is an operator.
        self.prefix = (!was.ends_operand() && is_open_prefix(self.called)).then_some(self.called);
        self.is_first = was == Before::Open;
        self.in_relation = in_relation;
        self.word = match was {
            Before::Word(before) if word != Keyword::NoKeyword => before,
            _ => Keyword::NoKeyword,
        };
    }

    /// Counts what follows twice if the word before may be a prefix or a name: the parser reads all that follows behind a
    /// prefix, and if that fails again behind a name.
    fn after_prefix(&mut self, token: &Token) {
        let Some(prefix) = self.prefix.take() else { return };
        let goes_on = match token {
            Token::Word(name) => !matches!(name.keyword, Keyword::NoKeyword | Keyword::WHEN),
            Token::Comma | Token::SemiColon | Token::RParen | Token::RBracket | Token::RBrace | Token::Period => false,
            _ => !is_operand(token),
        };
        if goes_on {
            // The operand of NOT ends before AND.
            let reads = if prefix == Keyword::NOT { &mut self.here.reads_condition } else { &mut self.here.reads_rest };
            *reads = reads.saturating_mul(2);
        }
    }

    fn operand(&mut self) {
        self.here.reads_operand = 1;
        self.before = Before::Operand;
    }

    fn operator(&mut self, token: &Token) {
        let is_type = matches!(self.before, Before::Word(Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP));
        match token {
            Token::Lt if is_type => self.open(Bracket::Angle, 1),
            Token::Gt if self.here.bracket == Bracket::Angle => self.close_loosely(),
            Token::ShiftRight if self.here.bracket == Bracket::Angle => {
                self.close_loosely();
                if self.here.bracket == Bracket::Angle {
                    self.close_loosely();
                }
            }
            _ => {
                self.here.chain += 1;
                let again = match token {
                    // `(x) -> ...` is read as a function, and then as an operator.
                    Token::Arrow => self.lambdas && self.before == Before::Close,
                    Token::Eq => self.names_by_eq && self.here.tokens == 2,
                    Token::Assignment => self.names_by_assignment && self.here.tokens == 2,
                    _ => false,
                };
                if again {
                    self.here.reads_rest = self.here.reads_rest.saturating_mul(2);
                }
                self.before = Before::Operator;
            }
        }
    }

    /// Returns whether it belongs to a relation that is counted.
    fn keyword(&mut self, word: Keyword) -> bool {
        let was = self.before;
        let continues =
            self.in_relation && matches!(word, Keyword::ALL | Keyword::DISTINCT | Keyword::BY | Keyword::NAME);
        let is_relation = is_relation(word);
        if is_relation && !self.in_relation {
            self.relations += 1;
        }
        self.explains += u64::from(matches!(word, Keyword::EXPLAIN | Keyword::DESCRIBE));
        // Not that of IS DISTINCT FROM.
        let is_distinct = was == Before::Word(Keyword::DISTINCT) && matches!(self.word, Keyword::IS | Keyword::NOT);
        match word {
            Keyword::FROM if !is_distinct => self.here.from = true,
            _ if ends_from(word) => self.here.from = false,
            _ => {}
        }
        let ends_operand = was.ends_operand();
        match word {
            Keyword::NULL | Keyword::TRUE | Keyword::FALSE => {
                self.here.chain += u64::from(!was.begins_operand());
                self.operand();
            }
            Keyword::AND | Keyword::OR if ends_operand => {
                if word == Keyword::AND && self.here.between > 0 {
                    self.here.between -= 1;
                    self.here.chain += 1;
                } else {
                    self.here.end_condition();
                }
                self.before = Before::End;
            }
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE if ends_operand && self.here.bracket == Bracket::Case => {
                self.here.end_expression();
                self.before = Before::End;
            }
            Keyword::END if self.here.bracket == Bracket::Case => {
                if ends_operand {
                    self.close(&[Bracket::Case]);
                } else {
                    self.close_loosely();
                }
            }
            _ if ends_operand && is_clause(word) => {
                self.here.end_expression();
                self.before = Before::End;
            }
            Keyword::CASE => {
                self.open(Bracket::Case, 1);
                self.before = Before::Word(word);
            }
            _ => {
                // The first word of an operand is a leaf, or a prefix, of which the parser bounds the number.
                self.here.chain += u64::from(!was.begins_operand());
                self.here.between += u64::from(word == Keyword::BETWEEN);
                if word == Keyword::INTERVAL {
                    // Read as a type and as a prefix, with the operand or with the whole rest.
                    let reads =
                        if self.whole_intervals { &mut self.here.reads_rest } else { &mut self.here.reads_operand };
                    *reads = reads.saturating_mul(2);
                } else if self.whole_intervals && ends_operand && is_unit(word) {
                    self.here.reads_rest = (self.here.reads_rest / 2).max(1);
                }
                self.before = Before::Word(word);
            }
        }
        is_relation || continues
    }

    fn open_round(&mut self) {
        let call = self.argument;
        // What a word begins is read as its clause, and then as a call of a function of that name.
        let factor = match (self.before, self.called) {
            (Before::Open | Before::Start | Before::Operator | Before::Point | Before::End, _) => 1,
            (_, Keyword::POSITION) => 1 + 2 * call,
            // As a query, and then as a list.
            (_, Keyword::IN) => 2,
            (_, word) if is_prefix(word) || (self.is_first && self.here.tables > 0) => 1 + call,
            _ => call,
        };
        let named = self.before == Before::Word(Keyword::OPERATOR);
        let nested = self.before == Before::Open && self.here.tables > 0;
        let tables = match self.before {
            Before::Open if self.here.tables > 0 => self.here.tables + 1,
            Before::Start | Before::End | Before::Operand | Before::Word(_) if self.here.from => 1,
            Before::Word(Keyword::IN | Keyword::FROM) => 1,
            _ => 0,
        };
        self.relations += u64::from(self.before == Before::Word(Keyword::AS) && !self.here.from);
        self.here.chain += u64::from(self.before == Before::Close);
        self.open(if named { Bracket::Named } else { Bracket::Round }, factor);
        self.here.tables = tables;
        if nested {
            self.here.reads = (self.here.reads / (tables - 1)).saturating_mul(tables);
        }
    }

    fn open_square(&mut self) {
        let literal = self.before.begins_operand();
        let array = self.before == Before::Word(Keyword::ARRAY);
        self.here.subscripts += u64::from(!literal);
        self.here.chain += u64::from(!literal && !array);
        // `ARRAY[` is read as an array, and then as a subscript.
        self.open(Bracket::Square, if matches!(self.before, Before::Word(_)) { 2 } else { 1 });
    }

    fn open(&mut self, bracket: Bracket, factor: u64) {
        let level = Level::new(bracket, self.here.reads().saturating_mul(factor));
        self.around.push(std::mem::replace(&mut self.here, level));
        self.before = Before::Open;
    }

    /// Closes the innermost of these `brackets`, with those of words that were left open in it.
    fn close(&mut self, brackets: &[Bracket]) {
        let is_open = |level: &Level| brackets.contains(&level.bracket);
        if !is_open(&self.here) && !self.around.iter().any(is_open) {
            self.here.chain += 1;
            self.before = Before::Operator;
            return;
        }
        loop {
            let bracket = self.here.bracket;
            let Some(level) = self.around.pop() else { return };
            self.leave(level);
            if brackets.contains(&bracket) {
                self.before = if bracket == Bracket::Named { Before::Operator } else { Before::Close };
                self.here.reads_operand = 1;
                return;
            }
        }
    }

    /// Closes a bracket that may have been none: its chain goes on.
    fn close_loosely(&mut self) {
        let (chain, reads) = (self.here.depth(), self.here.reads_of_rest());
        let Some(level) = self.around.pop() else { return };
        self.leave(level);
        self.here.chain += chain;
        self.here.reads_rest = self.here.reads_rest.saturating_mul(reads);
        self.before = Before::Word(Keyword::END);
    }

    /// Leaves for the `level` around.
    fn leave(&mut self, level: Level) {
        self.here.end_expression();
        let depth = self.here.deepest + 1;
        self.here = level;
        self.here.inner = self.here.inner.max(depth);
    }
}

fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}
