//! The `faultless` program: the command line and the recorder. It holds nothing of the window and of its toolkit.

fn main() -> std::process::ExitCode {
    faultless::cli::main()
}
