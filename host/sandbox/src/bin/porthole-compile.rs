//! Turns one component into machine code. Started by a worker; see `porthole_sandbox::compile`.

use porthole_sandbox::{compile, engine};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its interface is its standard streams")]
fn main() -> std::process::ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--compatibility") {
        println!("{:016x}", engine::compatibility());
        return std::process::ExitCode::SUCCESS;
    }
    match compile::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", porthole_sandbox::told(&e));
            std::process::ExitCode::FAILURE
        }
    }
}
