// Package tracing makes a request visible on its way through gateway,
// sequencer, leader and apply. Off, it costs a nil check.
//
//	client --otelgrpc--> gateway --RangeOp.trace--> leader: evaluate+apply
//	                        \--span--> sequencer ask
//
// Policy stands in decorators around the ports, so that no room below knows of
// OpenTelemetry.
package tracing

import (
	"context"
	"fmt"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Tracer makes spans. The nil Tracer makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Options name where spans go, and whose they are.
type Options struct {
	Endpoint string  // OTLP gRPC collector, host:port; empty: tracing is off
	Service  string  // service.name
	Instance string  // service.instance.id
	Sampled  float64 // the part of the traces that begin here which is kept, 0 to 1
}

// Open exports to the collector; without an endpoint it gives the nil Tracer.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	exp, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(o.Endpoint), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, fmt.Errorf("tracing to %q: %w", o.Endpoint, err)
	}
	return New(exp, o), nil
}

// New exports to exp. A trace that a client began is kept if the client keeps it.
func New(exp sdktrace.SpanExporter, o Options) *Tracer {
	p := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exp),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sampled))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.instance.id", o.Instance))),
	)
	return &Tracer{provider: p, tracer: p.Tracer("github.com/pontoon-kv/pontoon")}
}

// Close flushes what was not exported yet.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// ServerOptions trace every request that a client sends.
func (t *Tracer) ServerOptions() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(t.provider)))}
}

// Span runs fn under a span.
func (t *Tracer) Span(ctx context.Context, name string, fn func(context.Context) error) error {
	if t == nil {
		return fn(ctx)
	}
	ctx, span := t.tracer.Start(ctx, name)
	defer span.End()
	err := fn(ctx)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

const parentHeader = "traceparent"

var w3c propagation.TraceContext

// Inject returns the operation with the trace of ctx in it, a shallow copy
// unless tracing is off.
func (t *Tracer) Inject(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeOp {
	if t == nil {
		return op
	}
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	return &pontoonpb.RangeOp{RangeId: op.RangeId, Span: op.Span, AuthChecked: op.AuthChecked, Op: op.Op, Trace: []byte(c[parentHeader])}
}

// Serve runs a range operation under a span that continues the caller's
// trace.
func (t *Tracer) Serve(ctx context.Context, op *pontoonpb.RangeOp, do func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply) *pontoonpb.RangeReply {
	if t == nil {
		return do(ctx, op)
	}
	if len(op.Trace) > 0 {
		ctx = w3c.Extract(ctx, propagation.MapCarrier{parentHeader: string(op.Trace)})
	}
	ctx, span := t.tracer.Start(ctx, fmt.Sprintf("range %T", op.Op), trace.WithAttributes(attribute.Int64("range", int64(op.RangeId))))
	defer span.End()
	reply := do(ctx, op)
	if reply.Error != nil {
		span.SetStatus(codes.Error, reply.Error.Code.String())
	}
	return reply
}
