//! Tells cargo that new migrations change the crate.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/agents");
}
