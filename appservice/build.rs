//! Migrations are compiled in: a changed one compiles the crate again.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/appservice");
}
