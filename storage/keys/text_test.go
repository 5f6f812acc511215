package keys

import "testing"

func TestText(t *testing.T) {
	for want, key := range map[string][]byte{
		"meta": MetaSpan.Start, "lease": LeaseSpan.Start, "user": UserSpan.Start, "end": Max,
		`"a\x00\xff"`: User([]byte("a\x00\xff")), "lease/1f": Lease(31), "ff01": {0xff, 1}, "": nil,
	} {
		if got := Text(key); got != want {
			t.Errorf("%x: %s, want %s", key, got, want)
		}
	}
}
