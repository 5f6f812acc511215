package planted

import (
	"go/format"
	"testing"
)

// TestFits: the source has the place that each bug changes, and is still Go with
// it (I1).
func TestFits(t *testing.T) {
	var all []Bug
	for _, b := range Bugs {
		all = append(all, b)
		all = append(all, b.Also...)
	}
	for _, b := range all {
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
