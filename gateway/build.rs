//! `sqlx::migrate!` reads the migrations when the crate is compiled, and cargo has to be told where they are.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/gateway");
}
