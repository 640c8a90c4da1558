"""Submits a job with the official OpenTelemetry SDK and its gRPC instrumentation.

Takes a JSON object as its only argument: `proto` (folder), `generated` (folder to write to),
`controller` and `collector` (host:port), `sampled`, `reference`, `distorted`. Prints a JSON object.
"""

import json
import sys

import grpc
from grpc_tools import protoc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

asked = json.loads(sys.argv[1])

generated = asked["generated"]
failed = protoc.main([
    "protoc",
    f"--proto_path={asked['proto']}",
    f"--python_out={generated}",
    f"--grpc_python_out={generated}",
    "vmafx/controller/v1/controller.proto",
])
assert not failed, "the .proto file cannot be compiled"
sys.path.insert(0, generated)
from vmafx.controller.v1 import controller_pb2, controller_pb2_grpc  # noqa: E402

provider = TracerProvider(
    sampler=ALWAYS_ON if asked["sampled"] else ALWAYS_OFF,
    resource=Resource.create({"service.name": "python-client"}),
)
exporter = OTLPSpanExporter(endpoint=asked["collector"], insecure=True)
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("submit")

spec = controller_pb2.JobSpec(
    reference=controller_pb2.MediaRef(uri=asked["reference"]),
    distorted=[controller_pb2.MediaRef(uri=asked["distorted"])],
)
GrpcInstrumentorClient().instrument()
with grpc.insecure_channel(asked["controller"]) as channel:
    stub = controller_pb2_grpc.VmafxControllerStub(channel)
    with tracer.start_as_current_span("a caller's own span") as span:
        request = controller_pb2.SubmitJobRequest(spec=spec)
        submitted = stub.SubmitJob(request, timeout=60)
        trace_id = f"{span.get_span_context().trace_id:032x}"
provider.shutdown()

print(json.dumps({
    "job_id": submitted.job_id,
    "job_trace_id": submitted.trace_id,
    "caller_trace_id": trace_id,
}))
