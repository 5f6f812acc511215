package planted

import (
	"go/format"
	"testing"
)

// TestFits: the source has the place that each bug changes, and is still Go with
// it (I1).
func TestFits(t *testing.T) {
	for _, b := range Bugs {
		text, err := b.text("../..")
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := format.Source([]byte(text)); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
}
