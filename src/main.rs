//! The program: arguments become one mode, the mode's exit code becomes the program's.

fn main() -> std::process::ExitCode {
    faultless::cli::main()
}
