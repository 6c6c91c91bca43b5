//! Compile time: a clean build, and a rebuild with one more annotated function. The benchmark
//! builds small packages in a temporary folder; it needs downloadable crates and several minutes.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use recached_benches::{median, report};

/// Number of annotated functions in the larger package.
const MANY: usize = 100;
const ROUNDS: usize = 3;

const FLOOR: &str = r#"tokio = { version = "1", features = ["macros", "rt-multi-thread", "sync", "time"] }
deadpool-redis = { version = "0.23", default-features = false, features = ["rt_tokio_1"] }
serde_json = "1"
"#;

struct Library {
    name: &'static str,
    dependencies: String,
    /// Source of the n-th annotated function.
    function: fn(usize) -> String,
}

fn write(folder: &Path, library: &Library, functions: usize) {
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{}",
        library.dependencies
    );
    let body: String = (0..functions).map(library.function).collect();
    fs::create_dir_all(folder.join("src")).expect("a folder");
    fs::write(folder.join("Cargo.toml"), manifest).expect("it is writable");
    fs::write(folder.join("src/lib.rs"), body).expect("it is writable");
}

/// Duration of one `cargo build` in seconds.
fn build(folder: &Path) -> f64 {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet"])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .expect("cargo runs");
    assert!(status.success());
    begun.elapsed().as_secs_f64()
}

fn crates(folder: &Path) -> usize {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--prefix",
            "none",
            "--no-dedupe",
            "-e",
            "normal,build",
        ])
        .current_dir(folder)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len() - 1
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let ours = format!("recached = {{ path = \"{}\" }}\n", root.display());
    let libraries = [
        Library {
            name: "tokio, deadpool-redis, serde_json alone",
            dependencies: FLOOR.into(),
            function: |_| String::new(),
        },
        Library {
            name: "recached",
            dependencies: ours.clone(),
            function: |n| {
                format!(
                    "#[recached::cached(ttl = 60)]\npub async fn f{n}(id: u64) -> Result<String, String> {{ Ok(format!(\"{n} {{id}}\")) }}\n"
                )
            },
        },
        Library {
            name: "recached, each with a type of its own, derived",
            dependencies: format!("{ours}serde = {{ version = \"1\", features = [\"derive\"] }}\n"),
            function: |n| {
                format!(
                    "#[derive(Clone, serde::Serialize, serde::Deserialize)]\npub struct S{n} {{ pub id: u64, pub name: String }}\n#[recached::cached(ttl = 60)]\npub async fn f{n}(id: u64) -> Result<S{n}, String> {{ Ok(S{n} {{ id, name: String::new() }}) }}\n"
                )
            },
        },
        Library {
            name: "`cached`, with Redis",
            dependencies:
                "cached = { version = \"4.1\", features = [\"async\", \"redis_tokio\"] }\n".into(),
            function: |n| {
                format!(
                    "#[cached::macros::concurrent_cached(map_error = |e| format!(\"{{e:?}}\"), redis = true, ttl_secs = 60)]\npub async fn f{n}(id: u64) -> Result<String, String> {{ Ok(format!(\"{n} {{id}}\")) }}\n"
                )
            },
        },
        Library {
            name: "`#[tracing::instrument]` and one serde derive",
            dependencies:
                "tracing = \"0.1\"\nserde = { version = \"1\", features = [\"derive\"] }\n".into(),
            function: |n| {
                format!(
                    "#[tracing::instrument]\npub async fn f{n}(id: u64) -> Result<String, String> {{ Ok(format!(\"{n} {{id}}\")) }}\n#[derive(serde::Serialize, serde::Deserialize)]\npub struct S{n} {{ pub id: u64, pub name: String }}\n"
                )
            },
        },
    ];
    let mut table = String::from(
        "| | crates | clean build | of the first | one more annotated function |\n|---|---|---|---|---|\n",
    );
    let mut floor = None;
    for library in &libraries {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path();
        write(folder, library, 1);
        let clean = build(folder);
        let count = crates(folder);
        let floor = *floor.get_or_insert(clean);
        let more: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                write(folder, library, 1);
                let few = build(folder);
                write(folder, library, 1 + MANY);
                (build(folder) - few) * 1e3 / MANY as f64
            })
            .collect();
        let more = match (library.function)(0).is_empty() {
            true => "—".to_owned(),
            false => format!("{:.0} ms", median(&more)),
        };
        let _ = writeln!(
            table,
            "| {} | {count} | {clean:.1} s | {:.2}× | {more} |",
            library.name,
            clean / floor
        );
        println!("{table}");
    }
    report("compile", &table);
}
