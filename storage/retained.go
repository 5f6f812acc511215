package storage

import (
	"bytes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// Retained calls fn for every version of the span that a store at rev holds
// once everything below floor is dropped, as a backup has them (P44): all changes
// from floor to rev, tombstones included, and of each other key the newest version below floor if
// it is live. By key, newest first; newest marks the last change of its key at
// rev. What it yields does not depend on how far dropping came (P41, P43). The
// version and its bytes are valid until fn returns.
func (v *View) Retained(span proto.Span, rev, floor proto.Revision, fn func(ver *Version, newest bool) error) error {
	if span.Empty() {
		return nil
	}
	it, err := v.spanIter(enginekey.Versions, span)
	if err != nil {
		return err
	}
	defer it.Close()
	var ver Version
	var prefix []byte
	seen, settled := false, false // of this key: a version at or below rev, one at floor
	for ok := it.First(); ok; {
		k := it.Key()
		n := enginekey.Split(k)
		if !bytes.Equal(prefix, k[:n]) {
			prefix, seen, settled = append(prefix[:0], k[:n]...), false, false
		}
		if err := v.versionAt(it, &ver); err != nil {
			return err
		}
		if ver.ModRevision > rev {
			ok = it.Next()
			continue
		}
		if ver.ModRevision >= floor || !settled && !ver.Tombstone {
			ver.Key = k[1 : n-1]
			if err := fn(&ver, !seen); err != nil {
				return err
			}
		}
		seen, settled = true, settled || ver.ModRevision == floor
		if ver.ModRevision < floor {
			ok = it.NextPrefix()
		} else {
			ok = it.Next()
		}
	}
	return wrap("scan versions", it.Error())
}
