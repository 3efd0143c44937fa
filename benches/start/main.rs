//! How fast doorward is ready beside a homeserver that is up, and how much memory it takes while nothing happens.
//!
//! `cargo bench --bench start`; see the README beside this file.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

mod measure;
mod program;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use doorward_testkit::{DiesWithUs, testkit_folder, wait_for};
use measure::{Memory, Spread};
use program::Program;

/// Starts of the same program on the same data.
const STARTS: usize = 5;
/// What is in memory that long after the start stays there.
const IDLE: Duration = Duration::from_secs(5);
const WORKERS: usize = 20;

#[tokio::main]
async fn main() {
    doorward::install_tls();
    let data = warm_data().await;
    let _homeserver = start_homeserver(&data).await;
    println!(
        "{STARTS} starts each, beside a Synapse that is up, SQLite; the program is {}",
        measure::size_of_program()
    );
    series(&data, "no worker").await;
    make_workers(&data).await;
    series(&data, &format!("{WORKERS} workers")).await;
}

/// A data folder after a first start: the homeserver has its account and room, the databases have their tables.
async fn warm_data() -> PathBuf {
    let data = testkit_folder().join("bench-start");
    if data.exists() {
        std::fs::remove_dir_all(&data).unwrap();
    }
    let mut first = Program::local(&data, &tools());
    first.wait_for_ready().await;
    first.interrupt().await;
    data
}

fn tools() -> PathBuf {
    testkit_folder().join("tools")
}

/// Starts the Synapse of the data folder, without the doorward that made it; it ends with this program.
async fn start_homeserver(data: &Path) -> DiesWithUs {
    let folders = std::fs::read_dir(tools()).unwrap().map(|entry| entry.unwrap().path());
    let mut pythons = folders.map(|folder| folder.join("bin/python")).filter(|python| python.exists());
    let python = pythons.next().expect("the first start has installed Synapse");
    let config = data.join("synapse/homeserver.yaml");
    let command = [python.to_str().unwrap(), "-m", "synapse.app.homeserver", "-c", config.to_str().unwrap()];
    // A shell starts what runs in its background with SIGINT ignored, and that is the signal which shall end it.
    let command = [["env", "--default-signal=INT"].as_slice(), &command].concat();
    let process = DiesWithUs::start(&command, |command| {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    });
    let versions = format!("{}/_matrix/client/versions", program::homeserver_url(data));
    wait_for("Synapse", async || program::answers(&versions).await.then_some(())).await;
    process
}

/// Starts doorward again and again, and prints what that took.
async fn series(data: &Path, what: &str) {
    let (mut ready, mut connected, mut memory, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut program = Program::beside(data);
        ready.push(program.wait_for_ready().await);
        connected.push(program.wait_for_homeserver().await);
        tokio::time::sleep(IDLE).await;
        memory.push(program.memory());
        ended.push(program.interrupt().await);
    }
    println!("\n{what}");
    println!("  until the line `ready`            {}", Spread::of(&ready));
    println!("  until the homeserver reaches it   {}", Spread::of(&connected));
    println!("  from Ctrl-C to its end            {}", Spread::of(&ended));
    println!("  memory after {} s, resident        {}", IDLE.as_secs(), Spread::of(&column(&memory, |m| m.resident)));
    println!("  of that its own (Pss)             {}", Spread::of(&column(&memory, |m| m.proportional)));
    println!("  of that not from files (Anon)     {}", Spread::of(&column(&memory, |m| m.anonymous)));
}

fn column(memory: &[Memory], of: impl Fn(&Memory) -> measure::Mebibytes) -> Vec<measure::Mebibytes> {
    memory.iter().map(of).collect()
}

/// Workers with their rooms, made by the running program as a person would make them.
async fn make_workers(data: &Path) {
    let mut program = Program::beside(data);
    program.wait_for_ready().await;
    for number in 0..WORKERS {
        program::worker(data, &format!("w{number}")).await;
    }
    program.interrupt().await;
}
