package leaderlease

import (
	"bytes"
	"testing"
)

// FuzzID reads what may be the context of any heartbeat.
func FuzzID(f *testing.F) {
	f.Add(ID(7).Bytes())
	f.Add(ID(7).Offer(9))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, ok := ParseID(b)
		if index, offers := ParseOffer(b); offers && (!ok || !bytes.Equal(id.Offer(index)[:16], b[:16])) {
			t.Fatalf("%x is an offer of %v at %d", b, id, index)
		}
		if ok && len(b) == 8 && !bytes.Equal(id.Bytes(), b) {
			t.Fatalf("%x is %v", b, id)
		}
	})
}
