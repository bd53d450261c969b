//! How fast, and with how many connections to one host.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::Timer;
use smol::lock::{Semaphore, SemaphoreGuardArc};

/// How many targets may wait for their hosts. With more, the scan waits.
const WAITING: usize = 4096;

/// Lets so many through in a second, at equal distances.
pub struct Rate {
    distance: Duration,
    next: Cell<Instant>,
}

impl Rate {
    pub fn new(per_second: f64) -> Self {
        Self { distance: Duration::from_secs_f64(1.0 / per_second), next: Cell::new(Instant::now()) }
    }

    pub async fn wait(&self) {
        let turn = self.next.get().max(Instant::now());
        self.next.set(turn + self.distance);
        Timer::at(turn).await;
    }
}

/// Lets so many be with one host, and keeps the others until one of these leaves.
pub struct Hosts<T> {
    most: u32,
    hosts: RefCell<HashMap<String, Host<T>>>,
    room: Arc<Semaphore>,
}

struct Host<T> {
    inside: u32,
    waiting: VecDeque<(T, SemaphoreGuardArc)>,
}

impl<T> Hosts<T> {
    pub fn new(most: u32) -> Self {
        Self { most, hosts: RefCell::default(), room: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Gives `visitor` back if there is place; if not, one that leaves takes it along.
    pub async fn enter(&self, name: &str, visitor: T) -> Option<T> {
        if self.has_place(name) {
            return Some(visitor);
        }
        let place = self.room.acquire_arc().await;
        if self.has_place(name) {
            return Some(visitor);
        }
        self.hosts.borrow_mut().get_mut(name)?.waiting.push_back((visitor, place));
        None
    }

    fn has_place(&self, name: &str) -> bool {
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.entry(name.to_owned()).or_insert(Host { inside: 0, waiting: VecDeque::new() });
        let place = host.inside < self.most;
        host.inside += u32::from(place);
        place
    }

    /// Gives the next visitor, if one waits, who takes the place.
    pub fn leave(&self, name: &str) -> Option<T> {
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.get_mut(name)?;
        let next = host.waiting.pop_front();
        if next.is_none() {
            host.inside -= 1;
            if host.inside == 0 {
                hosts.remove(name);
            }
        }
        next.map(|(visitor, _)| visitor)
    }
}
