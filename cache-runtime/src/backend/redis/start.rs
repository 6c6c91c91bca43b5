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
    /// Starts a connection on `runtime`.
    pub(super) fn start(
        config: &Arc<RedisConfig>,
        names: &Arc<AnnouncedNames>,
        queue: &Arc<InvalidationOutbox>,
        push_handler: PushHandler,
        runtime: &Handle,
        background: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let push_handler = Arc::new(push_handler);
        let doubt = Arc::clone(&push_handler.doubt);
        let connection = Self::new(config, names, queue, push_handler, doubt, false, background);
        let keep = keep(
            Arc::downgrade(&connection),
            Arc::clone(&connection.push_handler),
            Arc::clone(config),
        );
        connection.run(runtime, keep);
        connection
    }

    /// Starts a connection on a current-thread `runtime`, with its pushes redirected to the
    /// background connection, because the runtime's single thread may be busy for long.
    pub(super) fn start_redirected(background: &Arc<Self>, runtime: &Handle) -> Arc<Self> {
        let connection = Self::new(
            &background.config,
            &background.names,
            &background.queue,
            Arc::clone(&background.push_handler),
            Arc::default(),
            true,
            Some(Arc::clone(background)),
        );
        connection.run(runtime, redirected::keep(Arc::downgrade(&connection)));
        connection
    }

    /// Starts the tasks that supervise the connection and send on it.
    fn run(self: &Arc<Self>, runtime: &Handle, keep: impl Future<Output = ()> + Send + 'static) {
        let alive = SupervisorGuard {
            connection: Arc::downgrade(self),
            alive: Arc::clone(&self.alive),
            push_handler: Arc::clone(&self.push_handler),
            redirected: self.redirected,
            batchers: Arc::clone(&self.batchers),
        };
        self.drive(self.batchers.first(), runtime);
        if self.background.is_none() {
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

    /// Starts the sending task of a batcher on the connection's runtime, and its watching task on
    /// the library's own runtime.
    fn drive(self: &Arc<Self>, batcher: &Arc<CommandBatcher>, runtime: &Handle) {
        let sending = send(Arc::downgrade(self), Arc::clone(batcher));
        background::spawn_on(runtime, sending);
        background::spawn(watch(Arc::downgrade(self), Arc::clone(batcher)));
    }

    /// Creates a batcher for each server of the layout. Must be called on the connection's runtime.
    pub(super) fn part(self: &Arc<Self>, topology: &ClusterLayout) {
        #[cfg(feature = "cluster")]
        {
            let limit = self.config.command_timeout;
            for batcher in self.batchers.part(&topology.slots, limit) {
                self.drive(&batcher, &Handle::current());
            }
        }
        #[cfg(not(feature = "cluster"))]
        let _ = topology;
    }
}
