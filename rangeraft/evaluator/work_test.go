package evaluator

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// simWrite is a write of a client with its answer.
type simWrite struct {
	op    *pb.RequestOp
	min   int64 // highest number shown before it was submitted
	reply *pontoonpb.RangeReply
	lease int64
}

// simRead is a read at rev with what it saw.
type simRead struct {
	span proto.Span
	rev  int64
	got  []*mvccpb.KeyValue
	ok   bool
}

type simLease struct {
	id       int64
	granted  bool
	used     bool // some put named it
	revoking bool
	revoked  bool
}

const letters = "abcdefgh"

func (s *sim) key() string {
	i := s.rnd.IntN(len(letters))
	return letters[i : i+1]
}

// bounds returns a user span inside one range.
func (s *sim) bounds() (r *simRange, start, end string) {
	start, end = s.key(), s.key()
	if start > end {
		start, end = end, start
	}
	r = s.at(user(start))
	if e := r.m.desc.Span.End; string(e) < string(user(end)) {
		end = string(e[1:])
	}
	return r, start, end
}

func (s *sim) newWork(i int) {
	switch n := s.rnd.IntN(20); {
	case n < 9:
		s.newWrite(i)
	case n < 12:
		s.newRead()
	case n < 15:
		s.newTxn(i)
	case n < 17 && (len(s.leases) < 4 || s.chance(20)):
		s.newLease()
	case n == 17:
		s.newRevoke()
	case n == 18 && len(s.ranges) < 6 && s.chance(15):
		k := s.key()
		r := s.at(user(k))
		s.send(r, split(k), nil, func(*pontoonpb.RangeReply) {})
	}
}

func (s *sim) newWrite(i int) {
	k, value := s.key(), fmt.Sprint("w", i)
	r := s.at(user(k))
	w := &simWrite{op: putReq(k, value, 0)}
	get := rangeReq(k, 0)
	switch s.rnd.IntN(14) {
	case 0:
		w.op.GetRequestPut().PrevKv = true
	case 1:
		w.op = delReq(k, "")
	case 2:
		var start, end string
		r, start, end = s.bounds()
		w.op = delReq(start, end)
	case 3, 7, 8, 9, 10, 11:
		if id := s.someLease(); id != 0 {
			w.op.GetRequestPut().Lease, w.lease = id, id
		}
	case 4:
		c := modIs(k, int64(s.rnd.IntN(int(s.next)+3)))
		c.Result = pb.Compare_GREATER
		w.op = txn(c, []*pb.RequestOp{delReq(k, ""), get}, []*pb.RequestOp{putReq(k, value, 0), get}).GetWrite().Request
	case 5:
		_, start, end := s.boundsOf(r)
		all := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(start), RangeEnd: []byte(end)}}}
		w.op = txn(&pb.Compare{
			Key: []byte(k), Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: 1},
		}, []*pb.RequestOp{all}, []*pb.RequestOp{all, putReq(k, value, 0), all}).GetWrite().Request
	case 6:
		old := rangeReq(k, 1+int64(s.rnd.IntN(int(s.next))))
		w.op = txn(nil, []*pb.RequestOp{old, putReq(k, value, 0)}, nil).GetWrite().Request
	}
	s.writes = append(s.writes, w)
	s.send(r, writeOp(w.op), func() { w.min = s.maxHeader }, func(reply *pontoonpb.RangeReply) {
		w.reply = reply
		if l := s.leases[w.lease]; l != nil && reply.Error == nil {
			l.used = true
		}
	})
}

// boundsOf returns a user span inside the range.
func (s *sim) boundsOf(r *simRange) (*simRange, string, string) {
	start := max(string(r.m.desc.Span.Start[1:]), "a")
	end := "z"
	if e, ok := keys.UserKey(r.m.desc.Span.End); ok {
		end = string(e)
	}
	return r, start, end
}

func (s *sim) newRead() {
	r, start, end := s.bounds()
	q := &simRead{span: spanOf(start, end), rev: int64(s.next - 1)}
	s.reads = append(s.reads, q)
	s.later(func() {
		if r.ev == nil {
			return
		}
		r.seen = max(r.seen, proto.Revision(q.rev))
		s.ids++
		done := func(err error) {
			if q.ok = err == nil; q.ok {
				q.got = r.m.live(q.span, q.rev)
			}
		}
		s.readsOpen[s.ids] = done
		if id := s.ids; r.ev.AdmitRead(id, q.span, proto.Revision(q.rev), nil) {
			delete(s.readsOpen, id)
			done(nil)
		}
	})
}

func (s *sim) someLease() int64 {
	for id := int64(len(s.leases)); id > 0; id-- {
		if l := s.leases[id]; l.granted && s.chance(50) {
			return id
		}
	}
	return 0
}

func (s *sim) newLease() {
	l := &simLease{id: int64(len(s.leases) + 1)}
	s.leases[l.id] = l
	s.send(s.ranges[0], grantLease(l.id), nil, func(reply *pontoonpb.RangeReply) { l.granted = reply.Error == nil })
}

// register asks the home range, as the driver does.
func (r *simRange) register(a NeedRegistration) {
	ev := r.ev
	r.s.send(r.s.ranges[0], registerLease(int64(a.Lease), a.Span), nil, func(reply *pontoonpb.RangeReply) {
		if r.ev != ev {
			return
		}
		err := proto.FromWire(reply.Error)
		found := err == nil
		if proto.HasCode(err, pontoonpb.RangeErrorCode_ETCD) {
			err = nil // not found
		}
		ev.Registered(a.Token, reply.GetLease().GetRecord().GetIncarnation(), found, err)
		r.drain()
	})
}
