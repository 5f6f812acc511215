package restore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// batchBytes is how much is written at a time.
const batchBytes = 4 << 20

// loader writes into an engine that nobody uses yet.
type loader struct {
	engine *storage.Engine
	batch  *storage.Batch
	tell   func(step string, done, total int64)
	size   int64 // of the file
}

// full commits once there is enough; the last commit of all syncs.
func (l *loader) full(ctx context.Context) error {
	if l.batch.Len() < batchBytes {
		return nil
	}
	return l.commit(ctx)
}

func (l *loader) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := l.batch.Commit(false)
	l.batch = l.engine.NewBatch()
	return err
}

// versions copies all versions. No range is there yet: the engine brings them
// into key order.
func (l *loader) versions(ctx context.Context, file *etcdfile.File) (n int64, err error) {
	var read int64
	err = file.Versions(func(v etcdfile.Version) error {
		n++
		read += int64(len(v.KV.Key) + len(v.KV.Value))
		if n%1000 == 0 {
			l.tell("loading", min(read, l.size), l.size)
		}
		if v.Revision <= 0 || !v.Tombstone && v.KV.ModRevision != int64(v.Revision) {
			return fmt.Errorf("key %q at revision %d says %d", v.KV.Key, v.Revision, v.KV.ModRevision)
		}
		ver := storage.Version{
			Key: keys.User(v.KV.Key), ModRevision: v.Revision, Sub: v.Sub, Tombstone: v.Tombstone,
			CreateRevision: proto.Revision(v.KV.CreateRevision), Version: v.KV.Version,
			Lease: proto.LeaseID(v.KV.Lease), Value: v.KV.Value,
		}
		if v.Tombstone {
			ver.CreateRevision, ver.Version, ver.Lease, ver.Value = 0, 0, 0, nil
		}
		if err := l.batch.LoadVersion(&ver); err != nil {
			return err
		}
		return l.full(ctx)
	})
	if err == nil {
		err = l.commit(ctx)
		l.tell("loading", l.size, l.size)
	}
	return n, err
}

// piece is what becomes one range of the user span.
type piece struct {
	span   proto.Span
	keys   int64 // live
	leases map[proto.LeaseID]struct{}
}

// plan is how the data is divided.
type plan struct{ ranges []piece }

func (p *plan) keys() (n int64) {
	for _, r := range p.ranges {
		n += r.keys
	}
	return n
}

// survey walks the versions by key: it cuts ranges of about the given size,
// counts live keys and writes the lease index. A lease that the file does not
// have is not attached, as in etcd.
func (l *loader) survey(ctx context.Context, rangeBytes int64, c *etcdfile.Contents, total int64) (*plan, error) {
	view, err := l.engine.NewLongView()
	if err != nil {
		return nil, err
	}
	defer view.Close()
	known := map[proto.LeaseID]bool{}
	for _, lease := range c.Leases {
		known[lease.ID] = true
	}
	p := &plan{}
	cur := piece{span: keys.UserSpan, leases: map[proto.LeaseID]struct{}{}}
	var size, done int64
	err = view.Retained(keys.UserSpan, storage.Latest, proto.NeverCompacted, func(ver *storage.Version, newest bool) error {
		if done++; done%1000 == 0 {
			l.tell("dividing", done, total)
		}
		if newest && size >= rangeBytes {
			cut := bytes.Clone(ver.Key)
			cur.span.End = cut
			p.ranges = append(p.ranges, cur)
			cur = piece{span: proto.Span{Start: cut, End: keys.UserSpan.End}, leases: map[proto.LeaseID]struct{}{}}
			size = 0
		}
		size += int64(len(ver.Key) + len(ver.Value))
		if !newest || ver.Tombstone {
			return nil
		}
		cur.keys++
		if !known[ver.Lease] {
			return nil
		}
		cur.leases[ver.Lease] = struct{}{}
		if err := l.batch.LoadLease(ver.Key, ver.Lease); err != nil {
			return err
		}
		return l.full(ctx)
	})
	p.ranges = append(p.ranges, cur)
	return p, err
}

// incarnation of restored leases: they are the first under their ids here.
const incarnation = 1

// rest writes the records of leases and removes what other nodes hold.
func (l *loader) rest(ctx context.Context, p *plan, seeds []rangeraft.Seed, self proto.NodeID, c *etcdfile.Contents) error {
	registered := map[proto.LeaseID][]*pontoonpb.Span{}
	for _, r := range p.ranges {
		for id := range r.leases {
			registered[id] = append(registered[id], r.span.Wire())
			reg := &pontoonpb.LeaseRegistration{Lease: int64(id), Incarnation: incarnation, Span: r.span.Wire()}
			value, err := reg.MarshalVT()
			if err != nil {
				return err
			}
			suffix := binary.BigEndian.AppendUint64(nil, uint64(id))
			if err := l.batch.LoadLocal(pontoonpb.Space_SPACE_REG, r.span.Start, suffix, value); err != nil {
				return err
			}
			if err := l.full(ctx); err != nil {
				return err
			}
		}
	}
	for _, lease := range c.Leases {
		rec := &pontoonpb.LeaseRecord{
			Id: int64(lease.ID), TtlSeconds: lease.TTL, RemainingSeconds: lease.Remaining,
			Incarnation: incarnation, Registered: registered[lease.ID],
		}
		value, err := rec.MarshalVT()
		if err != nil {
			return err
		}
		if err := l.batch.LoadLocal(pontoonpb.Space_SPACE_SYS, keys.Lease(lease.ID), nil, value); err != nil {
			return err
		}
		if err := l.full(ctx); err != nil {
			return err
		}
	}
	for _, s := range seeds {
		if !holds(s.Desc, self) {
			if err := l.batch.ClearSpan(proto.SpanOf(s.Desc.Span)); err != nil {
				return err
			}
		}
	}
	return l.commit(ctx)
}

func holds(d *pontoonpb.Descriptor, self proto.NodeID) bool {
	for _, r := range d.Replicas {
		if proto.NodeID(r.NodeId) == self {
			return true
		}
	}
	return false
}
