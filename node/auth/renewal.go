package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxRenewed bounds what a node remembers of tokens, some 5 MiB. A token for which
// there is no room ends at its own time.
const maxRenewed = 1 << 16

// renewals are the simple tokens that were used here lately. As in etcd, a token that is
// used is good for another --auth-token-ttl, at the node that it is used at.
type renewals struct {
	ttl time.Duration

	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time // by the token's MAC
	swept time.Time
}

func newRenewals(ttl time.Duration) *renewals {
	return &renewals{ttl: ttl, until: map[[sha256.Size]byte]time.Time{}}
}

// use reports whether a token that was good until expiry, unless somebody used it, is
// good now; if so its time starts again.
func (r *renewals) use(mac [sha256.Size]byte, expiry, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, known := r.until[mac]
	if until.Before(expiry) {
		until = expiry
	}
	if !now.Before(until) {
		delete(r.until, mac)
		return false
	}
	if !known && !r.room(now) {
		return true
	}
	r.until[mac] = now.Add(r.ttl)
	return true
}

// room reports whether one more token can be remembered. Those whose time is over are
// forgotten first, but not looked for more often than they can end.
func (r *renewals) room(now time.Time) bool {
	if now.Sub(r.swept) >= r.ttl {
		r.swept = now
		for mac, until := range r.until {
			if !now.Before(until) {
				delete(r.until, mac)
			}
		}
	}
	return len(r.until) < maxRenewed
}
