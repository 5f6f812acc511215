package simnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const (
	here  = "10.0.0.1"
	there = "10.0.0.2"
	port  = "10.0.0.2:80"
	delay = 10 * time.Millisecond
)

// pair is a connection between two hosts, the first one the dialer's.
func pair(t *testing.T, n *Network) (a, b net.Conn) {
	t.Helper()
	l, err := n.Host(there).Process().Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = n.Host(here).Process().Dial(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads the text and returns how long that took.
func hear(t *testing.T, c net.Conn, text string) time.Duration {
	t.Helper()
	began := time.Now()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("got %q, %v, want %q", b, err, text)
	}
	return time.Since(began)
}

func TestDelayAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Shape{Delay: delay, Jitter: delay})
		a, b := pair(t, n)
		for range 50 {
			say(t, a, "one ")
			say(t, a, "two ")
			if took := hear(t, b, "one two "); took < delay || took > 2*delay {
				t.Fatal(took)
			}
		}
		a.Close()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		b.Close()
	})
}

func TestSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Shape{Delay: delay, BytesPerSecond: 100})
		a, b := pair(t, n)
		say(t, a, "0123456789")
		if took := hear(t, b, "0123456789"); took != delay+100*time.Millisecond {
			t.Fatal(took)
		}
		a.Close()
		b.Close()
	})
}

// A lost segment holds up what follows it, and nothing else.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Shape{Delay: delay, LossPerMille: 1000})
		a, b := pair(t, n)
		say(t, a, "x")
		if took := hear(t, b, "x"); took != delay+Retransmit {
			t.Fatal(took)
		}
		a.Close()
		b.Close()
	})
}

// A link that is cut one way holds what is under way until it heals, also of a
// connection that its sender gave up long ago.
func TestOneWayCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Shape{Delay: delay})
		a, b := pair(t, n)
		n.Set(n.Host(here), n.Host(there), Shape{Delay: delay, Cut: true})
		say(t, a, "late")
		say(t, b, "back")
		hear(t, a, "back")
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		b.SetReadDeadline(time.Time{})
		time.Sleep(UserTimeout)
		if _, err := a.Write([]byte("more")); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Fatal(err)
		}
		a.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := n.Host(here).Process().Dial(ctx, port); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		n.Set(n.Host(here), n.Host(there), Shape{Delay: delay})
		hear(t, b, "late")
		b.Close()
	})
}

// Whoever talks to a host that lost its power hears of it only when it is back;
// of a process that died, at once.
func TestKillAndPowerOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Shape{Delay: delay})
		a, b := pair(t, n)
		old := n.Host(there).Process()
		n.Host(there).Kill()
		began := time.Now()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(began) != delay {
			t.Fatal(err, time.Since(began))
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if _, err := old.Listen(port); err == nil {
			t.Fatal("a dead process listens")
		}
		if _, err := n.Host(here).Process().Dial(t.Context(), port); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		a.Close()

		a, _ = pair(t, n)
		n.Host(there).PowerOff()
		a.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		a.SetReadDeadline(time.Time{})
		n.Host(there).PowerOn()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		a.Close()
	})
}
