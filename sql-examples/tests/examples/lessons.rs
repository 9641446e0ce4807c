//! Every lesson, at every place.

use ruvector_sql_examples::{Place, files, run};

#[test]
fn the_lessons_hold_in_process() {
    all(Place::Embedded);
}

#[test]
fn the_lessons_hold_over_flight_sql() {
    all(Place::Server);
}

/// Runs all lessons, so that one report names all that fail.
fn all(place: Place) {
    let files = files().unwrap();
    assert!(!files.is_empty(), "there are no lessons");
    let failed: Vec<_> = files.iter().filter_map(|file| run(file, place).err()).collect();
    assert!(failed.is_empty(), "{} of {} lessons failed\n\n{}", failed.len(), files.len(), failed.join("\n\n"));
}
