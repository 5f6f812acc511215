package rangeraft

import (
	"encoding/binary"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// tellLessor hands the lease records of the range to the lessor, and the
// revocations that were begun before (P39). In a term in which it did so
// already this tells of a narrower span; leases that stay keep their time.
func (r *Replica) tellLessor() {
	span := r.span().Intersect(keys.LeaseSpan)
	if r.s.opts.Lessor == nil || span.Empty() {
		return
	}
	var records []*pontoonpb.LeaseRecord
	v, err := r.state0.view()
	if err == nil {
		err = v.Local(pontoonpb.Space_SPACE_SYS, span, func(rec storage.LocalRecord) (bool, error) {
			l := &pontoonpb.LeaseRecord{}
			records = append(records, l)
			return true, l.UnmarshalVT(rec.Value)
		})
	}
	if err != nil {
		r.s.fault("read the lease records of a range", err)
		return
	}
	r.lessor = true
	r.s.opts.Lessor.Gained(r.id, r.leaderTerm, span, records)
	r.ev.ResumeRevokes()
}

func (r *Replica) tellDirectory(d *pontoonpb.Descriptor) {
	if r.s.opts.Directory != nil {
		r.s.opts.Directory.Changed(d)
	}
}

func (r *Replica) tellRootGained() {
	if r.id != proto.RootRange || r.s.opts.Root == nil {
		return
	}
	limit, epochs, err := r.rootRecords()
	if err != nil {
		r.s.fault("read the root records", err)
		return
	}
	r.s.opts.Root.Gained(r.leaderTerm, r.leaseCheck(r.leaderTerm), limit, epochs)
}

func (r *Replica) tellRootApplied() {
	if r.s.opts.Root == nil {
		return
	}
	limit, epochs, err := r.rootRecords()
	if err != nil {
		r.s.fault("read the root records", err)
		return
	}
	r.s.opts.Root.Applied(limit, epochs)
}

// rootRecords reads what the log says last of limit and epochs (P6).
func (r *Replica) rootRecords() (limit proto.Revision, ep Epochs, err error) {
	number := func(key []byte, absent uint64) uint64 {
		if err != nil {
			return 0
		}
		var b []byte
		if b, err = r.state0.Local(pontoonpb.Space_SPACE_SYS, key, nil); err != nil || len(b) != 8 {
			return absent
		}
		return binary.BigEndian.Uint64(b)
	}
	limit = proto.Revision(number(keys.SequencerLimit, uint64(proto.FirstRevision)))
	never := proto.NeverCompacted
	ep.Floor = proto.Revision(number(keys.Floor, uint64(never)))
	ep.Auth = number(keys.AuthEpoch, 0)
	ep.Alarm = number(keys.AlarmEpoch, 0)
	return limit, ep, err
}
