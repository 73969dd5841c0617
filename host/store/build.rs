//! Migrations are embedded at build time; a new file has to lead to a new build.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
