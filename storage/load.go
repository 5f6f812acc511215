package storage

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// LoadVersion writes a version while no range holds its key yet: data is
// addressed by key, so the ranges may be made once all is there.
func (b *Batch) LoadVersion(v *Version) error { return b.setVersion(v) }

// LoadLease writes the index entry that attaches a key to a lease, likewise.
func (b *Batch) LoadLease(key []byte, lease proto.LeaseID) error {
	b.buf = enginekey.AppendLease(b.buf[:0], key, lease)
	return wrap("load", b.b.Set(b.buf, nil, nil))
}

// LoadLocal writes an unversioned record, likewise.
func (b *Batch) LoadLocal(s pontoonpb.Space, key, suffix, value []byte) error {
	t, ok := enginekey.Local(s)
	if !ok || len(suffix) > enginekey.MaxSuffix {
		return fmt.Errorf("storage: record of space %d with a suffix of %d bytes", s, len(suffix))
	}
	b.buf = enginekey.AppendSuffixed(b.buf[:0], t, key, suffix)
	return wrap("load", b.b.Set(b.buf, value, nil))
}
