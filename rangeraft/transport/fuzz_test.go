package transport

import (
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// FuzzCodec decodes what may be any message between nodes, and encodes it again.
func FuzzCodec(f *testing.F) {
	b, err := (&pontoonpb.OpFrame{Calls: []*pontoonpb.OpCall{{Id: 1, Op: &pontoonpb.RangeOp{RangeId: 3}}}}).MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	for kind := range uint8(8) {
		f.Add(kind, b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		m := []any{
			&pontoonpb.OpFrame{}, &pontoonpb.OpReplyFrame{}, &pontoonpb.RaftFrame{}, &pontoonpb.SnapshotChunk{},
			&pontoonpb.FeedMessage{}, &pontoonpb.FeedRequest{}, &pontoonpb.JoinRequest{}, &pontoonpb.JoinReply{},
		}[kind%8]
		if Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m) != nil {
			return
		}
		if _, err := Codec().Marshal(m); err != nil {
			t.Fatal(err)
		}
	})
}
