//! One source, compiled for every processor of the architecture and once more for AVX2. Thread: any.
//!
//! The program is compiled for the instructions that each x86-64 processor has. Most processors have wider ones, and a
//! loop over samples is up to 1.5 times as fast with them. [`Instructions::run`] runs a [`Job`] with the instructions of
//! this processor. The job itself is safe code. Both compilations compute the same bits: no multiplication is fused
//! with an addition.
#![expect(unsafe_code, reason = "the compiler cannot know that this processor has the instructions")]

/// Work that is compiled for each set of instructions.
pub trait Job {
    /// Does the work. An implementation is `#[inline(always)]`, and so is what it calls: a function that is not inlined
    /// is compiled for every processor only.
    fn run(self);
}

/// A set of instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Baseline,
    /// A value of this variant exists only where the processor has AVX2: only [`Instructions::of_this_processor`] makes
    /// one.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Instructions {
    /// The instructions that every processor of the architecture has.
    pub const BASELINE: Instructions = Instructions(Set::Baseline);

    /// The best instructions of this processor. The first call asks the processor, so make it before the audio thread
    /// runs.
    pub fn of_this_processor() -> Instructions {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Instructions(Set::Avx2);
        }
        Instructions::BASELINE
    }

    /// Name for a report.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
        }
    }

    /// Runs `job`. This is realtime-safe if the job is.
    #[inline]
    pub fn run<J: Job>(self, job: J) {
        match self.0 {
            Set::Baseline => job.run(),
            // SAFETY: a value of `Set::Avx2` exists only where the processor has said that it has AVX2.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_with_avx2(job) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_with_avx2<J: Job>(job: J) {
    job.run();
}
