package docs

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// answerNotes say how what a node sets differs from what etcd sets.
var answerNotes = map[string]string{
	"ResponseHeader.raft_term":        "of the root range",
	"StatusResponse.leader":           "of the root range",
	"StatusResponse.raftIndex":        "of the root range",
	"StatusResponse.raftTerm":         "of the root range",
	"StatusResponse.raftAppliedIndex": "of the root range",
	"HashResponse.hash":               "not the number that etcd computes",
	"HashKVResponse.hash":             "not the number that etcd computes",
}

// leftEmpty are fields that etcd never sets, and so nobody else.
var leftEmpty = []string{
	"LeaseGrantResponse.error", "DefragmentResponse.header", "MoveLeaderResponse.header", "SnapshotResponse.header",
}

// observed collects which fields of answers a node has set.
type observed struct {
	mu  sync.Mutex
	set map[string]bool
}

// dialOptions have every answer of a connection looked at.
func (o *observed) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := next(ctx, method, req, reply, conn, opts...)
			if err == nil {
				o.look(reply)
			}
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := next(ctx, desc, conn, method, opts...)
			return &observedStream{stream, o}, err
		}),
	}
}

type observedStream struct {
	grpc.ClientStream
	to *observed
}

// RecvMsg implements grpc.ClientStream.
func (s *observedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.to.look(m)
	}
	return err
}

func (o *observed) look(answer any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m, ok := answer.(proto.Message); ok {
		o.walk(m.ProtoReflect())
	}
}

func (o *observed) walk(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		o.set[string(m.Descriptor().Name())+"."+string(f.Name())] = true
		switch {
		case f.Message() == nil:
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				o.walk(v.Message())
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				o.walk(v.List().Get(i).Message())
			}
		default:
			o.walk(v.Message())
		}
		return true
	})
}

// answerRows are the fields of all answers: a node must have set each in the course of the
// script, but for those that etcd leaves empty.
func answerRows(t *testing.T) (rows []entry) {
	o := &observed{set: map[string]bool{}}
	askEverything(t, o)
	seen := map[string]bool{}
	for _, file := range described {
		for s := range each(file.Services().Len(), file.Services().Get) {
			for m := range each(s.Methods().Len(), s.Methods().Get) {
				rows = append(rows, o.rows(t, m.Output(), seen)...)
			}
		}
	}
	return rows
}

func (o *observed) rows(t *testing.T, m protoreflect.MessageDescriptor, seen map[string]bool) (rows []entry) {
	name := string(m.Name())
	if seen[name] {
		return nil
	}
	seen[name] = true
	var inner []entry
	for f := range each(m.Fields().Len(), m.Fields().Get) {
		full := name + "." + string(f.Name())
		r, cell := withNote(answerNotes[full]), "`"+string(f.Name())+"`"
		empty := slices.Contains(leftEmpty, full)
		switch {
		case empty && o.set[full]:
			t.Errorf("the node sets %s, which etcd leaves empty", full)
		case empty:
			cell += ", always empty"
		case !o.set[full]:
			t.Errorf("no answer of the node has %s", full)
		}
		rows = append(rows, entry{[]string{name, cell}, r.state, r.note})
		inside := f.Message()
		if f.IsMap() {
			inside = f.MapValue().Message()
		}
		if inside != nil {
			inner = append(inner, o.rows(t, inside, seen)...)
		}
	}
	return append(rows, inner...)
}
