package rangeraft

import (
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// accepts reports whether apply takes a command: its term is the entry's, its
// generation the descriptor's, and the batch it was evaluated after is the
// last one applied (P12). It is a function of the log alone, so every replica
// decides alike.
func accepts(st *storage.AppliedState, desc *pontoonpb.Descriptor, entryTerm proto.Term, cmd *pontoonpb.Command) bool {
	if proto.Term(cmd.Term) != entryTerm || cmd.Generation != desc.GetGeneration() {
		return false
	}
	last := uint64(0)
	if st.BatchTerm == entryTerm {
		last = st.Batch
	}
	return cmd.Predecessor == last && cmd.Batch > last
}
