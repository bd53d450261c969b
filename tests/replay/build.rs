//! The transcripts are part of the program, so it has to be built anew when one changes.
fn main() {
    println!("cargo::rerun-if-changed=../transcripts");
    println!("cargo::rerun-if-changed=../hostile");
}
