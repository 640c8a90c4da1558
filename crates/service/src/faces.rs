//! The listeners of a service while they run.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::Router;
use tower_layer::Layer;
use tower_service::Service;

use crate::connections::{self, Bounds};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is served, by name, and the one signal that ends it. Dropped, everything ends by itself
/// once what is in flight has.
#[derive(Debug, Default)]
pub struct Faces {
    faces: Vec<(&'static str, JoinHandle<Result<(), String>>)>,
    stop: CancellationToken,
}

impl Faces {
    /// Serves gRPC: the server as [`crate::grpc::server`] bounds it, with its layers and services.
    pub fn serve_grpc<L, B>(&mut self, listener: TcpListener, router: Router<L>)
    where
        L: Layer<Routes> + Clone + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError> + Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let incoming = connections::incoming(listener, Bounds::GRPC);
        let stop = self.stop.clone().cancelled_owned();
        self.add("gRPC", async move {
            let served = router.serve_with_incoming_shutdown(incoming, stop).await;
            served.map_err(|error| error.to_string())
        });
    }

    /// Serves HTTP. Requests know who calls.
    pub fn serve_http(&mut self, listener: TcpListener, router: axum::Router) {
        let stop = self.stop.clone();
        self.add("HTTP", async move {
            connections::serve_http(listener, router, Bounds::HTTP, stop).await;
            Ok(())
        });
    }

    fn add(
        &mut self,
        name: &'static str,
        served: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.faces.push((name, tokio::spawn(served)));
    }

    /// Waits until a face ends although nobody asked for it, and says which and why.
    ///
    /// Cancel safe.
    pub async fn failed(&mut self) -> String {
        std::future::poll_fn(|cx| {
            for (name, face) in &mut self.faces {
                if let Poll::Ready(ended) = Pin::new(face).poll(cx) {
                    let why = match ended {
                        Ok(Ok(())) => "it ended".to_owned(),
                        Ok(Err(error)) => error,
                        Err(error) => error.to_string(),
                    };
                    return Poll::Ready(format!("{name} is not served: {why}"));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// No connection is taken any more; those there are end with the calls in flight.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Ends the faces: calls in flight get `grace`, all of them together; then nobody waits for them
    /// any more. Their connections are tasks of their own, which end with the calls or the runtime:
    /// whoever owns the calls ends them.
    pub async fn shutdown(&mut self, grace: Duration) {
        self.close();
        let deadline = tokio::time::Instant::now() + grace;
        for (name, mut face) in std::mem::take(&mut self.faces) {
            if face.is_finished() {
                continue;
            }
            if tokio::time::timeout_at(deadline, &mut face).await.is_err() {
                tracing::warn!(
                    face = name,
                    "calls still in flight after the grace time are not waited for"
                );
                face.abort();
            }
        }
    }
}

impl Drop for Faces {
    fn drop(&mut self) {
        self.close();
    }
}
