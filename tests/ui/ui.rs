//! Errors are reported at the mistake: each file in `faults/` contains the mistake in its name.
//!
//! The compiler's messages change with its version, so they are compared only on the version that
//! produced them; `TRYBUILD=overwrite` writes them again. On other versions each file must still
//! fail, with the first line of its `.stderr`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WRITTEN_WITH: &str = "rustc 1.95.0";

/// Set for the process that compiles copies of the files, whatever the compiler's messages.
const COPIES: &str = "RECACHED_UI_COPIES";

#[test]
fn each_fault_is_reported_where_it_is() {
    if version().starts_with(WRITTEN_WITH) {
        trybuild::TestCases::new().compile_fail("faults/*.rs");
    } else {
        on_another_compiler();
    }
}

/// Tests the fallback of [`each_fault_is_reported_where_it_is`] for other compilers on any
/// compiler.
#[test]
#[ignore = "the comparison says more where the compiler is the one the words are from"]
fn each_fault_is_reported_on_any_compiler() {
    on_another_compiler();
}

#[test]
fn words_name_nothing_generated() {
    for fault in faults() {
        // The compiler's list of implementations is outside our control.
        let words: String = words(&fault)
            .lines()
            .filter(|line| !line.contains("implements `Returns<"))
            .map(|line| format!("{line}\n"))
            .collect();
        // In this case a bound in generated code fails, and the compiler names its location.
        if fault.ends_with("alias_of_result_in_generic_code.rs") {
            continue;
        }
        let ours = [
            "__recached",
            "__RECACHED",
            "__private",
            "{impl#",
            "{constant#",
        ];
        for generated in ours {
            assert!(
                !words.contains(generated),
                "{}: {generated}",
                fault.display()
            );
        }
        // The first error is the intended one, not a consequence of it.
        let first = words.lines().next().unwrap_or_default();
        assert!(first.starts_with("error"), "{}", fault.display());
    }
}

#[test]
fn a_fault_is_reported_once() {
    for fault in faults() {
        let words = words(&fault);
        let lines: Vec<&str> = words.lines().collect();
        let told = lines.windows(2).filter(|pair| pair[0].starts_with("error"));
        let told: Vec<_> = told.map(<[&str]>::to_vec).collect();
        for (place, error) in told.iter().enumerate() {
            assert!(!told[..place].contains(error), "{error:?}");
        }
    }
}

/// Compiles the copies that [`on_another_compiler`] has made.
#[test]
#[ignore = "a part of another test"]
fn copies() {
    let copies = env::var(COPIES).expect("it is run by the other test");
    trybuild::TestCases::new().compile_fail(format!("{copies}/*.rs"));
}

fn on_another_compiler() {
    let folder = tempfile::tempdir().expect("there is a place for files");
    let copy_of = |fault: &Path| folder.path().join(fault.file_name().expect("it is a file"));
    for fault in faults() {
        fs::copy(&fault, copy_of(&fault)).expect("the folder is writable");
    }
    // Fails if one of the files compiles, and writes the messages about the others.
    let compiled = Command::new(env::current_exe().expect("this is a program"))
        .args(["--exact", "copies", "--ignored", "--nocapture"])
        .env("TRYBUILD", "overwrite")
        .env(COPIES, folder.path())
        .status();
    assert!(compiled.expect("it starts").success());
    for fault in faults() {
        let (expected, said) = (words(&fault), words(&copy_of(&fault)));
        let first = expected.lines().next().expect("something is said");
        let (_, message) = first.split_once(": ").expect("it is an error");
        assert!(said.contains(message), "{}: {said}", fault.display());
    }
}

fn faults() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults");
    let files = fs::read_dir(folder).expect("there is a folder");
    let files = files.map(|file| file.expect("it can be read").path());
    let faults: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    assert!(faults.len() > 30, "{faults:?}");
    faults
}

/// Expected output of the compiler.
fn words(fault: &Path) -> String {
    fs::read_to_string(fault.with_extension("stderr")).expect("something was said")
}

fn version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let output = output.expect("there is a compiler");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
