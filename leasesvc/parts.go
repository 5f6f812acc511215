package leasesvc

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// parallelParts bounds the ranges that one request asks at once.
const parallelParts = 16

// overParts asks every range of a span in parallel and returns the answers in
// key order. A range that turns out to be cut differently is covered anew, so
// that every key of the span is asked for exactly once (P21).
func overParts[T any](ctx context.Context, ranges Ranges, span proto.Span,
	ask func(context.Context, proto.Span) ([]T, error)) ([]T, error) {
	parts, err := cover(ctx, ranges, span)
	if err != nil {
		return nil, err
	}
	answers := make([][]T, len(parts))
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelParts)
	for i, part := range parts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = ask(ctx, part)
		})
	}
	wg.Wait()
	var list []T
	for i, part := range parts {
		if proto.HasCode(errs[i], pontoonpb.RangeErrorCode_RANGE_MISMATCH) && sleep(ctx, retryPause) {
			answers[i], errs[i] = overParts(ctx, ranges, part, ask)
		}
		if errs[i] != nil {
			return nil, errs[i]
		}
		list = append(list, answers[i]...)
	}
	return list, nil
}

// cover cuts a span at the borders of its ranges and checks that nothing is
// left out.
func cover(ctx context.Context, ranges Ranges, span proto.Span) ([]proto.Span, error) {
	descs, err := ranges.Cover(ctx, span)
	if err != nil {
		return nil, err
	}
	var parts []proto.Span
	next := span.Start
	for _, d := range descs {
		part := proto.SpanOf(d.Span).Intersect(proto.Span{Start: next, End: span.End})
		if part.Empty() {
			continue
		}
		if !bytes.Equal(part.Start, next) {
			break
		}
		parts = append(parts, part)
		next = part.End
	}
	if !bytes.Equal(next, span.End) {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no range is known for key %x", next)
	}
	return parts, nil
}

// union merges overlapping and adjacent spans.
func union(wire []*pontoonpb.Span) []proto.Span {
	spans := make([]proto.Span, 0, len(wire))
	for _, w := range wire {
		if s := proto.SpanOf(w); !s.Empty() {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b proto.Span) int { return bytes.Compare(a.Start, b.Start) })
	var merged []proto.Span
	for _, s := range spans {
		if n := len(merged); n > 0 && bytes.Compare(s.Start, merged[n-1].End) <= 0 {
			if bytes.Compare(s.End, merged[n-1].End) > 0 {
				merged[n-1].End = s.End
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
