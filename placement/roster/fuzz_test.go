package roster

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// FuzzSettings shows and sets what may be any record of settings, and any text.
func FuzzSettings(f *testing.F) {
	b, err := (&pontoonpb.Settings{}).MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, "2m")
	f.Add(emptySettings, "64MiB/s")
	f.Fuzz(func(_ *testing.T, b []byte, text string) {
		parseBytes(text)
		parseSeconds(text)
		s := &pontoonpb.Settings{}
		if s.UnmarshalVT(b) == nil {
			Texts(s, 3)
		}
	})
}
