//! The headers of takes that are recorded: what they claim at a sync, and which of them are durable. Thread: committer.

use super::unsaved_losses::{LossesNow, UnsavedLosses};
use super::{Committer, OpenTake};
use crate::butler::capabilities::CapturePath;
use crate::butler::take_file::HeaderLag;
use crate::host;
use crate::message::offset::FileByte;
use crate::message::take::PassKey;
use crate::time::Frames;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Syncs from one header of a take to the next. A header is a write of its own, and with many takes it costs a committer as
/// much as their sound. One header of each pass is written at every sync, and a recovery gives all takes its length. The
/// others are for programs that read the takes meanwhile.
const HEADER_TURNS: usize = 3;

/// A header that lacks this much is written at the next sync.
const HEADER_LAG_MAX: Duration = Duration::from_secs(2);

/// The sound that the header of a take may give.
struct Claim {
    /// Its end in the present file of the take.
    end: FileByte,
    /// Whether that is all that is durable in the pass. Otherwise the take lacks sound before.
    is_whole: bool,
    /// Up to which frame headers of the pass may give sound. `None`: the disk of each take reports errors, so no header gives
    /// more than the last ones.
    pass_frames: Option<Frames>,
}

impl Committer {
    /// Writes the headers that are due, and reserves blocks. Makes one header of each pass durable.
    pub(super) fn write_headers(&mut self) {
        let in_spool = self.setup.capture_path == CapturePath::Spool;
        let (mut notes, mut all_written) = (Vec::new(), true);
        // In `in-place` a sync would write the pages at the record position back. The header is written, but there is
        // no sync.
        let mut claimed: Vec<PassKey> = Vec::new();
        let ahead = self.takes.first().map_or(Duration::ZERO, |take| self.ahead_in(&take.file.path));
        self.publish_room();
        let claims = self.claims();
        self.header_turn = (self.header_turn + 1) % HEADER_TURNS;
        let rolling = self.takes.iter().zip(&claims).filter(|(take, _)| take.end.is_none());
        // While no header can be written, the last ones stay on the disk: what they claim is as safe as before.
        let durable: Option<Vec<Frames>> =
            rolling.map(|(take, claim)| Some(take.whole_frames().min(claim.pass_frames?))).collect();
        let durable = durable.and_then(|frames| frames.into_iter().min());
        for (at, Claim { end, is_whole, .. }) in claims.into_iter().enumerate() {
            if self.takes[at].waits_for_mark() {
                all_written = false;
                continue;
            }
            let OpenTake { pass, file, trouble, .. } = &mut self.takes[at];
            let pass = *pass;
            // The disk has refused something a moment ago. A header that may be gone is written with the next attempt.
            let waits_for_disk =
                file.is_header_due() && file.header_refused() && trouble.is_some() && self.retry_at.is_some();
            let passes_loss = self.losses.get(&pass).is_some_and(UnsavedLosses::has_passed_loss);
            let may_wait = in_spool && !passes_loss && claimed.contains(&pass) && at % HEADER_TURNS != self.header_turn;
            let is_due = match file.header_lag(end) {
                HeaderLag::Nothing => false,
                HeaderLag::Part(lag) => !may_wait || HEADER_LAG_MAX <= lag,
                HeaderLag::All => !waits_for_disk,
            };
            if is_due {
                let mut done = file.write_header(end);
                let is_written = done.as_ref().is_ok_and(|is_written| *is_written);
                // Make one header of each pass durable now; writing the others has begun. A single durable claim is
                // enough, because it holds for every take. The claim of a take that lacks sound is not the pass's.
                if in_spool && is_whole && is_written && !claimed.contains(&pass) {
                    done = self.takes[at].sync_file().map(|()| true);
                }
                match done {
                    Ok(true) if is_whole => claimed.push(pass),
                    Ok(is_written) => all_written &= is_written,
                    Err(error) => {
                        self.on_write_failure(at, &error);
                        all_written = false;
                    }
                }
            }
            self.reserve(at, ahead, &mut notes);
        }
        self.losses.values_mut().for_each(UnsavedLosses::headers_are_written);
        let have_names = self.make_names_durable();
        if let Some(durable) = durable.filter(|_| in_spool && all_written && have_names) {
            self.setup.disk.durable_frames[self.setup.replica.index()].store(durable.0, Relaxed);
        }
    }

    /// Tries again to make the names of new files durable. Returns whether all names are durable. A power cut can take a file
    /// whose name is not, with all of its sound.
    fn make_names_durable(&mut self) -> bool {
        let rolling = self.takes.iter_mut().filter(|take| take.end.is_none());
        let volatile = rolling.filter_map(|take| take.file.make_name_durable().err());
        volatile.count() == 0
    }

    /// The claim of each take. These frames are durable in every take of its pass, and a session on a disk lists the losses
    /// before them. Takes whose disk reports errors are excluded, and takes with a gap that lasts, if another take of the pass
    /// has none. After a power cut they contain silence; they do not shorten the other takes. In `in-place`, a header may give
    /// what is in the file.
    fn claims(&mut self) -> Vec<Claim> {
        let in_spool = self.setup.capture_path == CapturePath::Spool;
        let mut frames = Vec::with_capacity(self.takes.len());
        // With the takes that have a lasting gap behind the others in order.
        let mut of_pass: HashMap<PassKey, (bool, Frames)> = HashMap::new();
        for take in &mut self.takes {
            take.look_for_gap();
            frames.push(if in_spool { take.durable_frames() } else { take.written_frames() });
        }
        let counts = |take: &OpenTake| !in_spool || take.trouble.is_none();
        for (take, frames) in self.takes.iter().zip(&frames).filter(|(take, _)| counts(take)) {
            let known = (in_spool && take.has_lasting_gap(), *frames);
            let least = of_pass.entry(take.pass).or_insert(known);
            *least = if in_spool { known.min(*least) } else { known.max(*least) };
        }
        let of_pass: HashMap<PassKey, Frames> =
            of_pass.into_iter().map(|(pass, (_, frames))| (pass, self.claimable(pass, frames))).collect();
        let claim = |(take, frames): (&OpenTake, Frames)| {
            let pass_frames = of_pass.get(&take.pass).copied();
            let most = pass_frames.unwrap_or_default();
            Claim { end: take.end_in_file(frames.min(most)), is_whole: most <= frames, pass_frames }
        };
        self.takes.iter().zip(frames).map(claim).collect()
    }

    /// The frame of a pass up to which headers may claim sound, of which the frames up to `durable` are durable.
    pub(super) fn claimable(&mut self, pass: PassKey, durable: Frames) -> Frames {
        // After what is durable was determined.
        let losses = LossesNow::read(&self.setup.published, &self.setup.disk);
        let is_over = self.takes.iter().all(|take| take.pass != pass || take.end.is_some());
        self.losses.entry(pass).or_default().claimable(durable, losses, is_over, host::now())
    }
}

impl OpenTake {
    /// Whether nothing may be written to the file before a header is durable that says that another program has changed it. In
    /// `in-place` the audio thread writes to the file, and a sync would disturb it.
    pub(super) fn waits_for_mark(&self) -> bool {
        self.spool.is_some() && self.file.lacks_durable_mark()
    }

    /// Makes the header durable that says that another program has changed the file.
    pub(super) fn write_mark(&mut self) -> io::Result<()> {
        // An error if the file has no name.
        self.needs_sync()?;
        if !self.file.write_header(FileByte::DATA)? {
            return Err(io::Error::other("another program writes to it"));
        }
        self.sync_file()
    }
}
