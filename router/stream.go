package router

import (
	"bytes"
	"context"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// firstChunk is how many keys the first message of a stream holds; later ones
// double or halve towards the request size limit.
const firstChunk = 10

// RangeStream implements etcdserverpb.KVServer: chunks in key order, all read
// at the revision of the first; header, more and count come with the last.
func (kv *KV) RangeStream(r *pb.RangeRequest, out pb.KV_RangeStreamServer) error {
	if err := etcdop.CheckRangeStream(r); err != nil {
		return err
	}
	ctx := out.Context()
	s := &stream{kv: kv, r: cloneRange(r), out: out}
	s.r.Serializable = false
	first := func(ctx context.Context, at Read, local bool) (err error) {
		s.at, s.local = at, local
		s.chunk, err = kv.rangeAt(ctx, s.ask(min(firstChunk, s.left())), at, local)
		return err
	}
	bounded, cancel := kv.bounded(ctx)
	defer cancel()
	var err error
	if r.Serializable {
		err = kv.serializable(bounded, []proto.Span{keys.UserRangeSpan(r.Key, r.RangeEnd)}, r.Revision, first)
	} else {
		err = kv.linearizable(bounded, first)
	}
	if err == nil {
		err = s.run(ctx)
	}
	return clientError(ctx, err)
}

// stream is one RangeStream call.
type stream struct {
	kv    *KV
	r     *pb.RangeRequest // Key moves on
	out   pb.KV_RangeStreamServer
	at    Read
	local bool
	sent  int64
	chunk *pb.RangeResponse // to be sent
}

// left is how many keys the client still wants.
func (s *stream) left() int64 {
	if s.r.Limit <= 0 {
		return math.MaxInt64
	}
	return s.r.Limit - s.sent
}

// ask is the request for the next chunk.
func (s *stream) ask(limit int64) *pb.RangeRequest {
	r := cloneRange(s.r)
	r.Limit = limit
	if r.Revision <= 0 && s.sent > 0 {
		r.Revision = int64(s.at.Revision) // pinned by the first chunk
	}
	return r
}

func (s *stream) run(ctx context.Context) error {
	for limit := min(firstChunk, s.left()); ; {
		var err error
		done, size := !s.chunk.More, gproto.Size(s.chunk)
		s.sent += int64(len(s.chunk.Kvs))
		done = done || s.left() == 0
		msg := &pb.RangeResponse{Kvs: s.chunk.Kvs}
		if done {
			msg.Header = s.kv.fill(nil, s.at.Revision)
			msg.More = s.chunk.More
			if msg.Count, err = s.count(ctx); err != nil {
				return err
			}
		}
		if err := s.out.Send(&pb.RangeStreamResponse{RangeResponse: msg}); err != nil || done {
			return err
		}
		limit = min(nextChunk(limit, size, s.kv.maxBytes), s.left())
		s.r.Key = s.nextKey()
		if s.chunk, err = s.kv.rangeAt(ctx, s.ask(limit), s.at, s.local); err != nil {
			return err
		}
	}
}

// nextKey is where the chunk after this one starts.
func (s *stream) nextKey() []byte {
	return append(bytes.Clone(s.chunk.Kvs[len(s.chunk.Kvs)-1].Key), 0)
}

// count is what has been sent and what would follow. As in etcd that is after
// the last key sent, also where a chunk was not sorted by key.
func (s *stream) count(ctx context.Context) (int64, error) {
	switch {
	case !s.chunk.More && len(s.chunk.Kvs) > 0:
		return s.sent, nil
	case s.r.SortTarget == pb.RangeRequest_KEY || !s.chunk.More:
		return s.sent - int64(len(s.chunk.Kvs)) + s.chunk.Count, nil
	}
	r := s.ask(0)
	r.Key, r.CountOnly = s.nextKey(), true
	rest, err := s.kv.rangeAt(ctx, r, s.at, s.local)
	if err != nil {
		return 0, err
	}
	return s.sent + rest.Count, nil
}

// nextChunk brings chunks near the target size without swinging around it.
func nextChunk(limit int64, size, target int) int64 {
	switch {
	case size < target/2:
		limit *= 2
	case size > 2*target:
		limit /= 2
	}
	return max(limit, 1)
}
