//! Judges whether the machine may slow its processor down or fall asleep during a take. Thread: control, which starts a
//! helper for D-Bus and leaves it behind if the bus hangs.

use super::scratch::with_timeout;
use super::{Finding, Verdict, read};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let driver = read(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver").unwrap_or_default();
    let sleeps = read(root, "sys/power/state").is_some_and(|states| !states.is_empty());
    vec![judge_governor(&governors(root), &driver), judge_sleep(sleeps, login_manager())]
}

/// The distinct governors of all processors.
fn governors(root: &Path) -> BTreeSet<String> {
    let Ok(folder) = fs::read_dir(root.join("sys/devices/system/cpu")) else { return BTreeSet::new() };
    folder
        .flatten()
        .filter_map(|entry| read(&entry.path(), "cpufreq/scaling_governor"))
        .filter(|governor| !governor.is_empty())
        .collect()
}

fn judge_governor(governors: &BTreeSet<String>, driver: &str) -> Finding {
    const TOPIC: &str = "cpu governor";
    if governors.is_empty() {
        let sentence = "The kernel does not set the processor's speed here (a virtual machine, or the firmware does).";
        return Finding::new(TOPIC, "absent", Verdict::Good, sentence);
    }
    let measured = governors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    // With these drivers, `powersave` lets the hardware choose the speed; it does not mean the lowest speed.
    let hardware = matches!(driver, "intel_pstate" | "amd-pstate-epp");
    let (verdict, sentence) = if governors.iter().all(|governor| governor == "performance") {
        (Verdict::Good, "The processor keeps its speed.")
    } else if governors.iter().all(|governor| governor == "performance" || governor == "schedutil")
        || hardware && !governors.contains("conservative")
    {
        (Verdict::Good, "The processor speeds up with the work within a period or two.")
    } else {
        (Verdict::Fair, "The processor is slow to speed up, so a sudden load can make a period late.")
    };
    let finding = Finding::new(TOPIC, measured, verdict, sentence);
    if verdict == Verdict::Good {
        return finding;
    }
    finding.fix("echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
}

/// The kinds of sleep that programs inhibit now (`BlockInhibited` of logind), or the reason why logind does not answer.
fn login_manager() -> Result<String, String> {
    with_timeout(TIMEOUT, || Ok(block_inhibited()))
        .map_err(|error| format!("the login manager: {error}"))?
        .map_err(|_| "no login manager answers on the system bus".to_owned())
}

fn block_inhibited() -> zbus::Result<String> {
    const NAME: &str = "org.freedesktop.login1";
    let bus = zbus::blocking::connection::Builder::system()?.method_timeout(TIMEOUT).build()?;
    let property = ("org.freedesktop.login1.Manager", "BlockInhibited");
    let properties = Some("org.freedesktop.DBus.Properties");
    let reply = bus.call_method(Some(NAME), "/org/freedesktop/login1", properties, "Get", &property)?;
    let value: zbus::zvariant::OwnedValue = reply.body().deserialize()?;
    Ok(String::try_from(value)?)
}

fn judge_sleep(sleeps: bool, manager: Result<String, String>) -> Finding {
    const TOPIC: &str = "sleep";
    if !sleeps {
        return Finding::new(TOPIC, "none", Verdict::Good, "This machine cannot sleep.");
    }
    match manager {
        Ok(inhibited) if inhibited.split(':').any(|what| what == "sleep") => {
            Finding::new(TOPIC, "held off", Verdict::Good, "A program keeps the machine awake at the moment.")
        }
        Ok(_) => {
            let sentence = "The login manager can be asked to keep the machine awake; a closed lid or an idle hour ends a take \
                            unless something does. The fix wraps any command.";
            Finding::new(TOPIC, "can be held off", Verdict::Good, sentence)
                .fix("systemd-inhibit --what=sleep:idle:handle-lid-switch --who=Faultless --why=recording faultless")
        }
        Err(reason) => {
            let sentence =
                format!("Nothing here can be asked to keep the machine awake ({reason}): switch automatic sleep off.");
            Finding::new(TOPIC, "cannot be held off", Verdict::Fair, sentence)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn powersave_is_judged_by_the_driver_under_it() {
        assert_eq!(judge_governor(&set(&["powersave"]), "intel_pstate").verdict, Verdict::Good);
        assert_eq!(judge_governor(&set(&["powersave"]), "acpi-cpufreq").verdict, Verdict::Fair);
        assert_eq!(judge_governor(&set(&["performance"]), "acpi-cpufreq").verdict, Verdict::Good);
        assert_eq!(judge_governor(&set(&["ondemand", "performance"]), "").measured, "ondemand, performance");
        assert_eq!(judge_governor(&set(&[]), "").measured, "absent");
    }

    #[test]
    fn the_governors_of_all_processors_are_read() {
        let root = tempfile::tempdir().unwrap();
        for (cpu, governor) in [("cpu0", "schedutil\n"), ("cpu1", "performance\n"), ("cpu2", "schedutil\n")] {
            let folder = root.path().join("sys/devices/system/cpu").join(cpu).join("cpufreq");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("scaling_governor"), governor).unwrap();
        }
        assert_eq!(governors(root.path()), set(&["performance", "schedutil"]));
        assert!(governors(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn sleep_matters_only_where_there_is_one() {
        assert_eq!(judge_sleep(false, Err("no bus".to_owned())).verdict, Verdict::Good);
        assert_eq!(judge_sleep(true, Err("no bus".to_owned())).verdict, Verdict::Fair);
        assert_eq!(judge_sleep(true, Ok("shutdown:sleep".to_owned())).measured, "held off");
        assert!(judge_sleep(true, Ok("shutdown".to_owned())).fix.is_some());
    }
}
