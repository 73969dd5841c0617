//! The binaries and the guests, built once for all tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use wit_component::ComponentEncoder;

/// The sandbox that cargo built for these tests.
pub(crate) const SANDBOX: &str = env!("CARGO_BIN_EXE_porthole-sandbox");

/// What a compilation wrote.
pub(crate) struct Compiled {
    pub success: bool,
    pub output: Vec<u8>,
    pub error: String,
}

impl Compiled {
    /// The engine's number and the code.
    pub(crate) fn parts(&self) -> (u64, &[u8]) {
        assert!(self.success, "{}", self.error);
        let number = u64::from_le_bytes(self.output[..8].try_into().unwrap());
        let length = u32::from_le_bytes(self.output[8..12].try_into().unwrap()) as usize;
        assert_eq!(self.output.len(), 12 + length);
        (number, &self.output[12..])
    }
}

/// Runs the compiler on a component.
pub(crate) fn compile(component: &[u8]) -> Compiled {
    compile_framed(u32::try_from(component.len()).unwrap(), component)
}

/// Runs the compiler on anything that claims to have a length.
pub(crate) fn compile_framed(length: u32, bytes: &[u8]) -> Compiled {
    let mut child = Command::new(compiler())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A compiler that refuses early closes its end; that is not this side's failure.
    let _ = input.write_all(&length.to_le_bytes()).and_then(|()| input.write_all(bytes));
    drop(input);
    let out = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    Compiled { success: out.status.success(), output: out.stdout, error }
}

/// The compiled hostile guest.
pub(crate) fn hostile() -> &'static [u8] {
    static CODE: OnceLock<Vec<u8>> = OnceLock::new();
    CODE.get_or_init(|| compile(&component(&hostile_module())).parts().1.to_vec())
}

/// A component of a core module that carries its world.
pub(crate) fn component(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default().validate(true).module(module).unwrap().encode().unwrap()
}

/// The compiler, always brought up to date: cargo builds a binary with a required feature only when it is asked to.
pub(crate) fn compiler() -> &'static Path {
    static COMPILER: OnceLock<PathBuf> = OnceLock::new();
    COMPILER.get_or_init(|| {
        cargo(Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "build",
            "--quiet",
            "--package=porthole-sandbox",
            "--features=compile",
            "--bin=porthole-compile",
        ]));
        Path::new(SANDBOX).with_file_name("porthole-compile")
    })
}

/// The hostile guest's core module, built where `just guests` builds it: beside this build.
fn hostile_module() -> Vec<u8> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
    let target = Path::new(SANDBOX).ancestors().nth(2).unwrap().join("guests");
    cargo(
        Command::new(env!("CARGO"))
            .current_dir(&guests)
            .args(["build", "--quiet", "--release", "--target=wasm32-unknown-unknown", "--package=porthole-hostile"])
            .arg("--target-dir")
            .arg(&target),
    );
    std::fs::read(target.join("wasm32-unknown-unknown/release/porthole_hostile.wasm")).unwrap()
}

fn cargo(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} failed");
}

/// What a binary prints when it is asked for its engine's number.
pub(crate) fn compatibility(binary: impl AsRef<Path>) -> String {
    let output = Command::new(binary.as_ref()).arg("--compatibility").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
