package greedy

import (
	"errors"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Outcome counts requests by how they ended.
type Outcome struct {
	Done    stat.Summary `json:"done"`
	Refused int          `json:"refused"`          // ErrTooManyRequests
	Unread  int          `json:"unread,omitempty"` // asked, and the answer was left unread
	Failed  int          `json:"failed"`           // anything else
	Failure string       `json:"failure,omitempty"`
}

// asked is how many requests there were.
func (o Outcome) asked() int { return o.Done.Count + o.Refused + o.Unread + o.Failed }

// errUnread is how a request ends whose answer nobody wants to read.
var errUnread = errors.New("the answer was left unread")

// tally counts what clients do at the same time.
type tally struct {
	mu              sync.Mutex
	done            stat.Histogram
	refused, unread int
	failed          int
	failure         error // the first
}

// add counts a request that ended.
func (t *tally) add(err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.done.Record(took)
	case errors.Is(err, errUnread):
		t.unread++
	case dial.TooMany(err):
		t.refused++
	default:
		if t.failed++; t.failure == nil {
			t.failure = err
		}
	}
}

func (t *tally) outcome(elapsed time.Duration) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := Outcome{Done: t.done.Summarize(elapsed), Refused: t.refused, Unread: t.unread, Failed: t.failed}
	if t.failure != nil {
		o.Failure = t.failure.Error()
	}
	return o
}
