package evaluator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	gproto "google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// history is the final state of all ranges, read as the one order that every
// answer must agree with.
type history struct {
	m  *machine
	at int64 // the latest state, as the view shows it
}

func (s *sim) history() *history {
	m := newMachine(nil)
	for _, r := range s.ranges {
		maps.Copy(m.versions, r.m.versions)
	}
	return &history{m: m}
}

func (h *history) Get(key []byte) (*mvccpb.KeyValue, error) {
	for _, kv := range h.m.live(keys.Point(keys.User(key)), h.at) {
		return kv, nil
	}
	return nil, nil
}

func (h *history) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	if rev == 0 {
		rev = h.at
	}
	for _, kv := range h.m.live(keys.UserRangeSpan(key, end), rev) {
		if !fn(kv) {
			break
		}
	}
	return nil
}

func (h *history) Count(key, end []byte, rev int64) (int64, error) {
	n := int64(0)
	err := h.Scan(key, end, rev, func(*mvccpb.KeyValue) bool { n++; return true })
	return n, err
}

func (h *history) LeaseUsable(proto.LeaseID, []byte) etcdop.LeaseState { return etcdop.LeaseYes }
func (h *history) Floor() int64                                        { return int64(proto.NeverCompacted) }
func (h *history) Seen() int64                                         { return h.at }

// check compares every answer with the one order of revisions.
func (s *sim) check() {
	h := s.history()
	s.checkChains(h)
	for _, w := range s.writes {
		s.checkWrite(h, w)
	}
	for _, q := range s.reads {
		if !q.ok {
			continue
		}
		if got, want := show(q.got), show(h.m.live(q.span, q.rev)); got != want {
			s.t.Errorf("P20: read of %q at %d saw %s, finally %s", q.span, q.rev, got, want)
		}
	}
	s.checkTxns(h)
	s.checkLeases(h)
}

func show(kvs []*mvccpb.KeyValue) string {
	var b strings.Builder
	for _, kv := range kvs {
		fmt.Fprintf(&b, "%s=%s@%d ", kv.Key, kv.Value, kv.ModRevision)
	}
	return b.String()
}

// checkWrite evaluates the write again over the state before its revision: the
// answer must be the same. Together with the order of revisions in time that
// is linearizability.
func (s *sim) checkWrite(h *history, w *simWrite) {
	if w.reply == nil {
		s.t.Errorf("%v was never answered", w.op)
		return
	}
	if re := w.reply.Error; re != nil {
		if l := s.leases[w.lease]; l != nil && strings.Contains(re.Message, "lease not found") && !l.revoking && !l.revoked {
			s.t.Errorf("P38: lease %d is called unknown", l.id)
		}
		return
	}
	rev := w.reply.GetWrite().Revision
	h.at = rev
	if wrote(h, rev) && mutates(w.reply) {
		h.at = rev - 1
		if rev <= w.min {
			s.t.Errorf("%v got revision %d, but %d was shown before it came", w.op, rev, w.min)
		}
	} else if rev < w.min {
		s.t.Errorf("%v shows header %d, but %d was shown before it came", w.op, rev, w.min)
	}
	got, err := etcdop.Eval(h, h.at+1, w.op)
	if err != nil {
		s.t.Errorf("%v at %d: %v", w.op, rev, err)
		return
	}
	if !gproto.Equal(got.Response, w.reply.GetWrite().Response) {
		s.t.Errorf("%v at %d answered\n%s, by the order of revisions\n%s", w.op, rev,
			prototext.Format(w.reply.GetWrite().Response), prototext.Format(got.Response))
	}
}

// mutates: what the answer shows took a number of its own.
func mutates(reply *pontoonpb.RangeReply) bool {
	resp := reply.GetWrite().Response
	if d := resp.GetResponseDeleteRange(); d != nil {
		return d.Deleted > 0
	}
	if t := resp.GetResponseTxn(); t != nil {
		for _, r := range t.Responses {
			if r.GetResponsePut() != nil || r.GetResponseDeleteRange().GetDeleted() > 0 {
				return true
			}
		}
		return false
	}
	return true
}

// wrote reports whether some version has the revision.
func wrote(h *history, rev int64) bool {
	for _, vs := range h.m.versions {
		if slices.ContainsFunc(vs, func(v version) bool { return v.rev == rev }) {
			return true
		}
	}
	return false
}

// checkChains: each key's versions count up and keep their create revision, so
// no effect was computed over a state that never was; and one revision belongs
// to one request (values are unique).
func (s *sim) checkChains(h *history) {
	value := map[int64]string{}
	for k, vs := range h.m.versions {
		var prev *mvccpb.KeyValue
		last := int64(0)
		for _, v := range vs {
			if v.rev == last {
				s.t.Errorf("%q has two versions at %d", k, v.rev)
			}
			if v.kv == nil && prev == nil {
				s.t.Errorf("%q is deleted at %d while it is not live", k, v.rev)
			}
			if kv := v.kv; kv != nil {
				want, create := int64(1), v.rev
				if prev != nil {
					want, create = prev.Version+1, prev.CreateRevision
				}
				if kv.Version != want || kv.CreateRevision != create {
					s.t.Errorf("%q at %d has version %d, created at %d; want %d, %d", k, v.rev, kv.Version, kv.CreateRevision, want, create)
				}
				if o, ok := value[v.rev]; ok && o != string(kv.Value) {
					s.t.Errorf("revision %d belongs to %s and %s", v.rev, o, kv.Value)
				}
				value[v.rev] = string(kv.Value)
			}
			prev, last = v.kv, v.rev
		}
	}
}

// checkTxns: a committed txn's effects are all there, what it read was still so
// at its revision, and an aborted one left nothing.
func (s *sim) checkTxns(h *history) {
	for _, t := range s.txns {
		if t.revoke != nil {
			continue
		}
		found := 0
		for _, vs := range h.m.versions {
			for _, v := range vs {
				if v.kv != nil && string(v.kv.Value) == t.value {
					found++
					if t.rev != 0 && v.rev != t.rev {
						s.t.Errorf("txn %s committed at %d wrote at %d", t.value, t.rev, v.rev)
					}
				}
			}
		}
		switch {
		case t.rev == 0 && found > 0 && !t.asked:
			s.t.Errorf("txn %s was never committed and wrote", t.value)
		case found != 0 && found != len(t.effects), t.rev != 0 && found == 0:
			s.t.Errorf("txn %s at %d wrote %d of %d effects", t.value, t.rev, found, len(t.effects))
		}
		if t.rev == 0 {
			continue
		}
		for k, kv := range t.read {
			h.at = t.rev - 1
			now, _ := h.Get([]byte(k))
			if now.GetModRevision() != kv.GetModRevision() {
				s.t.Errorf("txn %s at %d read %s at %d under lock, before it was %d", t.value, t.rev, k, kv.GetModRevision(), now.GetModRevision())
			}
		}
	}
}

// checkLeases: nothing stays attached to a lease that was revoked, and no
// registration of it is left.
func (s *sim) checkLeases(h *history) {
	for _, kv := range h.m.live(keys.UserSpan, 0) {
		if kv.Lease != 0 && s.leases[kv.Lease].revoked {
			s.t.Errorf("P37: %s is attached to lease %d, which is revoked", kv.Key, kv.Lease)
		}
	}
	for _, r := range s.ranges {
		for _, l := range r.m.locals {
			reg := &pontoonpb.LeaseRegistration{}
			if l.space == pontoonpb.Space_SPACE_REG && reg.UnmarshalVT(l.value) == nil && s.leases[reg.Lease].revoked {
				s.t.Errorf("P37: range %d still has lease %d registered", r.m.desc.RangeId, reg.Lease)
			}
		}
	}
}

// checkDense: without faults every number granted was used by one request.
func (s *sim) checkDense() {
	used := map[int64]bool{}
	for _, vs := range s.history().m.versions {
		for _, v := range vs {
			used[v.rev] = true
		}
	}
	for rev := int64(2); rev < int64(s.next); rev++ {
		if !used[rev] {
			s.t.Errorf("S3: revision %d was granted and not used", rev)
		}
	}
	if int64(len(used)) != s.granted {
		s.t.Errorf("S3: %d numbers granted, %d used", s.granted, len(used))
	}
}
