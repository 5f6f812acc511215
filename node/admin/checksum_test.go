package admin

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func checksums(pairs ...uint64) (out []*pontoonpb.ChecksumReply) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, &pontoonpb.ChecksumReply{Index: pairs[i], Sum: pairs[i+1]})
	}
	return out
}

func TestChecksumsAreComparedAtOneIndex(t *testing.T) {
	for name, test := range map[string]struct {
		sums  map[proto.NodeID][]*pontoonpb.ChecksumReply
		equal bool
	}{
		"equal":           {map[proto.NodeID][]*pontoonpb.ChecksumReply{1: checksums(7, 42), 2: checksums(7, 42)}, true},
		"one lags behind": {map[proto.NodeID][]*pontoonpb.ChecksumReply{1: checksums(7, 42), 2: checksums(6, 41, 7, 42)}, true},
		"they differ":     {map[proto.NodeID][]*pontoonpb.ChecksumReply{1: checksums(7, 42), 2: checksums(7, 43)}, false},
		"one is down":     {map[proto.NodeID][]*pontoonpb.ChecksumReply{1: checksums(7, 42)}, false},
		"never together":  {map[proto.NodeID][]*pontoonpb.ChecksumReply{1: checksums(7, 42), 2: checksums(9, 42)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{sums: test.sums, nodes: map[proto.NodeID]*pontoonpb.DescribeReply{
				1: {Ranges: []*pontoonpb.RangeStatus{replica(4, 1, 1, 5, "b")}},
			}}
			resp, err := (&Server{Cluster: f}).RangeChecksum(t.Context(), &pontoonpb.RangeChecksumRequest{RangeId: 4})
			if err != nil || len(resp.Replicas) != 2 || resp.Equal != test.equal {
				t.Fatalf("%v, %v", resp, err)
			}
			if raised := len(f.raised) > 0; raised != (name == "they differ") {
				t.Errorf("CORRUPT raised for %v", f.raised)
			}
		})
	}
}
