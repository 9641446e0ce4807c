//! Reader of the vectors of Parquet files, in place of Arrow's general reader of lists. Lists of one length need no expanded
//! levels and no copies of single values, and the pages of one file keep all cores busy.
//!
//! The steps: `leaf` finds the column, `pages` its pages, `chunk` reads them a piece at a time, `page` (`levels`, `run_length`)
//! knows where lists begin, `lists` (`values`) makes batches of them. `read` gives all vectors of a request, `cursor` those of
//! some rows. Numbers of any type become
//! `f32`. Files that hold vectors in another way than as a list of numbers of three levels, or in an encoding that is not
//! known here, are left to a scan.

mod chunk;
mod cursor;
mod leaf;
mod levels;
mod lists;
mod malformed;
mod page;
mod pages;
mod read;
mod run_length;
mod values;
mod wanted;

pub(super) use cursor::Cursor;
