package transport

import "context"

// enter admits an incoming Ops stream, unless the node drains.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drained {
		return false
	}
	t.callees.Add(1)
	return true
}

// drains reports whether nothing is to be begun any more.
func (t *Transport) drains() bool {
	select {
	case <-t.draining:
		return true
	default:
		return false
	}
}

// Drain ends the streams on which other nodes send operations: what was begun
// is answered, what was not is sent elsewhere by its sender without a doubt
// about its fate (P34). It returns when all are answered or ctx ends. Everything else
// goes on.
func (t *Transport) Drain(ctx context.Context) {
	t.mu.Lock()
	if !t.drained {
		t.drained = true
		close(t.draining)
	}
	t.mu.Unlock()
	over := make(chan struct{})
	go func() {
		t.callees.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
