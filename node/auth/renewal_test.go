package auth

import (
	"encoding/binary"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
)

// A simple token is good for as long as it is used, where it is used; then its time is
// over for good. It dies with the password whatever its time.
func TestUsedTokenGoesOn(t *testing.T) {
	const ttl = 300 * time.Second
	secret, start := []byte("secret"), time.Unix(1000, 0)
	user := &authpb.User{Name: []byte("u"), Password: []byte("p")}
	token := signToken(secret, user, start.Add(ttl))
	here, elsewhere := newRenewals(ttl), newRenewals(ttl)
	good := func(at *renewals, after time.Duration) bool {
		name, ok := checkToken(secret, func(string) *authpb.User { return user }, token, at, start.Add(after))
		return ok && name == "u"
	}
	for n := range 6 {
		if after := time.Duration(n) * (ttl - time.Second); !good(here, after) {
			t.Fatalf("not good after %v, though used all the time", after)
		}
	}
	if !good(elsewhere, 0) || good(elsewhere, 2*ttl) {
		t.Error("a token that was used elsewhere goes on here")
	}
	last := 5 * (ttl - time.Second)
	if !good(here, last) || good(here, last+ttl) || good(here, last+ttl+1) || good(here, last) {
		t.Error("a token that nobody used for its time is still good")
	}
	user = &authpb.User{Name: []byte("u"), Password: []byte("changed")}
	if good(newRenewals(ttl), 0) {
		t.Error("a token outlives the password")
	}
}

// What is remembered is bounded; what has ended makes room.
func TestRenewalsAreBounded(t *testing.T) {
	const ttl = time.Minute
	r, start := newRenewals(ttl), time.Unix(1000, 0)
	mac := func(i int) (m [32]byte) {
		binary.BigEndian.PutUint64(m[:], uint64(i))
		return m
	}
	for i := range maxRenewed + 100 {
		if !r.use(mac(i), start.Add(ttl), start) {
			t.Fatal("a token is refused before its time")
		}
	}
	if len(r.until) != maxRenewed {
		t.Errorf("%d are remembered", len(r.until))
	}
	if r.use(mac(maxRenewed+1), start.Add(ttl), start.Add(ttl)) {
		t.Error("a token that could not be remembered outlives its time")
	}
	later := start.Add(2 * ttl)
	if !r.use(mac(-1), later.Add(ttl), later) || len(r.until) != 1 {
		t.Errorf("%d are remembered when all but one have ended", len(r.until))
	}
}
