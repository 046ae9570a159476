//! The `faultless` program. The library's command line does everything.

fn main() -> std::process::ExitCode {
    faultless::cli::main()
}
