package tracing

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func TestATraceCrossesTheHopToTheLeader(t *testing.T) {
	exp := tracetest.NewInMemoryExporter()
	tr := New(exp, Options{Service: "pontoon", Instance: "n1", Sampled: 1})
	op := &pontoonpb.RangeOp{RangeId: 3}
	err := tr.Span(t.Context(), "gateway", func(ctx context.Context) error {
		op = tr.Inject(ctx, op)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.Serve(context.Background(), op, func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		return &pontoonpb.RangeReply{Error: &pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_NOT_LEADER}}
	})
	if err := tr.provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := exp.GetSpans()
	if len(spans) != 2 || spans[0].SpanContext.TraceID() != spans[1].SpanContext.TraceID() ||
		spans[1].Parent.SpanID() != spans[0].SpanContext.SpanID() || spans[1].Status.Description != "NOT_LEADER" {
		t.Fatalf("%+v", spans)
	}
}

func TestOffItDoesNothing(t *testing.T) {
	var tr *Tracer
	op := &pontoonpb.RangeOp{}
	if tr.Inject(t.Context(), op) != op {
		t.Fatal("copied")
	}
	called := false
	tr.Serve(t.Context(), op, func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		called = true
		return &pontoonpb.RangeReply{}
	})
	if !called || len(op.Trace) != 0 || tr.ServerOptions() != nil || tr.Close(t.Context()) != nil {
		t.Fatal("not off")
	}
}
