use super::batcher::command_batcher::CommandBatcher;
use super::batcher::send::send;
use super::batcher::watch::watch;
use super::chore_runner;
use super::cluster_layout::ClusterLayout;
use super::config::RedisConfig;
use super::connection::Connection;
use super::supervisor::{SupervisorGuard, keep};
use super::{announced_names::AnnouncedNames, outbox::InvalidationOutbox, redirected};
use crate::backend::redis::push_handler::PushHandler;
use crate::process::background;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;

impl Connection {
    /// A link whose connection lives on `runtime`.
    pub(super) fn start(
        settings: &Arc<RedisConfig>,
        names: &Arc<AnnouncedNames>,
        queue: &Arc<InvalidationOutbox>,
        inbox: PushHandler,
        runtime: &Handle,
        steady: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let inbox = Arc::new(inbox);
        let doubt = Arc::clone(&inbox.doubt);
        let link = Self::new(settings, names, queue, inbox, doubt, false, steady);
        let keep = keep(
            Arc::downgrade(&link),
            Arc::clone(&link.inbox),
            Arc::clone(settings),
        );
        link.run(runtime, keep);
        link
    }

    /// A link on `runtime` whose pushes come to the steady one: for a runtime that has one thread,
    /// which may be busy for long.
    pub(super) fn start_redirected(steady: &Arc<Self>, runtime: &Handle) -> Arc<Self> {
        let link = Self::new(
            &steady.settings,
            &steady.names,
            &steady.queue,
            Arc::clone(&steady.inbox),
            Arc::default(),
            true,
            Some(Arc::clone(steady)),
        );
        link.run(runtime, redirected::keep(Arc::downgrade(&link)));
        link
    }

    /// Runs what keeps its connection, and what sends on it.
    fn run(self: &Arc<Self>, runtime: &Handle, keep: impl Future<Output = ()> + Send + 'static) {
        let alive = SupervisorGuard {
            link: Arc::downgrade(self),
            alive: Arc::clone(&self.alive),
            inbox: Arc::clone(&self.inbox),
            redirected: self.redirected,
            lanes: Arc::clone(&self.lanes),
        };
        self.drive(self.lanes.first(), runtime);
        if self.steady.is_none() {
            background::spawn(chore_runner::run(
                Arc::downgrade(self),
                Arc::clone(&self.chores),
            ));
        }
        background::spawn_on(runtime, async move {
            let _alive = alive;
            keep.await;
        });
    }

    /// Has somebody send what this lane takes, on the link's own runtime, and somebody watch over
    /// it.
    fn drive(self: &Arc<Self>, lane: &Arc<CommandBatcher>, runtime: &Handle) {
        let sending = send(Arc::downgrade(self), Arc::clone(lane));
        background::spawn_on(runtime, sending);
        background::spawn(watch(Arc::downgrade(self), Arc::clone(lane)));
    }

    /// Keys are on these servers: a lane for each. On the link's own runtime.
    pub(super) fn part(self: &Arc<Self>, topology: &ClusterLayout) {
        #[cfg(feature = "cluster")]
        {
            let limit = self.settings.command_timeout;
            for lane in self.lanes.part(&topology.slots, limit) {
                self.drive(&lane, &Handle::current());
            }
        }
        #[cfg(not(feature = "cluster"))]
        let _ = topology;
    }
}
