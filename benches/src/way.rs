//! Ways to upgrade, and the process in which one of them is measured: it has nothing to do but that.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use starttls::Protocol;

use crate::allocator;

/// A way to upgrade.
#[derive(Clone, Copy)]
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// What is spoken before TLS; `None` if nothing is.
    pub protocol: Option<Protocol>,
    /// Makes ready what all upgrades have in common, and gives what does one: connect, upgrade, one line there and back, and
    /// close.
    pub prepare: fn(Target) -> Result<Upgrade, Failure>,
}

/// Does one upgrade.
pub type Upgrade = Box<dyn FnMut() -> Result<(), Failure>>;

/// Why it failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The server, and how to trust it.
pub struct Target {
    /// Where it is. It is called `localhost`.
    pub address: SocketAddr,
    /// The certificate of the authority.
    pub ca: CertificateDer<'static>,
    /// The configuration that all ways share, if they can. No session is resumed.
    pub config: Arc<ClientConfig>,
}

/// What [`client`] measured, by upgrade.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// The time on the processor, in ns.
    pub cpu: f64,
    /// The time that passed, in ns: the median.
    pub wall: f64,
    /// The allocations before the ClientHello; not a number if that is not made by rustls 0.23.
    pub before_hello: f64,
    /// All allocations.
    pub allocations: f64,
    /// What they asked for.
    pub bytes: f64,
    /// What was held of it at the most.
    pub peak: f64,
    /// The most memory that the process ever had, in KiB.
    pub process: f64,
}

/// Upgrades `count` times, as the process `WAY ADDRESS CA COUNT`, and prints what that took.
///
/// # Errors
/// Those of the upgrade, and of arguments that are none.
pub fn client(ways: &[Way], arguments: &[String]) -> Result<(), Failure> {
    let [name, address, ca, count] = arguments else { return Err("WAY ADDRESS CA COUNT".into()) };
    let mut upgrade = prepare(ways, name, target(address, ca)?)?;

    let count: usize = count.parse()?;
    let mut measured = Measured::default();
    // What is made once, at the first use; and all there is to do for a process that is measured from outside.
    upgrade()?;
    if count == 0 {
        return Ok(());
    }
    for _ in 0..count {
        let live = allocator::start();
        upgrade()?;
        let allocated = allocator::stop(live);
        measured.before_hello += allocated.before_hello.map_or(f64::NAN, |calls| calls as f64) / count as f64;
        measured.allocations += allocated.calls as f64 / count as f64;
        measured.bytes += allocated.bytes as f64 / count as f64;
        measured.peak = measured.peak.max(allocated.peak as f64);
    }
    let mut walls = Vec::with_capacity(count);
    let begin = cpu()?;
    for _ in 0..count {
        let begin = Instant::now();
        upgrade()?;
        walls.push(begin.elapsed().as_nanos() as f64);
    }
    measured.cpu = (cpu()? - begin) / count as f64;
    measured.wall = crate::table::median(walls);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let (_, most) = status.split_once("VmHWM:").ok_or("no VmHWM")?;
    measured.process = most.split_whitespace().next().unwrap_or_default().parse()?;
    let Measured { cpu, wall, before_hello, allocations, bytes, peak, process } = measured;
    println!("{cpu} {wall} {before_hello} {allocations} {bytes} {peak} {process}");
    Ok(())
}

/// Upgrades in each of several ways in turn, as the process `CA TURNS WAY ADDRESS...`, and prints a line for each turn of all:
/// what an upgrade took of the processor in each of the ways, in ns.
///
/// # Errors
/// As for [`client`].
pub fn turns(ways: &[Way], arguments: &[String]) -> Result<(), Failure> {
    let [ca, turns, named @ ..] = arguments else { return Err("CA TURNS WAY ADDRESS...".into()) };
    pin(0);
    let prepared = named.chunks_exact(2).map(|name| prepare(ways, &name[0], target(&name[1], ca)?));
    let mut upgrades = prepared.collect::<Result<Vec<Upgrade>, _>>()?;
    for _ in 0..turns.parse()? {
        for upgrade in &mut upgrades {
            // It finds the caches cold, and does what a thread of the way before it has left.
            upgrade()?;
            let mut least = f64::INFINITY;
            for _ in 0..5 {
                let begin = cpu()?;
                upgrade()?;
                least = least.min(cpu()? - begin);
            }
            print!("{least} ");
        }
        println!();
    }
    Ok(())
}

/// Keeps this thread, and those that it starts, to one processor, so that client and server do not fight over one. A machine
/// that has no such processor is left as it is.
pub fn pin(processor: usize) {
    let mut set = CpuSet::new();
    let _ = set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
}

fn prepare(ways: &[Way], name: &str, target: Target) -> Result<Upgrade, Failure> {
    let way = ways.iter().find(|way| way.name == name).ok_or("no such way")?;
    (way.prepare)(target)
}

fn target(address: &str, ca: &str) -> Result<Target, Failure> {
    let ca = CertificateDer::from(std::fs::read(ca)?);
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = CryptoProvider { secure_random: &Random, ..aws_lc_rs::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    // For the crates that make their own; it is there already if this is not the first target.
    let _ = provider.install_default();
    Ok(Target { address: address.parse()?, ca, config: Arc::new(config) })
}

impl Measured {
    /// What [`client`] printed.
    ///
    /// # Errors
    /// It is not what `client` prints.
    pub fn read(line: &str) -> Result<Self, Failure> {
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [cpu, wall, before_hello, allocations, bytes, peak, process] = numbers[..] else {
            return Err(format!("not what was measured: {line}").into());
        };
        Ok(Self { cpu, wall, before_hello, allocations, bytes, peak, process })
    }
}

/// The time that all threads of this process had on the processor, in ns.
fn cpu() -> nix::Result<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?).as_nanos() as f64)
}

/// The provider's random numbers. The first that an upgrade asks for is in its ClientHello.
#[derive(Debug)]
struct Random;

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(aws_lc_rs::default_provider);

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        allocator::hello();
        PROVIDER.secure_random.fill(bytes)
    }
}
