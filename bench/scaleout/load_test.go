package scaleout

import "testing"

// What a full server refuses spoils no cell, a put in a hundred that fails does
// (I3).
func TestTooManyUnanswered(t *testing.T) {
	for _, c := range []struct {
		u        Unanswered
		answered int
		want     bool
	}{
		{Unanswered{}, 0, false},
		{Unanswered{Refused: 900}, 1000, false},
		{Unanswered{Failed: 10}, 1000, false},
		{Unanswered{Failed: 11}, 1000, true},
		{Unanswered{Failed: 1}, 0, true},
	} {
		if got := c.u.tooMany(c.answered); got != c.want {
			t.Errorf("%+v beside %d: %v", c.u, c.answered, got)
		}
	}
}
