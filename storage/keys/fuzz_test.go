package keys

import (
	"bytes"
	"testing"
)

// FuzzUserRange turns any key and range_end of a client into a span and back.
func FuzzUserRange(f *testing.F) {
	f.Add([]byte("a"), []byte("b"))
	f.Add([]byte("a"), []byte{0})
	f.Add([]byte{}, []byte{})
	f.Add([]byte("b"), []byte("a"))
	f.Fuzz(func(t *testing.T, key, end []byte) {
		s := UserRangeSpan(key, end)
		if s.Empty() || len(key) == 0 && len(end) == 0 { // no key at all is refused before
			return
		}
		if !UserSpan.Covers(s) {
			t.Fatalf("%q %q leaves the user span: %v", key, end, s)
		}
		k, e := UserRange(s)
		if again := UserRangeSpan(k, e); !bytes.Equal(again.Start, s.Start) || !bytes.Equal(again.End, s.End) {
			t.Fatalf("%q %q: %v became %v", key, end, s, again)
		}
	})
}

// FuzzText shows any key.
func FuzzText(f *testing.F) {
	f.Add([]byte("a"))
	f.Add(SequencerLimit)
	f.Fuzz(func(_ *testing.T, key []byte) {
		Text(key)
		UserKey(key)
		AuthUserOf(key)
		AuthRoleOf(key)
	})
}
