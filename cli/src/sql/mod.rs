//! `ruvector sql`: statements from the command line, a file, or a terminal.
//!
//! What was typed is taken apart (`input`) into statements, which run on the `target`, and commands (`command`), most of
//! which are queries too. Answers are shown (`output`, `table`) as the `view` says.

mod caret;
pub(crate) mod command;
mod complete;
mod editor;
mod history;
mod input;
mod keywords;
mod limits;
pub(crate) mod output;
mod progress;
mod repl;
mod table;
mod tokens;
mod view;
mod words;

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ruvector_sql::{OWN_QUESTION, statement_kind};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::logging::log_to_stderr;
use crate::place::PlaceArgs;
use crate::runtime::engine_runtime;

use crate::target::Target;
use caret::with_caret;
use command::{MetaCommand, Part};
use input::{Input, numbered_inputs};
use output::{Format, Shown, print_line};
use progress::{Progress, TICK};
use view::{Sink, View};
use words::Names;

/// Files that `\i` may open one from within another.
const INCLUDED_MAX: usize = 16;

/// Time that an interrupted statement has to stop printing. A bound: after it the statement is not waited for.
const STOP_MAX: Duration = Duration::from_millis(200);

/// The name of standard input in errors.
const STDIN: &str = "standard input";

/// The source of statements.
enum Source {
    Text(String),
    /// A file, by the name that errors give it.
    File(String, String),
    /// A person at a terminal, or whatever is piped in.
    Terminal,
}

/// Arguments of `ruvector sql`.
#[derive(Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Statements to run, separated by `;`.
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// A file of statements to run; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of printed rows.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: SqlArgs) -> Result<(), String> {
    log_to_stderr("error");
    let runtime = engine_runtime(0)?;
    let source = match (args.command, args.file) {
        (Some(sql), _) => Source::Text(sql),
        (None, Some(path)) => {
            let (name, text) = read_file(&path)?;
            Source::File(name, text)
        }
        (None, None) => Source::Terminal,
    };
    let target = args.place.target(&runtime)?;
    let done = run_source(&runtime, target, source, args.format);
    // A statement that was interrupted may still be on its way to the next point where it can stop.
    runtime.shutdown_background();
    done
}

/// Runs all statements of `source`.
///
/// # Errors
/// The first error, where statements come as text; a person sees errors and goes on.
fn run_source(runtime: &Runtime, target: Target, source: Source, format: Format) -> Result<(), String> {
    let console = Builder::new_current_thread().enable_all().build();
    let console = console.map_err(|e| format!("cannot wait for Ctrl-C: {e}"))?;
    let is_interactive = matches!(source, Source::Terminal) && io::stdin().is_terminal();
    let names = Names::new(target.clone(), runtime.handle().clone());
    let view = View::new(format, is_interactive);
    let mut shell = Shell { runtime, console, target, names, view, timing: is_interactive };
    match source {
        Source::Text(sql) => shell.run_text(&sql, None, 0).map(drop),
        Source::File(name, sql) => shell.run_text(&sql, Some(&name), 0).map(drop),
        Source::Terminal if is_interactive => repl::run(shell),
        Source::Terminal => shell.run_text(&read_stdin()?, Some(STDIN), 0).map(drop),
    }
}

/// The name and the text of `path`; of standard input if it is `-`.
fn read_file(path: &Path) -> Result<(String, String), String> {
    if path == Path::new("-") {
        return Ok((STDIN.to_owned(), read_stdin()?));
    }
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok((path.display().to_string(), text))
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("cannot read standard input: {e}"))?;
    Ok(text)
}

/// The step after an input.
#[derive(PartialEq)]
enum Next {
    Input,
    Leave,
}

struct Shell<'a> {
    /// The runtime of statements.
    runtime: &'a Runtime,
    /// The runtime on which the shell waits for statements, and for Ctrl-C: a statement may keep all threads of `runtime` busy.
    console: Runtime,
    target: Target,
    names: Arc<Names>,
    view: View,
    timing: bool,
}

impl Shell<'_> {
    /// Runs what a text holds, up to the first error, which names the file and the line that the statement begins at, if the
    /// text is one of a file. `depth` counts the files that it was opened from within.
    fn run_text(&mut self, text: &str, name: Option<&str>, depth: usize) -> Result<Next, String> {
        for (line, input) in numbered_inputs(text) {
            let located = |message| match name {
                Some(name) => format!("{name}:{line}: {message}"),
                None => message,
            };
            if self.run_input(input, depth).map_err(located)? == Next::Leave {
                return Ok(Next::Leave);
            }
        }
        Ok(Next::Input)
    }

    fn run_input(&mut self, input: Input, depth: usize) -> Result<Next, String> {
        match input {
            Input::Statement(sql) => self.run_statement(&sql).map(|()| Next::Input),
            Input::Command(text) => self.run_command(MetaCommand::parse(&text)?, depth),
        }
    }

    fn run_statement(&mut self, sql: &str) -> Result<(), String> {
        let done = self.run_one(sql, &self.view);
        if changes_names(sql) {
            self.names.changed();
        }
        let (shown, time) = done.map_err(|message| with_caret(&message, sql))?;
        self.print_footer(&shown, self.timing.then_some(time))
    }

    /// The line below an answer.
    fn print_footer(&self, shown: &Shown, time: Option<Duration>) -> Result<(), String> {
        let seconds = time.map(|time| format!(" ({:.3} s)", time.as_secs_f64())).unwrap_or_default();
        match (self.view.format, shown) {
            (_, Shown::OutputClosed) if self.view.is_interactive => Err("standard output is closed".to_owned()),
            (_, Shown::OutputClosed) => Ok(()),
            // Standard output holds nothing but rows, for a program to read.
            (Format::Csv | Format::Json, _) if !self.view.is_interactive => Ok(()),
            (_, shown) => print_line(&format!("{shown}{seconds}")),
        }
    }

    fn run_command(&mut self, command: MetaCommand, depth: usize) -> Result<Next, String> {
        match command {
            MetaCommand::Quit => return Ok(Next::Leave),
            MetaCommand::Help => print_line(&command::help())?,
            MetaCommand::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                self.say(&format!("timing is {}", on_or_off(self.timing)))?;
            }
            MetaCommand::Expanded(on) => {
                self.view.expanded = on.unwrap_or(!self.view.expanded);
                self.say(&format!("expanded display is {}", on_or_off(self.view.expanded)))?;
            }
            MetaCommand::Format(format) => {
                self.view.format = format.unwrap_or(self.view.format);
                self.say(&format!("rows are printed as {}", self.view.format))?;
            }
            MetaCommand::RowsMax(rows_max) => {
                self.view.rows_max = rows_max.unwrap_or(self.view.rows_max);
                self.say(&match self.view.rows_max {
                    Some(rows) => format!("a table shows {rows} rows"),
                    None => "a table shows all rows".to_owned(),
                })?;
            }
            MetaCommand::Output(path) => {
                self.view.sink = path.as_deref().map_or(Ok(Sink::Stdout), Sink::create)?;
            }
            MetaCommand::Include(_) if depth >= INCLUDED_MAX => {
                return Err(format!("files include one another more than {INCLUDED_MAX} deep"));
            }
            MetaCommand::Include(path) => {
                let (name, text) = read_file(Path::new(&path))?;
                return self.run_text(&text, Some(&name), depth + 1);
            }
            MetaCommand::Queries(queries) => {
                let view = View { rows_max: None, ..self.view.clone() };
                for (sql, part) in queries {
                    let sql = format!("{sql}{OWN_QUESTION}");
                    let (shown, _) =
                        self.run_one(&sql, &View { leave_out_empty: part == Part::IfAny, ..view.clone() })?;
                    if part == Part::List {
                        self.print_footer(&shown, None)?;
                    }
                }
            }
        }
        Ok(Next::Input)
    }

    /// Says what a command did; a script knows.
    fn say(&self, line: &str) -> Result<(), String> {
        if self.view.is_interactive { print_line(line) } else { Ok(()) }
    }

    /// Runs one statement, prints its rows, and says how long it took.
    fn run_one(&self, sql: &str, view: &View) -> Result<(Shown, Duration), String> {
        let progress = Arc::new(Progress::new());
        let follower = (progress.is_seen() && may_build(sql)).then(|| {
            let (progress, target) = (Arc::clone(&progress), self.target.clone());
            self.runtime.spawn(async move { progress.follow_build(&target).await })
        });
        let (target, sql, view, seen) = (self.target.clone(), sql.to_owned(), view.clone(), Arc::clone(&progress));
        // On the runtime's own threads, which have the stack that planning needs.
        let statement =
            self.runtime.spawn(async move { output::print(target.execute(&sql).await?, &view, &seen).await });
        let done = self.console.block_on(unless_interrupted(statement, &progress));
        if let Some(follower) = follower {
            follower.abort();
        }
        progress.clear();
        Ok((done?, progress.elapsed()))
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// True if `sql` may change names that completion offers.
fn changes_names(sql: &str) -> bool {
    let kind = statement_kind(sql);
    ["create", "drop", "other"].iter().any(|word| kind.starts_with(word))
}

/// True if `sql` may wait for an index to be built.
fn may_build(sql: &str) -> bool {
    matches!(statement_kind(sql), "create index" | "reindex") || sql.to_ascii_lowercase().contains("knn")
}

/// Returns the result of `statement`, unless Ctrl-C comes first: Ctrl-C stops the statement, and not the shell.
async fn unless_interrupted<T>(mut statement: JoinHandle<Result<T, String>>, progress: &Progress) -> Result<T, String> {
    let interrupted = tokio::signal::ctrl_c();
    let mut interrupted = std::pin::pin!(interrupted);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut statement => {
                return done.map_err(|e| format!("the statement failed unexpectedly: {e}"))?;
            }
            _ = &mut interrupted => {
                statement.abort();
                progress.clear();
                // So that nothing of it is printed later. One that does not stop is not waited for.
                let _ = tokio::time::timeout(STOP_MAX, statement).await;
                return Err("interrupted".to_owned());
            }
            _ = tick.tick() => progress.draw(),
        }
    }
}
