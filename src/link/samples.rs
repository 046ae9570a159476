//! Residency samples that an engine sends. Thread: link stores them, a front end reads them.

use super::client::Shared;
use super::protocol::{Figures, Request};
use crate::limits::{DISK_WORK_KEPT, FAULTS_KEPT};
use crate::lock::lock;
use crate::residency::disk_work::SeenWork;
use crate::residency::faults::SeenFault;
use crate::residency::history::History;
use crate::residency::rates::{RatePoint, Rates};
use crate::residency::sample::{RowKey, Sample, View};
use crate::residency::watcher::ResidencySamples;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Stories that are kept. The user looks at one page at a time.
const STORIES_MAX: usize = 64;

/// Age up to which the story of an earlier sample stands for that of a page, in milliseconds. A live map has its next sample
/// before the engine has answered about the last one.
const STORY_AGE_MS: u64 = 1000;

/// A page at a time: the sample's stamp, the row, the byte.
type Page = (u64, RowKey, u64);

/// The samples of an engine.
#[derive(Default)]
pub struct RemoteSamples {
    link: OnceLock<Weak<Shared>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: Option<View>,
    /// Whether the engine was asked for the samples before the first view.
    has_history: bool,
    latest: Option<Arc<Sample>>,
    history: History,
    stories: HashMap<Page, Vec<String>>,
    /// The pages in the order in which they were asked for.
    asked: VecDeque<Page>,
    rates: Rates,
    /// The last page faults, at most [`FAULTS_KEPT`].
    faults: VecDeque<SeenFault>,
    no_faults_because: Option<Arc<str>>,
    /// The last syncs and writeback by others, at most [`DISK_WORK_KEPT`].
    disk_work: VecDeque<SeenWork>,
    no_disk_work_because: Option<Arc<str>>,
    disk_work_gaps: Option<Arc<str>>,
}

impl State {
    /// The story of a page as of the latest earlier sample whose story has come. Empty if that is too old.
    fn earlier_story(&self, (at, key, byte): Page) -> Vec<String> {
        let is_near = |page: &&Page| {
            (page.1, page.2) == (key, byte) && at.checked_sub(page.0).is_some_and(|age| age <= STORY_AGE_MS)
        };
        let latest = self.stories.keys().filter(is_near).max_by_key(|page| page.0);
        latest.and_then(|page| self.stories.get(page)).cloned().unwrap_or_default()
    }
}

impl RemoteSamples {
    pub(super) fn connect(&self, link: &Arc<Shared>) {
        self.link.set(Arc::downgrade(link)).ok();
    }

    fn request(&self, request: Request) {
        if let Some(link) = self.link.get().and_then(Weak::upgrade) {
            link.request(request);
        }
    }

    /// Asks a new link for what is wanted.
    pub(super) fn again(&self) {
        let view = lock(&self.state).view;
        if view.is_some() {
            self.request(Request::View(view));
        }
    }

    /// Forgets the samples of an engine that is gone. Its clock is not that of the next one.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.state);
        *state = State { view: state.view, has_history: true, ..State::default() };
    }

    pub(super) fn push(&self, sample: Sample, is_latest: bool) {
        let sample = Arc::new(sample);
        let mut state = lock(&self.state);
        if !sample.rows.is_empty() && state.history.last().is_none_or(|last| last.at < sample.at) {
            state.history.push(Arc::clone(&sample));
        }
        if is_latest {
            state.latest = Some(sample);
            drop(state);
            self.request(Request::NextSample);
        }
    }

    /// Adds the figures that have come since the last ones.
    pub(super) fn add(&self, figures: Figures) {
        let mut state = lock(&self.state);
        if figures.begins {
            // The engine has opened a session. What came before has another clock.
            *state = State { view: state.view, has_history: state.has_history, ..State::default() };
            state.no_faults_because = figures.no_faults_because.map(Into::into);
        }
        figures.rates.into_iter().for_each(|point| state.rates.push(point));
        state.faults.extend(figures.faults);
        let surplus = state.faults.len().saturating_sub(FAULTS_KEPT);
        state.faults.drain(..surplus);
        state.disk_work.extend(figures.disk_work);
        let surplus = state.disk_work.len().saturating_sub(DISK_WORK_KEPT);
        state.disk_work.drain(..surplus);
        if let Some(reason) = figures.no_disk_work_because {
            state.no_disk_work_because = Some(reason.into());
        }
        state.disk_work_gaps = figures.disk_work_gaps.map(Into::into);
    }

    pub(super) fn tell(&self, at: u64, key: RowKey, byte: u64, lines: Vec<String>) {
        lock(&self.state).stories.insert((at, key, byte), lines);
    }
}

impl ResidencySamples for RemoteSamples {
    fn set_view(&self, view: Option<View>) {
        let mut state = lock(&self.state);
        state.view = view;
        let asks = !std::mem::replace(&mut state.has_history, true);
        drop(state);
        if asks {
            self.request(Request::History);
        }
        self.request(Request::View(view));
    }

    fn latest(&self) -> Option<Arc<Sample>> {
        lock(&self.state).latest.clone()
    }

    fn history(&self) -> Vec<Arc<Sample>> {
        lock(&self.state).history.samples()
    }

    fn rates(&self) -> Vec<RatePoint> {
        lock(&self.state).rates.points()
    }

    fn faults(&self) -> Vec<SeenFault> {
        lock(&self.state).faults.iter().cloned().collect()
    }

    fn no_faults_because(&self) -> Option<Arc<str>> {
        lock(&self.state).no_faults_because.clone()
    }

    fn disk_work(&self) -> Vec<SeenWork> {
        lock(&self.state).disk_work.iter().cloned().collect()
    }

    fn no_disk_work_because(&self) -> Option<Arc<str>> {
        lock(&self.state).no_disk_work_because.clone()
    }

    fn disk_work_gaps(&self) -> Option<Arc<str>> {
        lock(&self.state).disk_work_gaps.clone()
    }

    fn page_story_at(&self, sample: &Sample, key: &RowKey, byte: u64) -> Vec<String> {
        let page = (sample.at.0, *key, byte / crate::limits::PAGE_BYTES as u64 * crate::limits::PAGE_BYTES as u64);
        let mut state = lock(&self.state);
        if let Some(lines) = state.stories.get(&page) {
            return lines.clone();
        }
        if !state.asked.contains(&page) {
            if STORIES_MAX <= state.asked.len()
                && let Some(old) = state.asked.pop_front()
            {
                state.stories.remove(&old);
            }
            state.asked.push_back(page);
            let earlier = state.earlier_story(page);
            drop(state);
            self.request(Request::Story { at: page.0, key: page.1, byte: page.2 });
            return earlier;
        }
        state.earlier_story(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::take::TakeKey;
    use crate::residency::sample::tests::{row, sample};
    use crate::residency::state::{Cell, Kernel, PageState};
    use uuid::Uuid;

    /// The card of a page in a live map had no history: each picture asked about a newer sample.
    #[test]
    fn the_story_of_a_page_in_a_live_map_is_that_of_an_earlier_sample_until_its_own_comes() {
        let samples = RemoteSamples::default();
        let key = RowKey::Take { uuid: Uuid::from_u128(7), key: TakeKey(1) };
        let cells = || vec![Cell::new(PageState::Locked, Kernel::Mapped, false); 4];
        let at = |ms: u64| sample(ms, row(key, 8192, 4096, cells()));
        assert!(samples.page_story_at(&at(1000), &key, 9000).is_empty());
        samples.tell(1000, key, 8192, vec!["supplied".to_owned()]);
        assert_eq!(samples.page_story_at(&at(1083), &key, 9000), ["supplied"]);
        assert_eq!(samples.page_story_at(&at(1083), &key, 9000), ["supplied"], "asked, and not answered yet");
        samples.tell(1083, key, 8192, vec!["filled".to_owned()]);
        assert_eq!(samples.page_story_at(&at(1166), &key, 9000), ["filled"]);
        assert_eq!(samples.page_story_at(&at(1000), &key, 9000), ["supplied"], "each sample has its own");
        assert!(samples.page_story_at(&at(990), &key, 9000).is_empty(), "nothing from later");
        assert!(samples.page_story_at(&at(3000), &key, 9000).is_empty(), "nothing old");
        assert!(samples.page_story_at(&at(1166), &key, 20_000).is_empty(), "not that of another page");
    }
}
