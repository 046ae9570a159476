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

impl DelayReporter {
    /// Why the report is not the true delay; `None`: it is, as far as is known.
    pub fn flaw(self) -> Option<&'static str> {
        match self {
            DelayReporter::Driver | DelayReporter::BuiltIn | DelayReporter::PipeWire | DelayReporter::Jack => None,
            DelayReporter::PulseAudio => Some("PulseAudio reports its delay only roughly"),
            DelayReporter::JackClient => Some("JACK does not know the delay of the client that is recorded"),
            DelayReporter::JackPlugin => Some("JACK's ALSA plugin does not report the delay of JACK itself"),
        }
    }

    /// Where takes that were placed by this report may lie.
    fn effect(self) -> &'static str {
        match self {
            DelayReporter::PulseAudio => "the takes may lie about a period beside what was heard",
            DelayReporter::JackPlugin => "the takes lie at least one block of JACK after what was heard",
            _ => "the takes may lie beside what was heard",
        }
    }

    /// The cure, for the user.
    fn cure(self) -> &'static str {
        match self {
            DelayReporter::PulseAudio => {
                "choose a shorter period (--period, or in the device chooser), or record from the card itself"
            }
            DelayReporter::JackPlugin => {
                "choose JACK's ports by client ('faultless devices' lists them), or measure the offset with a cable and set \
                 it (--offset, or in the device chooser)"
            }
            _ => "measure the offset with a cable and set it (--offset, or in the device chooser)",
        }
    }

    /// Whether an offset mends what is missing. PulseAudio reports another delay each time.
    fn is_mended_by_offset(self) -> bool {
        self != DelayReporter::PulseAudio
    }
}

impl DelayReporters {
    /// The reporter whose report is not the true delay, if there is one that `offset` does not mend.
    fn flawed(self, offset: i64) -> Option<DelayReporter> {
        [self.output, self.input]
            .into_iter()
            .find(|reporter| reporter.flaw().is_some() && (offset == 0 || !reporter.is_mended_by_offset()))
    }

    /// Whether both reports are the true delay, as far as is known.
    pub fn are_complete(self) -> bool {
        self.output.flaw().is_none() && self.input.flaw().is_none()
    }

    /// Why takes may lie beside what was heard although `offset` was added, in a few words.
    pub fn reason(self, offset: i64) -> Option<&'static str> {
        self.flawed(offset)?.flaw()
    }

    /// The same as a sentence: where the takes may lie, why, and what the user can do.
    pub fn advice(self, offset: i64) -> Option<String> {
        let reporter = self.flawed(offset)?;
        Some(format!("{}: {}; {}", reporter.effect(), reporter.flaw()?, reporter.cure()))
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
    fn an_offset_mends_a_constant_delay_and_not_that_of_pulseaudio() {
        let of = |reporter| DelayReporters { output: reporter, input: reporter };
        assert_eq!(of(DelayReporter::JackPlugin).advice(256), None);
        assert_eq!(of(DelayReporter::JackClient).reason(-3), None);
        assert_eq!(of(DelayReporter::PulseAudio).reason(-400), DelayReporter::PulseAudio.flaw());
        assert!(!of(DelayReporter::JackPlugin).are_complete(), "the report lacks the same");
        let mixed = DelayReporters { output: DelayReporter::JackPlugin, input: DelayReporter::PulseAudio };
        assert_eq!(mixed.reason(256), DelayReporter::PulseAudio.flaw());
    }

    #[test]
    fn the_advice_names_the_thing_the_reason_and_the_cure() {
        let jack = DelayReporters { output: DelayReporter::JackPlugin, input: DelayReporter::JackPlugin };
        assert_eq!(
            jack.advice(0).as_deref(),
            Some(
                "the takes lie at least one block of JACK after what was heard: JACK's ALSA plugin does not report the \
                 delay of JACK itself; choose JACK's ports by client ('faultless devices' lists them), or measure the \
                 offset with a cable and set it (--offset, or in the device chooser)"
            )
        );
    }
}
