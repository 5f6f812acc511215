package sequencer

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// FuzzDecodeLimit reads what may be the record of the limit.
func FuzzDecodeLimit(f *testing.F) {
	f.Add(EncodeLimit(7))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeLimit(b)
		if err == nil && len(b) > 0 && string(EncodeLimit(n)) != string(b) {
			t.Fatalf("%x is %d", b, n)
		}
	})
}

// FuzzAsk asks the sequencer anything: numbers are given once, and in order.
func FuzzAsk(f *testing.F) {
	for _, ask := range []*pontoonpb.SequenceAsk{{}, {Count: 3, Node: 1, Boot: 2, Sequence: 1}, {Count: maxCount, Node: 9, Boot: 1, Sequence: 1}, {Count: -5, Sequence: 2}} {
		b, err := ask.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		k := &Kernel{}
		now := time.Unix(100, 0)
		k.Gained(now, 5, 1000, Epochs{})
		for i, raw := range [][]byte{first, second} {
			ask := &pontoonpb.SequenceAsk{}
			if ask.UnmarshalVT(raw) != nil || ask.Count < 0 || ask.Count > maxCount { // as a stream refuses it
				return
			}
			before := k.Read()
			k.Ask(now, Ticket(i+1), ask)
			if k.Read() < before {
				t.Fatalf("numbers went back from %d to %d", before, k.Read())
			}
		}
	})
}
