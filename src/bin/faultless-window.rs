//! The `faultless-window` program: the window over the recorder. `faultless` starts it.

fn main() -> std::process::ExitCode {
    faultless::cli::gui::main()
}
