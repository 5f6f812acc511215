package evaluator

import (
	"bytes"
	"encoding/binary"

	"github.com/google/btree"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// overlay holds what the batches that are not applied yet write: it is read
// before the engine, and an entry goes only when its apply is visible (P16).
//
//	key a   [batch 7: put] [batch 9: tombstone]   newest is what is seen
//	key b   [batch 8: put]
//
// Applying removes from the left, undoing from the right.
type overlay struct {
	versions *btree.BTreeG[*overlaid]
	records  map[string][]recordVersion
	touched  map[uint64]*touched // by batch
}

type overlaid struct {
	key    []byte // internal
	stages []keyVersion
}

type keyVersion struct {
	batch   uint64
	kv      *mvccpb.KeyValue // nil: tombstone
	wasLive bool             // before this batch
}

type recordVersion struct {
	batch uint64
	value []byte // nil: deleted
}

// touched lists what a batch wrote, each once.
type touched struct {
	versions []*overlaid
	records  []string
}

func newOverlay() *overlay {
	return &overlay{
		versions: newTree(func(a, b *overlaid) bool { return bytes.Compare(a.key, b.key) < 0 }),
		records:  map[string][]recordVersion{},
		touched:  map[uint64]*touched{},
	}
}

// newTree returns a tree that costs next to nothing while it is empty: most
// ranges are idle.
func newTree[T any](less btree.LessFunc[T]) *btree.BTreeG[T] {
	return btree.NewWithFreeListG(16, less, btree.NewFreeListG[T](sparesOfTree))
}

// sparesOfTree is how many emptied nodes a tree keeps for use again.
const sparesOfTree = 2

func (o *overlay) touch(batch uint64) *touched {
	t := o.touched[batch]
	if t == nil {
		t = &touched{}
		o.touched[batch] = t
	}
	return t
}

// setVersion shows a PUT or DELETE of the newest batch.
func (o *overlay) setVersion(batch uint64, f *pontoonpb.Effect) {
	var kv *mvccpb.KeyValue
	wasLive := f.Fresh
	if f.Kind == pontoonpb.EffectKind_EFFECT_PUT {
		key, _ := keys.UserKey(f.Key)
		kv = &mvccpb.KeyValue{
			Key: key, Value: f.Value, Lease: f.Lease, Version: f.Version,
			CreateRevision: f.CreateRevision, ModRevision: f.Rev,
		}
		wasLive = !f.Fresh
	}
	d, ok := o.versions.Get(&overlaid{key: f.Key})
	if !ok {
		d = &overlaid{key: f.Key}
		o.versions.ReplaceOrInsert(d)
	}
	if n := len(d.stages); n > 0 && d.stages[n-1].batch == batch {
		d.stages[n-1].kv = kv
		return
	}
	d.stages = append(d.stages, keyVersion{batch: batch, kv: kv, wasLive: wasLive})
	t := o.touch(batch)
	t.versions = append(t.versions, d)
}

// setRecord shows a LOCAL_PUT or LOCAL_DELETE of the newest batch.
func (o *overlay) setRecord(batch uint64, f *pontoonpb.Effect) {
	name := recordName(f.Space, f.Key, f.Suffix)
	var value []byte
	if f.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_PUT {
		value = append([]byte{}, f.Value...)
	}
	stages := o.records[name]
	if n := len(stages); n > 0 && stages[n-1].batch == batch {
		stages[n-1].value = value
		return
	}
	o.records[name] = append(stages, recordVersion{batch: batch, value: value})
	t := o.touch(batch)
	t.records = append(t.records, name)
}

func recordName(space pontoonpb.Space, key, suffix []byte) string {
	name := binary.BigEndian.AppendUint32([]byte{byte(space)}, uint32(len(key)))
	return string(append(append(name, key...), suffix...))
}

// get returns the newest version in flight of an internal key.
func (o *overlay) get(key []byte) (kv *mvccpb.KeyValue, ok bool) {
	d, ok := o.versions.Get(&overlaid{key: key})
	if !ok {
		return nil, false
	}
	return d.newest().kv, true
}

func (d *overlaid) newest() keyVersion { return d.stages[len(d.stages)-1] }

// record returns the newest value in flight of a record; value nil with ok is
// a deletion.
func (o *overlay) record(space pontoonpb.Space, key, suffix []byte) (value []byte, ok bool) {
	stages := o.records[recordName(space, key, suffix)]
	if len(stages) == 0 {
		return nil, false
	}
	return stages[len(stages)-1].value, true
}

// within returns what is in flight in span, in key order.
func (o *overlay) within(span proto.Span) []*overlaid {
	if o.versions.Len() == 0 || span.Empty() {
		return nil
	}
	var out []*overlaid
	o.versions.AscendRange(&overlaid{key: span.Start}, &overlaid{key: span.End}, func(d *overlaid) bool {
		out = append(out, d)
		return true
	})
	return out
}

// bind replaces the placeholders of a batch.
func (o *overlay) bind(b *batch, first int64) {
	for _, d := range o.touch(b.id).versions {
		s := &d.stages[len(d.stages)-1]
		s.kv = etcdop.PatchKeyValue(s.kv, first)
	}
}

// applied removes the oldest batch, whose versions the engine has and keep takes.
func (o *overlay) applied(b *batch, keep func(key []byte, kv *mvccpb.KeyValue)) {
	t := o.touched[b.id]
	if t == nil {
		return
	}
	delete(o.touched, b.id)
	for _, d := range t.versions {
		invariant(d.stages[0].batch == b.id, "the overlay drops the oldest batch first")
		keep(d.key, d.stages[0].kv)
		if d.stages = d.stages[1:]; len(d.stages) == 0 {
			o.versions.Delete(d)
		}
	}
	for _, name := range t.records {
		if o.records[name] = o.records[name][1:]; len(o.records[name]) == 0 {
			delete(o.records, name)
		}
	}
}

// undo removes the newest batch.
func (o *overlay) undo(b *batch) {
	t := o.touched[b.id]
	if t == nil {
		return
	}
	delete(o.touched, b.id)
	for _, d := range t.versions {
		invariant(d.newest().batch == b.id, "the overlay takes back the newest batch first")
		if d.stages = d.stages[:len(d.stages)-1]; len(d.stages) == 0 {
			o.versions.Delete(d)
		}
	}
	for _, name := range t.records {
		if o.records[name] = o.records[name][:len(o.records[name])-1]; len(o.records[name]) == 0 {
			delete(o.records, name)
		}
	}
}
