package rangeraft

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// P12: apply takes a command only in its term, generation and place.
func TestAccepts_P12(t *testing.T) {
	desc := &pontoonpb.Descriptor{Generation: 3}
	in5 := &storage.AppliedState{Term: 5, BatchTerm: 5, Batch: 8}
	for _, tc := range []struct {
		name  string
		st    *storage.AppliedState
		entry proto.Term
		cmd   *pontoonpb.Command
		want  bool
	}{
		{"next of the term", in5, 5, &pontoonpb.Command{Term: 5, Generation: 3, Batch: 9, Predecessor: 8}, true},
		{"ids may have holes", in5, 5, &pontoonpb.Command{Term: 5, Generation: 3, Batch: 12, Predecessor: 8}, true},
		{"evaluated in 5, proposed in 7", in5, 7, &pontoonpb.Command{Term: 5, Generation: 3, Batch: 9, Predecessor: 8}, false},
		{"first of a new term", in5, 7, &pontoonpb.Command{Term: 7, Generation: 3, Batch: 1}, true},
		{"after a batch that was dropped", in5, 5, &pontoonpb.Command{Term: 5, Generation: 3, Batch: 11, Predecessor: 10}, false},
		{"repeated", in5, 5, &pontoonpb.Command{Term: 5, Generation: 3, Batch: 8, Predecessor: 7}, false},
		{"predecessor of another term", in5, 7, &pontoonpb.Command{Term: 7, Generation: 3, Batch: 9, Predecessor: 8}, false},
		{"evaluated before a split", in5, 5, &pontoonpb.Command{Term: 5, Generation: 2, Batch: 9, Predecessor: 8}, false},
	} {
		if got := accepts(tc.st, desc, tc.entry, tc.cmd); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
