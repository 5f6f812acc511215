package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// callTimeout bounds one operation on one side; etcd's own request timeout is 7 s.
const callTimeout = 15 * time.Second

// answer is what one side said to a request.
type answer struct {
	msg  proto.Message // nil when err
	code codes.Code
	text string
	// note names a fault that is wrong whatever the other side says.
	note string
	// rev is the revision in the header of an answer that is no message with one.
	rev int64
}

// errorPrefix begins the text of an answer that is an error.
const errorPrefix = "error "

func (a answer) ok() bool { return a.code == codes.OK }

func (a answer) String() string {
	var b strings.Builder
	if a.note != "" {
		fmt.Fprintf(&b, "[%s] ", a.note)
	}
	if a.ok() {
		b.WriteString(brief(a.msg))
	} else {
		fmt.Fprintf(&b, "%s%s: %s", errorPrefix, a.code, a.text)
	}
	return b.String()
}

func answerOf(m proto.Message, err error) answer {
	if err != nil {
		st := status.Convert(err)
		return answer{code: st.Code(), text: st.Message()}
	}
	return answer{msg: m}
}

// call sends a resolved request to one side and returns the answer with leases
// mapped back to symbols.
func (s *side) call(ctx context.Context, o Op, req proto.Message) answer {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if s.hasBoundLeases() {
		req = proto.Clone(req)
		mapLeases(req, s.realLease)
	}
	if answersLocally(o.Kind, req) {
		if err := s.catchUp(ctx, o.Gateway); err != nil {
			return answerOf(nil, err)
		}
	}
	a := s.send(s.as(ctx, o.As), o, req)
	if a.ok() && s.hasBoundLeases() {
		mapLeases(a.msg, s.symbolOf)
	}
	return a
}

// answersLocally reports whether an etcd member answers from its own state.
func answersLocally(k Kind, req proto.Message) bool {
	switch k {
	case KindRange, KindRangeStream:
		return req.(*pb.RangeRequest).Serializable
	case KindTxn, KindKeepAlive, KindTTL, KindLeases, KindGrant, KindFlash, KindRevoke:
		return true
	}
	return false
}

func (s *side) send(ctx context.Context, o Op, req proto.Message) answer {
	if o.JSON {
		return s.post(ctx, o, req)
	}
	conn := s.conn(o.Gateway)
	kv, lease := pb.NewKVClient(conn), pb.NewLeaseClient(conn)
	switch r := req.(type) {
	case *pb.RangeRequest:
		if o.Kind == KindRangeStream {
			return rangeStream(ctx, kv, r)
		}
		return reply(kv.Range(ctx, r))
	case *pb.PutRequest:
		if o.Kind == KindRaw {
			return sendRaw(ctx, conn, string(r.Key), r.Value)
		}
		return reply(kv.Put(ctx, r))
	case *pb.DeleteRangeRequest:
		return reply(kv.DeleteRange(ctx, r))
	case *pb.TxnRequest:
		return reply(kv.Txn(ctx, r))
	case *pb.CompactionRequest:
		return reply(kv.Compact(ctx, r))
	case *pb.LeaseGrantRequest:
		return reply(lease.LeaseGrant(ctx, r))
	case *pb.LeaseRevokeRequest:
		return reply(lease.LeaseRevoke(ctx, r))
	case *pb.LeaseTimeToLiveRequest:
		return reply(lease.LeaseTimeToLive(ctx, r))
	case *pb.LeaseLeasesRequest:
		return reply(lease.LeaseLeases(ctx, r))
	case *pb.LeaseKeepAliveRequest:
		return keepAlive(ctx, lease, r)
	}
	return s.invoke(ctx, o, req)
}

func reply[M proto.Message](m M, err error) answer { return answerOf(m, err) }

func keepAlive(ctx context.Context, c pb.LeaseClient, r *pb.LeaseKeepAliveRequest) answer {
	st, err := c.LeaseKeepAlive(ctx)
	if err != nil {
		return answerOf(nil, err)
	}
	if err := st.Send(r); err != nil && !errors.Is(err, io.EOF) {
		return answerOf(nil, err)
	}
	m, err := st.Recv()
	_ = st.CloseSend() // the answer is here; ctx ends the stream
	return answerOf(m, err)
}

// rangeStream merges the chunks into the answer that Range would have given.
func rangeStream(ctx context.Context, c pb.KVClient, r *pb.RangeRequest) answer {
	st, err := c.RangeStream(ctx, r)
	if err != nil {
		return answerOf(nil, err)
	}
	var (
		merged pb.RangeResponse
		note   string
		last   *pb.RangeResponse
	)
	for {
		chunk, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return answer{msg: &merged, note: note}
		}
		if err != nil {
			return answerOf(nil, err)
		}
		if last != nil && (last.Header != nil || last.More || last.Count != 0) {
			note = "header, more or count on a chunk that is not the last"
		}
		last = chunk.RangeResponse
		proto.Merge(&merged, last)
	}
}

// rawCodec passes bytes through as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// sendRaw sends bytes that need not be a message to a method that need not exist.
func sendRaw(ctx context.Context, conn *grpc.ClientConn, method string, body []byte) answer {
	var out []byte
	err := conn.Invoke(ctx, method, body, &out, grpc.ForceCodecV2(rawCodec{}))
	a := answerOf(&pb.PutRequest{Value: out}, err)
	if strings.Contains(a.text, "unmarshal") {
		// The words about bytes that are no message belong to the gRPC and
		// protobuf libraries, whose versions may differ.
		a.text = "(not a message)"
	}
	return a
}
