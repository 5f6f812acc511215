package transport

import "sync"

// pool runs functions on goroutines that stay around for the next one, so that
// a grown stack is used again. It bounds only what idles.
type pool struct {
	mu     sync.Mutex
	idle   []chan func()
	closed bool
	wg     sync.WaitGroup
}

const maxIdleWorkers = 256

// run never blocks.
func (p *pool) run(fn func()) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		go fn()
		return
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w <- fn
		return
	}
	p.wg.Add(1)
	p.mu.Unlock()
	go p.work(fn)
}

func (p *pool) work(fn func()) {
	defer p.wg.Done()
	next := make(chan func(), 1)
	for fn != nil {
		fn()
		p.mu.Lock()
		if p.closed || len(p.idle) >= maxIdleWorkers {
			p.mu.Unlock()
			return
		}
		p.idle = append(p.idle, next)
		p.mu.Unlock()
		fn = <-next
	}
}

// close releases idle workers and waits for the busy ones.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.idle {
		w <- nil
	}
	p.idle = nil
	p.mu.Unlock()
	p.wg.Wait()
}
