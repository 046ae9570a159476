//! Who reports the delays of a device, and what is known to be missing in the report. Pure. Thread: any.

use serde::Serialize;

/// Who reports the delay of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DelayReporter {
    /// The driver of a card, or a plugin of alsa-lib that is no sound server's.
    #[default]
    #[serde(rename = "driver")]
    Driver,
    /// This program, for its built-in device.
    #[serde(rename = "built-in device")]
    BuiltIn,
    /// PipeWire's plugin of alsa-lib, which knows the whole way.
    PipeWire,
    /// PulseAudio's plugin of alsa-lib, whose delay differs from one recording to the next.
    PulseAudio,
    /// JACK, which knows the delay of the ports of its card.
    #[serde(rename = "JACK")]
    Jack,
    /// JACK, for ports of a client. JACK does not know how long the client takes.
    #[serde(rename = "JACK, without the client")]
    JackClient,
    /// alsa-lib's plugin of JACK, which knows its own buffer only.
    #[serde(rename = "JACK's ALSA plugin")]
    JackPlugin,
}

/// Who reports the delay of the outputs, and of the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayReporters {
    /// Of the outputs.
    pub output: DelayReporter,
    /// Of the inputs.
    pub input: DelayReporter,
}

/// The problem of a report of a delay, in words for the user.
struct Flaw {
    reason: &'static str,
    /// Where takes that were placed by this report may lie.
    effect: &'static str,
    remedy: &'static str,
    /// Whether an offset corrects it. PulseAudio reports another delay each time.
    is_corrected_by_offset: bool,
}

impl DelayReporter {
    /// `None`: the report is the true delay, as far as is known.
    fn flaw(self) -> Option<Flaw> {
        match self {
            DelayReporter::Driver | DelayReporter::BuiltIn | DelayReporter::PipeWire | DelayReporter::Jack => None,
            DelayReporter::PulseAudio => Some(Flaw {
                reason: "PulseAudio reports its delay only roughly",
                effect: "the takes may be about a period too early or too late",
                remedy: "choose a shorter period (--period, or in the device chooser), or record from the card itself",
                is_corrected_by_offset: false,
            }),
            DelayReporter::JackClient => Some(Flaw {
                reason: "JACK does not know the delay of the client that is recorded",
                effect: "the takes may be too late",
                remedy: "measure the offset with a cable and set it (--offset, or in the device chooser)",
                is_corrected_by_offset: true,
            }),
            DelayReporter::JackPlugin => Some(Flaw {
                reason: "JACK's ALSA plugin does not report the delay of JACK itself",
                effect: "the takes are at least one block of JACK too late",
                remedy: "choose JACK's ports by client ('faultless devices' lists them), or measure the offset with a cable \
                         and set it (--offset, or in the device chooser)",
                is_corrected_by_offset: true,
            }),
        }
    }
}

impl DelayReporters {
    /// The flaw of one of the reports that `offset` does not correct.
    fn flaw(self, offset: i64) -> Option<Flaw> {
        let mut flaws = [self.output, self.input].into_iter().filter_map(DelayReporter::flaw);
        flaws.find(|flaw| offset == 0 || !flaw.is_corrected_by_offset)
    }

    /// Whether both reports are the true delay, as far as is known.
    pub fn are_complete(self) -> bool {
        self.output.flaw().is_none() && self.input.flaw().is_none()
    }

    /// Why takes may be too early or too late although `offset` was added, in a few words.
    pub fn reason(self, offset: i64) -> Option<&'static str> {
        self.flaw(offset).map(|flaw| flaw.reason)
    }

    /// The sentence for the user: where the takes may lie, why, and what to do. `None` as for [`DelayReporters::reason`].
    pub fn advice(self, offset: i64) -> Option<String> {
        self.flaw(offset).map(|flaw| format!("{}: {}; {}", flaw.effect, flaw.reason, flaw.remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DelayReporter; 7] = [
        DelayReporter::Driver,
        DelayReporter::BuiltIn,
        DelayReporter::PipeWire,
        DelayReporter::PulseAudio,
        DelayReporter::Jack,
        DelayReporter::JackClient,
        DelayReporter::JackPlugin,
    ];

    #[test]
    fn an_exact_report_needs_no_words_and_a_flawed_one_on_either_side_does() {
        for output in ALL {
            for input in ALL {
                let both = DelayReporters { output, input };
                let is_exact = [output, input].iter().all(|reporter| reporter.flaw().is_none());
                assert_eq!(both.are_complete(), is_exact, "{both:?}");
                assert_eq!((both.reason(0).is_none(), both.advice(0).is_none()), (is_exact, is_exact), "{both:?}");
            }
        }
        assert!(
            [DelayReporter::Driver, DelayReporter::BuiltIn, DelayReporter::PipeWire, DelayReporter::Jack]
                .iter()
                .all(|reporter| reporter.flaw().is_none())
        );
    }

    #[test]
    fn an_offset_corrects_a_constant_delay_and_not_that_of_pulseaudio() {
        let of = |reporter| DelayReporters { output: reporter, input: reporter };
        assert_eq!(of(DelayReporter::JackPlugin).advice(256), None);
        assert_eq!(of(DelayReporter::JackClient).reason(-3), None);
        let roughly = Some("PulseAudio reports its delay only roughly");
        assert_eq!(of(DelayReporter::PulseAudio).reason(-400), roughly);
        assert!(!of(DelayReporter::JackPlugin).are_complete(), "the report lacks the same");
        let mixed = DelayReporters { output: DelayReporter::JackPlugin, input: DelayReporter::PulseAudio };
        assert_eq!(mixed.reason(256), roughly);
    }

    #[test]
    fn the_advice_names_the_thing_the_reason_and_the_remedy() {
        let jack = DelayReporters { output: DelayReporter::JackPlugin, input: DelayReporter::JackPlugin };
        assert_eq!(
            jack.advice(0).as_deref(),
            Some(
                "the takes are at least one block of JACK too late: JACK's ALSA plugin does not report the \
                 delay of JACK itself; choose JACK's ports by client ('faultless devices' lists them), or measure the \
                 offset with a cable and set it (--offset, or in the device chooser)"
            )
        );
    }
}
