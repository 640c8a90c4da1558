//! Direct scoring on a node's own port: the server's service, on the node's slots.
//!
//! The slots are shared with leased work, one permit each: a run of either kind holds one until its
//! threads are gone, so that the machine never does more at once than it offers. What direct scoring
//! holds is taken off what the node offers the controller: of pairs all but one slot, of streams all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use observability::Telemetry;
use observability::layers::GrpcServerLayer;
use proto::scoring::vmafx_scoring_server::VmafxScoringServer;
use service::Faces;
use service::grpc::DoorLayer;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tonic_health::server::HealthReporter;
use vmafx_server::{Callers, Direct, DirectConfig, Face, methods};

/// How long calls that were told of the end may take to hear it.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// The face while it is served.
#[derive(Debug)]
pub(crate) struct DirectFace {
    pub addr: SocketAddr,
    direct: Arc<Direct>,
    health: HealthReporter,
    faces: Mutex<Faces>,
}

impl DirectFace {
    /// Serves on a listener that is bound.
    pub fn serve(
        (listener, addr): (TcpListener, SocketAddr),
        config: DirectConfig,
        callers: &Callers,
        telemetry: &Telemetry,
    ) -> Result<Self, String> {
        let direct = Direct::new(config, callers, telemetry.clone());
        let (health, mut faces) = (HealthReporter::new(), Faces::default());
        let router = service::grpc::server()
            .layer(GrpcServerLayer::new(telemetry, methods()?))
            .layer(DoorLayer { name: "node", tokens: callers.tokens(), frequent: &[] })
            .add_service(direct.grpc())
            .add_service(service::grpc::health(&health))
            .add_service(service::grpc::reflection(proto::SCORING_SERVICE)?);
        faces.serve_grpc(listener, router);
        let reporter = health.clone();
        tokio::spawn(async move { reporter.set_serving::<VmafxScoringServer<Face>>().await });
        Ok(Self { addr, direct, health, faces: Mutex::new(faces) })
    }

    /// Lets nobody in any more. Runs go on.
    pub async fn close(&self) {
        self.direct.close();
        self.health.set_not_serving::<VmafxScoringServer<Face>>().await;
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    }

    /// Waits until no run holds a slot.
    pub async fn idle(&self) {
        self.direct.idle().await;
    }

    /// Ends what still runs, and the face.
    pub async fn end(&self) {
        self.direct.abandon();
        self.faces.lock().await.shutdown(STOP_WAIT).await;
    }
}

impl Drop for DirectFace {
    fn drop(&mut self) {
        self.direct.abandon();
    }
}
