package diff

import "testing"

// An answer to a progress request that was sent too early is fine once the
// revision it waited for is there, and not before.
func TestEarlyProgressIsDueLater(t *testing.T) {
	st := &stream{early: []int64{7}}
	st.progress = []int64{6}
	if st.due() != 0 {
		t.Error("due before its revision")
	}
	st.progress = []int64{7}
	if st.due() != 1 {
		t.Error("not due at its revision")
	}
}
